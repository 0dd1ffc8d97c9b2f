//! Refuses unsafe methods and upgrades that another site made a browser send along with our cookie. Reads
//! credential, `Sec-Fetch-Site`, `Origin` and `Host`; refuses with 403. Sits below authentication, which says
//! whether a cookie is what speaks. Our own pages check their forms themselves.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method};

use crate::layer::{Progress, Step};
use crate::rejection::Reason;
use crate::upstream::forward::Upgrade;
use crate::visit::{Credential, Place, Scheme, Visit};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Csrf;

impl Step for Csrf {
    fn take(&self, visit: Box<Visit>) -> Progress {
        if visit.credential != Credential::Cookie || visit.place == Place::Own {
            return Progress::Go(visit);
        }
        let request = &visit.request;
        let authority = request.uri().authority().map(|authority| authority.as_str());
        if is_same_site(request.method(), request.headers(), visit.upgrade, authority, visit.client.scheme) {
            Progress::Go(visit)
        } else {
            Progress::refuse(visit, Reason::CrossSite)
        }
    }
}

/// Safe methods pass. `Sec-Fetch-Site` decides where the browser sends it; else `Origin` must be the target's
/// own in scheme, host and port. Without either it was no browser of today. An upgrade needs `Origin`
/// (RFC 6455 §10.2), whatever else is there.
fn is_same_site(
    method: &Method,
    headers: &HeaderMap,
    upgrade: Upgrade,
    authority: Option<&str>,
    scheme: Scheme,
) -> bool {
    let upgrade = upgrade == Upgrade::WebSocket;
    if !upgrade && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (Some(_), Some(_)) => return false,
        (origin, _) => origin,
    };
    let own = origin.is_some_and(|origin| {
        let host = authority.or_else(|| headers.get(HOST)?.to_str().ok());
        host.zip(origin.to_str().ok()).is_some_and(|(host, origin)| is_origin_of(origin, host, scheme))
    });
    if upgrade {
        return own;
    }
    let mut sites = headers.get_all("sec-fetch-site").iter();
    match (sites.next(), sites.next()) {
        (Some(_), Some(_)) => false,
        (Some(site), None) => site == "same-origin" || site == "none",
        (None, _) => origin.is_none() || own,
    }
}

fn is_origin_of(origin: &str, authority: &str, scheme: Scheme) -> bool {
    let Some((origin_scheme, host)) = origin.split_once("://") else { return false };
    let default = match scheme {
        Scheme::Http => ":80",
        Scheme::Https => ":443",
    };
    let bare = |text: &str| text.strip_suffix(default).unwrap_or(text).trim_end_matches('.').to_ascii_lowercase();
    origin_scheme == scheme.as_str() && bare(host) == bare(authority)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn allowed(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map.insert(HOST, HeaderValue::from_static("app.test"));
        let upgrade = if map.contains_key("upgrade") { Upgrade::WebSocket } else { Upgrade::No };
        is_same_site(method, &map, upgrade, None, Scheme::Https)
    }

    #[test]
    fn sec_csrf_01_an_unsafe_method_of_another_site_is_refused() {
        for headers in [
            [("origin", "https://evil.test")],
            [("origin", "null")],
            [("origin", "http://app.test")],
            [("origin", "https://app.test.evil.test")],
            [("origin", "https://app.test:8443")],
            [("sec-fetch-site", "cross-site")],
            [("sec-fetch-site", "same-site")],
        ] {
            assert!(!allowed(&Method::POST, &headers), "{headers:?}");
            assert!(allowed(&Method::GET, &headers), "{headers:?}");
        }
        for headers in [
            [("origin", "https://app.test")],
            [("origin", "https://APP.test:443")],
            [("sec-fetch-site", "same-origin")],
        ] {
            assert!(allowed(&Method::POST, &headers), "{headers:?}");
        }
        assert!(allowed(&Method::POST, &[]));
        let two = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
        assert!(!allowed(&Method::POST, &two));
    }

    #[test]
    fn sec_smug_08_a_web_socket_needs_the_origin_of_its_site() {
        let upgrade = [("upgrade", "websocket")];
        let with = |origin: Option<&'static str>| {
            let mut headers = upgrade.to_vec();
            headers.extend(origin.map(|origin| ("origin", origin)));
            allowed(&Method::GET, &headers)
        };
        assert!(with(Some("https://app.test")));
        assert!(!with(Some("https://evil.test")));
        assert!(!with(None));
    }
}
