use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::Digest;
use crate::session::Vouched;

/// What a credential claims, before the store was asked whether it is so.
#[derive(Clone, Debug)]
pub(super) enum Claim {
    /// To be a session's token: a browser's cookie, or the same sent as bearer.
    Token(Digest),
    /// To be an access token whose signature was found good.
    Access {
        /// Whose session it says it belongs to.
        user: UserId,
        /// Which session.
        session: SessionId,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// To be a refresh token that stays the same.
    Static(Digest),
    /// To be this API key.
    Key {
        /// Its public part.
        id: KeyId,
        /// Of the whole key.
        digest: Digest,
    },
    /// To be what somebody else vouches for.
    Vouched(Arc<dyn Vouched>),
}

/// The name of an access token in the cache.
pub(super) fn access(text: &str) -> Digest {
    named(b"access token\0", text)
}

/// The name of an API key in the cache.
pub(super) fn key(text: &str) -> Digest {
    named(b"api key\0", text)
}

/// The name of somebody else's token in the cache. The realm has one length, so no two pairs are alike.
pub(super) fn foreign(realm: &[u8; 16], text: &str) -> Digest {
    digest(&[b"foreign token\0", realm, text.as_bytes()])
}

/// The digest of a refresh token in the store.
pub(super) fn refresh(text: &str) -> Digest {
    named(b"refresh token\0", text)
}

/// The digest of a refresh token that stays the same.
pub(super) fn static_refresh(text: &str) -> Digest {
    named(b"static refresh token\0", text)
}

// A session's token is digested bare. The zero byte keeps the kinds apart: no header field can carry one, so
// no cookie and no bearer has the digest of a key, an access token or a refresh token.
fn named(kind: &[u8], text: &str) -> Digest {
    digest(&[kind, text.as_bytes()])
}

fn digest(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Digest::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-SESS-06
    #[test]
    fn sec_sess_06_the_same_text_is_another_credential_of_each_kind() {
        let text = "a".repeat(43);
        let names = [
            Digest::of(&text),
            access(&text),
            key(&text),
            refresh(&text),
            static_refresh(&text),
            foreign(&[0; 16], &text),
            foreign(&[1; 16], &text),
            // The end of a realm is no beginning of a token.
            foreign(&[0; 16], &format!("\0{text}")),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name));
        }
        assert_eq!(key(&text), key(&text));
    }

    /// SEC-SESS-06
    #[test]
    fn sec_sess_06_of_a_million_pairs_no_two_share_a_name() {
        let mut names = std::collections::HashSet::with_capacity(1_000_000);
        for number in 1..=125_000_u128 {
            let (realm, text) = (number.to_be_bytes(), format!("a:{number}\0b:c"));
            names.extend([
                Digest::of(&text),
                access(&text),
                key(&text),
                refresh(&text),
                static_refresh(&text),
                foreign(&realm, &text),
                foreign(&[0; 16], &text),
                foreign(&realm, "a:b"),
            ]);
        }
        assert_eq!(names.len(), 1_000_000);
    }
}
