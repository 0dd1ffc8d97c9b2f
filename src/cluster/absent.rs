//! Stands for the other instances in a program that was built without a way to them: there is no address of a Redis.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

#[allow(dead_code, reason = "nothing happens that would be counted")]
mod numbers;

pub use numbers::Numbers;

use crate::limit::{Budget, Counting, CountingTry, Row, Shared};
use crate::secret::{Digest, Secret};
use crate::session::{Finding, Neighbours, Putting, Sessions, Subject, TakingTurn};

/// The other instances. There are none.
#[derive(Clone, Debug)]
pub struct Cluster(Infallible);

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
    /// A PEM file of the authorities that count.
    pub ca: Option<PathBuf>,
    /// How keys and channels begin.
    pub name: String,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Where Redis is: nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Address(Infallible);

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this program was built without the feature `redis`")]
pub struct AddressError;

impl Address {
    /// Reads none.
    ///
    /// # Errors
    /// Always.
    pub fn parse(_: &str) -> Result<Self, AddressError> {
        Err(AddressError)
    }

    /// Whether it holds a password.
    pub fn has_password(&self) -> bool {
        match self.0 {}
    }

    /// Whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        match self.0 {}
    }

    /// Whether sentinels say which server counts.
    pub fn has_sentinels(&self) -> bool {
        match self.0 {}
    }
}

impl Cluster {
    /// There is nobody to join.
    pub async fn join(settings: &Settings) -> Self {
        match settings.address.0 {}
    }

    /// Connects nobody.
    pub fn connect(&self, _: &Sessions) {
        match self.0 {}
    }

    /// Whether Redis is there.
    pub fn is_up(&self) -> bool {
        match self.0 {}
    }

    /// Where Redis is.
    pub fn place(&self) -> String {
        match self.0 {}
    }

    /// What has happened so far.
    pub fn numbers(&self) -> &Numbers {
        match self.0 {}
    }
}

impl Neighbours for Cluster {
    fn tell(&self, _: Subject) {
        match self.0 {}
    }

    fn turn(&self, _: String) -> TakingTurn<'_> {
        match self.0 {}
    }

    fn look_up(&self, _: String) -> Finding<'_> {
        match self.0 {}
    }

    fn put(&self, _: String, _: Vec<u8>, _: Duration) -> Putting<'_> {
        match self.0 {}
    }
}

impl Shared for Cluster {
    fn count<'a>(&'a self, _: &'static str, _: &'a [Budget]) -> Counting<'a> {
        match self.0 {}
    }

    fn count_try<'a>(&'a self, _: &'static str, _: &'a [Budget], _: &'a [Row]) -> CountingTry<'a> {
        match self.0 {}
    }

    fn forget(&self, _: &'static str, _: Digest) {
        match self.0 {}
    }
}
