//! An operator's request: its path in segments, its query, its body.

use std::collections::BTreeMap;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, Request};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::access::Operator;
use crate::body::{Body, ReadError};
use crate::json;
use crate::rejection::Reason;

/// What a handler gets.
pub(super) struct Call {
    pub(super) method: Method,
    /// Decoded, without empty ones.
    pub(super) path: Vec<String>,
    pub(super) headers: HeaderMap,
    pub(super) operator: Operator,
    query: BTreeMap<String, String>,
    body: Body,
}

impl Call {
    /// Takes a request apart.
    ///
    /// # Errors
    /// [`Reason::Malformed`] when path or query are not UTF-8.
    pub(super) fn new(request: Request<Body>, operator: Operator) -> Result<Self, Reason> {
        let (parts, body) = request.into_parts();
        let path = segments(parts.uri.path())?;
        let mut query = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            query.insert(name.into_owned(), value.into_owned());
        }
        Ok(Self { method: parts.method, path, headers: parts.headers, operator, query, body })
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that has a form.
    ///
    /// # Errors
    /// [`Reason::Unprocessable`] that names it.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Reason> {
        let parse = |text: &str| text.parse().map_err(|_| Reason::Unprocessable(format!("{name}: cannot be read")));
        self.parameter(name).map(parse).transpose()
    }

    /// Its method and its path, for a `match`.
    pub(super) fn line(&self) -> (&str, Vec<String>) {
        let method = if self.method == Method::HEAD { "GET" } else { self.method.as_str() };
        (method, self.path.clone())
    }

    /// The fields of a JSON body of at most 64 KiB.
    ///
    /// # Errors
    /// [`Reason::UnsupportedMediaType`], [`Reason::BodyTooLarge`], [`Reason::Malformed`].
    pub(super) async fn fields(&mut self) -> Result<Fields, Reason> {
        self.typed("application/json")?;
        let bytes = self.read().await?;
        let fields = json::object(&bytes).map_err(|error| match error {
            json::Error::TooComplex => Reason::Malformed("json.too_complex"),
            json::Error::Syntax => Reason::Malformed("json.syntax"),
        })?;
        Ok(Fields(fields))
    }

    /// The fields of a form of our own page.
    ///
    /// # Errors
    /// As [`fields`](Self::fields).
    pub(super) async fn form(&mut self) -> Result<Fields, Reason> {
        self.typed("application/x-www-form-urlencoded")?;
        let bytes = self.read().await?;
        let pairs = url::form_urlencoded::parse(&bytes);
        Ok(Fields(pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect()))
    }

    fn typed(&self, wanted: &str) -> Result<(), Reason> {
        let found = self.headers.get(CONTENT_TYPE).and_then(|found| found.to_str().ok()).unwrap_or_default();
        let found = found.split(';').next().unwrap_or_default().trim();
        let plain = !self.headers.contains_key(CONTENT_ENCODING);
        if plain && found.eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(Reason::UnsupportedMediaType) }
    }

    async fn read(&mut self) -> Result<bytes::Bytes, Reason> {
        std::mem::take(&mut self.body).read(LIMIT).await.map_err(|error| match error {
            ReadError::TooLarge => Reason::BodyTooLarge,
            ReadError::Broken(_) => Reason::Malformed("body.broken"),
        })
    }
}

/// What was sent, field by field; what is left over at the end nobody knows.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Takes a field out, if it is there.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Takes text out.
    ///
    /// # Errors
    /// [`Reason::Unprocessable`] for another kind of value.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Reason> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Reason::Unprocessable(format!("{name}: must be text"))),
        }
    }

    /// Takes text out that must be there.
    ///
    /// # Errors
    /// [`Reason::Unprocessable`] that names the field.
    pub(super) fn required(&mut self, name: &str) -> Result<String, Reason> {
        self.text(name)?.ok_or_else(|| Reason::Unprocessable(format!("{name}: missing")))
    }

    /// Refuses what nobody has taken: a slip in a name must not be silence.
    ///
    /// # Errors
    /// [`Reason::Unprocessable`] that names a field.
    pub(super) fn end(self) -> Result<(), Reason> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Reason::Unprocessable(format!("{name}: there is no such field"))),
        }
    }
}

fn segments(path: &str) -> Result<Vec<String>, Reason> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8().map(std::borrow::Cow::into_owned);
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(|part| decode(part).map_err(|_| Reason::Malformed("path.encoding"))).collect()
}

const LIMIT: usize = 64 << 10;
