use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Error;
use crate::json;

/// What came back: whole, within its limit. Of its body nothing is shown.
#[derive(Clone)]
pub struct Answer {
    /// The status; never a redirect.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Who answered, for messages.
    pub(super) host: String,
}

impl Answer {
    /// The body as JSON, whatever the status.
    ///
    /// # Errors
    /// [`Error::NotJson`] when the type is neither `application/json` nor one that ends in `+json`, the body is
    /// none, has a name twice, or is nested more than 32 levels deep.
    pub fn json(&self) -> Result<Value, Error> {
        let fault = |why| Error::NotJson { host: self.host.clone(), why };
        let mut types = self.headers.get_all(CONTENT_TYPE).iter();
        let (Some(one), None) = (types.next(), types.next()) else { return Err(fault("no type, or several")) };
        if !is_json(one.as_bytes()) {
            return Err(fault("another type"));
        }
        json::value(&self.body).map_err(|error| match error {
            json::Error::TooComplex => fault("too deep or too wide"),
            json::Error::Syntax => fault("broken, or a name stands twice"),
        })
    }

    /// Who answered, for messages: host and port.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let length = self.body.len();
        f.debug_struct("Answer").field("host", &self.host).field("status", &self.status).field("body", &length).finish()
    }
}

/// RFC 6839 §3.1: a structured syntax name at the end of a type.
fn is_json(field: &[u8]) -> bool {
    let essence = field.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let essence = essence.to_ascii_lowercase();
    essence == b"application/json" || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(types: &[&'static str], body: &'static str) -> Answer {
        let headers = types.iter().map(|one| (CONTENT_TYPE, HeaderValue::from_static(one))).collect();
        Answer { status: StatusCode::OK, headers, body: Bytes::from_static(body.as_bytes()), host: "x".into() }
    }

    #[test]
    fn json_is_what_says_so_and_is_so() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/jwk-set+json"] {
            assert!(answer(&[good], "{}").json().is_ok(), "{good}");
        }
        for bad in ["text/html", "text/json", "application/jsonp", "application/xml;x=+json", "image/x+json"] {
            assert!(answer(&[bad], "{}").json().is_err(), "{bad}");
        }
        assert!(answer(&[], "{}").json().is_err());
        assert!(answer(&["application/json", "application/json"], "{}").json().is_err());
        assert!(answer(&["application/json"], r#"{"a":1,"a":1}"#).json().is_err());
        assert!(answer(&["application/json"], "").json().is_err());
    }

    #[test]
    fn of_a_body_nothing_is_shown() {
        assert!(!format!("{:?}", answer(&["application/json"], "canary")).contains("canary"));
    }
}
