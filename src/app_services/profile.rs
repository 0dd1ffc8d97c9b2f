//! Who one is, as SDKs read it.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::claims::provider_id;
use super::refusal::Refusal;
use super::{Answer, AppServices};
use crate::account::{Kind, User};
use crate::provider::API_KEY;
use crate::session::Caller;

impl AppServices {
    /// The profile as the store has it now: after a link the SDK reads it at once.
    pub(super) async fn profile(&self, caller: &Caller) -> Answer {
        let user = self.store.user(caller.user.id).await?;
        let user = user.ok_or_else(|| Refusal::dead("invalid session: its user is gone"))?;
        let mut identities: Vec<Value> = user
            .identities
            .iter()
            .map(|identity| {
                let mut shown = self.identity(identity);
                if !identity.data.is_empty() {
                    shown["provider_data"] = identity.data.clone().into();
                }
                shown
            })
            .collect();
        if let Some(key) = self.key_identity(caller).await? {
            identities.push(key);
        }
        let body = json!({
            "user_id": user.id.to_string(),
            "domain_id": self.domain,
            "type": kind(&user),
            "identities": identities,
            "data": data(&user),
        });
        Ok(super::json(StatusCode::OK, &body))
    }

    /// `context.user` of functions.
    pub(super) fn context_user(&self, user: &User) -> Value {
        let identities: Vec<Value> = user
            .identities
            .iter()
            .map(|identity| {
                let shown = self.identity(identity);
                json!({ "id": shown["id"], "provider_type": shown["provider_type"], "data": identity.data })
            })
            .collect();
        json!({
            "id": user.id.to_string(),
            "type": kind(user),
            "data": user.data,
            "custom_data": user.custom_data,
            "identities": identities,
        })
    }

    /// A session that a key opened shows the key as one more identity.
    async fn key_identity(&self, caller: &Caller) -> Result<Option<Value>, Refusal> {
        if caller.provider != API_KEY {
            return Ok(None);
        }
        let id = match caller.session {
            Some(session) => self.store.provider_session(session).await?.map(|opened| opened.subject),
            None => None,
        };
        let id = id.unwrap_or_else(|| caller.user.id.to_string());
        Ok(Some(json!({ "id": id, "provider_type": API_KEY, "provider_id": provider_id(API_KEY) })))
    }
}

fn kind(user: &User) -> &'static str {
    match user.kind {
        Kind::User | Kind::Guest => "normal",
        Kind::Service => "server",
    }
}

/// Some SDKs read the picture under another name.
fn data(user: &User) -> Map<String, Value> {
    let mut data: Map<String, Value> = user.data.clone().into();
    if let Some(picture) = data.get("picture").cloned() {
        data.entry("picture_url").or_insert(picture);
    }
    data
}
