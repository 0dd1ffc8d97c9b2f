use std::net::SocketAddr;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;

use super::{Body, Guarded, GuardedFuture};
use crate::body;

/// A whole app behind a gate: what [`Vestibule::protect`](super::Vestibule::protect) makes. It gives the app back to
/// nobody, so no route can be added outside.
///
/// ```compile_fail
/// # fn opened(gate: vestibule::Vestibule) {
/// use axum::{Router, routing::get};
///
/// gate.protect(Router::new()).route("/open", get(|| async {}));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Protected<S>(Guarded<S>);

impl<S> Protected<S> {
    pub(super) fn new(guarded: Guarded<S>) -> Self {
        Self(guarded)
    }

    /// All requests come over a connection with this peer: for servers that make a service for each connection.
    #[must_use]
    pub fn from_peer(self, peer: SocketAddr) -> Self {
        Self(self.0.from_peer(peer))
    }

    #[cfg(feature = "axum")]
    pub(super) fn into_guarded(self) -> Guarded<S> {
        self.0
    }
}

impl<S, B, R> Service<Request<B>> for Protected<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: HttpBody<Data: Send, Error: Into<body::Error>> + Send + 'static,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = GuardedFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.0.call(request)
    }
}
