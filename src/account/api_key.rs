//! API keys: `vk_` + public id + secret + checksum.

use crate::clock::Timestamp;
use crate::id::{KeyId, UserId};
use crate::secret::Digest;

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
