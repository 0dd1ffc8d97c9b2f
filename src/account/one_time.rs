//! Links and codes that work once: confirm an address, reset a password, invite, change an address.

use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::id::UserId;
use crate::secret::{self, Digest, Secret};

/// What a link or code is for; it is good for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Proves the address of a new account.
    Confirm,
    /// Sets a new password.
    Reset,
    /// Makes an account for an address the operator named, or sets its first password.
    Invite,
    /// Proves the new address of an account.
    ChangeEmail,
    /// A sign-in that is on its way at a provider; its token is the `state`, or of a link that came back to an app the
    /// access token it came back with. Nobody is sent a link.
    SignIn,
    /// A provider's word that somebody signed out there; kept so that it does not count twice.
    LogoutToken,
}

impl Purpose {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Confirm, Self::Reset, Self::Invite, Self::ChangeEmail, Self::SignIn, Self::LogoutToken];

    /// What a word in a store means.
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }

    /// The word in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reset => "reset",
            Self::Invite => "invite",
            Self::ChangeEmail => "change_email",
            Self::SignIn => "sign_in",
            Self::LogoutToken => "logout_token",
        }
    }
}

/// A link and its code as the store keeps them: digests only.
#[derive(Clone, Debug, PartialEq)]
pub struct OneTime {
    /// Of the 256-bit token in the link.
    pub token: Digest,
    /// What it is for.
    pub purpose: Purpose,
    /// The canonical address it was sent to; with the code it finds the entry.
    pub email_key: String,
    /// Of purpose, address and short code together.
    pub code: Digest,
    /// The user it belongs to, if there is one yet.
    pub user_id: Option<UserId>,
    /// What is to be done when it is used, as JSON (for instance the hash of a pending password).
    pub payload: Payload,
    /// When the link ends.
    pub expires_at: Timestamp,
    /// When the short code ends; it is guessable sooner than the link.
    pub code_expires_at: Timestamp,
    /// Wrong codes that were tried.
    pub attempts: u32,
}

/// What is to be done when a link is used. It serializes as JSON of any kind; a store keeps that and reads it back.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payload(Value);

#[doc(hidden)]
impl Deref for Payload {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

#[doc(hidden)]
impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

#[doc(hidden)]
impl From<Payload> for Value {
    fn from(payload: Payload) -> Self {
        payload.0
    }
}

/// What a link shall do, before it is made.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What it is for.
    pub purpose: Purpose,
    /// The canonical address it goes to; empty if whoever holds it may name one.
    pub email_key: String,
    /// The user it belongs to, if there is one yet.
    pub user_id: Option<UserId>,
    /// What is to be done when it is used.
    pub payload: Payload,
    /// How long the link is good.
    pub lifetime: Duration,
}

/// What the one who receives a link gets to know; nobody else does.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Names the link in addresses and logs, and is good for nothing.
    pub id: String,
    /// The token in the link.
    pub token: Secret,
    /// The code as it is shown: `XXXX-XXXX`.
    pub code: Secret,
}

impl Grant {
    /// Makes the link: a token of 256 bits, and a code of eight characters that ends sooner.
    pub fn issue(self, now: Timestamp) -> (OneTime, Ticket) {
        let (token, code) = (secret::token(), code());
        // The ticket is the one copy of both; the record has their digests.
        let digest = Digest::of(token.expose());
        let record = OneTime {
            token: digest,
            purpose: self.purpose,
            code: code_digest(self.purpose, &self.email_key, code.expose()),
            email_key: self.email_key,
            user_id: self.user_id,
            payload: self.payload,
            expires_at: now + self.lifetime,
            code_expires_at: now + self.lifetime.min(CODE_LIFETIME),
            attempts: 0,
        };
        (record, Ticket { id: public_id(&digest), token, code })
    }
}

/// What a typed code is looked up by; blanks, dashes and case do not count.
pub fn code_digest(purpose: Purpose, email_key: &str, typed: &str) -> Digest {
    let code = typed.chars().filter(|c| !c.is_whitespace() && !DASHES.contains(c)).flat_map(char::to_uppercase);
    // Addresses hold no NUL, so no two triples run together to the same bytes.
    let bound = format!("{}\0{email_key}\0{}", purpose.as_str(), code.collect::<String>());
    Digest::of(bound)
}

fn public_id(token: &Digest) -> String {
    token.as_bytes()[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn code() -> Secret {
    let mut letters = String::with_capacity(9);
    while letters.len() < 9 {
        for byte in secret::random::<16>() {
            // 240 is the largest multiple of 30 in a byte: the rest would favour some letters.
            if byte < 240 && letters.len() < 9 {
                letters.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            }
            if letters.len() == 4 {
                letters.push('-');
            }
        }
    }
    Secret::new(letters)
}

/// A code is guessable sooner than a link (NIST SP 800-63B, out-of-band codes: at most 10 min).
pub const CODE_LIFETIME: Duration = Duration::from_mins(10);

/// Wrong codes after which all codes of that purpose for that address are void.
pub const MAX_ATTEMPTS: u32 = 5;

/// Without 0 and O, 1, I and L, and without U, which looks like V.
const ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

const DASHES: [char; 5] = ['-', '\u{2010}', '\u{2011}', '\u{2013}', '\u{2212}'];

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            purpose: Purpose::Reset,
            email_key: "ann@example.com".to_owned(),
            user_id: None,
            payload: Payload::default(),
            lifetime: Duration::from_mins(30),
        }
    }

    #[test]
    fn a_record_knows_neither_token_nor_code() {
        let now = Timestamp::from_seconds(1000);
        let (record, ticket) = grant().issue(now);
        let shown = format!("{record:?}");
        assert!(!shown.contains(ticket.token.expose()) && !shown.contains(ticket.code.expose()));
        assert!(record.token.matches(&Digest::of(ticket.token.expose())));
        assert_eq!(record.expires_at, now + Duration::from_mins(30));
        assert_eq!(record.code_expires_at, now + Duration::from_mins(10));
        assert_eq!(ticket.id.len(), 24);
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let (record, ticket) = grant().issue(Timestamp::default());
        let code = ticket.code.expose();
        assert!(code.len() == 9 && code.as_bytes()[4] == b'-', "{code}");
        let digest = |typed: &str| code_digest(Purpose::Reset, "ann@example.com", typed);
        for typed in
            [code.to_owned(), code.to_lowercase(), code.replace('-', ""), format!(" {} ", code.replace('-', " "))]
        {
            assert!(digest(&typed).matches(&record.code), "{typed}");
        }
        assert!(!digest(&code[..8]).matches(&record.code));
    }

    #[test]
    fn a_code_is_bound_to_its_purpose_and_address() {
        let of = |purpose, address| code_digest(purpose, address, "ABCD-2345");
        assert_ne!(of(Purpose::Reset, "ann@example.com"), of(Purpose::Confirm, "ann@example.com"));
        assert_ne!(of(Purpose::Reset, "ann@example.com"), of(Purpose::Reset, "bob@example.com"));
    }

    #[test]
    fn codes_use_all_letters_alike() {
        let text: String = (0..3000).map(|_| code().expose().replace('-', "")).collect();
        for letter in ALPHABET {
            let seen = text.bytes().filter(|byte| byte == letter).count();
            assert!((600..1000).contains(&seen), "{}: {seen}", char::from(*letter));
        }
    }
}
