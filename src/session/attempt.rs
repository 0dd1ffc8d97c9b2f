//! The cookies of sign-ins that are on their way at a provider: one for each attempt, so that two tabs both finish.

use http::HeaderMap;
use http::HeaderValue;

use super::cookie::{Name, crumbs};
use crate::secret::Secret;

/// From where the browser must send an attempt's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Travel {
    /// From our own pages, and with links that lead here.
    Lax,
    /// With a form that the provider's page sends, too.
    CrossSite,
}

impl Name {
    /// The `Set-Cookie` value that binds an attempt of this name to the browser, for so many seconds.
    pub fn bind(self, attempt: &str, binding: &Secret, travel: Travel, seconds: u64) -> HeaderValue {
        // Exposed to the one browser that began.
        self.attempt_field(attempt, binding.expose(), travel, seconds)
    }

    /// The `Set-Cookie` value that takes it away.
    pub fn unbind(self, attempt: &str) -> HeaderValue {
        self.attempt_field(attempt, "", Travel::Lax, 0)
    }

    /// What binds the attempt of this name, if exactly one cookie does.
    pub fn binding(self, headers: &HeaderMap, attempt: &str) -> Option<Secret> {
        let mut found = self.bound(headers).filter(|(name, _)| *name == attempt.as_bytes());
        let (_, value) = found.next()?;
        let value = std::str::from_utf8(value).ok()?;
        found.next().is_none().then(|| Secret::new(value))
    }

    /// The names of attempts that this browser holds; browsers send those they got first before the others
    /// (RFC 6265bis §5.8.3).
    pub fn attempts(self, headers: &HeaderMap) -> Vec<String> {
        let plain = |name: &[u8]| !name.is_empty() && name.len() <= 32 && name.iter().all(u8::is_ascii_hexdigit);
        let names = self.bound(headers).map(|(name, _)| name).filter(|name| plain(name));
        names.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect()
    }

    /// Every attempt's name and value.
    fn bound(self, headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = headers.get_all(http::header::COOKIE).iter();
        fields.flat_map(|field| crumbs(field.as_bytes())).filter_map(move |(_, crumb)| {
            let rest = crumb.strip_prefix(self.as_str().as_bytes())?.strip_prefix(ATTEMPT)?;
            let at = rest.iter().position(|byte| *byte == b'=')?;
            Some((&rest[..at], &rest[at + 1..]))
        })
    }

    fn attempt_field(self, attempt: &str, value: &str, travel: Travel, seconds: u64) -> HeaderValue {
        // Browsers take `None` only with `Secure`, which they take on http://localhost, too.
        let travel = match (travel, self.is_secure()) {
            (Travel::Lax, true) => "Lax; Secure",
            (Travel::Lax, false) => "Lax",
            (Travel::CrossSite, _) => "None; Secure",
        };
        let name = self.as_str();
        let text = format!("{name}-oauth-{attempt}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={travel}");
        // Names are hexadecimal digits, values base64url: a field in any case.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// What follows the session cookie's name.
pub(super) const ATTEMPT: &[u8] = b"-oauth-";

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn name() -> Name {
        Name::new(true)
    }

    fn headers(field: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(field).unwrap())])
    }

    #[test]
    fn a_binding_is_for_us_alone_and_travels_only_where_it_must() {
        let binding = Secret::new("b");
        let lax = name().bind("0f", &binding, Travel::Lax, 600);
        assert_eq!(lax, "__Host-vestibule-oauth-0f=b; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
        let posted = name().bind("0f", &binding, Travel::CrossSite, 600);
        assert!(posted.to_str().unwrap().ends_with("SameSite=None; Secure"));
        let local = Name::new(false).bind("0f", &binding, Travel::Lax, 600);
        assert_eq!(local, "vestibule-oauth-0f=b; Path=/; Max-Age=600; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn each_attempt_has_its_own_and_a_planted_twin_counts_for_none() {
        let sent = headers("a=1; __Host-vestibule-oauth-0a=x; __Host-vestibule=s; __Host-vestibule-oauth-0b=y");
        assert_eq!(name().attempts(&sent), ["0a", "0b"]);
        assert_eq!(name().binding(&sent, "0b"), Some(Secret::new("y")));
        assert_eq!(name().binding(&sent, "0c"), None);
        let twins = headers("__Host-vestibule-oauth-0a=x; __Host-vestibule-oauth-0a=y");
        assert_eq!(name().binding(&twins, "0a"), None);
    }

    #[test]
    fn the_app_neither_sees_nor_sets_them() {
        let mut request = headers("a=1; __Host-vestibule-oauth-0a=x; b=2");
        name().strip(&mut request);
        assert_eq!(request[COOKIE], "a=1; b=2");
        let mut answer = HeaderMap::new();
        for field in ["a=1", "__Host-vestibule-oauth-0a=x", " __host-VESTIBULE-oauth-0a =x", "__Host-vestibulex=1"] {
            answer.append(http::header::SET_COOKIE, HeaderValue::from_static(field));
        }
        assert!(name().guard(&mut answer));
        let kept: Vec<_> = answer.get_all(http::header::SET_COOKIE).iter().collect();
        assert_eq!(kept, ["a=1", "__Host-vestibulex=1"]);
    }
}
