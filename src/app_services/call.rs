//! A request to the client API, without its body.

use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::ejson;
use super::refusal::Refusal;
use crate::body::{Body, ReadError};
use crate::client::Client;
use crate::json;
use crate::provider::Facts;
use crate::visit::RequestId;

/// What handlers know of a request.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) client: Client,
    pub(super) id: RequestId,
}

impl Call {
    /// Parts a request from its body.
    pub(super) fn new(request: Request<Body>, id: RequestId, client: Client) -> (Self, Body) {
        let (parts, body) = request.into_parts();
        let call = Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            client,
            id,
        };
        (call, body)
    }

    /// Refuses other methods.
    pub(super) fn expect(&self, method: &'static str) -> Result<(), Refusal> {
        if self.method == method { Ok(()) } else { Err(Refusal::method(method)) }
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.as_deref()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
        let value = value.replace('+', " ");
        percent_decode_str(&value).decode_utf8().ok().map(|text| text.into_owned())
    }

    /// The token it comes with.
    ///
    /// # Errors
    /// None, several, or another scheme.
    pub(super) fn bearer(&self) -> Result<&str, Refusal> {
        let mut lines = self.headers.get_all(AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(Refusal::unauthenticated()) };
        let text = line.to_str().map_err(|_| Refusal::unauthenticated())?;
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Refusal::unauthenticated()) }
    }

    /// The object it was sent, relaxed; nothing at all is an empty one, whatever type it claims.
    ///
    /// # Errors
    /// Anything else, and more than 64 KiB.
    pub(super) async fn object(&self, body: Body) -> Result<Map<String, Value>, Refusal> {
        let bytes = body.read(LIMIT).await.map_err(|error| match error {
            ReadError::TooLarge => Refusal::new(http::StatusCode::PAYLOAD_TOO_LARGE, "BadRequest", "request too large"),
            ReadError::Broken(_) => Refusal::bad("the body did not arrive whole"),
        })?;
        if bytes.is_empty() {
            return Ok(Map::new());
        }
        if !self.is_json() {
            return Err(Refusal::bad("expected Content-Type application/json"));
        }
        let object = json::object(&bytes).map_err(|_| Refusal::bad("the body is not a JSON object"))?;
        ejson::relaxed_fields(object).map_err(|error| Refusal::bad(error.to_string()))
    }

    /// What providers and functions get to know of it.
    pub(super) fn facts(&self) -> Facts {
        Facts { request_id: self.id.as_str().to_owned(), address: self.client.address, user_agent: self.user_agent() }
    }

    /// At most 256 characters of it.
    pub(super) fn user_agent(&self) -> String {
        let agent = self.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        agent.unwrap_or_default().chars().take(256).collect()
    }

    fn is_json(&self) -> bool {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json") && !self.headers.contains_key(CONTENT_ENCODING)
    }
}

/// The text of a field.
///
/// # Errors
/// When it is missing or no text.
pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Refusal> {
    fields.get(name).and_then(Value::as_str).ok_or_else(|| Refusal::missing(name))
}

const LIMIT: usize = 64 << 10;
