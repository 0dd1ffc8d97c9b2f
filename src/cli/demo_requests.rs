//! The requests that the demo prints for whoever tries it, and makes itself with `--check`.

use http::HeaderName;
use http::header::{ACCEPT, AUTHORIZATION};

use crate::body::Error;
use crate::cli::demo_own::CARD;
use crate::cli::demo_visitor::{Answer, Visitor};
use crate::secret::Secret;

/// A request by `curl`, and what comes of it.
pub(super) struct Try<'k> {
    path: &'static str,
    body: Body,
    bearer: Option<&'k Secret>,
    /// The status it is answered with.
    pub(super) status: u16,
    /// Why so.
    pub(super) why: &'static str,
}

/// What is sent.
enum Body {
    Nothing,
    Form(&'static str, &'static str),
    Json(String),
}

/// All of them, in the order they are printed: with Ann's key, and with a token of the partner.
pub(super) fn all<'k>(key: &'k Secret, token: &'k Secret) -> [Try<'k>; 5] {
    let post = || Body::Form("title", "Hi");
    let card = Body::Json(format!("{{\"card\": \"{CARD}\"}}"));
    let login = "/.auth/login/custom-function";
    [
        Try { path: POSTS, body: Body::Nothing, bearer: None, status: 200, why: "anyone may read" },
        Try { path: POSTS, body: post(), bearer: None, status: 401, why: "writing needs a journalist" },
        Try { path: POSTS, body: post(), bearer: Some(key), status: 201, why: "Ann's key" },
        Try { path: login, body: card, bearer: None, status: 200, why: "a card that a function of yours knows" },
        Try { path: ME, body: Body::Nothing, bearer: Some(token), status: 200, why: "a token that a partner signed" },
    ]
}

impl Try<'_> {
    /// The line to type, for this host and port.
    pub(super) fn line(&self, host: &str) -> String {
        let mut line = format!("curl -i {host}{}", self.path);
        match &self.body {
            Body::Nothing => {}
            Body::Form(name, value) => line += &format!(" -d {name}={value}"),
            Body::Json(text) => line += &format!(" -H \"Content-Type: application/json\" -d '{text}'"),
        }
        if let Some(bearer) = self.bearer() {
            line += &format!(" -H \"Authorization: {bearer}\"");
        }
        line
    }

    /// Makes it at this origin, with the header fields that the line sends.
    pub(super) async fn make(&self, origin: &str) -> Result<Answer, Error> {
        let mut visitor = Visitor::program(origin).with(ACCEPT, "*/*".to_owned());
        visitor = visitor.with(HeaderName::from_static("user-agent"), "curl".to_owned());
        if let Some(bearer) = self.bearer() {
            visitor = visitor.with(AUTHORIZATION, bearer);
        }
        match &self.body {
            Body::Nothing => visitor.get(self.path).await,
            Body::Form(name, value) => visitor.post(self.path, &[(name, value)]).await,
            Body::Json(text) => visitor.json(self.path, text.clone()).await,
        }
    }

    /// Exposed to whoever started the demo: key and token were made for it.
    fn bearer(&self) -> Option<String> {
        self.bearer.map(|secret| format!("Bearer {}", secret.expose()))
    }
}

const POSTS: &str = "/posts";
const ME: &str = "/.auth/me";
