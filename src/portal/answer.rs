//! Answers that are no pages, and the header fields every answer of ours carries.

use std::collections::BTreeSet;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::Value;

use super::return_to::Allowed;
use crate::body::Body;
use crate::public_url::PublicUrl;

/// What a browser may tell others about the page it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Referrer {
    /// Other pages of ours learn the address.
    SameOrigin,
    /// Nobody does: a token stands in it.
    Nobody,
}

/// The fields that depend on the settings.
#[derive(Debug)]
pub(super) struct Fields {
    policy: String,
    secure: bool,
}

impl Fields {
    /// Browsers apply `form-action` to the redirect after a form, too: whereto a sign-in may return is listed.
    pub(super) fn new(public_url: &PublicUrl, allowed: &Allowed) -> Self {
        let mut policy = String::from(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; \
             frame-ancestors 'none'; form-action 'self'",
        );
        for source in allowed.sources() {
            policy.push(' ');
            policy.push_str(&source);
        }
        Self { policy, secure: public_url.is_secure() }
    }

    /// Dresses a page; forms of it may lead to `onward` in the end: providers where somebody signs out.
    pub(super) fn page(&self, headers: &mut HeaderMap, referrer: Referrer, onward: &BTreeSet<String>) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let policy = onward.iter().fold(self.policy.clone(), |policy, source| policy + " " + source);
        // Sources are parsed origins and hence plain ASCII; if they were not, no form may be sent at all.
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        let referrer = match referrer {
            Referrer::SameOrigin => "same-origin",
            Referrer::Nobody => "no-referrer",
        };
        headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrer));
        headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(PERMISSIONS_POLICY, HeaderValue::from_static(PERMISSIONS));
        self.any(headers);
    }

    /// Dresses every answer under the prefix; what is set already about keeping it stays.
    pub(super) fn any(&self, headers: &mut HeaderMap) {
        let kept = headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if kept == "no-store" {
            headers.insert(VARY, HeaderValue::from_static("Cookie, Authorization"));
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.secure {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
    }
}

/// 303: fetch this one next.
pub(super) fn see_other(location: &str) -> Response<Body> {
    let mut response = empty(StatusCode::SEE_OTHER);
    // Locations are parsed and percent-encoded; if one were not, the start page is never wrong.
    let location = HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// For programs.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), display-capture=(), \
                           encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), \
                           microphone=(), midi=(), payment=(), usb=(), xr-spatial-tracking=(), \
                           publickey-credentials-get=(self), publickey-credentials-create=(self)";
