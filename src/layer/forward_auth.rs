//! Answers other proxies that ask whether they may let a request through (nginx `auth_request`, Traefik ForwardAuth,
//! Caddy `forward_auth`, Envoy `ext_authz`): turns the question into the request it is about, which then goes the way
//! of every request. Reads the peer and the forwarding headers; sets method, target and host; refuses with 403 whoever is
//! no trusted proxy, and questions that contradict themselves. Sits above [`sanitize`](super::sanitize), which removes
//! what it reads; [`verdict`](super::verdict) answers.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, UPGRADE};
use http::uri::{PathAndQuery, Uri};

use crate::layer::aliases::Aliases;
use crate::layer::{Alias, Progress, Step, verdict};
use crate::rejection::Reason;
use crate::route::{NamesNobody, Narrow};
use crate::visit::{Asker, Check, Client, Dialect, Names, Scheme, Visit};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ForwardAuth {
    aliases: Arc<Aliases>,
    strangers: Arc<Mutex<BTreeSet<IpAddr>>>,
}

impl ForwardAuth {
    /// Asked under `{prefix}/check`, and where these others are asked.
    pub fn new(prefix: &str, aliases: &[Alias]) -> Self {
        Self { aliases: Arc::new(Aliases::new(prefix, aliases)), strangers: Arc::default() }
    }

    /// Whether Envoy may ask over gRPC.
    pub(super) fn speaks_grpc(&self) -> bool {
        self.aliases.grpc()
    }

    /// Why this client is told nothing, if it is not a trusted proxy's.
    pub(super) fn distrusts(&self, client: &Client) -> Option<Reason> {
        if client.trusted {
            return None;
        }
        self.note_stranger(client.peer);
        Some(Reason::UntrustedPeer)
    }

    /// One line for each: a scanner must not fill the log.
    fn note_stranger(&self, peer: IpAddr) {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if strangers.len() < STRANGERS && strangers.insert(peer) {
            tracing::warn!(
                %peer,
                code = "forward_auth.untrusted_peer",
                "a peer that is not in trusted_proxies asked for a decision; its questions are refused"
            );
        }
    }
}

impl Step for ForwardAuth {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        // It was one already, in other words.
        if visit.check.is_some() {
            return Progress::Go(visit);
        }
        let Some((rest, names)) = self.aliases.check(visit.request.uri().path()) else {
            if let Some(page) = self.aliases.page(visit.request.uri(), visit.request.headers()) {
                *visit.request.uri_mut() = page;
            }
            return Progress::Go(visit);
        };
        if let Some(reason) = self.distrusts(&visit.client) {
            return Progress::refuse(visit, reason);
        }
        let query = visit.request.uri().query();
        let own = (!rest.is_empty()).then(|| query.map_or_else(|| rest.to_owned(), |query| format!("{rest}?{query}")));
        let question = Question::read(visit.request.method(), own.as_deref(), visit.request.headers());
        match question.and_then(|question| Ok((question, narrow(names, query)?))) {
            Ok((question, narrow)) => {
                question.put_into(&mut visit, names, narrow);
                Progress::Go(visit)
            }
            Err(code) => {
                visit.check = Some(Box::new(Check { names, ..Check::default() }));
                Progress::refuse(visit, Reason::Malformed(code))
            }
        }
    }
}

/// The request another proxy asks about.
#[derive(Debug, PartialEq)]
pub(super) struct Question {
    pub(super) dialect: Dialect,
    pub(super) method: Option<Method>,
    pub(super) target: PathAndQuery,
    pub(super) host: Option<HeaderValue>,
    pub(super) scheme: Option<Scheme>,
}

