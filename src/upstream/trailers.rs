use http::header::{HeaderMap, HeaderName, HeaderValue, TRAILER};

use super::forward::tokens;

/// Whether a field of this name may come after the body (RFC 9110 §6.5.1).
///
/// By then everything is decided: what frames a message, routes it, says who speaks or controls how it is read must
/// have been there before. Names that an app could fold to another one are refused as well.
pub(super) fn may_be_trailer(name: &HeaderName) -> bool {
    let name = name.as_str();
    let within = |names: &[&str]| names.contains(&name);
    is_plain(name)
        && !(within(&FRAMING) || within(&ROUTING) || within(&AUTHENTICATION) || within(&CONTROLS))
        && !FAMILIES.iter().any(|prefix| name.starts_with(prefix))
}

/// The value of `Trailer` with those names alone that `may_pass`; `None` when none is left.
pub(super) fn announced(headers: &HeaderMap, may_pass: impl Fn(&HeaderName) -> bool) -> Option<HeaderValue> {
    let mut names = String::new();
    for token in headers.get_all(TRAILER).iter().flat_map(tokens) {
        let Ok(name) = HeaderName::from_bytes(token) else { continue };
        if may_be_trailer(&name) && may_pass(&name) {
            names.push_str(if names.is_empty() { "" } else { ", " });
            names.push_str(name.as_str());
        }
    }
    if names.is_empty() { None } else { HeaderValue::try_from(names).ok() }
}

/// Those trailers that may be some, and `may_pass`; `None` when none is left.
pub(super) fn keep(mut trailers: HeaderMap, may_pass: impl Fn(&HeaderName) -> bool) -> Option<HeaderMap> {
    let is_refused = |name: &&HeaderName| !(may_be_trailer(name) && may_pass(name));
    let refused: Vec<HeaderName> = trailers.keys().filter(is_refused).cloned().collect();
    for name in &refused {
        trailers.remove(name);
    }
    if !refused.is_empty() {
        tracing::debug!(count = refused.len(), "trailers dropped");
    }
    (!trailers.is_empty()).then_some(trailers)
}

/// Letters and digits with single hyphens between them: apps fold `x_auth_user` and `x.auth-user` into one.
fn is_plain(name: &str) -> bool {
    name.split('-').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

const FRAMING: [&str; 7] =
    ["connection", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
const ROUTING: [&str; 13] = [
    "alt-svc",
    "client-ip",
    "expect",
    "forwarded",
    "host",
    "location",
    "max-forwards",
    "origin",
    "referer",
    "true-client-ip",
    "via",
    "x-real-ip",
    "x-request-id",
];
const AUTHENTICATION: [&str; 11] = [
    "apikey",
    "authentication-info",
    "authorization",
    "clear-site-data",
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "x-api-key",
    "x-auth",
];
/// How a request is to be read, and how long an answer may be kept.
const CONTROLS: [&str; 12] = [
    "accept-ranges",
    "age",
    "cache-control",
    "date",
    "expires",
    "pragma",
    "range",
    "retry-after",
    "vary",
    "warning",
    "x-http-method",
    "x-method-override",
];
const FAMILIES: [&str; 16] = [
    "access-control-",
    "content-",
    "if-",
    "proxy-",
    "remote-",
    "sec-",
    "ssl-client",
    "x-auth-",
    "x-csrf-",
    "x-envoy-original-",
    "x-forwarded-",
    "x-http-method-",
    "x-original-",
    "x-replaced-",
    "x-rewrite-",
    "x-ssl-client",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_hdr_09_fields_that_frame_route_or_identify_are_no_trailers() {
        for name in [
            "content-length",
            "transfer-encoding",
            "trailer",
            "te",
            "connection",
            "keep-alive",
            "upgrade",
            "host",
            "authorization",
            "proxy-authorization",
            "proxy-connection",
            "cookie",
            "set-cookie",
            "www-authenticate",
            "content-type",
            "content-encoding",
            "content-range",
            "cache-control",
            "range",
            "if-match",
            "max-forwards",
            "forwarded",
            "x-forwarded-for",
            "x-request-id",
            "x-auth",
            "x-auth-user",
            "x-auth-request-email",
            "remote-user",
            "x_sum",
            "x-auth_user",
            "x.auth.user",
            "x--auth--user",
            "x-auth-user-",
        ] {
            assert!(!may_be_trailer(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn other_fields_may_be_trailers() {
        for name in ["x-checksum", "grpc-status", "grpc-message", "digest", "etag", "server-timing", "x-author", "tea"]
        {
            assert!(may_be_trailer(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn only_names_that_may_pass_are_announced_and_kept() {
        let mut headers = HeaderMap::new();
        headers.append(TRAILER, HeaderValue::from_static("X-Sum, x-auth-user,, x tenant"));
        headers.append(TRAILER, HeaderValue::from_static("x-tenant,Digest"));
        assert_eq!(announced(&headers, |name| name != "x-tenant").unwrap(), "x-sum, digest");
        assert_eq!(announced(&headers, |name| name == "x-auth-user"), None);
        let trailers = HeaderMap::from_iter(
            ["x-sum", "x-auth-user", "x-tenant"]
                .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1"))),
        );
        let kept = keep(trailers.clone(), |name| name != "x-tenant").unwrap();
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["x-sum"]);
        assert_eq!(keep(trailers, |name| name == "x-auth-user"), None);
    }
}
