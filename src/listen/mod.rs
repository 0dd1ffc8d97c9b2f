//! Where requests come in: sockets, TLS, limits of a connection.
//!
//! `bind` takes the addresses, `serve` answers on them until a [`Shutdown`] ends it. Each worker is one thread with
//! a runtime, sockets and connections of its own: what a request needs stays on one core.

#[cfg(feature = "server")]
mod answer;
#[cfg(feature = "server")]
mod bind;
#[cfg(feature = "server")]
mod chunk;
#[cfg(feature = "server")]
mod connection;
#[cfg(feature = "server")]
mod framed;
#[cfg(feature = "server")]
mod framing;
#[cfg(feature = "server")]
mod gauge;
#[cfg(feature = "server")]
mod holder;
#[cfg(feature = "server")]
mod linger;
#[cfg(feature = "server")]
mod listener;
#[cfg(feature = "server")]
mod place;
#[cfg(feature = "server")]
mod plain;
#[cfg(feature = "server")]
mod plain_answer;
#[cfg(feature = "server")]
mod plain_request;
#[cfg(test)]
#[cfg(feature = "server")]
mod plain_tests;
#[cfg(feature = "server")]
mod request_head;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod service;
mod settings;
#[cfg(feature = "server")]
mod shutdown;
#[cfg(feature = "server")]
mod signal;
#[cfg(feature = "server")]
mod socket;
#[cfg(feature = "server")]
mod streams;
#[cfg(feature = "server")]
mod sweep;
#[cfg(feature = "server")]
mod tcp_socket;
#[cfg(feature = "server")]
mod tls;
#[cfg(feature = "server")]
mod unix_socket;
#[cfg(feature = "server")]
mod worker;

use std::net::SocketAddr;

use http::{Request, Response};

use crate::body::Body;
use crate::visit::Scheme;

#[cfg(feature = "server")]
pub use bind::{Bound, Error, Front, bind};
#[cfg(feature = "server")]
pub use place::Place;
#[cfg(feature = "server")]
pub use serve::serve;
pub use settings::{Settings, Tls, unix_path};
#[cfg(feature = "server")]
pub use shutdown::{Outcome, Phase, Shutdown};
#[cfg(feature = "server")]
pub use signal::watch_signals;
#[cfg(feature = "server")]
pub use tls::examine;

/// Answers requests; each worker has its own, and each of its connections a clone.
pub trait Handler: Clone + 'static {
    /// Runs on the thread of its worker, so it need not be `Send`. Dropped when the client goes away.
    type Future: Future<Output = Response<Body>> + 'static;

    /// Answers one request. Its framing was checked: see `framing` for what never arrives here.
    fn call(&self, request: Request<Body>, connection: Connection) -> Self::Future;
}

/// A function is the cheapest handler: its future needs no box, and lives where the connection keeps the one before it.
impl<F, R> Handler for F
where
    F: Fn(Request<Body>, Connection) -> R + Clone + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    type Future = R;

    fn call(&self, request: Request<Body>, connection: Connection) -> R {
        self(request, connection)
    }
}

/// What is known of the connection of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The other end. Whoever comes over a Unix socket counts as one on the loopback address: only this machine reaches
    /// either.
    pub peer: SocketAddr,
    /// Whether TLS was spoken on it.
    pub scheme: Scheme,
}
