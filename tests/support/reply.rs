//! An answer, read to its end.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};

/// Status, headers, body and trailers of an answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

/// A `Set-Cookie` field in its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct SetCookie {
    pub name: String,
    pub value: String,
    /// In lower case, `name` or `name=value`.
    pub attributes: Vec<String>,
}

impl Reply {
    /// Fails the test unless this is the status.
    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.describe());
        self
    }

    /// Status, headers and body for a message.
    pub fn describe(&self) -> String {
        let text: String = self.text().chars().take(2000).collect();
        format!("{} {:?}\n{text}", self.status, self.headers)
    }

    /// A header's value; empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Where it leads.
    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.describe()))
    }

    /// `code` of a problem (RFC 9457); fails the test on anything else.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.describe());
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        assert!(problem["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{problem}");
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The cookies it sets.
    pub fn cookies(&self) -> Vec<SetCookie> {
        self.headers.get_all("set-cookie").iter().map(|value| SetCookie::parse(value.to_str().unwrap())).collect()
    }

    /// Whether it is a redirect to the login page.
    pub fn leads_to_login(&self) -> bool {
        self.status == 303 && self.location().contains("/.auth/login")
    }
}

impl SetCookie {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap_or_default().split_once('=').unwrap_or_default();
        let attributes = parts.map(str::to_ascii_lowercase).collect();
        Self { name: name.to_owned(), value: value.to_owned(), attributes }
    }

    /// Whether it has this attribute.
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|have| have == attribute)
    }

    /// Whether it takes a cookie away.
    pub fn clears(&self) -> bool {
        self.has("max-age=0")
    }
}
