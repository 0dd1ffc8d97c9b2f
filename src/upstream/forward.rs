//! What a request looks like for the upstream, and an answer for the client. Pure: no connection is touched here.
//!
//! [`strip_request`] comes first, before anything is decided or written; [`request`] comes last.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode, Version};

use super::{Round, forwarded, trailers};
use crate::body::Body;
use crate::client::Client;
use crate::head::Head;

/// What a client wants its connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Nothing else, or something that is never tunnelled (h2c and whatever else there is).
    No,
    /// A WebSocket (RFC 6455).
    WebSocket,
}

/// `Connection` names a field that is not the connection's: its removal would change who speaks or what was decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Connection names a field that belongs to the message")]
pub struct ProtectedField;

/// Removes what belongs to the client's connection alone (RFC 9110 §7.6.1), and says whether it wants a WebSocket.
///
/// `protected` tells further names that `Connection` may not list, as the identity headers are; none of them may come
/// as a trailer either.
///
/// # Errors
/// [`ProtectedField`] when `Connection` lists one: whoever does that wants to hide something.
pub fn strip_request(
    headers: &mut HeaderMap,
    protected: impl Fn(&HeaderName) -> bool,
) -> Result<Upgrade, ProtectedField> {
    let mut wants_upgrade = false;
    for name in listed(headers).iter().flat_map(tokens) {
        match HeaderName::from_bytes(name) {
            Ok(UPGRADE) => wants_upgrade = true,
            Ok(TE) => {}
            Ok(name) if is_protected(&name) || protected(&name) => return Err(ProtectedField),
            Ok(name) => drop(headers.remove(name)),
            Err(_) => return Err(ProtectedField),
        }
    }
    let upgrade = match headers.remove(UPGRADE) {
        Some(to) if wants_upgrade && to.as_bytes().eq_ignore_ascii_case(b"websocket") => Upgrade::WebSocket,
        _ => Upgrade::No,
    };
    strip_hop_by_hop(headers, |name| !protected(name));
    if let Some(te) = headers.remove(TE)
        && tokens(&te).any(|token| token.eq_ignore_ascii_case(b"trailers"))
    {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(upgrade)
}

/// Makes a request what the upstream reads: HTTP/1.1, a target of path and query as the caller set them, `Host` as the
/// client sent it, `Forwarded` and `X-Forwarded-*` as we know them.
pub fn request(request: &mut Request<Body>, client: &Client, round: Round, upgrade: Upgrade) {
    unify(request);
    if request.uri().authority().is_some() || request.uri().scheme().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    forwarded::write(request.headers_mut(), client, round);
    if upgrade == Upgrade::WebSocket {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// The same for a request that is there as a whole, as the text of its head; the identity comes after it.
pub fn head(request: &mut Request<Body>, client: &Client, round: Round) -> Head {
    unify(request);
    if client.trusted {
        forwarded::write(request.headers_mut(), client, round);
    }
    let (method, headers) = (request.method(), request.headers());
    let mut head = Head::new(method, request.uri(), headers);
    // RFC 9110 §8.6: what may have a body says that it has none.
    let may_have_body = !method.is_safe() && *method != Method::DELETE;
    if may_have_body && !headers.contains_key(CONTENT_LENGTH) {
        head.field(&CONTENT_LENGTH, &HeaderValue::from_static("0"));
    }
    if !client.trusted {
        forwarded::write_to(&mut head, client, headers.get(HOST), round);
    }
    head
}

/// One form for requests of both versions.
fn unify(request: &mut Request<Body>) {
    if request.version() == Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
    set_host(request);
    *request.version_mut() = Version::HTTP_11;
}

/// Makes an answer what the client reads: nothing of the upstream's connection.
pub fn response(response: &mut Response<Body>) {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    *response.version_mut() = Version::HTTP_11;
    let headers = response.headers_mut();
    for name in listed(headers).iter().flat_map(tokens) {
        match HeaderName::from_bytes(name) {
            Ok(name) if name != UPGRADE && !is_protected(&name) => drop(headers.remove(name)),
            _ => {}
        }
    }
    strip_hop_by_hop(headers, |_| true);
    if switches {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(UPGRADE);
    }
}

/// RFC 9113 §8.2.3: HTTP/2 may split cookies over several lines, HTTP/1.1 may not.
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    match HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        Ok(joined) => headers.insert(COOKIE, joined),
        Err(_) => headers.remove(COOKIE),
    };
}

/// RFC 9112 §3.2.2: a target with an authority outranks `Host`; HTTP/2 has the authority alone.
fn set_host(request: &mut Request<Body>) {
    let Some(authority) = request.uri().authority() else { return };
    // A user in an authority is no part of a host (RFC 9110 §4.2.4).
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    if request.headers().get(HOST).is_some_and(|given| given.as_bytes() == host.as_bytes()) {
        return;
    }
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
}

/// Takes `Connection` out; its lines if they list any field.
fn listed(headers: &mut HeaderMap) -> Vec<HeaderValue> {
    let is_plain = |token: &[u8]| token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close");
    let values = headers.get_all(CONNECTION);
    if values.iter().next().is_none() {
        return Vec::new();
    }
    let lines = match values.iter().flat_map(tokens).all(is_plain) {
        true => Vec::new(),
        false => values.iter().cloned().collect(),
    };
    headers.remove(CONNECTION);
    lines
}

/// One pass over the names is cheaper than to look each of these up, as hardly any message has one.
///
/// `Trailer` is written anew with the names that may pass: on HTTP/1.1 none is sent that was not announced.
fn strip_hop_by_hop(headers: &mut HeaderMap, may_trail: impl Fn(&HeaderName) -> bool) {
    if headers.keys().any(is_hop_by_hop) {
        let announced = trailers::announced(headers, may_trail);
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        if let Some(names) = announced {
            headers.insert(TRAILER, names);
        }
    }
}

/// Whether [`strip_request`] has anything to do with a field of this name.
pub fn is_of_connection(name: &HeaderName) -> bool {
    match name.as_str().len() {
        2 => *name == TE,
        7 => *name == UPGRADE || *name == TRAILER,
        10 => *name == CONNECTION || is_hop_by_hop(name),
        _ => is_hop_by_hop(name),
    }
}

/// Tells by the length first: few other names have these.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(name.as_str().len(), 7 | 10 | 14 | 16 | 17 | 18 | 19 | 25) && HOP_BY_HOP.contains(name)
}

