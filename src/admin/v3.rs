//! The user part of the App Services Admin API under `/api/admin/v3.0`: scripts that were written against it change
//! their base URL and go on.
//!
//! Paths name a project and an app by the ids of `[admin.app_services]`; any other is 404 before anything else is
//! looked at. Answers are exactly `application/json`, empty ones have no type.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer::{empty, json as answer};
use super::call::Call;
use super::deeds::failed;
use super::{Admin, Asked};
use crate::account::User;
use crate::body::Body;
use crate::id::KeyId;
use crate::rejection::Reason;
use crate::secret::{Digest, Secret};
use crate::session::Device;

/// A no, as the clients of this API read it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    text: String,
}

pub(super) type Reply = Result<Response<Body>, Refusal>;

impl Admin {
    /// Answers a request whose path begins with `/api/admin/v3.0`, but for signing in.
    pub(super) async fn v3(&self, mut call: Call) -> Response<Body> {
        let reply = self.v3_reply(&mut call).await;
        reply.unwrap_or_else(|refusal| self.v3_refuse(&refusal))
    }

    async fn v3_reply(&self, call: &mut Call) -> Reply {
        let ids = self.settings.app.ok_or_else(Refusal::unknown)?;
        let (method, path) = call.line();
        let (method, path) = (method.to_owned(), path.iter().skip(3).map(String::as_str).collect::<Vec<_>>());
        match (method.as_str(), &path[..]) {
            ("GET", ["auth", "providers"]) => Ok(answer(StatusCode::OK, &providers())),
            ("GET", ["auth", "profile"]) => Ok(answer(StatusCode::OK, &self.v3_profile(call.operator.user.as_ref()))),
            ("GET", ["groups", group, "apps"]) if *group == ids.group.to_string() => {
                Ok(answer(StatusCode::OK, &json!([self.v3_app()])))
            }
            (_, ["groups", group, "apps", app, rest @ ..])
                if *group == ids.group.to_string() && *app == ids.app.to_string() =>
            {
                self.v3_of_app(call, &method, rest).await
            }
            _ => Err(Refusal::unknown()),
        }
    }

    async fn v3_of_app(&self, call: &mut Call, method: &str, path: &[&str]) -> Reply {
        match path {
            [] if method == "GET" => Ok(answer(StatusCode::OK, &self.v3_app())),
            ["users", rest @ ..] => self.v3_users(call, method, rest).await,
            ["user_registrations", rest @ ..] => self.v3_registrations(call, method, rest).await,
            ["api_keys", rest @ ..] => self.v3_keys(call, method, rest).await,
            ["security", "refresh_token_expiration"] => self.v3_refresh_life(call, method).await,
            _ => Err(Refusal::unknown()),
        }
    }

    /// Signs an operator in, goes on with a session, or ends it: what there is before anybody is known. `None`: it is
    /// something else.
    pub(super) async fn v3_session(&self, method: &str, path: &[&str], call: &mut Call, asked: &Asked) -> Reply {
        match (method, path) {
            ("POST", ["auth", "providers", provider, "login"]) => self.v3_login(provider, call, asked).await,
            ("POST", ["auth", "session"]) => {
                let token = bearer(call)?;
                let access = self.sessions.renew_operator(token.expose()).await.map_err(of_store)?;
                // Exposed to the one program that has the refresh token.
                let access = access.ok_or_else(|| Refusal::session("invalid refresh token"))?;
                Ok(answer(StatusCode::CREATED, &json!({ "access_token": access.expose() })))
            }
            ("DELETE", ["auth", "session"]) => {
                let token = bearer(call)?;
                match self.sessions.revoke(token.expose()).await.map_err(of_store)? {
                    true => Ok(empty(StatusCode::NO_CONTENT)),
                    false => Err(Refusal::session("invalid session")),
                }
            }
            _ => Err(Refusal::unknown()),
        }
    }

