use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::Address;
use crate::secret::Secret;

/// `[cluster]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where Redis is.
    pub address: Address,
    /// In place of a password in the address.
    pub password: Option<Secret>,
    /// The account at sentinels, which have accounts of their own; absent: the default one.
    pub sentinel_user: Option<String>,
    /// The password at sentinels; absent: they ask for none.
    pub sentinel_password: Option<Secret>,
    /// A PEM file of the authorities that count for `rediss://`; absent: those of the machine.
    pub ca: Option<PathBuf>,
    /// How keys and channels begin: installations that share a Redis have different ones. Default: `vestibule`.
    pub name: String,
    /// How long a connection may take. Default: 2 s.
    pub connect_timeout: Duration,
    /// How long an answer may take; a sign-in waits no longer for it. Default: 500 ms.
    pub timeout: Duration,
}

impl Settings {
    /// Everything but the address at its default.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            password: None,
            sentinel_user: None,
            sentinel_password: None,
            ca: None,
            name: "vestibule".to_owned(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_millis(500),
        }
    }

    /// The password, wherever it stands.
    pub(super) fn password(&self) -> Option<&Secret> {
        self.password.as_ref().or(self.address.password.as_ref())
    }
}
