use std::collections::BTreeMap;
use std::time::Duration;

use super::{Named, Parts, Setup};
use crate::account::linking::Policy;

/// `[providers]`: what is absent is off.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Settings {
    /// `[providers.anon-user]`.
    pub anon_user: Option<AnonUser>,
    /// `[providers.local-userpass]`.
    pub local_userpass: Option<LocalUserpass>,
    /// `[providers.api-key]`.
    pub api_key: Option<ApiKeys>,
    /// All others, by name.
    pub others: BTreeMap<String, Other>,
    /// `[linking] policy`. Default ask.
    pub linking: Policy,
}

/// A provider whose accounts are somebody else's, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Other {}

impl Other {
    /// The provider of these settings.
    pub(super) fn build(&self, _name: &str, _parts: &Parts) -> Result<Named, Setup> {
        match *self {}
    }
}

/// `[providers.anon-user]`: guests.
#[derive(Clone, Debug, PartialEq)]
pub struct AnonUser {
    /// A guest that is not seen for so long is removed. Default 90 days.
    pub lifetime: Duration,
}

impl Default for AnonUser {
    fn default() -> Self {
        Self { lifetime: Duration::from_hours(90 * 24) }
    }
}

/// `[providers.local-userpass]`: e-mail and password.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalUserpass {
    /// Who may make an account. Default closed.
    pub sign_up: SignUp,
    /// How a new address is proved. Default mail.
    pub confirm: Confirm,
    /// The shortest password in characters. Default 8.
    pub min_length: usize,
    /// How long links in mails are good. Default 30 min.
    pub link_lifetime: Duration,
    /// How long an invitation is good. Default 7 days.
    pub invite_lifetime: Duration,
    /// A page of the app's own that confirmation links lead to; they carry `token` and `tokenId`.
    pub confirm_url: Option<String>,
    /// A page of the app's own that reset links lead to; they carry `token` and `tokenId`.
    pub reset_url: Option<String>,
    /// Hashes computed at the same time; 0 means one per core but one, at least one.
    pub hash_threads: usize,
}

impl Default for LocalUserpass {
    fn default() -> Self {
        Self {
            sign_up: SignUp::Closed,
            confirm: Confirm::Mail,
            min_length: 8,
            link_lifetime: Duration::from_mins(30),
            invite_lifetime: Duration::from_hours(7 * 24),
            confirm_url: None,
            reset_url: None,
            hash_threads: 0,
        }
    }
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Everybody.
    Open,
    /// Whom the operator sent a link.
    Invite,
    /// Nobody; the operator makes accounts.
    Closed,
}

/// How a new address is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// A mail with a link and a code.
    Mail,
    /// Not at all: the account counts at once, its address does not count as verified.
    Automatic,
}

/// `[providers.api-key]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeys {
    /// How many keys a user may make on the account page; 0 lets nobody. Default 20.
    pub user_keys: usize,
    /// The longest life a user may give a key; no limit if absent.
    pub max_lifetime: Option<Duration>,
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self { user_keys: 20, max_lifetime: None }
    }
}
