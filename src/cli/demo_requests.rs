//! The three requests that the demo prints for whoever tries it, and makes itself with `--check`.

use http::HeaderName;
use http::header::{ACCEPT, AUTHORIZATION};

use crate::body::Error;
use crate::cli::demo_visitor::{Answer, Visitor};
use crate::secret::Secret;

/// A request by `curl`, and what comes of it.
pub(super) struct Try<'k> {
    /// Sent as a form; nothing is sent without one.
    form: &'static [(&'static str, &'static str)],
    key: Option<&'k Secret>,
    /// The status it is answered with.
    pub(super) status: u16,
    /// Why so.
    pub(super) why: &'static str,
}

/// All of them, in the order they are printed.
pub(super) fn all(key: &Secret) -> [Try<'_>; 3] {
    [
        Try { form: &[], key: None, status: 200, why: "anyone may read" },
        Try { form: &POST, key: None, status: 401, why: "writing needs a journalist" },
        Try { form: &POST, key: Some(key), status: 201, why: "Ann's key" },
    ]
}

impl Try<'_> {
    /// The line to type, for this host and port.
    pub(super) fn line(&self, host: &str) -> String {
        let mut line = format!("curl -i {host}{PATH}");
        for (name, value) in self.form {
            line += &format!(" -d {name}={value}");
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
        if self.form.is_empty() { visitor.get(PATH).await } else { visitor.post(PATH, self.form).await }
    }

    /// Exposed to whoever started the demo: the key was made for it.
    fn bearer(&self) -> Option<String> {
        self.key.map(|key| format!("Bearer {}", key.expose()))
    }
}

const PATH: &str = "/posts";
const POST: [(&str, &str); 1] = [("title", "Hi")];
