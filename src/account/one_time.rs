//! Links and codes that work once: confirm an address, reset a password, invite, change an address.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::UserId;
use crate::secret::Digest;

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
}

impl Purpose {
    /// The word in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reset => "reset",
            Self::Invite => "invite",
            Self::ChangeEmail => "change_email",
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
    pub payload: serde_json::Value,
    /// When the link ends.
    pub expires_at: Timestamp,
    /// When the short code ends; it is guessable sooner than the link.
    pub code_expires_at: Timestamp,
    /// Wrong codes that were tried.
    pub attempts: u32,
}
