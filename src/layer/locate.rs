//! Reads method, host and path into their one form, and tells our own pages from the apps behind. Reads the
//! request line and `Host`; sets place, host and the canonical path; refuses what cannot be read, and hosts
//! that are not served. Sits above authentication: a request that cannot be read needs no identity.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::{FORWARDED, HOST};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};

use crate::account::api_key;
use crate::layer::other_hosts::OtherHosts;
use crate::layer::{Progress, Step};
use crate::rejection::Reason;
use crate::route::{self, Irregular, Path};
use crate::upstream::forward::Upgrade;
use crate::visit::{Asker, Place, Scheme, Visit};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Locate {
    prefix: Arc<str>,
    /// Where the client API of App Services is, if it is on.
    client_api: Option<&'static str>,
    hosts: Arc<BTreeSet<String>>,
    /// Notices visits by other names.
    other_hosts: Option<Arc<OtherHosts>>,
}

impl Locate {
    /// Our own pages are under `prefix`; hosts other than these are refused, unless there are none.
    pub fn new(prefix: &str, hosts: impl IntoIterator<Item = String>) -> Self {
        let hosts = Arc::new(hosts.into_iter().collect());
        Self { prefix: prefix.into(), client_api: None, hosts, other_hosts: None }
    }

    /// The client API of App Services is under this path.
    #[must_use]
    pub fn with_client_api(self, root: &'static str) -> Self {
        Self { client_api: Some(root), ..self }
    }

    /// Visits by hosts that are not meant to be are noticed by these.
    #[must_use]
    pub fn noticing(self, other_hosts: Arc<OtherHosts>) -> Self {
        Self { other_hosts: Some(other_hosts), ..self }
    }

    fn locate(&self, visit: &mut Visit) -> Result<(), Reason> {
        // RFC 9110 §9.3.6, §9.3.8: a gateway that tunnels or echoes is a way past every rule.
        if matches!(*visit.request.method(), Method::TRACE | Method::CONNECT) {
            return Err(Reason::MethodNotImplemented);
        }
        // HTTP/2 lets a client name any scheme (RFC 9113 §8.3.1).
        if visit.request.uri().scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
            return Err(Reason::Malformed("target.scheme"));
        }
        if visit.upgrade == Upgrade::WebSocket && !is_handshake(&visit.request) {
            return Err(Reason::Malformed("websocket.handshake"));
        }
        let host = self.host(&visit.request)?;
        // RFC 6750 §2.3: addresses are kept and passed on by everybody.
        if visit.request.uri().path_and_query().is_some_and(|target| api_key::is_in(target.as_str())) {
            return Err(Reason::Malformed("credential.in_address"));
        }
        let path = Path::parse(visit.request.uri().path()).map_err(|error| Reason::Malformed(error.0))?;
        let (place, irregular) = (self.place(path.as_str()), path.irregular());
        visit.is_rewritten = path.is_rewritten();
        // What is ours is not for others to let through.
        if place != Place::App && visit.check.is_some() {
            return Err(Reason::Malformed("forward_auth.own_page"));
        }
        if place != Place::App && irregular != Irregular::default() {
            return Err(Reason::Malformed("path.not_plain"));
        }
        if path.is_rewritten() {
            let uri = with_path(visit.request.uri(), path.as_str()).ok_or(Reason::Malformed("path.form"))?;
            *visit.request.uri_mut() = uri;
        }
        visit.host = Some(host);
        visit.place = place;
        visit.irregular = irregular;
        Ok(())
    }

    /// Where a request should have gone that its client sent in the clear, as a trusted proxy says, although the site is
    /// served over TLS. Of others it cannot be known: some proxy in front may speak TLS and not be trusted.
    fn over_tls(&self, visit: &Visit) -> Option<String> {
        let client = &visit.client;
        if !client.trusted || client.scheme != Scheme::Http || visit.check.is_some() {
            return None;
        }
        let headers = visit.request.headers();
        let is_said = headers.contains_key("x-forwarded-proto") || headers.contains_key(FORWARDED);
        // Programs bring their own credentials and get no cookie from an app's side.
        if !is_said || (visit.place == Place::App && visit.asker() != Asker::Navigation) {
            return None;
        }
        let other_hosts = self.other_hosts.as_ref()?;
        let target = visit.request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let there = other_hosts.over_tls(visit.host.as_deref()?, target)?;
        // Browsers say this over TLS alone (Fetch Metadata §2.1): the proxy tells of a hop behind it, and to lead there
        // again would go round in circles.
        if headers.contains_key("sec-fetch-mode") {
            other_hosts.wonder(client.peer);
            return None;
        }
        Some(there)
    }

    /// The canonical host of a request, if it is served. Clients ask for the same one again and again, so each thread
    /// remembers how the last was spelled.
    fn host<B>(&self, request: &Request<B>) -> Result<Arc<str>, Reason> {
        let mut lines = request.headers().get_all(HOST).iter();
        let only = match (lines.next(), lines.next(), request.uri().authority()) {
            (Some(line), None, None) => Some(line.as_bytes()),
            _ => None,
        };
        LAST.with_borrow_mut(|last| {
            if let (Some(spelled), Some((hosts, before, host, told))) = (only, last.as_mut())
                && before.as_slice() == spelled
                && Arc::ptr_eq(hosts, &self.hosts)
            {
                if !*told {
                    *told = self.look(host, request);
                }
                return Ok(host.clone());
            }
            let host = host(request).map_err(Reason::Malformed)?;
            if !self.hosts.is_empty() && !self.hosts.contains(&*host) {
                return Err(Reason::UnknownHost);
            }
            let host: Arc<str> = host.into();
            let told = self.look(&host, request);
            *last = only.map(|spelled| (self.hosts.clone(), spelled.to_vec(), host.clone(), told));
            Ok(host)
        })
    }

    /// Whether nothing is to be told of this host any more.
    fn look<B>(&self, host: &str, request: &Request<B>) -> bool {
        self.other_hosts.as_ref().is_none_or(|others| others.look(host, request))
    }

    fn place(&self, path: &str) -> Place {
        let under = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if under(&self.prefix) || path == "/.well-known/change-password" {
            Place::Own
        } else if self.client_api.is_some_and(under) {
            Place::AppServices
        } else {
            Place::App
        }
    }
}

