//! The keys users make for themselves.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Call, text};
use super::endpoint::{Switch, UserEndpoint};
use super::refusal::Refusal;
use super::{Answer, AppServices, empty};
use crate::account::Kind;
use crate::account::api_key::ApiKey;
use crate::body::Body;
use crate::id::KeyId;
use crate::provider::API_KEY;
use crate::provider::api_key::ApiKeys;
use crate::session::Caller;
use crate::store::AtProvider;

impl AppServices {
    /// Whatever is done with keys, by their owner.
    pub(super) async fn api_keys(
        &self,
        call: &Call,
        body: Body,
        caller: &Caller,
        endpoint: UserEndpoint<'_>,
    ) -> Answer {
        let keys = self.providers.api_key().ok_or_else(|| Refusal::no_such_provider(API_KEY))?;
        match (endpoint, call.method.as_str()) {
            (UserEndpoint::Keys, "GET") => {
                let mut list = keys.list(caller.user.id).await?;
                list.sort_by_key(|key| (key.created_at, key.id));
                Ok(super::json(StatusCode::OK, &list.iter().map(shown).collect()))
            }
            (UserEndpoint::Keys, "POST") => self.create_key(keys, call, body, caller).await,
            (UserEndpoint::Key(id), "GET") => {
                let key = self.own_key(keys, caller, id).await?;
                Ok(super::json(StatusCode::OK, &shown(&key)))
            }
            (UserEndpoint::Key(id), "DELETE") => self.delete_key(keys, caller, id).await,
            (UserEndpoint::KeySwitch(id, switch), "PUT") => self.switch_key(keys, caller, id, switch).await,
            (UserEndpoint::Keys, _) => Err(Refusal::method("GET, POST")),
            (UserEndpoint::Key(_), _) => Err(Refusal::method("GET, DELETE")),
            _ => Err(Refusal::method("PUT")),
        }
    }

    async fn create_key(&self, keys: &ApiKeys, call: &Call, body: Body, caller: &Caller) -> Answer {
        if caller.kind() != Kind::User {
            return Err(Refusal::forbidden("API keys are for users that are not anonymous"));
        }
        // Who found a key must not make himself another that outlives it.
        if caller.provider == API_KEY {
            return Err(Refusal::forbidden("a session that an API key opened makes no other"));
        }
        let fields = call.object(body).await?;
        let name = text(&fields, "name").ok().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "", "'name' is a required string"))?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            return Err(Refusal::parameter("can only contain ASCII letters, numbers, underscores, and hyphens"));
        }
        if keys.list(caller.user.id).await?.iter().any(|key| key.name == name) {
            let text = "an API key with that name already exists";
            return Err(Refusal::new(StatusCode::CONFLICT, "APIKeyAlreadyExists", text));
        }
        let (key, secret) = keys.create(caller.user.id, name, None).await?;
        let mut body = shown(&key);
        // Exposed this once, to its owner.
        body["key"] = secret.expose().into();
        Ok(super::json(StatusCode::CREATED, &body))
    }

    async fn delete_key(&self, keys: &ApiKeys, caller: &Caller, id: &str) -> Answer {
        let key = self.own_key(keys, caller, id).await?;
        self.spare_own(caller, key.id).await?;
        if !keys.delete(caller.user.id, key.id).await? {
            return Err(Refusal::no_such_key());
        }
        self.end_sessions_of(key.id).await?;
        Ok(empty(StatusCode::NO_CONTENT))
    }

    async fn switch_key(&self, keys: &ApiKeys, caller: &Caller, id: &str, switch: Switch) -> Answer {
        let key = self.own_key(keys, caller, id).await?;
        let disable = switch == Switch::Disable;
        if disable {
            self.spare_own(caller, key.id).await?;
        } else if caller.provider == API_KEY {
            return Err(Refusal::forbidden("a session that an API key opened switches no other on"));
        }
        if !keys.set_disabled(caller.user.id, key.id, disable).await? {
            return Err(Refusal::no_such_key());
        }
        if disable {
            self.end_sessions_of(key.id).await?;
        }
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// One of the caller's own; another's is as unknown as none.
    async fn own_key(&self, keys: &ApiKeys, caller: &Caller, id: &str) -> Result<ApiKey, Refusal> {
        let id: KeyId = id.parse().map_err(|_| Refusal::no_such_key())?;
        let list = keys.list(caller.user.id).await?;
        list.into_iter().find(|key| key.id == id).ok_or_else(Refusal::no_such_key)
    }

    /// The key that opened the session does not end it.
    async fn spare_own(&self, caller: &Caller, key: KeyId) -> Result<(), Refusal> {
        let Some(session) = caller.session.filter(|_| caller.provider == API_KEY) else { return Ok(()) };
        let opened = self.store.provider_session(session).await?;
        if opened.is_none_or(|opened| opened.subject == key.to_string()) {
            return Err(Refusal::forbidden("this API key opened the session"));
        }
        Ok(())
    }

    /// Sessions that a key opened do not outlive it.
    async fn end_sessions_of(&self, key: KeyId) -> Result<(), Refusal> {
        let named = AtProvider {
            provider: API_KEY.to_owned(),
            issuer: String::new(),
            subject: Some(key.to_string()),
            sid: None,
        };
        for session in self.store.sessions_at_provider(&named).await? {
            self.sessions.end(session).await?;
        }
        Ok(())
    }
}

fn shown(key: &ApiKey) -> Value {
    json!({ "_id": key.id.to_string(), "name": key.name, "disabled": key.disabled })
}
