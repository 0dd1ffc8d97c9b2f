//! The session cookie: its name, its attributes, and how it is read and removed, byte by byte.

use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use super::attempt::ATTEMPT;
pub use super::memento::Memento;
use crate::secret::{Digest, Secret};

/// What our session cookie is called on this site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `__Host-`: a browser takes it from us alone, over TLS, for the whole host (RFC 6265bis §4.1.3.2).
    Host,
    /// On `http://localhost`, where browsers take neither `Secure` nor the prefix.
    Plain,
}

/// What a request's `Cookie` fields hold of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// None.
    Absent,
    /// One, with this digest; nothing is said about whether it is good.
    One(Digest),
    /// Several. Somebody planted one, and nobody can tell which: none of them counts.
    Duplicate,
}

impl Name {
    /// `__Host-vestibule` where cookies are `secure`, else `vestibule`.
    pub fn new(secure: bool) -> Self {
        Self(if secure { Form::Host } else { Form::Plain })
    }

    /// The name itself.
    pub fn as_str(self) -> &'static str {
        match self.0 {
            Form::Host => "__Host-vestibule",
            Form::Plain => "vestibule",
        }
    }

    /// Reads our cookie. All `Cookie` fields count as one list (RFC 9113 §8.2.3). Names are compared byte by
    /// byte, and nothing is trimmed, unquoted or decoded: what a lenient reader would take for our cookie,
    /// a browser has not protected as ours.
    pub fn read(self, headers: &HeaderMap) -> Cookie {
        let mut found = Cookie::Absent;
        for field in headers.get_all(COOKIE) {
            for value in crumbs(field.as_bytes()).filter_map(|(_, crumb)| self.value(crumb)) {
                if found != Cookie::Absent {
                    tracing::warn!(code = "cookie.duplicate", name = self.as_str(), "two session cookies, none counts");
                    return Cookie::Duplicate;
                }
                found = Cookie::One(Digest::of(value));
            }
        }
        found
    }

    /// The `Set-Cookie` value that gives the browser this session for so long.
    pub fn set(self, token: &Secret, max_age: Duration) -> HeaderValue {
        // Exposed to the one browser it is for.
        self.write("", token.expose(), Some(max_age))
    }

    /// The same until the browser is closed.
    pub fn set_until_closed(self, token: &Secret) -> HeaderValue {
        // Exposed to the one browser it is for.
        self.write("", token.expose(), None)
    }

    /// The `Set-Cookie` value that takes it away; with all attributes, or browsers keep the old one.
    pub fn clear(self) -> HeaderValue {
        self.write("", "", Some(Duration::ZERO))
    }

    /// The token of this browser, by which it shows who signed in on it before; none of two.
    pub fn device(self, headers: &HeaderMap) -> Option<&str> {
        self.beside(headers, DEVICE)
    }

    /// The value of the cookie whose name is ours with this at its end; none of two.
    pub(super) fn beside<'h>(self, headers: &'h HeaderMap, suffix: &str) -> Option<&'h str> {
        let fields = headers.get_all(COOKIE).iter();
        let mut found = fields.flat_map(|field| crumbs(field.as_bytes())).filter_map(|(_, crumb)| {
            crumb.strip_prefix(self.as_str().as_bytes())?.strip_prefix(suffix.as_bytes())?.strip_prefix(b"=")
        });
        let (first, second) = (found.next()?, found.next());
        if second.is_some() { None } else { std::str::from_utf8(first).ok() }
    }

    /// The `Set-Cookie` value that makes the browser a known one.
    pub fn set_device(self, token: &Secret) -> HeaderValue {
        // Exposed to the one browser it is for.
        self.write(DEVICE, token.expose(), Some(DEVICE_KEPT))
    }

    /// Removes our cookies from a request on its way to the app. The others keep their bytes and order;
    /// several fields become one (RFC 9113 §8.2.3), and without anything to do nothing is copied.
    pub fn strip(self, headers: &mut HeaderMap) {
        let mut fields = headers.get_all(COOKIE).iter();
        let (first, more) = (fields.next(), fields.next().is_some());
        let Some(first) = first else { return };
        if !more && self.value(first.as_bytes()).is_some_and(|value| memchr::memchr(b';', value).is_none()) {
            headers.remove(COOKIE);
            return;
        }
        let ours = |field: &HeaderValue| crumbs(field.as_bytes()).any(|(_, crumb)| self.is_ours(crumb));
        if !more && !ours(first) {
            return;
        }
        let mut kept: Option<Vec<u8>> = None;
        let all = headers.get_all(COOKIE).iter();
        for (separator, crumb) in all.flat_map(|field| crumbs(field.as_bytes())) {
            if !self.is_ours(crumb) {
                match &mut kept {
                    Some(kept) => [separator, crumb].iter().for_each(|part| kept.extend_from_slice(part)),
                    None => kept = Some(crumb.to_vec()),
                }
            }
        }
        match kept.map(|kept| HeaderValue::from_bytes(&kept)) {
            Some(Ok(value)) if !value.is_empty() => headers.insert(COOKIE, value),
            _ => headers.remove(COOKIE),
        };
    }

    /// Removes from an app's answer what would set our cookie, also in spellings that only some browser takes
    /// for it: the app behind cannot sign anybody in or out. `true` if there was any.
    pub fn guard(self, headers: &mut HeaderMap) -> bool {
        if !headers.get_all(SET_COOKIE).iter().any(|field| self.resembles(field)) {
            return false;
        }
        let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().filter(|field| !self.resembles(field)).cloned().collect();
        headers.remove(SET_COOKIE);
        for field in kept {
            headers.append(SET_COOKIE, field);
        }
        tracing::warn!(code = "upstream.cookie_blocked", name = self.as_str(), "the app tried to set our cookie");
        true
    }

    /// The value, if this `name=value` is ours.
    fn value(self, crumb: &[u8]) -> Option<&[u8]> {
        crumb.strip_prefix(self.as_str().as_bytes())?.strip_prefix(b"=")
    }

    /// Whether browsers take its cookies over TLS alone.
    pub(super) fn is_secure(self) -> bool {
        self.0 == Form::Host
    }

    /// Whether this `name=value` is the session's, the browser's own, or an attempt's to sign in elsewhere.
    fn is_ours(self, crumb: &[u8]) -> bool {
        let Some(rest) = crumb.strip_prefix(self.as_str().as_bytes()) else { return false };
        rest.starts_with(ATTEMPT)
            || rest.first() == Some(&b'=')
            || endings().any(|ending| rest.strip_prefix(ending.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")))
    }

    fn resembles(self, field: &HeaderValue) -> bool {
        let pair = field.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        // A nameless cookie "=name=value" is sent back as "name=value".
        let mut parts = pair.split(|byte| *byte == b'=').map(<[u8]>::trim_ascii).skip_while(|part| part.is_empty());
        let Some(name) = parts.next() else { return false };
        let (own, rest) = name.split_at(self.as_str().len().min(name.len()));
        let attempt = rest.get(..ATTEMPT.len()).is_some_and(|start| start.eq_ignore_ascii_case(ATTEMPT));
        own.eq_ignore_ascii_case(self.as_str().as_bytes())
            && (rest.is_empty() || attempt || endings().any(|ending| rest.eq_ignore_ascii_case(ending.as_bytes())))
    }

    pub(super) fn write(self, suffix: &str, value: &str, max_age: Option<Duration>) -> HeaderValue {
        let secure = match self.0 {
            Form::Host => "; Secure",
            Form::Plain => "",
        };
        let max_age = max_age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
        let text = format!("{}{suffix}={value}; Path=/{max_age}; HttpOnly; SameSite=Lax{secure}", self.as_str());
        match HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
            Ok(mut field) => {
                field.set_sensitive(true);
                field
            }
            // A token is base64url, so this does not happen; if it did, nobody would be signed in.
            Err(_) => HeaderValue::from_static(""),
        }
    }
}

