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
        let fault = |why: &str| Error::NotJson { host: self.host.clone(), why: why.to_owned() };
        let mut types = self.headers.get_all(CONTENT_TYPE).iter();
        let (Some(one), None) = (types.next(), types.next()) else { return Err(fault("no type, or several")) };
        let essence = essence(one.as_bytes());
        if !is_json(&essence) {
            // A page of an error, most of the time; as much of the word as is one.
            let word =
                essence.iter().filter(|byte| byte.is_ascii_graphic()).take(LONGEST_WORD).map(|byte| char::from(*byte));
            return Err(fault(&format!("it says it is {}", word.collect::<String>())));
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

/// A type without its parameters, in lower case.
fn essence(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase()
}

/// RFC 6839 §3.1: a structured syntax name at the end of a type.
fn is_json(essence: &[u8]) -> bool {
    essence == b"application/json" || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

/// Characters of a stranger's type that are shown.
const LONGEST_WORD: usize = 64;

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
    fn what_it_says_it_is_instead_is_told_short_and_plain() {
        let why = |one| answer(&[one], "{}").json().unwrap_err().to_string();
        assert_eq!(why("Text/HTML; charset=utf-8"), "x: not the JSON that was wanted: it says it is text/html");
        let long: &'static str = String::leak("a/".to_owned() + &"b".repeat(5000));
        assert!(why(long).len() < 128);
    }

    #[test]
    fn of_a_body_nothing_is_shown() {
        assert!(!format!("{:?}", answer(&["application/json"], "canary")).contains("canary"));
    }
}