impl Question {
    /// Every form that is there must say the same: a client can send what its proxy does not set.
    fn read(method: &Method, own: Option<&str>, headers: &HeaderMap) -> Result<Self, &'static str> {
        let forwarded = forwarded(headers)?;
        let original = original(headers)?;
        let own = match own {
            Some(target) => {
                let (method, target) = (Some(method.clone()), parse(target)?);
                Some(Self { dialect: Dialect::Path, method, target, host: None, scheme: None })
            }
            None => None,
        };
        let mut forms = [own, original, forwarded].into_iter().flatten();
        let mut first = forms.next().ok_or("forward_auth.no_request")?;
        for other in forms {
            let differ = |a: bool| if a { Err("forward_auth.contradiction") } else { Ok(()) };
            differ(first.target != other.target)?;
            differ(matches!((&first.method, &other.method), (Some(a), Some(b)) if a != b))?;
            differ(matches!((&first.host, &other.host), (Some(a), Some(b)) if !is_same_host(a, b)))?;
            // A method or host that only one form gives may be the client's own word.
            differ(first.method.is_none() && other.method.is_some())?;
            first.host = first.host.or(other.host);
        }
        Ok(first)
    }

    /// Puts that request into the place of the one that asks.
    pub(super) fn put_into(self, visit: &mut Visit, names: Names, narrow: Option<Narrow>) {
        let request = &mut visit.request;
        let headers = request.headers();
        // Gateways do not pass `Connection` on, so these tell.
        let upgrade = headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
            || headers.contains_key(SEC_WEBSOCKET_KEY);
        let every_method = self.method.is_none();
        *request.method_mut() = self.method.unwrap_or(Method::GET);
        visit.client.scheme = self.scheme.unwrap_or(visit.client.scheme);
        let asked = std::mem::replace(request.uri_mut(), Uri::from(self.target)).into_parts();
        // HTTP/2 has the host beside the path.
        let beside = asked.authority.filter(|_| !request.headers().contains_key(HOST));
        let beside = beside.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        if let Some(host) = self.host.or(beside) {
            request.headers_mut().insert(HOST, host);
        }
        if self.dialect == Dialect::Original {
            // Its words are read; a gateway of this kind cannot be told what to take away.
            [ORIGINAL_URL, ORIGINAL_METHOD].iter().for_each(|name| drop(request.headers_mut().remove(name)));
        }
        // Else whoever wants to know reads it from the fields.
        visit.asker = upgrade.then_some(Asker::Program);
        let credentials = if self.dialect.takes_away() { verdict::credentials(request.headers()) } else { Vec::new() };
        let removed = Vec::new();
        let check = Check { dialect: self.dialect, names, narrow, every_method, upgrade, credentials, removed };
        visit.check = Some(Box::new(check));
    }
}

/// `X-Forwarded-Method`, `-Host` and `-Uri` (Traefik, Caddy; nginx as oauth2-proxy documents it).
fn forwarded(headers: &HeaderMap) -> Result<Option<Question>, &'static str> {
    let Some(uri) = single(headers, &FORWARDED_URI)? else {
        let stray = headers.contains_key(&FORWARDED_METHOD);
        return if stray { Err("forward_auth.no_request") } else { Ok(None) };
    };
    let method = method(headers, &FORWARDED_METHOD)?;
    let host = single(headers, &FORWARDED_HOST)?.cloned();
    // The scheme was read with the client's address (`X-Forwarded-Proto`).
    Ok(Some(Question { dialect: Dialect::Forwarded, method, target: parse(text(uri)?)?, host, scheme: None }))
}

/// `X-Original-Method` and `X-Original-URL` (nginx): a whole address, or path and query.
fn original(headers: &HeaderMap) -> Result<Option<Question>, &'static str> {
    let Some(url) = single(headers, &ORIGINAL_URL)? else {
        let stray = headers.contains_key(&ORIGINAL_METHOD);
        return if stray { Err("forward_auth.no_request") } else { Ok(None) };
    };
    let method = method(headers, &ORIGINAL_METHOD)?;
    let url = text(url)?;
    let dialect = Dialect::Original;
    if url.starts_with('/') {
        return Ok(Some(Question { dialect, method, target: parse(url)?, host: None, scheme: None }));
    }
    let (scheme, rest) = match url.split_once("://").ok_or("forward_auth.form")? {
        ("https", rest) => (Some(Scheme::Https), rest),
        ("http", rest) => (Some(Scheme::Http), rest),
        _ => return Err("forward_auth.form"),
    };
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = Some(HeaderValue::from_str(host).map_err(|_| "forward_auth.form")?);
    let target = parse(if target.is_empty() { "/" } else { target })?;
    Ok(Some(Question { dialect, method, target, host, scheme }))
}

