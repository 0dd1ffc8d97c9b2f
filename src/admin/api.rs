//! The operator's REST interface under `/api`.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{empty, json as answer};
use super::call::{Call, Fields};
use super::deeds::{Changes, declined, failed};
use super::{Admin, Answer, openapi, shown};
use crate::account::User;
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId};
use crate::provider::server_key::{self, NewKey, Owner};
use crate::rejection::Reason;
use crate::secret::Secret;
use crate::store::AuditFilter;

impl Admin {
    /// Answers a request whose path begins with `/api`.
    pub(super) async fn api(&self, mut call: Call) -> Answer {
        let (method, path) = call.line();
        let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        match (method.to_owned().as_str(), &path[..]) {
            ("GET", ["openapi.json"]) => Ok(answer(StatusCode::OK, &openapi::document())),
            ("GET", ["users"]) => self.list_users(&call).await,
            ("POST", ["users"]) => self.add_user(&mut call).await,
            ("GET", ["users", name]) => Ok(answer(StatusCode::OK, &shown::user(&self.user(name).await?))),
            ("PATCH", ["users", name]) => self.change_user(&mut call, name).await,
            ("DELETE", ["users", name]) => {
                self.delete(&self.user(name).await?).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            ("GET", ["users", name, "sessions"]) => {
                let sessions = self.store.sessions_of(self.user(name).await?.id).await.map_err(failed)?;
                Ok(list(sessions.iter().map(shown::session).collect(), None))
            }
            ("DELETE", ["users", name, "sessions"]) => {
                let ended = self.end_sessions(self.user(name).await?.id).await?;
                Ok(answer(StatusCode::OK, &json!({ "ended": ended })))
            }
            ("GET", ["users", name, "keys"]) => {
                let keys = self.store.keys(Some(self.user(name).await?.id)).await.map_err(failed)?;
                Ok(list(keys.iter().map(shown::key).collect(), None))
            }
            ("GET", ["sessions"]) => self.list_sessions(&call).await,
            ("DELETE", ["sessions", id]) => self.end_session(id).await,
            ("GET", ["keys"]) => {
                let keys = self.store.keys(None).await.map_err(failed)?;
                Ok(list(keys.iter().map(shown::key).collect(), None))
            }
            ("POST", ["keys"]) => self.make_key(&mut call).await,
            ("PATCH", ["keys", id]) => self.change_key(&mut call, id).await,
            ("DELETE", ["keys", id]) => {
                let owner = server_key::delete(&self.store, key_id(id)?, self.clock.now()).await.map_err(failed)?;
                self.sessions.forget_user(owner.ok_or(Reason::NotFound)?.id);
                Ok(empty(StatusCode::NO_CONTENT))
            }
            ("GET", ["audit"]) => self.list_audit(&call).await,
            (_, path) => {
                Err(openapi::allowed(path).map_or(Reason::NotFound, |allow| Reason::MethodNotAllowed(allow.into())))
            }
        }
    }

    async fn list_users(&self, call: &Call) -> Answer {
        let limit = limit(call)?;
        if let Some(email) = call.parameter("email") {
            let found = self.user(email).await.ok();
            return Ok(list(found.iter().map(shown::user).collect(), None));
        }
        let users = self.store.users(call.parsed("after")?, limit).await.map_err(failed)?;
        let next = users.last().filter(|_| users.len() == limit).map(|user| user.id.to_string());
        Ok(list(users.iter().filter(|user| !user.is_operator()).map(shown::user).collect(), next))
    }

    async fn add_user(&self, call: &mut Call) -> Answer {
        let mut fields = call.fields().await?;
        let email = email(&fields.required("email")?)?;
        let password = Secret::new(fields.required("password")?);
        let roles = roles(&mut fields)?.unwrap_or_default();
        fields.end()?;
        let user = self.enrol(&email, &password, roles).await?;
        Ok(answer(StatusCode::CREATED, &shown::user(&user)))
    }

    /// Makes an account that may sign in at once.
    pub(super) async fn enrol(&self, email: &Email, password: &Secret, roles: Vec<String>) -> Result<User, Reason> {
        if let Some(role) = roles.iter().find(|role| !self.roles.contains(*role)) {
            return Err(Reason::Unprocessable(format!("roles: the configuration declares no {role:?}")));
        }
        let local = self.providers.local_userpass().ok_or(Reason::Conflict("provider.off"))?;
        local.enrol(email, password, roles.into_iter().collect()).await.map_err(declined)
    }

    async fn change_user(&self, call: &mut Call, name: &str) -> Answer {
        let user = self.user(name).await?;
        let mut fields = call.fields().await?;
        let changes = Changes {
            disabled: boolean(&mut fields, "disabled")?,
            roles: roles(&mut fields)?,
            custom_data: object(&mut fields, "custom_data")?,
            email: fields.text("email")?.map(|text| email(&text)).transpose()?,
        };
        fields.end()?;
        Ok(answer(StatusCode::OK, &shown::user(&self.change(user.id, &changes).await?)))
    }

    async fn list_sessions(&self, call: &Call) -> Answer {
        let limit = limit(call)?;
        let sessions = self.store.sessions(call.parsed("after")?, limit).await.map_err(failed)?;
        let next = sessions.last().filter(|_| sessions.len() == limit).map(|session| session.id.to_string());
        Ok(list(sessions.iter().map(shown::session).collect(), next))
    }

    async fn end_session(&self, id: &str) -> Answer {
        let id: SessionId = id.parse().map_err(|_| Reason::NotFound)?;
        let (session, user) = self.store.session(id).await.map_err(failed)?.ok_or(Reason::NotFound)?;
        let event = Event::new(Action::SESSION_REVOKE, user.id, self.clock.now());
        let event = event.before("session", session.id.to_string());
        self.sessions.end_noting(id, vec![event]).await.map_err(failed)?;
        Ok(empty(StatusCode::NO_CONTENT))
    }

    async fn make_key(&self, call: &mut Call) -> Answer {
        let mut fields = call.fields().await?;
        let (name, user) = (fields.required("name")?, fields.text("user")?);
        let (roles, expires_in) = (roles(&mut fields)?, fields.take("expires_in"));
        fields.end()?;
        let now = self.clock.now();
        let expires_at = match expires_in.map(|seconds| seconds.as_u64().filter(|seconds| *seconds > 0)) {
            None => None,
            Some(Some(seconds)) => Some(now + Duration::from_secs(seconds)),
            Some(None) => return Err(Reason::Unprocessable("expires_in: a number of seconds".to_owned())),
        };
        let owner = match (user, roles) {
            (Some(_), Some(_)) => {
                return Err(Reason::Unprocessable("roles: a user's key has the roles of its user".to_owned()));
            }
            (Some(user), None) => Owner::User(Box::new(self.user(&user).await?)),
            (None, roles) => Owner::Service(self.declared(roles.unwrap_or_default())?),
        };
        let new = NewKey { id: KeyId::generate(now), name: &name, owner, expires_at };
        let (key, _, secret) = server_key::make(&self.store, new, now).await.map_err(declined)?;
        let mut shown = shown::key(&key);
        // Exposed to the operator who asked for it, this once.
        shown["key"] = Value::from(secret.expose());
        Ok(answer(StatusCode::CREATED, &shown))
    }

    fn declared(&self, roles: Vec<String>) -> Result<std::collections::BTreeSet<String>, Reason> {
        match roles.iter().find(|role| !self.roles.contains(*role)) {
            Some(role) => Err(Reason::Unprocessable(format!("roles: the configuration declares no {role:?}"))),
            None => Ok(roles.into_iter().collect()),
        }
    }

    async fn change_key(&self, call: &mut Call, id: &str) -> Answer {
        let id = key_id(id)?;
        let mut fields = call.fields().await?;
        let disabled = boolean(&mut fields, "disabled")?;
        fields.end()?;
        if let Some(disabled) = disabled {
            self.set_key_disabled(id, disabled).await?;
        }
        let (key, _) = self.store.key(id).await.map_err(failed)?.ok_or(Reason::NotFound)?;
        Ok(answer(StatusCode::OK, &shown::key(&key)))
    }

    /// Disables or enables a key, at once.
    pub(super) async fn set_key_disabled(&self, id: KeyId, disabled: bool) -> Result<(), Reason> {
        let changed = server_key::set_disabled(&self.store, id, disabled, self.clock.now()).await.map_err(failed)?;
        self.sessions.forget_user(changed.ok_or(Reason::NotFound)?.id);
        Ok(())
    }

    async fn list_audit(&self, call: &Call) -> Answer {
        let limit = limit(call)?;
        let since = call.parsed::<i64>("since")?.map(Timestamp::from_seconds);
        let subject = match call.parameter("user") {
            None => None,
            // Also of one that is gone.
            Some(user) => Some(match user.parse() {
                Ok(id) => id,
                Err(_) => self.user(user).await?.id,
            }),
        };
        let filter = AuditFilter { subject, since };
        let entries = self.store.audit(filter, call.parsed("after")?, limit).await.map_err(failed)?;
        let next = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.sequence.to_string());
        Ok(list(entries.iter().map(shown::entry).collect(), next))
    }
}