    async fn v3_login(&self, provider: &str, call: &mut Call, asked: &Asked) -> Reply {
        let secret = match provider {
            "mongodb-cloud" => "apiKey",
            "local-userpass" => "password",
            _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "AuthProviderNotFound", "no such provider")),
        };
        let counted = self.limits.sign_in.count(asked.client.address, None).await;
        counted.map_err(|_| Refusal::new(StatusCode::TOO_MANY_REQUESTS, "", "too many tries"))?;
        let mut fields = call.fields().await?;
        let (name, key) = (fields.required("username")?, Secret::new(fields.required(secret)?));
        // Looked up by its digest.
        let user = self.sessions.operator(key.expose()).await.map_err(of_store)?;
        let named = |user: &User| user.name() == Some(&*name) || user.identities.iter().any(|own| own.subject == name);
        let Some(user) = user.filter(named) else {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "AuthError", "invalid username or API key"));
        };
        let device = Device { address: Some(asked.client.address), ..Device::default() };
        let tokens = self.sessions.start_tokens(&user, "operator", device).await.map_err(of_store)?;
        // Exposed to the one program that signed in.
        let tokens = json!({
            "access_token": tokens.access_token.expose(),
            "refresh_token": tokens.refresh_token.expose(),
            "user_id": user.id,
            "device_id": tokens.session,
        });
        Ok(answer(StatusCode::OK, &tokens))
    }

    fn v3_profile(&self, user: Option<&User>) -> Value {
        let group = self.settings.app.map(|ids| ids.group.to_string()).unwrap_or_default();
        json!({
            "user_id": user.map_or_else(|| "0".repeat(24), |user| user.id.to_string()),
            "domain_id": self.domain_id(),
            "type": "normal",
            "identities": [],
            "data": { "name": user.and_then(User::name).unwrap_or("token"), "email": "" },
            "roles": [{ "role_name": "GROUP_OWNER", "group_id": group }],
        })
    }

    fn v3_app(&self) -> Value {
        let ids = self.settings.app;
        let id = |id: Option<crate::id::UserId>| id.map(|id| id.to_string()).unwrap_or_default();
        json!({
            "_id": id(ids.map(|ids| ids.app)),
            "client_app_id": self.site,
            "name": self.site,
            "location": "",
            "deployment_model": "LOCAL",
            "domain_id": self.domain_id(),
            "group_id": id(ids.map(|ids| ids.group)),
        })
    }

    /// Names the users of the app as a whole.
    pub(super) fn domain_id(&self) -> String {
        derived(&["domain", &self.settings.app.map(|ids| ids.app.to_string()).unwrap_or_default()])
    }

    /// The answer to a no.
    pub(super) fn v3_refuse(&self, refusal: &Refusal) -> Response<Body> {
        let at = self.settings.app.map(|ids| format!("groups/{}/apps/{}", ids.group, ids.app)).unwrap_or_default();
        let link = format!("{}/{at}/logs?co_id={}", self.origin, KeyId::generate(self.clock.now()));
        let mut body = json!({ "error": refusal.text, "link": link });
        if !refusal.code.is_empty() {
            body["error_code"] = Value::from(refusal.code);
        }
        answer(refusal.status, &body)
    }
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into() }
    }

    /// No such path, project or app.
    pub(super) fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "", "not found")
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", text)
    }

    pub(super) fn no_user() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UserNotFound", "user not found")
    }

    pub(super) fn session(text: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidSession", text)
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        let (_, words) = reason.words();
        match reason.status() {
            StatusCode::UNAUTHORIZED => Self::session("invalid session"),
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Self::bad(words),
            StatusCode::NOT_FOUND => Self::unknown(),
            StatusCode::CONFLICT if reason == Reason::Conflict("email.taken") => {
                Self::new(StatusCode::CONFLICT, "AccountNameInUse", "name already in use")
            }
            status if status.is_server_error() => Self::new(status, "InternalServerError", words),
            status => Self::new(status, "", words),
        }
    }
}

fn providers() -> Value {
    let provider = |name: &str| json!({ "_id": derived(&["provider", name]), "name": name, "type": name });
    json!([provider("mongodb-cloud"), provider("local-userpass")])
}

/// 24 hexadecimal digits that follow from these words.
pub(super) fn derived(words: &[&str]) -> String {
    Digest::of(words.join("\0")).as_bytes()[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn of_store(error: crate::store::Error) -> Refusal {
    failed(error).into()
}

fn bearer(call: &Call) -> Result<Secret, Refusal> {
    let line = call.headers.get(http::header::AUTHORIZATION).and_then(|line| line.to_str().ok());
    let token = line.and_then(|line| line.strip_prefix("Bearer "));
    token.map(Secret::new).ok_or_else(|| Refusal::session("must authenticate first"))
}
