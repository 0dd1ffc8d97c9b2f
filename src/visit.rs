//! A request on its way through the house, with what the layers have found out about it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use http::header::{ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};

use crate::body::Body;
pub use crate::client::{Client, Scheme};
use crate::head::{Fields, Head};
pub use crate::request_id::RequestId;
use crate::route::{Authorized, Irregular, Narrow};
use crate::session::Caller;
use crate::upstream::{self, forward::Upgrade};

/// The request and what is known of it so far. Boxed once, so that passing it on costs a pointer.
#[derive(Debug)]
pub struct Visit {
    /// The request itself; its path is canonical once it is [`Place`]d.
    pub request: Request<Body>,
    /// Its name in logs, in answers and towards the upstream.
    pub id: RequestId,
    /// When it came in.
    pub started: Instant,
    /// What traces know of it; none if it is not traced.
    pub span: tracing::Span,
    /// Where it came from.
    pub client: Client,
    /// How it wants to be refused, once somebody has looked: [`asker`](Self::asker).
    pub asker: Option<Asker>,
    /// How often it has been here before, by what it says of its way.
    pub rounds: u8,
    /// What its connection is to become.
    pub upgrade: Upgrade,
    /// Whether it is for us or for an app behind.
    pub place: Place,
    /// What in its path is not plain.
    pub irregular: Irregular,
    /// Its path was spelled otherwise.
    pub is_rewritten: bool,
    /// The one form of its host.
    pub host: Option<Arc<str>>,
    /// Whom it speaks for, once authenticated.
    pub caller: Option<Arc<Caller>>,
    /// By which kind of credential.
    pub credential: Credential,
    /// Why a credential that was sent did not count; whether that matters is the rule's business.
    pub trouble: Option<Trouble>,
    /// The proof that a rule let it in.
    pub authorized: Option<Authorized>,
    /// The app is to be told of the caller; whoever hands the request on writes it, last of all.
    pub is_identified: bool,
    /// The same, signed for this app.
    pub assertion: Option<HeaderValue>,
    /// Header fields that whatever answer will carry (cookies set and cleared).
    pub reply: Vec<(HeaderName, HeaderValue)>,
    /// What another proxy asks, if it is a question and no request of its own.
    pub check: Option<Box<Check>>,
    /// The answer, once there is one.
    pub response: Response<Body>,
    /// From when the upstream had the request until its answer began.
    pub upstream: Option<Range<Instant>>,
}

impl Visit {
    /// A request that has just come in.
    pub fn new(request: Request<Body>, id: RequestId, client: Client) -> Box<Self> {
        Box::new(Self {
            request,
            id,
            started: Instant::now(),
            span: tracing::Span::none(),
            client,
            asker: None,
            rounds: 0,
            upgrade: Upgrade::No,
            place: Place::default(),
            irregular: Irregular::default(),
            is_rewritten: false,
            host: None,
            caller: None,
            credential: Credential::default(),
            trouble: None,
            authorized: None,
            is_identified: false,
            assertion: None,
            reply: Vec::new(),
            check: None,
            response: Response::default(),
            upstream: None,
        })
    }
}

impl Visit {
    /// How it wants to be refused. Few are: whoever takes header fields away that tell it looks before.
    pub fn asker(&self) -> Asker {
        self.asker.unwrap_or_else(|| Asker::of(self.request.method(), self.request.headers()))
    }

    /// Writes the identity and the request's name into its header fields, in place of whatever stands there under
    /// these names.
    pub fn write_identity(&mut self) {
        let identity = identity(&self.caller, self.is_identified);
        let headers = self.request.headers_mut();
        if let Some(identity) = identity {
            // With room for the forwarding headers to come: growing hashes every name again.
            headers.reserve(identity.list().len() + 8);
            identity.insert_into(headers);
        }
        if let Some(assertion) = self.assertion.take() {
            headers.insert(ASSERTION, assertion);
        }
        headers.insert(REQUEST_ID, self.id.as_header());
    }

    /// The same in the text of a head, from which [`sanitize`](crate::layer::sanitize) has kept these names.
    pub fn write_identity_to(&self, head: &mut Head) {
        if let Some(identity) = identity(&self.caller, self.is_identified) {
            head.fields(identity);
        }
        if let Some(assertion) = &self.assertion {
            head.field(&ASSERTION, assertion);
        }
        head.text(REQUEST_ID.as_str(), self.id.as_str());
    }

    /// What the request wants to become, be it at another proxy.
    pub fn wants(&self) -> Upgrade {
        let elsewhere = self.check.as_ref().is_some_and(|check| check.upgrade);
        if elsewhere { Upgrade::WebSocket } else { self.upgrade }
    }
}

/// What an app is told of a caller, if it is to be told.
fn identity(caller: &Option<Arc<Caller>>, is_identified: bool) -> Option<&Fields> {
    caller.as_ref().filter(|_| is_identified)?.headers.get()
}

