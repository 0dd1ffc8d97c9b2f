//! Stands for the client in a program that was built without it: nobody is asked anything.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};

use super::reach::Target;
use super::{Answer, Error, Settings, Setup};

/// Sends no requests.
#[derive(Clone, Debug)]
pub struct Fetch {
    settings: Settings,
}

impl Fetch {
    /// Whether requests can be sent at all.
    pub const IS_THERE: bool = false;

    /// With these settings.
    ///
    /// # Errors
    /// None.
    pub fn new(settings: &Settings) -> Result<Self, Setup> {
        Ok(Self { settings: settings.clone() })
    }

    /// The same.
    #[must_use]
    pub fn at_most(&self, _: usize) -> Self {
        self.clone()
    }

    /// The same.
    #[must_use]
    pub fn within(&self, _: Duration) -> Self {
        self.clone()
    }

    /// The same.
    ///
    /// # Errors
    /// [`Error::Address`] when `document` is no address that is asked.
    pub fn named_by(&self, document: &Uri) -> Result<Self, Error> {
        Target::of(document).map(|_| self.clone())
    }

    /// Says of every address at the start that it is not asked.
    ///
    /// # Errors
    /// Always.
    pub fn check(&self, uri: &Uri) -> Result<(), Error> {
        let target = Target::of(uri)?;
        target.check(&self.settings)?;
        Err(Error::Absent(target.name))
    }

    /// Sends nothing.
    ///
    /// # Errors
    /// Always.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, Error> {
        Err(Error::Absent(Target::of(request.uri())?.name))
    }
}
