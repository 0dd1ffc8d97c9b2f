//! `Vestibule-Signature: t=<unix>,n=<nonce>,v1=<hex HMAC-SHA256 of "t.n.body">`.

use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::hmac;

use crate::clock::Timestamp;
use crate::secret::Secret;

/// The header's name.
pub const HEADER: &str = "vestibule-signature";

/// What a signature says besides the body: when, and which message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Seconds since 1970.
    pub(super) time: i64,
    /// Of no other message.
    pub(super) nonce: String,
}

impl Stamp {
    /// For a message that goes out now.
    pub(super) fn new(now: Timestamp) -> Self {
        let mut nonce = String::with_capacity(32);
        for byte in crate::secret::random::<16>() {
            let _ = write!(nonce, "{byte:02x}");
        }
        Self { time: now.seconds(), nonce }
    }

    /// The value of the header for this body.
    pub(super) fn sign(&self, secret: &Secret, body: &[u8]) -> String {
        let mut value = format!("t={},n={},v1=", self.time, self.nonce);
        for byte in self.mac(secret, body).as_ref() {
            let _ = write!(value, "{byte:02x}");
        }
        value
    }

    /// Whether a header signs this body as the answer to the message of this stamp: by one of the secrets, with the
    /// message's own nonce, so that no other answer can stand in for it, and not long ago.
    ///
    /// # Errors
    /// What is wrong with it: lower case, no full stop.
    pub(super) fn verify<'a>(
        &self,
        header: &str,
        mut secrets: impl Iterator<Item = &'a Secret>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let (stamp, mac) = parse(header).ok_or("its signature is not of the form t=…,n=…,v1=…")?;
        if stamp.nonce != self.nonce {
            return Err("its signature is for another request");
        }
        let apart = now.seconds().abs_diff(stamp.time);
        if apart > TOLERANCE.as_secs() {
            return Err("its signature is not of this time");
        }
        let matches = |secret: &Secret| hmac::verify(&key(secret), &stamp.message(body), &mac).is_ok();
        if secrets.any(matches) { Ok(()) } else { Err("its signature is not right") }
    }

    fn mac(&self, secret: &Secret, body: &[u8]) -> hmac::Tag {
        hmac::sign(&key(secret), &self.message(body))
    }

    fn message(&self, body: &[u8]) -> Vec<u8> {
        let mut message = format!("{}.{}.", self.time, self.nonce).into_bytes();
        message.extend_from_slice(body);
        message
    }
}

fn key(secret: &Secret) -> hmac::Key {
    // Into the key schedule of the MAC.
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())
}

fn parse(header: &str) -> Option<(Stamp, Vec<u8>)> {
    let mut parts = header.split(',');
    let time = parts.next()?.strip_prefix("t=")?.parse().ok()?;
    let nonce = parts.next()?.strip_prefix("n=")?;
    let mac = unhex(parts.next()?.strip_prefix("v1=")?)?;
    // No dot: else "t.n.body" could be cut in another place.
    let plain = !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain && parts.next().is_none()).then(|| (Stamp { time, nonce: nonce.to_owned() }, mac))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// How far clocks may be apart.
const TOLERANCE: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new("correct horse")
    }

    fn stamp() -> Stamp {
        Stamp { time: 1_700_000_000, nonce: "00ff".into() }
    }

    #[test]
    fn the_mac_is_over_time_nonce_and_body() {
        // printf '1700000000.00ff.{}' | openssl dgst -sha256 -hmac 'correct horse'
        let mac = "b1515f2bca42e247c47f2722028b67ff60999a2bab622985a1b9bea7070a7a56";
        let value = stamp().sign(&secret(), b"{}");
        assert_eq!(value.strip_prefix("t=1700000000,n=00ff,v1="), Some(mac));
    }

    #[test]
    fn a_signature_counts_for_its_message_alone() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let good = stamp().sign(&secret(), b"{}");
        let others = [Secret::new("battery staple"), secret()];
        assert_eq!(stamp().verify(&good, others.iter(), b"{}", now), Ok(()));
        assert!(stamp().verify(&good, others[..1].iter(), b"{}", now).is_err());
        assert!(stamp().verify(&good, others.iter(), b"{ }", now).is_err());
        assert!(Stamp { nonce: "01".into(), ..stamp() }.verify(&good, others.iter(), b"{}", now).is_err());
        assert!(stamp().verify(&good, others.iter(), b"{}", now + TOLERANCE).is_ok());
        assert!(stamp().verify(&good, others.iter(), b"{}", now + TOLERANCE + Duration::from_secs(1)).is_err());
        assert!(stamp().verify(&good.replace("t=1700000000", "t=1700000001"), others.iter(), b"{}", now).is_err());
        for odd in ["", "t=1700000000", "n=00ff,t=1700000000,v1=00", &good[..good.len() - 2], &format!("{good},v2=0")] {
            assert!(stamp().verify(odd, others.iter(), b"{}", now).is_err(), "{odd}");
        }
    }
}
