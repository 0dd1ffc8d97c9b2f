//! Why the client API refuses, in its own words: status, `error_code`, `error`.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::body::Body;
use crate::rejection::Reason;
use crate::visit::RequestId;
use crate::{provider, store};

/// A refusal. Only [`dead`](Self::dead) ones are `InvalidSession`: for these, and for 401 with the text `unauthorized`,
/// an SDK takes a new access token and asks again, for ever.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    status: StatusCode,
    /// Empty where App Services gave none.
    code: &'static str,
    text: Cow<'static, str>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, text: text.into(), retry_after: None, allow: None }
    }

    /// A token that is over, unknown, or none.
    pub(super) fn dead(text: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidSession", text)
    }

    /// The refresh token's session is over. SDKs look for these words when they sign out.
    pub(super) fn no_session() -> Self {
        Self::dead("invalid session: failed to find refresh token")
    }

    pub(super) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "", "must authenticate first")
    }

    /// E-mail or password is wrong, and nobody learns which.
    pub(super) fn wrong_password() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidPassword", "invalid username/password")
    }

    /// Any other credential is not good.
    pub(super) fn credential(text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        // The one word that makes an SDK ask again for ever; functions may throw it.
        let text = if text == "unauthorized" { "the sign-in was refused: unauthorized".into() } else { text };
        Self::new(StatusCode::UNAUTHORIZED, "AuthError", text)
    }

    pub(super) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", text)
    }

    pub(super) fn parameter(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameter", text)
    }

    /// A field that is needed and is not text.
    pub(super) fn missing(name: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MissingParameter", format!("'{name}' is a required string"))
    }

    pub(super) fn forbidden(text: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "", text)
    }

    pub(super) fn origin() -> Self {
        Self::forbidden("requests from this origin are not allowed")
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "", "there is nothing at this path")
    }

    pub(super) fn no_such_app(id: &str) -> Self {
        let shown: String = id.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
        Self::new(StatusCode::NOT_FOUND, "", format!("cannot find app using Client App ID '{shown}'"))
    }

    pub(super) fn no_such_provider(name: &str) -> Self {
        let shown: String = name.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
        Self::new(StatusCode::NOT_FOUND, "AuthProviderNotFound", format!("authentication provider '{shown}' not found"))
    }

    pub(super) fn no_such_user() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UserNotFound", "user not found")
    }

    pub(super) fn no_such_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "APIKeyNotFound", "API key not found")
    }

    pub(super) fn link_over() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UserpassTokenInvalid", "userpass token is expired or invalid")
    }

    pub(super) fn method(allow: &'static str) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "", "this method is not known at this path");
        Self { allow: Some(allow), ..refusal }
    }

    pub(super) fn too_often(limit: &'static str, retry_after: Duration) -> Self {
        tracing::warn!(limit, "too many tries");
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "", "too many requests");
        Self { retry_after: Some(retry_after), ..refusal }
    }

    /// Something that is needed does not answer.
    pub(super) fn unavailable() -> Self {
        let text = "error processing request";
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "InternalServerError", text);
        Self { retry_after: Some(Duration::from_secs(5)), ..refusal }
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "error processing request")
    }

    /// What a layer above refused for.
    pub(super) fn of(reason: &Reason) -> Self {
        match reason {
            Reason::RateLimited { limit, retry_after } => Self::too_often(limit, *retry_after),
            Reason::Unavailable | Reason::Overloaded => Self::unavailable(),
            Reason::Internal => Self::internal(),
            reason => Self::new(reason.status(), "", reason.words().0.to_lowercase()),
        }
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// What apps show.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The answer; `link` leads to what the operator knows of it.
    pub(super) fn response(&self, link: &str) -> Response<Body> {
        let mut body = json!({ "error": self.text, "link": link });
        if !self.code.is_empty() {
            body["error_code"] = self.code.into();
        }
        let mut response = super::json(self.status, &body);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(span) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(span.as_secs().max(1)));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }

    pub(super) fn note(&self, id: &RequestId) {
        tracing::info!(request = %id, status = self.status.as_u16(), code = self.code, "an app was refused");
    }
}

/// The store's no: told in the log alone.
impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "the store failed a request of an app");
        match error {
            store::Error::Unavailable(_) => Self::unavailable(),
            store::Error::Corrupt(_) | store::Error::Conflict(_) => Self::internal(),
        }
    }
}

impl From<provider::Error> for Refusal {
    fn from(error: provider::Error) -> Self {
        use provider::Error;
        match error {
            Error::Refused => Self::credential("this sign-in is not valid"),
            Error::WeakPassword(why) => Self::bad(format!("password: {why}")),
            Error::BadEmail => Self::bad("email invalid"),
            Error::BadName => Self::parameter("use a name of 1 to 64 characters"),
            Error::BadExpiry => Self::parameter("keys may not live so long"),
            Error::LinkOver => Self::link_over(),
            Error::Closed => Self::forbidden("nobody can register here"),
            Error::TooManyKeys => Self::bad("there are as many API keys as a user may have"),
            Error::TooMuchData => Self::credential("the provider tells more of the user than is kept"),
            Error::Conflict("email.taken") => {
                Self::new(StatusCode::CONFLICT, "AccountNameInUse", "name already in use")
            }
            Error::Conflict(_) => Self::new(StatusCode::CONFLICT, "", "something else is in the way"),
            Error::Busy => Self::unavailable(),
            Error::Store(error) => error.into(),
        }
    }
}
