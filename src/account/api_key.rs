//! API keys: `vk_` + public id + secret + checksum.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::id::{KeyId, UserId};
use crate::secret::{self, Digest, Secret};

/// A key as the store keeps it: the secret part only as a digest.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// The public part of the key.
    pub id: KeyId,
    /// Whom it speaks for: a person (user key) or a service user of its own (server key).
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: String,
    /// Of the whole key as it is sent.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; never, if absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// A disabled key does not count.
    pub disabled: bool,
}

/// A fresh key with this id, as its owner gets to see it once: `vk_`, the id, `_`, 256 random bits as 43
/// characters of base64url, and a checksum of 6 over all before. Its [`Digest::of`] is what a store keeps.
pub fn mint(id: KeyId) -> Secret {
    // Exposed to be made part of the key.
    let body = format!("{PREFIX}{id}_{}", secret::token().expose());
    let checksum = checksum(&body);
    Secret::new(body + &checksum)
}

/// The id and the digest of a key, if this text has the form of one and its checksum is right: what was
/// mistyped, cut off or made up is refused without a look into the store.
pub fn parse(text: &str) -> Option<(KeyId, Digest)> {
    let body = text.get(..text.len().checked_sub(CHECKSUM)?)?;
    let (id, secret) = body.strip_prefix(PREFIX)?.split_at_checked(ID)?;
    let secret = secret.strip_prefix('_')?;
    if secret.len() != SECRET || checksum(body) != text[body.len()..] {
        return None;
    }
    Some((id.parse().ok()?, Digest::of(text)))
}

/// Whether a key stands somewhere in this text: in an address it would end up in histories and logs.
pub fn is_in(text: &str) -> bool {
    const WHOLE: usize = PREFIX.len() + ID + 1 + SECRET + CHECKSUM;
    // Few addresses are as long.
    text.len() >= WHOLE
        && text.match_indices(PREFIX).any(|(start, _)| text.get(start..start + WHOLE).and_then(parse).is_some())
}

/// How every key begins.
pub const PREFIX: &str = "vk_";
const ID: usize = 24;
const SECRET: usize = 43;
const CHECKSUM: usize = 6;

/// 36 bits of SHA-256: it finds slips; forging it gains a look-up that fails.
fn checksum(body: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(Digest::of(body).as_bytes());
    text.truncate(CHECKSUM);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (KeyId, Secret) {
        let id = KeyId::generate(Timestamp::from_seconds(1_700_000_000));
        (id, mint(id))
    }

    #[test]
    fn a_minted_key_names_its_id_and_its_digest() {
        let (id, key) = key();
        assert_eq!(parse(key.expose()), Some((id, Digest::of(key.expose()))));
        assert_eq!(key.expose().len(), 77);
        assert!(key.expose().starts_with(&format!("vk_{id}_")));
    }

    /// SEC-KEY-01
    #[test]
    fn sec_key_01_what_is_not_the_whole_key_is_no_key() {
        let (_, key) = key();
        let key = key.expose();
        for cut in 1..=8 {
            assert_eq!(parse(&key[..key.len() - cut]), None);
            assert_eq!(parse(&key[cut..]), None);
        }
        for odd in [format!("{key}x"), format!(" {key}"), format!("{key} "), format!("{key}\n"), key.to_uppercase()] {
            assert_eq!(parse(&odd), None, "{odd:?}");
        }
        for odd in ["", "vk_", "vk_6553f100", "\u{e9}\u{e9}\u{e9}\u{e9}", &"é".repeat(40)] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }

    /// SEC-KEY-01
    #[test]
    fn sec_key_01_a_slip_anywhere_is_noticed() {
        let (_, key) = key();
        let key = key.expose();
        for index in 0..key.len() {
            let mut slip = key.as_bytes().to_vec();
            slip[index] = if slip[index] == b'0' { b'1' } else { b'0' };
            assert_eq!(parse(std::str::from_utf8(&slip).unwrap()), None, "at {index}");
        }
    }
}
