//! Which pages of other origins may call.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Method};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

use super::ROOT;

/// The rules as a layer. The origin that asks is named, never `*`: the one call that links by a redirect is made with
/// credentials (Fetch §3.3.5), and only for that one they are allowed.
pub(super) fn layer(allowed: &[String], own: &str) -> CorsLayer {
    let (allowed, own) = (allowed.to_vec(), own.to_owned());
    let origins = AllowOrigin::predicate(move |origin: &HeaderValue, _: &Parts| is_allowed(&allowed, &own, origin));
    CorsLayer::new()
        .allow_origin(origins)
        .allow_credentials(AllowCredentials::predicate(|_, parts: &Parts| is_sign_in(parts)))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, ACCEPT])
        .expose_headers([
            HeaderName::from_static("x-baas-location"),
            HeaderName::from_static("x-stitch-location"),
            HeaderName::from_static("x-appservices-request-id"),
        ])
}

/// Whether a request of this origin is answered: programs that are no browser name none.
pub(super) fn admits(allowed: &[String], own: &str, headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| is_allowed(allowed, own, origin))
}

fn is_allowed(allowed: &[String], own: &str, origin: &HeaderValue) -> bool {
    let origin = origin.as_bytes();
    allowed.is_empty() || origin == own.as_bytes() || allowed.iter().any(|allowed| allowed.as_bytes() == origin)
}

fn is_sign_in(parts: &Parts) -> bool {
    let path = parts.uri.path();
    path.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with("/app/") && rest.ends_with("/login"))
}
