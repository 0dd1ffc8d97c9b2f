//! How users, sessions, keys and entries of the audit log look in JSON: as on the command line.

use serde_json::{Value, json};

use crate::account::api_key::ApiKey;
use crate::account::audit::Entry;
use crate::account::{Identity, User};
use crate::clock::Timestamp;
use crate::session::Session;

pub(super) fn user(user: &User) -> Value {
    json!({
        "id": user.id,
        "kind": user.kind,
        "disabled": user.disabled,
        "email": user.email(),
        "verified_email": user.verified_email(),
        "name": user.name(),
        "roles": user.roles,
        "identities": user.identities.iter().map(identity).collect::<Vec<_>>(),
        "has_password": user.password.is_some(),
        "data": user.data,
        "custom_data": user.custom_data,
        "created_at": user.created_at.rfc3339(),
        "last_sign_in_at": user.last_sign_in_at.map(Timestamp::rfc3339),
    })
}

fn identity(identity: &Identity) -> Value {
    json!({
        "provider": identity.provider,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "verified_email": identity.verified_email,
        "created_at": identity.created_at.rfc3339(),
    })
}

pub(super) fn session(session: &Session) -> Value {
    json!({
        "id": session.id,
        "user_id": session.user_id,
        "provider": session.provider,
        "user_agent": session.device.user_agent,
        "address": session.device.address,
        "created_at": session.created_at.rfc3339(),
        "last_seen_at": session.last_seen_at.rfc3339(),
        "expires_at": session.expires_at.min(session.idle_expires_at).rfc3339(),
    })
}

pub(super) fn key(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "user_id": key.user_id,
        "disabled": key.disabled,
        "created_at": key.created_at.rfc3339(),
        "expires_at": key.expires_at.map(Timestamp::rfc3339),
        "last_used_at": key.last_used_at.map(Timestamp::rfc3339),
    })
}

pub(super) fn entry(entry: &Entry) -> Value {
    let event = &entry.event;
    json!({
        "sequence": entry.sequence,
        "at": event.at.rfc3339_millis(),
        "request_id": event.request_id,
        "actor": event.actor.to_string(),
        "action": event.action.word(),
        "subject": event.subject,
        "before": event.before,
        "after": event.after,
    })
}
