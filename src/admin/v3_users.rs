//! Users and their tokens, as the App Services Admin API has them.

use http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use super::answer::{empty, json as answer};
use super::api;
use super::call::Call;
use super::deeds::Changes;
use super::v3::{Refusal, Reply, derived, of_store};
use crate::account::{Identity, Kind, User};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::secret::Secret;
use crate::session::{Inspected, Session};

impl Admin {
    pub(super) async fn v3_users(&self, call: &mut Call, method: &str, path: &[&str]) -> Reply {
        match (method, path) {
            ("GET", []) => self.v3_list(call).await,
            ("POST", []) => {
                let mut fields = call.fields().await?;
                let email = api::email(&fields.required("email")?)?;
                let password = Secret::new(fields.required("password")?);
                let user = self.enrol(&email, &password, Vec::new()).await?;
                Ok(answer(StatusCode::CREATED, &shown(&user)))
            }
            ("POST", ["verify_token"]) => self.v3_verify(call).await,
            ("GET", [id]) => Ok(answer(StatusCode::OK, &shown(&self.v3_user(id).await?))),
            ("DELETE", [id]) => {
                let user = self.v3_user(id).await?;
                self.delete(&user).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            ("PATCH", [id, "reset_email"]) => {
                let user = self.v3_user(id).await?;
                let email = api::email(&call.fields().await?.required("email")?)?;
                if user.password.is_none() {
                    return Err(Refusal::bad("the user has no local-userpass identity"));
                }
                self.change(user.id, &Changes { email: Some(email), ..Changes::default() }).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            ("GET", [id, "devices"]) => {
                let user = self.v3_user(id).await?;
                let sessions = self.store.sessions_of(user.id).await.map_err(of_store)?;
                Ok(answer(StatusCode::OK, &sessions.iter().map(device).collect()))
            }
            ("PUT", [id, "logout"]) => {
                let user = self.v3_user(id).await?;
                self.end_sessions(user.id).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            ("PUT", [id, word @ ("disable" | "enable")]) => {
                let user = self.v3_user(id).await?;
                let changes = Changes { disabled: Some(*word == "disable"), ..Changes::default() };
                self.change(user.id, &changes).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Refusal::unknown()),
        }
    }

    async fn v3_user(&self, id: &str) -> Result<User, Refusal> {
        let id: UserId = id.parse().map_err(|_| Refusal::no_user())?;
        let user = self.store.user(id).await.map_err(of_store)?;
        user.filter(|user| !user.is_operator()).ok_or_else(Refusal::no_user)
    }

    /// At most 50, by id; what is asked for is looked for until there are so many or no more.
    async fn v3_list(&self, call: &Call) -> Reply {
        if call.parameter("desc").is_some_and(|desc| desc == "true") {
            return Err(Refusal::bad("desc is not served: users come by their id, the lowest first"));
        }
        let disabled = match call.parameter("status") {
            None => None,
            Some("enabled") => Some(false),
            Some("disabled") => Some(true),
            Some(_) => return Err(Refusal::bad("status is enabled or disabled")),
        };
        let providers: Vec<&str> =
            call.parameter("provider_types").map(|all| all.split(',').collect()).unwrap_or_default();
        let wanted = |user: &User| {
            let by = |identity: &Identity| providers.contains(&identity.provider.as_str());
            !user.is_operator()
                && disabled.is_none_or(|disabled| user.disabled == disabled)
                && (providers.is_empty() || user.identities.iter().any(by))
        };
        let (mut after, mut found) = (call.parsed::<UserId>("after")?, Vec::new());
        loop {
            let page = self.store.users(after, PAGE).await.map_err(of_store)?;
            found.extend(page.iter().filter(|user| wanted(user)).map(shown));
            after = page.last().map(|user| user.id);
            if found.len() >= PAGE || page.len() < PAGE {
                found.truncate(PAGE);
                return Ok(answer(StatusCode::OK, &Value::from(found)));
            }
        }
    }

    async fn v3_verify(&self, call: &mut Call) -> Reply {
        let token = Secret::new(call.fields().await?.required("token")?);
        // Looked at, and shown to nobody.
        let good = match self.sessions.inspect(token.expose()).await.map_err(of_store)? {
            Inspected::Malformed => return Err(Refusal::bad("token contains an invalid number of segments or claims")),
            Inspected::Unsigned => {
                return Err(Refusal::new(StatusCode::UNAUTHORIZED, "InvalidSession", "signature is invalid"));
            }
            Inspected::Expired => return Ok(answer(StatusCode::OK, &Value::from("token expired"))),
            Inspected::Over => return Err(Refusal::session("invalid session")),
            Inspected::Good(good) if good.user.is_operator() => return Err(Refusal::session("invalid session")),
            Inspected::Good(good) => good,
        };
        let claims = json!({
            "sub": good.user.id,
            "iss": good.issuer,
            "iat": good.issued_at.seconds(),
            "exp": good.expires_at.seconds(),
            "domain_id": self.domain_id(),
            "device_id": good.session.id,
            "data": good.user.data,
            "custom_user_data": good.user.custom_data,
        });
        Ok(answer(StatusCode::OK, &claims))
    }
}

fn shown(user: &User) -> Value {
    json!({
        "_id": user.id,
        "type": if user.kind == Kind::Service { "server" } else { "normal" },
        "identities": user.identities.iter().map(identity).collect::<Vec<_>>(),
        "data": user.data,
        "custom_data": user.custom_data,
        "disabled": user.disabled,
        "creation_date": user.created_at.seconds(),
        "last_authentication_date": user.last_sign_in_at.map_or(0, Timestamp::seconds),
    })
}

fn identity(identity: &Identity) -> Value {
    json!({
        "id": identity.subject,
        "provider_type": identity.provider,
        "provider_id": derived(&["provider", &identity.provider]),
        "provider_data": identity.data,
    })
}

fn device(session: &Session) -> Value {
    json!({
        "_id": session.id,
        "device_id": session.id,
        "platform": session.device.user_agent,
        "provider_type": session.provider,
        "created_at": session.created_at.seconds(),
        "last_seen": session.last_seen_at.seconds(),
    })
}

/// As many as that API gives at a time.
const PAGE: usize = 50;
