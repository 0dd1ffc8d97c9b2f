//! E-mail addresses: one canonical form, made once.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// An address that was checked; two are the same when their [`key`](Email::key)s are.
#[derive(Clone, Debug)]
pub struct Email {
    text: String,
    key: String,
}

impl Email {
    /// Reads what somebody typed: surrounding blanks go, NFC, exactly one ASCII at-sign, a domain
    /// with a dot or `localhost`, at most 254 bytes (RFC 5321 §4.5.3.1.3). Quoted local parts,
    /// control characters, blanks, commas and look-alikes of the at-sign are refused.
    ///
    /// # Errors
    /// [`Error`] when it is not such an address.
    pub fn parse(typed: &str) -> Result<Self, Error> {
        let text: String = typed.trim_matches(' ').nfc().collect();
        // Compatibility forms such as U+FF20 would become an at-sign in a system that folds them later.
        let folded: String = text.nfkc().collect();
        if text.len() > 254 || folded.matches('@').count() != 1 || text.matches('@').count() != 1 {
            return Err(Error);
        }
        let (local, domain) = text.split_once('@').ok_or(Error)?;
        if local.is_empty() || local.len() > 64 || local.chars().any(forbidden) {
            return Err(Error);
        }
        check_domain(domain)?;
        let key = text.to_lowercase();
        Ok(Self { text, key })
    }

    /// The address as it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form that is looked up and unique: lower case throughout.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Text that is not an e-mail address we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address such as ann@example.com")]
pub struct Error;

fn forbidden(c: char) -> bool {
    c.is_control() || c.is_whitespace() || matches!(c, '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '[' | '\\' | ']')
}

fn check_domain(domain: &str) -> Result<(), Error> {
    let plain = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if !domain.split('.').all(plain) {
        return Err(Error);
    }
    if domain.contains('.') || domain.eq_ignore_ascii_case("localhost") { Ok(()) } else { Err(Error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_make_another_address() {
        let (ann, shout) = (Email::parse("Ann@Example.com").unwrap(), Email::parse(" ANN@EXAMPLE.COM ").unwrap());
        assert_eq!(ann, shout);
        assert_eq!(ann.as_str(), "Ann@Example.com");
        assert_eq!(ann.key(), "ann@example.com");
    }

    /// SEC-LINK-08
    #[test]
    fn sec_link_08_odd_addresses_are_refused() {
        for odd in [
            "a@evil.test@corp.test",
            "a\u{ff20}corp.test",
            "a@corp.test.",
            "\"a b\"@corp.test",
            "a@corp.test\n",
            "a@corp.test\r\nBcc: b@corp.test",
            "a@corp.test,b@corp.test",
            "@corp.test",
            "a@",
            "a@corp",
            "a@-corp.test",
            "\"a\"@corp.test",
            "a@corp.test b@corp.test",
            "a@c\u{f6}rp.test",
        ] {
            assert_eq!(Email::parse(odd), Err(Error), "{odd:?}");
        }
        assert!(Email::parse("a@corp.test").is_ok());
        assert!(Email::parse("a@localhost").is_ok());
        // A domain that looks like another is another: whoever holds the one gets no mail of the other.
        assert_ne!(Email::parse("a@xn--crp-vna.test").unwrap(), Email::parse("a@corp.test").unwrap());
        // Dotless i is another letter, not another spelling of i.
        assert_ne!(Email::parse("ı@corp.test").unwrap(), Email::parse("i@corp.test").unwrap());
    }
}