/// Whom oauth2-proxy would let in of those whom the rules do: to pass this over would let everybody in.
fn narrow(names: Names, query: Option<&str>) -> Result<Option<Narrow>, &'static str> {
    let query = query.filter(|_| names == Names::XAuthRequest).unwrap_or_default();
    Narrow::read(url::form_urlencoded::parse(query.as_bytes())).map_err(|NamesNobody(_)| "forward_auth.allowed")
}

/// Two lines of one of these are two requests.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, &'static str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next();
    if lines.next().is_some() { Err("forward_auth.duplicate") } else { Ok(line) }
}

fn method(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Method>, &'static str> {
    let line = single(headers, name)?;
    line.map(|line| Method::from_bytes(line.as_bytes()).map_err(|_| "forward_auth.form")).transpose()
}

fn text(value: &HeaderValue) -> Result<&str, &'static str> {
    value.to_str().map_err(|_| "forward_auth.form")
}

/// A fragment never travels (RFC 9112 §3.2): the parser would drop it.
pub(super) fn parse(target: &str) -> Result<PathAndQuery, &'static str> {
    if !target.starts_with('/') || target.contains('#') {
        return Err("forward_auth.form");
    }
    target.parse().map_err(|_| "forward_auth.form")
}

fn is_same_host(one: &HeaderValue, other: &HeaderValue) -> bool {
    one.as_bytes().eq_ignore_ascii_case(other.as_bytes())
}

const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");

/// Peers that are named in the log.
const STRANGERS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        own: Option<&str>,
        lines: &[(&'static str, &'static str)],
    ) -> Result<(String, Option<String>, String), &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let question = Question::read(&Method::POST, own, &headers)?;
        let host = question.host.map(|host| host.to_str().unwrap().to_owned()).unwrap_or_default();
        Ok((question.target.to_string(), question.method.map(|method| method.to_string()), host))
    }

    fn is(target: &str, method: Option<&str>, host: &str) -> Result<(String, Option<String>, String), &'static str> {
        Ok((target.to_owned(), method.map(str::to_owned), host.to_owned()))
    }

    #[test]
    fn each_gateway_is_read_in_its_own_form() {
        let traefik = [("x-forwarded-method", "GET"), ("x-forwarded-host", "app.test"), ("x-forwarded-uri", "/a?b=c")];
        assert_eq!(read(None, &traefik), is("/a?b=c", Some("GET"), "app.test"));
        let nginx = [("x-original-method", "DELETE"), ("x-original-url", "https://app.test:8443/a?b=c")];
        assert_eq!(read(None, &nginx), is("/a?b=c", Some("DELETE"), "app.test:8443"));
        assert_eq!(read(None, &[("x-original-url", "/a")]), is("/a", None, ""));
        assert_eq!(read(Some("/a?b=c"), &[]), is("/a?b=c", Some("POST"), ""));
    }

    #[test]
    fn sec_fwd_04_forms_that_contradict_each_other_say_nothing() {
        let nginx = [("x-original-method", "DELETE"), ("x-original-url", "https://app.test/a")];
        let with = |more: &[(&'static str, &'static str)]| read(None, &[&nginx[..], more].concat());
        assert!(with(&[("x-forwarded-uri", "/a"), ("x-forwarded-method", "DELETE")]).is_ok());
        for more in [
            &[("x-forwarded-uri", "/public")][..],
            &[("x-forwarded-uri", "/a"), ("x-forwarded-method", "GET")],
            &[("x-forwarded-uri", "/a"), ("x-forwarded-host", "evil.test")],
            &[("x-forwarded-method", "GET")],
            &[("x-original-url", "/a")],
        ] {
            assert!(with(more).is_err(), "{more:?}");
        }
        assert!(read(Some("/a"), &[("x-forwarded-uri", "/public")]).is_err());
        // nginx that does not say the method, and a client that does.
        assert!(
            read(None, &[("x-original-url", "/a"), ("x-forwarded-uri", "/a"), ("x-forwarded-method", "GET")]).is_err()
        );
        assert_eq!(read(None, &[]), Err("forward_auth.no_request"));
        for uri in ["a", "", "//a", "/a#b", "http://a/", "*"] {
            let lines = [("x-forwarded-uri", uri)];
            assert!(read(None, &lines).is_err() || uri == "//a", "{uri}");
        }
    }
}