fn list(items: Vec<Value>, next: Option<String>) -> http::Response<crate::body::Body> {
    answer(StatusCode::OK, &json!({ "items": items, "next": next }))
}

fn limit(call: &Call) -> Result<usize, Reason> {
    match call.parsed::<usize>("limit")?.unwrap_or(50) {
        limit @ 1..=500 => Ok(limit),
        _ => Err(Reason::Unprocessable("limit: between 1 and 500".to_owned())),
    }
}

pub(super) fn key_id(text: &str) -> Result<KeyId, Reason> {
    text.parse().map_err(|_| Reason::NotFound)
}

pub(super) fn email(text: &str) -> Result<Email, Reason> {
    Email::parse(text).map_err(|_| Reason::Unprocessable("email: not an address such as ann@example.com".to_owned()))
}

fn boolean(fields: &mut Fields, name: &str) -> Result<Option<bool>, Reason> {
    match fields.take(name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(value)),
        Some(_) => Err(Reason::Unprocessable(format!("{name}: true or false"))),
    }
}

fn object(fields: &mut Fields, name: &str) -> Result<Option<Map<String, Value>>, Reason> {
    match fields.take(name) {
        None => Ok(None),
        Some(Value::Object(value)) => Ok(Some(value)),
        Some(_) => Err(Reason::Unprocessable(format!("{name}: must be an object"))),
    }
}

fn roles(fields: &mut Fields) -> Result<Option<Vec<String>>, Reason> {
    let Some(value) = fields.take("roles") else { return Ok(None) };
    serde_json::from_value(value).map(Some).map_err(|_| Reason::Unprocessable("roles: a list of names".to_owned()))
}
