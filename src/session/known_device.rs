use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::secret::{self, Secret};
use crate::session::Sessions;

/// What one signing key marks browsers with on which somebody signed in: `<16 random bytes><MAC>` as base64url.
///
/// The MAC is over the account, so the token of one is none of another, and says nothing about either.
pub(super) struct Marks(hmac::Key);

const HALF: usize = 16;

impl Marks {
    pub(super) fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// A token for a browser on which this account has just signed in.
    pub(super) fn make(&self, account: &str) -> Secret {
        let own: [u8; HALF] = secret::random();
        Secret::new(URL_SAFE_NO_PAD.encode([own, self.mark(&own, account)].concat()))
    }

    fn knows(&self, token: &[u8; 2 * HALF], account: &str) -> bool {
        let (own, mark) = token.split_at(HALF);
        self.mark(own, account).ct_eq(mark).into()
    }

    // The first part has one length: no other pair gives the same text.
    fn mark(&self, own: &[u8], account: &str) -> [u8; HALF] {
        let tag = hmac::sign(&self.0, &[own, account.as_bytes()].concat());
        let mut mark = [0; HALF];
        mark.copy_from_slice(&tag.as_ref()[..HALF]);
        mark
    }
}

impl Sessions {
    /// A token by which a browser shows later that this account (by its canonical name) was signed in on it. It proves
    /// nobody's identity: its bearer has tries of its own, whoever else tries passwords of that account. It is good
    /// for as long as the key is kept, which is longer than any session. `None`, when there is no key.
    pub fn device_token(&self, account: &str) -> Option<Secret> {
        self.0.ring.mark_device(account, self.0.clock.now())
    }

    /// The device's name for limits, if this is a token that was made here for this account.
    pub fn known_device(&self, token: &str, account: &str) -> Option<String> {
        let mut bytes = [0; 2 * HALF];
        // Decoded from 43 characters exactly: each token has one text, and one count.
        let decoded = if token.len() == 43 { URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()? } else { 0 };
        let known = decoded == bytes.len() && self.0.ring.marks(|marks| marks.knows(&bytes, account));
        // A blank is in no account's name.
        known.then(|| format!("device {}", URL_SAFE_NO_PAD.encode(&bytes[..HALF])))
    }
}

#[cfg(test)]
mod tests {
    use crate::session::watched::House;

    #[tokio::test]
    async fn sec_rate_05_a_token_is_of_one_account_and_no_byte_can_change() {
        let house = House::new().await;
        let token = house.sessions.device_token("ann@example.com").unwrap();
        let text = token.expose();
        let name = house.sessions.known_device(text, "ann@example.com").unwrap();
        assert!(name.starts_with("device ") && !text.contains("ann"));
        assert_eq!(house.sessions.known_device(text, "bob@example.com"), None);
        assert_eq!(house.neighbour().await.known_device(text, "ann@example.com"), Some(name.clone()));
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(house.sessions.known_device(&changed, "ann@example.com"), None, "{at}");
        }
        for odd in ["", "A", &text[1..], &format!("{text}A"), &format!("{text}=")] {
            assert_eq!(house.sessions.known_device(odd, "ann@example.com"), None, "{odd}");
        }
        let second = house.sessions.device_token("ann@example.com").unwrap();
        assert_ne!(house.sessions.known_device(second.expose(), "ann@example.com"), Some(name));
    }
}
