//! What is sent to our endpoints: a form or a JSON object, read strictly and within limits.

use http::HeaderMap;
use http::header::{AsHeaderName, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Map, Value};

use super::form;
use crate::body::{Body, ReadError};
use crate::json;
use crate::rejection::Reason;
use crate::secret::Secret;

/// The fields of a body.
pub(super) struct Input {
    form: bool,
    fields: Map<String, Value>,
}

/// Which bodies an endpoint reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    /// A form or a JSON object.
    Both,
    /// Either, or nothing at all.
    Anything,
    /// A JSON object.
    Json,
}

/// The type a body says it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
}

impl Input {
    /// Reads a body of at most 64 KiB.
    ///
    /// # Errors
    /// Another type, a charset but UTF-8 or any content encoding is [`Reason::UnsupportedMediaType`]: a browser
    /// sends `text/plain` across sites without asking, so JSON in such clothes must not count.
    pub(super) async fn read(headers: &HeaderMap, body: Body, accepts: Accepts) -> Result<Self, Reason> {
        if headers.contains_key(CONTENT_ENCODING) {
            return Err(Reason::UnsupportedMediaType);
        }
        let bare = !headers.contains_key(CONTENT_TYPE);
        let format = match format(headers) {
            None if bare && accepts == Accepts::Anything => Format::Json,
            Some(Format::Form) if accepts == Accepts::Json => return Err(Reason::UnsupportedMediaType),
            Some(format) => format,
            None => return Err(Reason::UnsupportedMediaType),
        };
        let bytes = body.read(LIMIT).await.map_err(|error| match error {
            ReadError::TooLarge => Reason::BodyTooLarge,
            ReadError::Broken(_) => Reason::Malformed("body.broken"),
        })?;
        let fields = match format {
            Format::Json if bare && bytes.is_empty() => Map::new(),
            Format::Json if bare => return Err(Reason::UnsupportedMediaType),
            Format::Json => json::object(&bytes).map_err(|error| match error {
                json::Error::TooComplex => Reason::Malformed("json.too_complex"),
                json::Error::Syntax => Reason::Malformed("json.syntax"),
            })?,
            Format::Form => form::fields(&bytes)?,
        };
        Ok(Self { form: format == Format::Form, fields })
    }

    /// Whether a page sent it, so that a page answers.
    pub(super) fn is_form(&self) -> bool {
        self.form
    }

    /// All fields.
    pub(super) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The text of a field.
    ///
    /// # Errors
    /// [`Reason::Unprocessable`] that names the field when it is missing or no text.
    pub(super) fn text(&self, name: &str) -> Result<&str, Reason> {
        self.optional(name)?.ok_or_else(|| Reason::Unprocessable(format!("{name}: missing")))
    }

    /// The text of a field, if it was sent.
    ///
    /// # Errors
    /// [`Reason::Unprocessable`] when it is no text.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, Reason> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Reason::Unprocessable(format!("{name}: must be text"))),
        }
    }

    /// A field that must not be seen.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(super) fn secret(&self, name: &str) -> Result<Secret, Reason> {
        self.text(name).map(Secret::new)
    }

    /// What was typed into a field of a page, to be shown again; never for passwords.
    pub(super) fn typed(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The type the header says, if it is one of the two.
pub(super) fn format(headers: &HeaderMap) -> Option<Format> {
    let value = single(headers, CONTENT_TYPE)?;
    let mut parts = value.split(';').map(str::trim);
    let format = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/json" => Format::Json,
        "application/x-www-form-urlencoded" => Format::Form,
        _ => return None,
    };
    let utf8 = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or_default();
        name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    };
    parts.all(utf8).then_some(format)
}

/// The value of a field that was sent once, as text.
pub(super) fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}

const LIMIT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn read(content_type: &str, body: &'static str, accepts: Accepts) -> Result<Input, Reason> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        }
        Input::read(&headers, Body::from(body), accepts).await
    }

    /// SEC-CSRF-04
    #[tokio::test]
    async fn sec_csrf_04_json_comes_as_json_or_not_at_all() {
        let body = r#"{"email":"ann@example.com"}"#;
        for content_type in [
            "text/plain",
            "multipart/form-data; boundary=x",
            "",
            "application/json; charset=utf-16",
            "application/jsonp",
            "text/plain; application/json",
            "application/json, text/plain",
            "application/problem+json",
        ] {
            for accepts in [Accepts::Both, Accepts::Json, Accepts::Anything] {
                let error = read(content_type, body, accepts).await.err();
                assert_eq!(error, Some(Reason::UnsupportedMediaType), "{content_type:?}");
            }
        }
        let form = read("application/x-www-form-urlencoded", body, Accepts::Json).await.err();
        assert_eq!(form, Some(Reason::UnsupportedMediaType));
        for content_type in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            let input = read(content_type, body, Accepts::Json).await.unwrap();
            assert_eq!(input.text("email"), Ok("ann@example.com"));
        }
    }

    #[tokio::test]
    async fn an_encoded_body_is_not_decoded() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(Input::read(&headers, Body::from("{}"), Accepts::Json).await.is_ok());
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let refused = Input::read(&headers, Body::from("{}"), Accepts::Json).await.err();
        assert_eq!(refused, Some(Reason::UnsupportedMediaType));
    }

    #[tokio::test]
    async fn a_long_body_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let long = Input::read(&headers, Body::from(format!("a={}", "x".repeat(LIMIT))), Accepts::Both).await;
        assert_eq!(long.err(), Some(Reason::BodyTooLarge));
        let short = Input::read(&headers, Body::from(format!("a={}", "x".repeat(LIMIT - 2))), Accepts::Both).await;
        assert!(short.is_ok());
    }

    #[tokio::test]
    async fn a_field_of_another_type_is_named() {
        let input = read("application/json", r#"{"email":7,"code":null}"#, Accepts::Both).await.unwrap();
        assert_eq!(input.text("email"), Err(Reason::Unprocessable("email: must be text".into())));
        assert_eq!(input.optional("code"), Ok(None));
        assert_eq!(input.text("password"), Err(Reason::Unprocessable("password: missing".into())));
    }

    #[tokio::test]
    async fn nothing_is_something_only_where_nothing_is_asked() {
        assert!(read("", "", Accepts::Anything).await.is_ok());
        assert_eq!(read("", "", Accepts::Both).await.err(), Some(Reason::UnsupportedMediaType));
    }
}
