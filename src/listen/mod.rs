//! Where requests come in: sockets, TLS, limits of a connection.
//!
//! [`bind`] takes the addresses, [`serve`] answers on them until a [`Shutdown`] ends it. Each worker is one thread with
//! a runtime, sockets and connections of its own: what a request needs stays on one core.

mod answer;
mod bind;
mod chunk;
mod connection;
mod framed;
mod framing;
mod gauge;
mod holder;
mod request_head;
mod serve;
mod service;
mod settings;
mod shutdown;
mod signal;
mod socket;
mod streams;
mod sweep;
mod tls;
mod worker;

use std::net::SocketAddr;

use http::{Request, Response};

use crate::body::Body;
use crate::visit::Scheme;

pub use bind::{Bound, Error, bind};
pub use serve::serve;
pub use settings::{Settings, Tls};
pub use shutdown::{Outcome, Phase, Shutdown};
pub use signal::watch_signals;

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
    /// The other end.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// Whether TLS was spoken on it.
    pub scheme: Scheme,
}
