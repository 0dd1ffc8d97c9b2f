//! Cookies that hold no credential: what somebody chose on this browser before. They are ours like the session's, so no
//! app sees or sets them.

use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};

use super::cookie::Name;

/// What a browser remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memento {
    /// The provider of its last sign-in.
    Provider,
    /// The language its visitor wants.
    Language,
}

impl Memento {
    /// All there are.
    pub(super) const ALL: [Self; 2] = [Self::Provider, Self::Language];

    /// What the name of its cookie ends with.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Provider => "-last",
            Self::Language => "-language",
        }
    }
}

impl Name {
    /// What the browser remembers, whatever that may be; nothing of two.
    pub fn remembered(self, headers: &HeaderMap, what: Memento) -> Option<&str> {
        self.beside(headers, what.suffix())
    }

    /// The `Set-Cookie` value that makes it remember a plain word for a year.
    pub fn remember(self, what: Memento, word: &str) -> HeaderValue {
        self.write(what.suffix(), word, Some(KEPT))
    }
}

const KEPT: Duration = Duration::from_hours(365 * 24);

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    #[test]
    fn what_is_remembered_comes_back_and_of_two_none() {
        let name = Name::new(true);
        let field = name.remember(Memento::Language, "de");
        let text = "__Host-vestibule-language=de; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(field, text);
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("__Host-vestibule-language=de; __Host-vestibule-last=corp"));
        assert_eq!(name.remembered(&headers, Memento::Language), Some("de"));
        assert_eq!(name.remembered(&headers, Memento::Provider), Some("corp"));
        assert_eq!(Name::new(false).remembered(&headers, Memento::Provider), None);
        headers.append(COOKIE, HeaderValue::from_static("__Host-vestibule-language=en"));
        assert_eq!(name.remembered(&headers, Memento::Language), None);
    }

    #[test]
    fn no_app_sees_or_sets_it() {
        let name = Name::new(true);
        for what in Memento::ALL {
            let mut headers = HeaderMap::new();
            let text = format!("a=1; __Host-vestibule{}=x; b=2", what.suffix());
            headers.insert(COOKIE, HeaderValue::from_str(&text).unwrap());
            name.strip(&mut headers);
            assert_eq!(headers[COOKIE], "a=1; b=2");
            let mut answer = HeaderMap::new();
            answer.insert("set-cookie", name.remember(what, "x"));
            assert!(name.guard(&mut answer));
            assert!(answer.is_empty());
        }
    }
}
