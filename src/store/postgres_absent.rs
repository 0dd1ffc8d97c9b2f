//! Stands for PostgreSQL in a program that was built without it: there is no address of such a server.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// A PostgreSQL server and how it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresSettings {
    /// Where it is.
    pub url: PostgresUrl,
    /// In place of a password in the URL.
    pub password: Option<Secret>,
    /// The most connections of this process.
    pub pool: usize,
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
}

impl PostgresSettings {
    /// Of no server.
    pub fn new(url: PostgresUrl) -> Self {
        url.never()
    }
}

/// The address of a server. There is none.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresUrl(Infallible);

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`url` names a PostgreSQL server, and this program was built without the feature `postgres`")]
pub struct UrlError;

impl PostgresUrl {
    /// Reads none.
    ///
    /// # Errors
    /// Always.
    pub fn parse(_: &str) -> Result<Self, UrlError> {
        Err(UrlError)
    }

    /// Whether the address holds a password.
    pub fn has_password(&self) -> bool {
        self.never()
    }

    /// What never comes to be is anything.
    pub(super) fn never<T>(&self) -> T {
        match self.0 {}
    }

    /// With its files where they are.
    #[must_use]
    pub fn resolved(self, _: impl Fn(PathBuf) -> PathBuf) -> Self {
        self
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.never()
    }
}