/// What the names of our further cookies end with, but for those of attempts.
fn endings() -> impl Iterator<Item = &'static str> {
    std::iter::once(DEVICE).chain(Memento::ALL.map(Memento::suffix))
}

/// What the name of the browser's own token ends with.
const DEVICE: &str = "-device";
/// How long a browser keeps it: somebody who stays away longer is a stranger again.
const DEVICE_KEPT: Duration = Duration::from_hours(60 * 24);

/// The parts between semicolons, each without the one blank that may follow a semicolon, and with what parts
/// it from the one before.
pub(super) fn crumbs(field: &[u8]) -> impl Iterator<Item = (&'static [u8], &[u8])> {
    let mut rest = Some(field);
    let mut is_first = true;
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b';', text);
        let crumb = &text[..end.unwrap_or(text.len())];
        rest = end.map(|end| &text[end + 1..]);
        Some(match crumb {
            _ if std::mem::take(&mut is_first) => (b"; ".as_slice(), crumb),
            [b' ', rest @ ..] => (b"; ".as_slice(), rest),
            _ => (b";".as_slice(), crumb),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = Name(Form::Host);

    fn request(fields: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_bytes(field).unwrap());
        }
        headers
    }

    fn read(field: &[u8]) -> Cookie {
        NAME.read(&request(&[field]))
    }

    fn stripped(fields: &[&[u8]]) -> Option<Vec<u8>> {
        let mut headers = request(fields);
        NAME.strip(&mut headers);
        assert!(headers.get_all(COOKIE).iter().count() < 2);
        headers.get(COOKIE).map(|field| field.as_bytes().to_vec())
    }

    /// SEC-COOK-01
    #[test]
    fn sec_cook_01_the_cookie_carries_every_attribute() {
        let token = crate::secret::token();
        let field = NAME.set(&token, Duration::from_secs(60));
        let text = field.to_str().unwrap();
        assert_eq!(
            text,
            format!("__Host-vestibule={}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure", token.expose())
        );
        assert!(text.len() < 4096 && !text.contains("Domain"));
        assert!(!format!("{field:?}").contains(token.expose()));
    }

    #[test]
    fn on_localhost_the_cookie_works_without_tls() {
        let field = Name::new(false).set(&Secret::new("x"), Duration::from_secs(1));
        assert_eq!(field, "vestibule=x; Path=/; Max-Age=1; HttpOnly; SameSite=Lax");
    }

    /// SEC-COOK-02
    #[test]
    fn sec_cook_02_only_the_exact_name_is_ours() {
        for odd in [
            b"\xe2\x80\x80__Host-vestibule=evil".as_slice(),
            b"__Host-vestibule =evil",
            b"__HOST-vestibule=evil",
            b"__Host-Vestibule=evil",
            b"a=1;  __Host-vestibule=evil",
            b"a=1;\t__Host-vestibule=evil",
            b"a=1,__Host-vestibule=evil",
            b"a=1, __Host-vestibule=evil",
            b"\"__Host-vestibule\"=evil",
            b"__Host-vestibule",
            b"__Host-vestibule2=evil",
            b"vestibule=evil",
            b"%5F_Host-vestibule=evil",
        ] {
            assert_eq!(read(odd), Cookie::Absent, "{}", odd.escape_ascii());
        }
        for fine in [
            b"__Host-vestibule=good".as_slice(),
            b"a=1; __Host-vestibule=good",
            b"a=1;__Host-vestibule=good;b=2",
            b"$Version=1; __Host-vestibule=good",
        ] {
            assert_eq!(read(fine), Cookie::One(Digest::of("good")), "{}", fine.escape_ascii());
        }
    }

    /// SEC-COOK-02
    #[test]
    fn sec_cook_02_quotes_and_blanks_belong_to_the_value() {
        assert_eq!(read(b"__Host-vestibule=\"good\""), Cookie::One(Digest::of("\"good\"")));
        assert_eq!(read(b"__Host-vestibule= good"), Cookie::One(Digest::of(" good")));
        assert_eq!(read(b"a=\"x; __Host-vestibule=good\""), Cookie::One(Digest::of("good\"")));
        assert_eq!(read(b"__Host-vestibule==good"), Cookie::One(Digest::of("=good")));
    }

    /// SEC-COOK-03
    #[test]
    fn sec_cook_03_of_two_cookies_none_counts() {
        assert_eq!(read(b"__Host-vestibule=a; __Host-vestibule=b"), Cookie::Duplicate);
        assert_eq!(read(b"__Host-vestibule=a; __Host-vestibule=a"), Cookie::Duplicate);
        let lines = request(&[b"__Host-vestibule=a", b"x=1; __Host-vestibule=b"]);
        assert_eq!(NAME.read(&lines), Cookie::Duplicate);
    }

    /// SEC-COOK-03
    #[test]
    fn sec_cook_03_other_cookies_do_not_disturb_ours() {
        let tossed = read(b"=__Host-vestibule=x; vestibule=sibling; __Host-vestibule=good");
        assert_eq!(tossed, Cookie::One(Digest::of("good")));
        let crumbs = request(&[b"a=1", b"__Host-vestibule=good", b"b=2"]);
        assert_eq!(NAME.read(&crumbs), Cookie::One(Digest::of("good")));
    }

    /// SEC-COOK-03
    #[test]
    fn sec_cook_03_strip_leaves_the_others_their_bytes() {
        type Fields<'a> = &'a [&'a [u8]];
        let cases: [(Fields, Option<&[u8]>); 11] = [
            (&[b"__Host-vestibule=x"], None),
            (&[b"a=1; __Host-vestibule=x; b=2"], Some(b"a=1; b=2")),
            (
                &[b"a=1; __Host-vestibule-device=x; __Host-vestibule-devices=y"],
                Some(b"a=1; __Host-vestibule-devices=y"),
            ),
            (&[b"__Host-vestibule=x; b=2"], Some(b"b=2")),
            (&[b"a=1;__Host-vestibule=x"], Some(b"a=1")),
            (&[b"a=\xff \"q\"; __Host-vestibule=x; ; =n=v"], Some(b"a=\xff \"q\"; ; =n=v")),
            (&[b"__Host-vestibule=x; __Host-vestibule=y; c=3"], Some(b"c=3")),
            (&[b"a=1", b"__Host-vestibule=x", b"b=2"], Some(b"a=1; b=2")),
            (&[b"a=1;b=2;  c=3"], Some(b"a=1;b=2;  c=3")),
            (&[b"a=1;b=2;  c=3;__Host-vestibule=x;d=4"], Some(b"a=1;b=2;  c=3;d=4")),
            (&[], None),
        ];
        for (fields, expected) in cases {
            assert_eq!(stripped(fields).as_deref(), expected);
        }
    }

    /// SEC-COOK-06
    #[test]
    fn sec_cook_06_clearing_repeats_all_attributes() {
        assert_eq!(NAME.clear(), "__Host-vestibule=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
    }

    /// SEC-COOK-07
    #[test]
    fn sec_cook_07_the_app_cannot_set_our_cookie() {
        let mut answer = HeaderMap::new();
        for field in [
            "a=1",
            "__Host-vestibule=x",
            "__Host-Vestibule-Device=x",
            " __HOST-VESTIBULE =x",
            "=__Host-vestibule=x",
            "b=__Host-vestibule",
        ] {
            answer.append(SET_COOKIE, HeaderValue::from_static(field));
        }
        assert!(NAME.guard(&mut answer));
        let kept: Vec<_> = answer.get_all(SET_COOKIE).iter().collect();
        assert_eq!(kept, ["a=1", "b=__Host-vestibule"]);
        assert!(!NAME.guard(&mut answer));
    }
}