/// The members of a comma-separated list (RFC 9110 §5.6.1).
pub(super) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    tokens_of(value.as_bytes())
}

/// The same.
pub(super) fn tokens_of(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Fields of the message itself: whoever lists one of them in `Connection` wants it to vanish behind our back.
fn is_protected(name: &HeaderName) -> bool {
    const PREFIXES: [&str; 5] = ["x-forwarded-", "x-auth-", "x-original-", "x-rewrite-", "sec-"];
    const NAMES: [HeaderName; 7] = [HOST, CONTENT_LENGTH, CONTENT_TYPE, AUTHORIZATION, COOKIE, ORIGIN, EXPECT];
    NAMES.contains(name)
        || matches!(name.as_str(), "forwarded" | "x-real-ip" | "x-api-key" | "set-cookie" | "apikey")
        || PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
}

/// Of one connection only, whether `Connection` lists them or not; hyper frames the body of the next one by itself.
const HOP_BY_HOP: [HeaderName; 8] = [
    TRANSFER_ENCODING,
    TRAILER,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("http2-settings"),
];

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::client::Scheme;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn client() -> Client {
        let peer = IpAddr::from([127, 0, 0, 1]);
        Client { peer, address: peer, scheme: Scheme::Http, trusted: false }
    }

    fn round() -> Round {
        Round::first("https://blog.example.com")
    }

    #[test]
    fn fields_of_a_connection_end_with_it() {
        let mut lines = headers(&[
            ("connection", "keep-alive, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip, trailers"),
            ("trailer", "x-sum, Authorization, x-tenant"),
            ("x-mine", "3"),
        ]);
        assert_eq!(strip_request(&mut lines, |name| name == "x-tenant"), Ok(Upgrade::No));
        assert_eq!(lines, headers(&[("te", "trailers"), ("trailer", "x-sum"), ("x-mine", "3")]));
    }

    #[test]
    fn sec_hdr_04_connection_cannot_name_fields_of_the_message() {
        for name in ["Host", "x-forwarded-for", "X-AUTH-USER", "cookie", "Forwarded", "sec-fetch-site", "x tenant"] {
            let mut lines = HeaderMap::new();
            lines.insert(CONNECTION, HeaderValue::from_str(&format!("close, {name}")).unwrap());
            assert_eq!(strip_request(&mut lines, |_| false), Err(ProtectedField), "{name}");
        }
        let mut lines = headers(&[("connection", "x-tenant")]);
        assert_eq!(strip_request(&mut lines, |name| name == "x-tenant"), Err(ProtectedField));
        let mut lines = headers(&[("connection", "x-tenant")]);
        assert_eq!(strip_request(&mut lines, |_| false), Ok(Upgrade::No));
    }

    #[test]
    fn every_hop_by_hop_field_is_recognized() {
        assert!(HOP_BY_HOP.iter().all(is_hop_by_hop));
        assert!(!is_hop_by_hop(&CONTENT_TYPE));
        assert!(HOP_BY_HOP.iter().chain(&[CONNECTION, UPGRADE, TE]).all(is_of_connection));
        assert!(!is_of_connection(&CONTENT_TYPE));
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        for (connection, to, expected) in [
            ("Upgrade", "websocket", Upgrade::WebSocket),
            ("keep-alive, upgrade", "WebSocket", Upgrade::WebSocket),
            ("Upgrade, HTTP2-Settings", "h2c", Upgrade::No),
            ("Upgrade", "h2c, websocket", Upgrade::No),
            ("keep-alive", "websocket", Upgrade::No),
        ] {
            let mut lines = headers(&[("http2-settings", "AAMAAABk")]);
            lines.insert(CONNECTION, HeaderValue::from_static(connection));
            lines.insert(UPGRADE, HeaderValue::from_static(to));
            assert_eq!(strip_request(&mut lines, |_| false), Ok(expected), "{connection} {to}");
            assert!(lines.is_empty(), "{lines:?}");
        }
    }

    #[test]
    fn http2_becomes_http1() {
        let mut request = Request::new(Body::empty());
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_static("https://blog.example.com/a?b");
        *request.headers_mut() = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        super::request(&mut request, &client(), round(), Upgrade::No);
        assert_eq!(request.uri(), "/a?b");
        assert_eq!(request.version(), Version::HTTP_11);
        assert_eq!(request.headers()[HOST], "blog.example.com");
        assert_eq!(request.headers()[COOKIE], "a=1; b=2");
        assert_eq!(request.headers().get_all(COOKIE).iter().count(), 1);
    }

    #[test]
    fn a_head_says_what_a_request_does() {
        let make = |method: Method, version| {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method;
            *request.version_mut() = version;
            *request.uri_mut() = Uri::from_static("https://blog.example.com/a?b");
            *request.headers_mut() = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
            request
        };
        for (method, more) in [(Method::GET, 0), (Method::DELETE, 0), (Method::POST, 1)] {
            let mut whole = make(method.clone(), Version::HTTP_2);
            super::request(&mut whole, &client(), round(), Upgrade::No);
            let text = head(&mut make(method.clone(), Version::HTTP_2), &client(), round()).finish(b"");
            let text = String::from_utf8(text.to_vec()).unwrap();
            assert!(text.starts_with(&format!("{method} /a?b HTTP/1.1\r\n")) && text.ends_with("\r\n\r\n"));
            for (name, value) in whole.headers() {
                assert!(text.contains(&format!("\r\n{name}: {}\r\n", value.to_str().unwrap())), "{name} in {text}");
            }
            assert_eq!(text.lines().count(), whole.headers().len() + 2 + more);
            assert_eq!(text.contains("content-length: 0\r\n"), more == 1);
        }
    }

    #[test]
    fn what_a_trusted_proxy_says_is_in_the_head_once() {
        let mut request = Request::new(Body::empty());
        *request.headers_mut() = headers(&[("host", "a.test"), ("x-forwarded-for", "2001:db8::7")]);
        let trusted = Client { trusted: true, ..client() };
        let text = String::from_utf8(head(&mut request, &trusted, round()).finish(b"").to_vec()).unwrap();
        assert!(text.contains("\r\nx-forwarded-for: 2001:db8::7, 127.0.0.1\r\n"), "{text}");
        assert_eq!(text.matches("x-forwarded-for").count(), 1);
    }

    #[test]
    fn a_websocket_handshake_goes_on_as_one() {
        let mut request = Request::new(Body::empty());
        super::request(&mut request, &client(), round(), Upgrade::WebSocket);
        assert_eq!(request.headers()[CONNECTION], "upgrade");
        assert_eq!(request.headers()[UPGRADE], "websocket");
    }

    #[test]
    fn an_answer_loses_the_fields_of_its_connection() {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = headers(&[
            ("connection", "close, x-hop, set-cookie"),
            ("x-hop", "1"),
            ("set-cookie", "a=1"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("trailer", "Set-Cookie, X-Sum"),
        ]);
        super::response(&mut response);
        assert_eq!(*response.headers(), headers(&[("set-cookie", "a=1"), ("trailer", "x-sum")]));
    }
}
