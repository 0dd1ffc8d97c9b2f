//! Pending registrations, server API keys and the life of refresh tokens, as the App Services Admin API has them.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use super::answer::{empty, json as answer};
use super::api;
use super::call::Call;
use super::deeds::declined;
use super::v3::{Refusal, Reply, of_store};
use crate::account::Kind;
use crate::account::api_key::ApiKey;
use crate::id::KeyId;
use crate::provider::local_userpass::LocalUserpass;
use crate::provider::server_key::{self, NewKey, Owner};
use crate::provider::{self};

impl Admin {
    pub(super) async fn v3_registrations(&self, call: &Call, method: &str, path: &[&str]) -> Reply {
        let local = self.local()?;
        match (method, path) {
            ("GET", ["pending_users"]) => {
                let waiting = local.waiting(MOST).await.map_err(declined)?;
                let after = call.parameter("after");
                let past =
                    after.and_then(|after| waiting.iter().position(|one| one.id == after)).map_or(0, |at| at + 1);
                let page: Vec<Value> = waiting.iter().skip(past).take(PAGE).map(|one| self.pending(one)).collect();
                Ok(answer(StatusCode::OK, &Value::from(page)))
            }
            ("POST", ["by_email", email, "confirm"]) => match local.approve(&api::email(email)?).await {
                Ok(_) => Ok(empty(StatusCode::NO_CONTENT)),
                Err(provider::Error::LinkOver) => Err(Refusal::no_user()),
                Err(provider::Error::Conflict("registration.several")) => {
                    Err(Refusal::bad("several registrations with different passwords wait for this address"))
                }
                Err(error) => Err(declined(error).into()),
            },
            ("POST", ["by_email", email, word @ ("run_confirm" | "send_confirm")]) => {
                let email = api::email(email)?;
                local.resend(email.as_str()).await.map_err(declined)?;
                let status = if *word == "run_confirm" { StatusCode::ACCEPTED } else { StatusCode::OK };
                Ok(empty(status))
            }
            ("DELETE", ["by_email", email]) => match local.reject(&api::email(email)?).await.map_err(declined)? {
                true => Ok(empty(StatusCode::NO_CONTENT)),
                false => Err(Refusal::no_user()),
            },
            _ => Err(Refusal::unknown()),
        }
    }

    fn pending(&self, one: &provider::Waiting) -> Value {
        json!({
            "_id": one.id,
            "domain_id": self.domain_id(),
            "login_ids": [{ "id_type": "email", "id": one.email }],
            "user_id": "",
        })
    }

    fn local(&self) -> Result<&LocalUserpass, Refusal> {
        let off = || Refusal::new(StatusCode::NOT_FOUND, "AuthProviderNotFound", "local-userpass is off");
        self.providers.local_userpass().ok_or_else(off)
    }

    pub(super) async fn v3_keys(&self, call: &mut Call, method: &str, path: &[&str]) -> Reply {
        if self.providers.api_key().is_none() {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "AuthProviderNotFound", "api-key is off"));
        }
        match (method, path) {
            ("GET", []) => {
                let mut shown = Vec::new();
                for key in self.store.keys(None).await.map_err(of_store)? {
                    if self.server_key(key.id).await.is_ok() {
                        shown.push(self::shown(&key));
                    }
                }
                Ok(answer(StatusCode::OK, &Value::from(shown)))
            }
            ("POST", []) => self.v3_make_key(call).await,
            ("GET", [id]) => Ok(answer(StatusCode::OK, &shown(&self.server_key(api::key_id(id)?).await?))),
            ("DELETE", [id]) => {
                let key = self.server_key(api::key_id(id)?).await?;
                server_key::delete(&self.store, key.id, self.clock.now()).await.map_err(of_store)?;
                self.sessions.forget_user(key.user_id);
                Ok(empty(StatusCode::NO_CONTENT))
            }
            ("PUT", [id, word @ ("enable" | "disable")]) => {
                let key = self.server_key(api::key_id(id)?).await?;
                self.set_key_disabled(key.id, *word == "disable").await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Refusal::unknown()),
        }
    }

    async fn v3_make_key(&self, call: &mut Call) -> Reply {
        let name = call.fields().await?.text("name")?.unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "", "'name' is a required string"));
        }
        if !name.chars().all(plain) {
            let text = "can only contain ASCII letters, numbers, underscores, and hyphens";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "InvalidParameter", text));
        }
        let now = self.clock.now();
        // Never an operator: a key cannot make one that can do what only the command line gives.
        let new =
            NewKey { id: KeyId::generate(now), name: &name, owner: Owner::Service(BTreeSet::new()), expires_at: None };
        let (key, _, secret) = server_key::make(&self.store, new, now).await.map_err(declined)?;
        let mut body = shown(&key);
        // Exposed to the operator who asked for it, this once.
        body["key"] = Value::from(secret.expose());
        Ok(answer(StatusCode::CREATED, &body))
    }

    /// A service's key; those of users and of operators are none of this API.
    async fn server_key(&self, id: KeyId) -> Result<ApiKey, Refusal> {
        let found = self.store.key(id).await.map_err(of_store)?;
        let found = found.filter(|(_, owner)| owner.kind == Kind::Service && !owner.is_operator());
        let unknown = || Refusal::new(StatusCode::NOT_FOUND, "APIKeyNotFound", "API key not found");
        found.map(|(key, _)| key).ok_or_else(unknown)
    }

    pub(super) async fn v3_refresh_life(&self, call: &mut Call, method: &str) -> Reply {
        let life = self.refresh_token.as_secs();
        match method {
            "GET" => Ok(answer(StatusCode::OK, &json!({ "expiration_time_seconds": life }))),
            "PUT" => {
                let wanted = call.fields().await?.take("expiration_time_seconds").and_then(|value| value.as_u64());
                match wanted {
                    Some(wanted) if wanted == life => Ok(empty(StatusCode::NO_CONTENT)),
                    _ => Err(Refusal::bad(format!(
                        "the life of refresh tokens is session.refresh_token of the configuration, now {life} s"
                    ))),
                }
            }
            _ => Err(Refusal::unknown()),
        }
    }
}

fn shown(key: &ApiKey) -> Value {
    json!({ "_id": key.id, "name": key.name, "disabled": key.disabled })
}

/// As many as that API gives at a time.
const PAGE: usize = 50;
/// As many as are looked through for a page.
const MOST: usize = 5000;
