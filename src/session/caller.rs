use std::sync::OnceLock;

use http::HeaderMap;

use crate::account::{Kind, User};
use crate::clock::Timestamp;
use crate::head::Fields;
use crate::id::{DeviceId, KeyId, SessionId};
use crate::session::assertion::Assertions;

/// Whom a request speaks for, once its credential was found good.
#[derive(Debug)]
pub struct Caller {
    // What each of its requests reads comes first, together.
    /// The identity headers, built at the first request for all of them.
    pub headers: OnceLock<Fields>,
    /// The assertions signed about it of late.
    pub(super) assertions: Assertions,
    /// The user as the store had it when the credential was checked.
    pub user: User,
    /// Name of the provider of this sign-in.
    pub provider: String,
    /// Which session; none for API keys.
    pub session: Option<SessionId>,
    /// When its owner last proved who he is: what may be done with it (change of address, linking) depends on it.
    pub signed_in_at: Timestamp,
    /// What another proxy is told of the caller, but for the assertion, built at its first question.
    pub said: OnceLock<Box<HeaderMap>>,
    /// The device its session was opened on, if an app's SDK named one.
    pub device: Option<DeviceId>,
    /// Which API key, if it is one.
    pub(super) key: Option<KeyId>,
    /// When it ends, if nothing in the store says so.
    pub(super) expires_at: Option<Timestamp>,
}

impl Caller {
    /// A caller whose headers are not built yet.
    pub fn new(user: User, provider: String, session: Option<SessionId>, signed_in_at: Timestamp) -> Self {
        Self {
            headers: OnceLock::new(),
            assertions: Assertions::default(),
            user,
            provider,
            session,
            signed_in_at,
            said: OnceLock::new(),
            device: None,
            key: None,
            expires_at: None,
        }
    }

    /// Whether both speak for the same user, unchanged, in the same sign-in.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.session == other.session
            && self.key == other.key
            && self.expires_at == other.expires_at
            && self.provider == other.provider
            && self.signed_in_at == other.signed_in_at
            && self.user == other.user
    }

    /// Which API key speaks, if one does.
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// What it counts as in rules.
    pub fn kind(&self) -> Kind {
        self.user.kind
    }
}