impl Step for Locate {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        match self.locate(&mut visit) {
            Ok(()) => match self.over_tls(&visit) {
                None => Progress::Go(visit),
                // SEC-COOK-01: what goes back in the clear carries no cookie, and what came so is not taken for its sender's.
                Some(there) => Progress::refuse(visit, Reason::InTheClear(there)),
            },
            Err(reason) => Progress::refuse(visit, reason),
        }
    }
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// For which sites, how a host was spelled, its one form, and whether nothing is to be told of it.
type Last = (Arc<BTreeSet<String>>, Vec<u8>, Arc<str>, bool);

/// RFC 6455 §4.2.1.
fn is_handshake<B>(request: &Request<B>) -> bool {
    let header = |name: &str| request.headers().get(name).map(|value| value.as_bytes());
    request.method() == Method::GET
        && header("sec-websocket-version") == Some(b"13")
        && header("sec-websocket-key").is_some_and(|key| key.len() == 24)
}

/// The canonical host of a request, borrowed where the request spells it that way already.
///
/// # Errors
/// The code of the refusal: no host, several, one that differs from the target's, userinfo, a port that is none
/// (RFC 9112 §3.2).
pub fn host<B>(request: &Request<B>) -> Result<Cow<'_, str>, &'static str> {
    let mut lines = request.headers().get_all(HOST).iter();
    let line = match (lines.next(), lines.next()) {
        (_, Some(_)) => return Err("host.duplicate"),
        (Some(line), None) => Some(line.to_str().map_err(|_| "host.form")?),
        (None, None) => None,
    };
    let target = request.uri().authority().map(|authority| authority.as_str());
    let authority = match (target, line) {
        (Some(target), Some(line)) if !target.eq_ignore_ascii_case(line) => return Err("host.mismatch"),
        (Some(target), _) => target,
        (None, Some(line)) => line,
        (None, None) if request.version() == Version::HTTP_10 => return Ok(Cow::Borrowed("")),
        (None, None) => return Err("host.missing"),
    };
    let name = without_port(authority).ok_or("host.form")?;
    if is_canonical(name) {
        return Ok(Cow::Borrowed(name));
    }
    route::canonical_host(name).map(Cow::Owned).ok_or("host.form")
}

fn without_port(authority: &str) -> Option<&str> {
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let good = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    (good && !name.is_empty()).then_some(name)
}

/// A quick look that is true only of names that need no second one; `--`, which those of IDNA have, is none of them.
fn is_canonical(name: &str) -> bool {
    let mut before = b'.';
    for byte in name.bytes() {
        let good = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'.' | b'-' => before != b'.' && before != b'-',
            _ => false,
        };
        if !good {
            return false;
        }
        before = byte;
    }
    !matches!(before, b'.' | b'-') && name.len() <= 253
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn host_of(target: &str, hosts: &[&'static str]) -> Result<String, &'static str> {
        let mut request = Request::new(());
        *request.uri_mut() = target.parse().unwrap();
        for line in hosts {
            request.headers_mut().append(HOST, HeaderValue::from_static(line));
        }
        host(&request).map(Cow::into_owned)
    }

    #[test]
    fn sec_path_09_a_host_has_one_form() {
        for line in ["ADMIN.test", "admin.test.", "admin.test:443", "Admin.Test.:8443", "admin.test"] {
            assert_eq!(host_of("/", &[line]).as_deref(), Ok("admin.test"));
        }
        for line in ["admin.test:", "admin.test:x", "admin.test:99999", ":80", "", "a,b", "a@b", "xn--admin-.test"] {
            assert!(host_of("/", &[line]).is_err(), "{line}");
        }
        assert_eq!(host_of("/", &["[::1]:80"]).as_deref(), Ok("[::1]"));
    }

    #[test]
    fn sec_path_10_target_and_host_must_agree() {
        assert_eq!(host_of("http://a.test/x", &["b.test"]), Err("host.mismatch"));
        assert_eq!(host_of("http://a.test/x", &["a.test"]).as_deref(), Ok("a.test"));
        assert_eq!(host_of("http://A.test/x", &[]).as_deref(), Ok("a.test"));
        assert!(host_of("http://u:p@a.test/x", &[]).is_err());
        assert_eq!(host_of("/", &["a.test", "a.test"]), Err("host.duplicate"));
        assert_eq!(host_of("/", &[]), Err("host.missing"));
    }

    #[test]
    fn our_own_pages_are_a_whole_segment() {
        let locate = Locate::new("/.auth", []);
        assert_eq!(locate.place("/.auth"), Place::Own);
        assert_eq!(locate.place("/.auth/login"), Place::Own);
        assert_eq!(locate.place("/.authors"), Place::App);
        assert_eq!(locate.place("/x/.auth/login"), Place::App);
        assert_eq!(locate.place("/api/client/v2.0/auth/profile"), Place::App);
        let locate = locate.with_client_api("/api/client/v2.0");
        assert_eq!(locate.place("/api/client/v2.0/auth/profile"), Place::AppServices);
        assert_eq!(locate.place("/api/client/v2.0x"), Place::App);
    }
}