/// A question of another proxy about a request it holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Check {
    /// How it asks.
    pub dialect: Dialect,
    /// Under which names it wants to be told who it is.
    pub names: Names,
    /// Whom the question itself lets in.
    pub narrow: Option<Narrow>,
    /// It did not say the method, so every method must be allowed.
    pub every_method: bool,
    /// The request wants to become a WebSocket.
    pub upgrade: bool,
    /// What the client sent in fields that may carry a credential of ours, where the proxy can take them out.
    pub credentials: Vec<(HeaderName, HeaderValue)>,
    /// What the client sent under names that are ours.
    pub removed: Vec<HeaderName>,
}

/// How a proxy tells which request it asks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `X-Original-URL`: nginx, which takes 401 and 403 for a refusal and anything else for a fault.
    #[default]
    Original,
    /// `X-Forwarded-Uri`: Traefik, Caddy. They hand on whatever the answer is.
    Forwarded,
    /// The path behind `check`: Envoy. It does, too.
    Path,
    /// A message over gRPC: Envoy, answered by one.
    Grpc,
}

impl Dialect {
    /// Whether the proxy can be told to take fields out of the request.
    pub fn takes_away(self) -> bool {
        matches!(self, Self::Path | Self::Grpc)
    }
}

/// The names of identity headers in an answer, by the endpoint that was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Those of `identity_headers.preset`.
    #[default]
    Own,
    /// Those of oauth2-proxy.
    XAuthRequest,
    /// Those of Authelia.
    Remote,
}

/// Whom a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Place {
    /// An app behind, under the rules.
    #[default]
    App,
    /// Our own pages.
    Own,
    /// The client API of App Services.
    AppServices,
}

/// Why a credential that was sent did not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not good.
    Bad,
    /// What is needed to check it does not answer.
    Unavailable,
}

/// What proved a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Credential {
    /// Nothing.
    #[default]
    None,
    /// The session cookie: the browser sends it by itself, so unsafe methods need a same-site proof.
    Cookie,
    /// `Authorization: Bearer`.
    Bearer,
    /// An API key.
    Key,
}

/// Who is asking, as far as the form of a refusal depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A person who opens a page: a redirect to the sign-in page, or a page in words.
    Navigation,
    /// A program, a script, a preflight, an upgrade, an event stream: a status and `problem+json`.
    Program,
    /// A gRPC client: a status of gRPC.
    Grpc,
}

impl Asker {
    /// Reads it from a request's head: `Sec-Fetch-Mode: navigate` where the browser says so (Fetch Metadata
    /// Request Headers), else an `Accept` that wants HTML.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        if upstream::is_grpc(headers) {
            return Self::Grpc;
        }
        if is_upgrade(headers) || (method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)) {
            return Self::Program;
        }
        let navigates = match headers.get(SEC_FETCH_MODE) {
            Some(mode) => mode == "navigate" && headers.get("sec-fetch-dest").is_none_or(|dest| dest != "empty"),
            None => headers.get(ACCEPT).is_some_and(|accept| contains(accept.as_bytes(), b"text/html")),
        };
        if navigates { Self::Navigation } else { Self::Program }
    }
}

const ASSERTION: HeaderName = HeaderName::from_static("x-auth-assertion");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whether the connection is asked to become something else (RFC 9110 §7.8).
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && headers.get_all(CONNECTION).iter().any(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        })
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(method: Method, headers: &[(&'static str, &'static str)]) -> Asker {
        let headers = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        Asker::of(&method, &headers)
    }

    #[test]
    fn a_person_who_opens_a_page_is_told_from_a_script() {
        let html = ("accept", "text/html,*/*;q=0.8");
        assert_eq!(asker(Method::GET, &[html]), Asker::Navigation);
        assert_eq!(asker(Method::GET, &[("sec-fetch-mode", "navigate")]), Asker::Navigation);
        assert_eq!(asker(Method::GET, &[html, ("sec-fetch-mode", "cors")]), Asker::Program);
        assert_eq!(asker(Method::GET, &[("accept", "*/*")]), Asker::Program);
        assert_eq!(asker(Method::GET, &[("accept", "text/event-stream")]), Asker::Program);
        assert_eq!(asker(Method::GET, &[html, ("connection", "Upgrade"), ("upgrade", "websocket")]), Asker::Program);
        let preflight = ("access-control-request-method", "POST");
        assert_eq!(asker(Method::OPTIONS, &[html, preflight]), Asker::Program);
    }

    #[test]
    fn a_grpc_client_is_told_by_what_it_sends() {
        assert_eq!(asker(Method::POST, &[("content-type", "application/grpc+proto")]), Asker::Grpc);
        assert_eq!(asker(Method::POST, &[("content-type", "application/grpc-web")]), Asker::Program);
    }
}
