//! Stands for the connections to upstreams in a program that was built without a server: the app is in the program.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, Response};

use super::{Address, Error, TlsError, TlsSettings};
use crate::body::Body;
use crate::limit::Timeouts;

/// Every upstream of the configuration, by number. None is asked.
#[derive(Debug)]
pub struct Upstreams(Vec<Address>);

/// Connections to the upstreams. There are none.
#[derive(Clone, Debug)]
pub struct Pool;

impl Upstreams {
    /// These upstreams.
    pub fn new(addresses: Vec<Address>, _: Timeouts) -> Arc<Self> {
        Arc::new(Self(addresses))
    }

    /// These upstreams.
    ///
    /// # Errors
    /// None.
    pub fn open(addresses: Vec<Address>, timeouts: Timeouts, _: &TlsSettings) -> Result<Arc<Self>, TlsError> {
        Ok(Self::new(addresses, timeouts))
    }

    /// There is nothing to look at.
    pub fn look(self: &Arc<Self>) {}

    /// No connections.
    pub fn pool(self: &Arc<Self>) -> Pool {
        Pool
    }

    /// Each upstream, of which nothing is known.
    pub fn states(&self) -> impl Iterator<Item = (&Address, bool)> {
        self.0.iter().map(|address| (address, false))
    }

    /// None has failed.
    pub fn is_down(&self, _: usize) -> bool {
        false
    }
}

impl Pool {
    /// No upstream has a name here.
    pub fn name(&self, _: usize) -> String {
        String::new()
    }

    /// None is sent this way.
    pub fn takes_whole(&self, _: usize, _: &Request<Body>) -> bool {
        false
    }

    /// Sends nothing.
    ///
    /// # Errors
    /// Always.
    pub async fn ask(&self, upstream: usize, _: &Method, _: &[u8], _: Instant) -> Result<Response<Body>, Error> {
        Err(Error::Unknown(upstream))
    }

    /// Sends nothing.
    ///
    /// # Errors
    /// Always.
    pub async fn send(&self, upstream: usize, _: Request<Body>) -> Result<Response<Body>, Error> {
        Err(Error::Unknown(upstream))
    }

    /// Sends nothing.
    ///
    /// # Errors
    /// Always.
    pub async fn upgrade(
        &self,
        upstream: usize,
        _: Request<Body>,
        _: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Response<Body>, Error> {
        Err(Error::Unknown(upstream))
    }
}
