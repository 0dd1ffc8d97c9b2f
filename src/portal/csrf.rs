//! Whether an unsafe request comes from our own pages, or from the app's: the browser says so, no token is needed.
//!
//! The rules are those of Go's `CrossOriginProtection` and tower-http's `csrf`, with one difference: `Origin` is
//! compared in scheme, host and port, never with `Host` alone, which knows no scheme.

use http::header::{AsHeaderName, ORIGIN};
use http::{HeaderMap, Method};

use crate::upstream::forward::Upgrade;
use crate::visit::Scheme;

/// The site a request was sent to.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Host, and port unless it is the scheme's own.
    pub authority: &'a str,
}

/// Why a request does not count as one of the site's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrossSite {
    /// The browser names another site, or what it says cannot be read.
    #[error("the request comes from another site")]
    Foreign,
    /// Neither `Sec-Fetch-Site` nor `Origin` was sent: a program, or a browser too old to say.
    #[error("the request does not say where it comes from")]
    Unproven,
}

/// Decides for one request; methods that change nothing always pass, unless they ask for an upgrade.
///
/// `Sec-Fetch-Site` decides where the browser sends it, else `Origin` must be this site's. An upgrade needs `Origin`
/// (RFC 6455 §10.2), whatever else is there.
///
/// # Errors
/// [`CrossSite::Foreign`] is refused always; [`CrossSite::Unproven`] for every upgrade, and wherever more than the
/// browser's silence says that it is a browser.
pub fn check(headers: &HeaderMap, method: &Method, upgrade: Upgrade, site: Site<'_>) -> Result<(), CrossSite> {
    let upgrades = upgrade == Upgrade::WebSocket;
    if !upgrades && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let origin = match only(headers, ORIGIN) {
        Sent::Nothing => Err(CrossSite::Unproven),
        Sent::Once(origin) if site.is(origin) => Ok(()),
        Sent::Once(_) => Err(CrossSite::Foreign),
        Sent::Twice => return Err(CrossSite::Foreign),
    };
    match only(headers, "sec-fetch-site") {
        _ if upgrades => origin,
        Sent::Once(b"same-origin" | b"none") => Ok(()),
        Sent::Once(_) | Sent::Twice => Err(CrossSite::Foreign),
        Sent::Nothing => origin,
    }
}

impl<'a> Site<'a> {
    /// The site with this origin, as [`PublicUrl::origin`](crate::public_url::PublicUrl::origin) gives it.
    pub fn of(origin: &'a str) -> Self {
        match origin.split_once("://") {
            Some(("https", authority)) => Self { scheme: Scheme::Https, authority },
            Some((_, authority)) => Self { scheme: Scheme::Http, authority },
            None => Self { scheme: Scheme::Https, authority: origin },
        }
    }

    fn is(&self, origin: &[u8]) -> bool {
        let Some((scheme, host)) = std::str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://")) else {
            return false;
        };
        let default = match self.scheme {
            Scheme::Http => ":80",
            Scheme::Https => ":443",
        };
        let bare = |text: &'a str| text.strip_suffix(default).unwrap_or(text);
        let host = host.strip_suffix(default).unwrap_or(host).trim_end_matches('.');
        scheme == self.scheme.as_str() && bare(self.authority).trim_end_matches('.').eq_ignore_ascii_case(host)
    }
}

enum Sent<'a> {
    Nothing,
    Once(&'a [u8]),
    Twice,
}

fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Sent<'_> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Sent::Nothing,
        (Some(value), None) => Sent::Once(value.as_bytes()),
        (Some(_), Some(_)) => Sent::Twice,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn sent(method: Method, upgrade: Upgrade, fields: &[(&'static str, &'static str)]) -> Result<(), CrossSite> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        check(&headers, &method, upgrade, Site::of("https://auth.test"))
    }

    fn post(fields: &[(&'static str, &'static str)]) -> Result<(), CrossSite> {
        sent(Method::POST, Upgrade::No, fields)
    }

    #[test]
    fn our_own_pages_pass() {
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(post(&[("sec-fetch-site", "none")]), Ok(()));
        assert_eq!(post(&[("origin", "https://auth.test")]), Ok(()));
        assert_eq!(post(&[("origin", "https://AUTH.test:443")]), Ok(()));
        // A page with `no-referrer` sends no origin; the browser's own word is enough.
        assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", "null")]), Ok(()));
    }

    #[test]
    fn sec_csrf_01_other_sites_do_not_pass() {
        for fields in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "")],
            &[("sec-fetch-site", "Same-Origin")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://auth.test")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.test")],
            &[("origin", "null")],
            &[("origin", "http://auth.test")],
            &[("origin", "https://auth.test:8443")],
            &[("origin", "https://auth.test.evil.test")],
            &[("origin", "https://auth.test/")],
            &[("origin", "https://auth.test"), ("origin", "https://evil.test")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://auth.test"), ("origin", "https://evil.test")],
        ] {
            assert_eq!(post(fields), Err(CrossSite::Foreign), "{fields:?}");
        }
    }

    #[test]
    fn silence_is_told_apart_from_another_site() {
        assert_eq!(post(&[]), Err(CrossSite::Unproven));
        assert_eq!(post(&[("referer", "https://auth.test/")]), Err(CrossSite::Unproven));
        assert_eq!(sent(Method::GET, Upgrade::No, &[]), Ok(()));
        assert_eq!(sent(Method::DELETE, Upgrade::No, &[]), Err(CrossSite::Unproven));
    }

    #[test]
    fn sec_smug_08_a_web_socket_needs_the_origin_of_its_site() {
        let get = |fields: &[(&'static str, &'static str)]| sent(Method::GET, Upgrade::WebSocket, fields);
        assert_eq!(get(&[("origin", "https://auth.test")]), Ok(()));
        assert_eq!(get(&[("origin", "https://evil.test")]), Err(CrossSite::Foreign));
        assert_eq!(get(&[("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")]), Err(CrossSite::Foreign));
        assert_eq!(get(&[]), Err(CrossSite::Unproven));
        assert_eq!(get(&[("sec-fetch-site", "same-origin")]), Err(CrossSite::Unproven));
    }
}
