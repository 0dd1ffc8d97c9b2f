//! Everything that is kept about somebody, to take along (GDPR, article 20).

use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use serde_json::{Value, json};

use super::call::Call;
use super::refusal::unavailable;
use super::{Answer, Portal, answer};
use crate::account::api_key::ApiKey;
use crate::account::audit::Entry;
use crate::account::{Identity, Kind, User};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::provider::API_KEY;
use crate::rejection::Reason;
use crate::session::Session;
use crate::store::AuditFilter;

impl Portal {
    /// A JSON file of the caller's account: what is known, without what would open it.
    pub(super) async fn data(&self, call: &Call) -> Answer {
        let caller = call.caller.as_deref().ok_or(Reason::SignInNeeded)?;
        if caller.session.is_none() || caller.provider == API_KEY || caller.kind() == Kind::Service {
            return Err(Reason::Forbidden);
        }
        let id = caller.user.id;
        let user = self.store.user(id).await.map_err(unavailable)?.ok_or(Reason::SignInNeeded)?;
        let sessions = self.store.sessions_of(id).await.map_err(unavailable)?;
        let keys = self.store.keys(Some(id)).await.map_err(unavailable)?;
        let mut told = describe(&user);
        told["sessions"] = sessions.iter().map(session).collect();
        told["api_keys"] = keys.iter().map(key).collect();
        told["history"] = self.history(id).await?;
        let mut response = answer::json(StatusCode::OK, &told);
        let name = HeaderValue::from_static("attachment; filename=\"account.json\"");
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
        Ok(response)
    }

    async fn history(&self, user: UserId) -> Result<Value, Reason> {
        let filter = AuditFilter { subject: Some(user), since: None };
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.audit(filter, after, PAGE).await.map_err(unavailable)?;
            entries.extend(page.iter().map(entry));
            after = page.last().map(|entry| entry.sequence);
            if page.len() < PAGE || entries.len() >= MOST {
                return Ok(Value::Array(entries));
            }
        }
    }
}

fn describe(user: &User) -> Value {
    json!({
        "user_id": user.id,
        "kind": user.kind,
        "data": user.data,
        "custom_data": user.custom_data,
        "roles": user.roles,
        "email": user.password.as_ref().map(|password| password.email.as_str()),
        "email_verified": user.password.as_ref().map(|password| password.verified),
        "password_changed_at": user.password.as_ref().map(|password| password.changed_at.rfc3339()),
        "created_at": user.created_at.rfc3339(),
        "last_sign_in_at": user.last_sign_in_at.map(Timestamp::rfc3339),
        "identities": user.identities.iter().map(identity).collect::<Vec<_>>(),
    })
}

fn identity(identity: &Identity) -> Value {
    json!({
        "provider": identity.provider,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "verified_email": identity.verified_email,
        "data": identity.data,
        "roles": identity.roles,
        "linked_at": identity.created_at.rfc3339(),
        "last_sign_in_at": identity.last_sign_in_at.map(Timestamp::rfc3339),
    })
}

fn session(session: &Session) -> Value {
    json!({
        "id": session.id,
        "provider": session.provider,
        "user_agent": session.device.user_agent,
        "address": session.device.address,
        "created_at": session.created_at.rfc3339(),
        "last_seen_at": session.last_seen_at.rfc3339(),
        "expires_at": session.expires_at.rfc3339(),
    })
}

fn key(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "disabled": key.disabled,
        "created_at": key.created_at.rfc3339(),
        "expires_at": key.expires_at.map(Timestamp::rfc3339),
        "last_used_at": key.last_used_at.map(Timestamp::rfc3339),
    })
}

fn entry(entry: &Entry) -> Value {
    let event = &entry.event;
    json!({
        "at": event.at.rfc3339(),
        "by": event.actor.to_string(),
        "action": event.action.word(),
        "before": event.before,
        "after": event.after,
    })
}

/// How many entries are read at a time, and at most.
const PAGE: usize = 1000;
const MOST: usize = 10_000;
