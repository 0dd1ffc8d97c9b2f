use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::id::SessionId;
use crate::secret::{self, Secret};
use crate::session::known_device::Marks;
use crate::session::shelf::Seals;

/// The text of a refresh token, taken apart: `<session id>.<32 bytes as base64url>`.
///
/// The first half of the bytes tells the tokens of a session apart, the second is a MAC over the session and
/// the first. So a token that was replaced long ago is told from a made-up one without being kept.
#[derive(Clone, Copy)]
pub(super) struct RefreshToken<'a> {
    text: &'a str,
    /// Whose it says it is.
    pub(super) session: SessionId,
    bytes: [u8; 32],
}

/// What one signing key makes refresh tokens with.
pub(super) struct Family {
    /// Makes a token from the one before.
    successor: hmac::Key,
    /// Shows that a token was made here.
    mark: hmac::Key,
    /// Shows that somebody signed in on a browser.
    pub(super) devices: Marks,
    /// Shows that one of the instances made a document.
    pub(super) seals: Seals,
}

/// Of either half, in bytes.
const HALF: usize = 16;

impl<'a> RefreshToken<'a> {
    /// `None`: nobody here made such a text.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (session, rest) = text.split_once('.')?;
        let session = session.parse().ok()?;
        let mut bytes = [0; 32];
        // Decoded from 43 characters exactly: each token has one text.
        let decoded = if rest.len() == 43 { URL_SAFE_NO_PAD.decode_slice(rest, &mut bytes).ok()? } else { 0 };
        (decoded == bytes.len()).then_some(Self { text, session, bytes })
    }
}

impl Family {
    /// From a private key.
    pub(super) fn of(private: &[u8]) -> Self {
        let seed = hmac::Key::new(hmac::HMAC_SHA256, private);
        let key = |label: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&seed, label).as_ref());
        Self {
            successor: key(b"vestibule refresh tokens"),
            mark: key(b"vestibule refresh token marks"),
            devices: Marks::new(key(b"vestibule known devices")),
            seals: Seals::new(key(b"vestibule shared documents")),
        }
    }

    /// The first token of a session.
    pub(super) fn first(&self, session: SessionId) -> Secret {
        self.write(session, secret::random())
    }

    /// What follows a token: the same from the same.
    pub(super) fn successor(&self, token: &RefreshToken) -> Secret {
        let made = hmac::sign(&self.successor, token.text.as_bytes());
        let mut own = [0; HALF];
        own.copy_from_slice(&made.as_ref()[..HALF]);
        self.write(token.session, own)
    }

    /// Whether it made this token.
    pub(super) fn made(&self, token: &RefreshToken) -> bool {
        let (own, mark) = token.bytes.split_at(HALF);
        self.mark(token.session, own).ct_eq(mark).into()
    }

    fn write(&self, session: SessionId, own: [u8; HALF]) -> Secret {
        let mut bytes = [0; 2 * HALF];
        bytes[..HALF].copy_from_slice(&own);
        bytes[HALF..].copy_from_slice(&self.mark(session, &own));
        Secret::new(format!("{session}.{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    // Both parts have one length each: no other pair gives the same text.
    fn mark(&self, session: SessionId, own: &[u8]) -> [u8; HALF] {
        let tag = hmac::sign(&self.mark, &[session.as_bytes(), own].concat());
        let mut mark = [0; HALF];
        mark.copy_from_slice(&tag.as_ref()[..HALF]);
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn session() -> SessionId {
        SessionId::generate(Timestamp::default())
    }

    #[test]
    fn a_family_knows_its_tokens_and_no_others() {
        let (family, other) = (Family::of(b"one"), Family::of(b"other"));
        let first = family.first(session());
        let first = RefreshToken::parse(first.expose()).unwrap();
        let second = family.successor(&first);
        let second = RefreshToken::parse(second.expose()).unwrap();
        assert!(family.made(&first) && family.made(&second));
        assert!(!other.made(&first));
        assert_eq!(second.session, first.session);
        assert_ne!(second.text, first.text);
    }

    #[test]
    fn a_token_of_one_session_is_none_of_another_and_no_byte_can_change() {
        let family = Family::of(b"one");
        let text = family.first(session());
        let good = RefreshToken::parse(text.expose()).unwrap();
        assert!(!family.made(&RefreshToken { session: session(), ..good }));
        for index in 0..32 {
            let mut bytes = good.bytes;
            bytes[index] ^= 1;
            assert!(!family.made(&RefreshToken { bytes, ..good }), "{index}");
        }
    }

    #[test]
    fn each_token_has_one_text() {
        let text = Family::of(b"one").first(session());
        let text = text.expose();
        assert_eq!(text.len(), 24 + 1 + 43);
        // The last of 43 characters carries four bits: the two below them must be none.
        let (head, last) = text.split_at(text.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = &alphabet[alphabet.find(last).unwrap() + 1..][..1];
        for odd in
            [format!("{head}{next}"), format!("{text}="), format!("{text}A"), head.to_owned(), text.to_uppercase()]
        {
            assert!(RefreshToken::parse(&odd).is_none(), "{odd}");
        }
    }
}
