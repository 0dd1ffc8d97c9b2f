use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{DeviceId, SessionId, UserId};
use crate::secret::{Digest, Secret};

/// One sign-in on one device, as the store keeps it.
///
/// A browser's session is found by the digest of its cookie (`token`); an app's session by the digest of
/// its refresh token (`token`), of which the one before is remembered for reuse detection.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Names it in lists, logs and access tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Name of the provider of this sign-in.
    pub provider: String,
    /// Of the cookie, or of the current refresh token.
    pub token: Digest,
    /// Of the refresh token before, and when it was replaced.
    pub previous: Option<(Digest, Timestamp)>,
    /// What it was opened from.
    pub device: Device,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends unless it is used before.
    pub idle_expires_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

impl Session {
    /// Whether it still counts at this moment.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.idle_expires_at && now < self.expires_at
    }
}

/// What a provider gave with the sign-in of a session: how it names the two, and its tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSession {
    /// The session.
    pub session: SessionId,
    /// The provider's name here.
    pub provider: String,
    /// The provider's own name.
    pub issuer: String,
    /// Its name for the account.
    pub subject: String,
    /// Its name for its own session (OpenID Connect Back-Channel Logout 1.0, `sid`).
    pub sid: Option<String>,
    /// Its statement about the sign-in, for signing out there (RP-Initiated Logout 1.0, `id_token_hint`).
    pub id_token: Option<Secret>,
    /// For calls to its interfaces; kept only where a route forwards it.
    pub access_token: Option<Secret>,
    /// For the next access token.
    pub refresh_token: Option<Secret>,
    /// When the access token ends, as far as it said.
    pub expires_at: Option<Timestamp>,
}

/// What a session was opened from, for its owner to recognise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// The `User-Agent`, at most 256 characters.
    pub user_agent: String,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// What an app's SDK told of it.
    pub app: Option<AppDevice>,
}

/// What an SDK tells of the device an app runs on; empty where it tells nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppDevice {
    /// Names the device; the SDK keeps it and sends it again.
    pub id: Option<DeviceId>,
    /// Operating system or browser, at most 64 characters, as all below.
    pub platform: String,
    /// Its version.
    pub platform_version: String,
    /// The version of the SDK.
    pub sdk_version: String,
    /// What the app calls itself.
    pub app_name: String,
    /// The app's version.
    pub app_version: String,
}
