//! Which pages of other origins may call.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Method};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

use super::{ROOT, Settings};

/// The origins that count.
#[derive(Clone)]
pub(super) struct Origins {
    /// Named by the operator; empty admits all.
    allowed: Vec<String>,
    own: String,
    /// Where popups return to: the pages that link, as a page reads only a popup of its own origin.
    links: Vec<String>,
}

impl Origins {
    /// Of these settings, served at the origin `own`.
    pub(super) fn new(settings: &Settings, own: &str) -> Self {
        let of_page = |uri: &String| Some(url::Url::parse(uri).ok()?.origin().ascii_serialization());
        Self {
            allowed: settings.allowed_origins.clone(),
            own: own.to_owned(),
            links: settings.redirect_uris.iter().filter_map(of_page).collect(),
        }
    }

    /// The rules as a layer. The origin that asks is named, never `*`: the one call that links by a redirect is made with
    /// credentials (Fetch §3.3.5), and only for that one they are allowed.
    pub(super) fn layer(&self) -> CorsLayer {
        let (origins, named) = (self.clone(), self.clone());
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin, parts| is_one(parts) && origins.admit(origin)))
            .allow_credentials(AllowCredentials::predicate(move |origin, parts| {
                is_sign_in(parts) && named.name(origin)
            }))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE, ACCEPT])
            .expose_headers([
                HeaderName::from_static("x-baas-location"),
                HeaderName::from_static("x-stitch-location"),
                HeaderName::from_static("x-appservices-request-id"),
            ])
    }

    /// Whether a request of this origin is answered: programs that are no browser name none.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        headers.get_all(ORIGIN).iter().all(|origin| self.admit(origin))
    }

    fn admit(&self, origin: &HeaderValue) -> bool {
        self.allowed.is_empty() || self.name(origin)
    }

    /// Whether the operator knows this origin. That every origin may call makes none of them one whose cookies count:
    /// a page of a stranger would act with those of whoever looks at it.
    fn name(&self, origin: &HeaderValue) -> bool {
        let named = if self.allowed.is_empty() { &self.links } else { &self.allowed };
        let origin = origin.as_bytes();
        origin == self.own.as_bytes() || named.iter().any(|named| named.as_bytes() == origin)
    }
}

/// A browser names one origin; of two, one would be answered and the other be meant.
fn is_one(parts: &Parts) -> bool {
    parts.headers.get_all(ORIGIN).iter().nth(1).is_none()
}

fn is_sign_in(parts: &Parts) -> bool {
    let path = parts.uri.path();
    path.strip_prefix(ROOT).is_some_and(|rest| rest.starts_with("/app/") && rest.ends_with("/login"))
}
