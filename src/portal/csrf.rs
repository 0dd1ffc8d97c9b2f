//! Whether an unsafe request comes from our own pages: the browser says so, no token is needed.
//!
//! The rules are those of Go's `CrossOriginProtection` and tower-http's `csrf`, with one difference: `Origin` is
//! compared with the public address in scheme, host and port, never with `Host`, which a proxy may rewrite and
//! which knows no scheme.

use http::header::{AsHeaderName, ORIGIN};
use http::{HeaderMap, Method};

/// Why a request does not count as one of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrossSite {
    /// The browser names another site, or what it says cannot be read.
    #[error("the request comes from another site")]
    Foreign,
    /// Neither `Sec-Fetch-Site` nor `Origin` was sent: a program, or a browser too old to say.
    #[error("the request does not say where it comes from")]
    Unproven,
}

/// Decides for one request; methods that change nothing always pass.
///
/// `public_origin` is the origin visitors type, as [`PublicUrl::origin`](crate::public_url::PublicUrl::origin)
/// gives it.
///
/// # Errors
/// [`CrossSite::Foreign`] is refused always, [`CrossSite::Unproven`] wherever a cookie speaks for the caller.
pub fn check(headers: &HeaderMap, method: &Method, public_origin: &str) -> Result<(), CrossSite> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    match only(headers, "sec-fetch-site") {
        Sent::Once(b"same-origin" | b"none") => return Ok(()),
        Sent::Nothing => {}
        Sent::Once(_) | Sent::Twice => return Err(CrossSite::Foreign),
    }
    match only(headers, ORIGIN) {
        Sent::Once(origin) if origin == public_origin.as_bytes() => Ok(()),
        Sent::Nothing => Err(CrossSite::Unproven),
        Sent::Once(_) | Sent::Twice => Err(CrossSite::Foreign),
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

    fn post(fields: &[(&'static str, &'static str)]) -> Result<(), CrossSite> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        check(&headers, &Method::POST, "https://auth.test")
    }

    #[test]
    fn our_own_pages_pass() {
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(post(&[("sec-fetch-site", "none")]), Ok(()));
        assert_eq!(post(&[("origin", "https://auth.test")]), Ok(()));
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
        ] {
            assert_eq!(post(fields), Err(CrossSite::Foreign), "{fields:?}");
        }
    }

    #[test]
    fn silence_is_told_apart_from_another_site() {
        assert_eq!(post(&[]), Err(CrossSite::Unproven));
        assert_eq!(post(&[("referer", "https://auth.test/")]), Err(CrossSite::Unproven));
        assert_eq!(check(&HeaderMap::new(), &Method::GET, "https://auth.test"), Ok(()));
        assert_eq!(check(&HeaderMap::new(), &Method::DELETE, "https://auth.test"), Err(CrossSite::Unproven));
    }
}
