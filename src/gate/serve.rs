//! A protected app under `axum::serve`.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::serve::{IncomingStream, Listener};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Guarded, GuardedFuture, Protected};

impl<S> Protected<S> {
    /// What `axum::serve` takes: a service for each connection, which knows its peer.
    pub fn into_make_service(self) -> MakeProtected<S> {
        self.into_make_service_from(|peer| Some(*peer))
    }

    /// The same for listeners whose addresses are of another kind: this makes the [`Peer`](super::Peer) of them. `None`:
    /// nothing is known of it.
    ///
    /// On a Unix socket the other end is this machine; behind a proxy there, name 127.0.0.1 in `[trusted_proxies]`.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # async fn serve(gate: vestibule::Vestibule, app: axum::Router) -> std::io::Result<()> {
    /// let listener = tokio::net::UnixListener::bind("app.sock")?;
    /// let app = gate.protect(app).into_make_service_from(|_| Some(([127, 0, 0, 1], 0).into()));
    /// axum::serve(listener, app).await
    /// # }
    /// ```
    pub fn into_make_service_from<A>(
        self,
        find: impl Fn(&A) -> Option<SocketAddr> + Send + Sync + 'static,
    ) -> MakeProtected<S, A> {
        MakeProtected { app: self, find: Arc::new(find) }
    }
}

/// Makes a peer of the address of a connection.
type Find<A> = dyn Fn(&A) -> Option<SocketAddr> + Send + Sync;

/// Makes a service for each connection of an `axum::serve`.
pub struct MakeProtected<S, A = SocketAddr> {
    app: Protected<S>,
    find: Arc<Find<A>>,
}

impl<S, L> Service<IncomingStream<'_, L>> for MakeProtected<S, L::Addr>
where
    S: Clone,
    L: Listener,
{
    type Response = Connected<S>;
    type Error = Infallible;
    type Future = Ready<Result<Connected<S>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, L>) -> Self::Future {
        let app = self.app.clone();
        let app = match (self.find)(stream.remote_addr()) {
            Some(peer) => app.from_peer(peer),
            None => app,
        };
        ready(Ok(Connected(app.into_guarded())))
    }
}

impl<S: Clone, A> Clone for MakeProtected<S, A> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), find: self.find.clone() }
    }
}

impl<S, A> fmt::Debug for MakeProtected<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeProtected").finish_non_exhaustive()
    }
}

/// The app for one connection, with axum's own body.
#[derive(Clone, Debug)]
pub struct Connected<S>(Guarded<S>);

impl<S> Service<axum::extract::Request> for Connected<S>
where
    S: Service<axum::extract::Request, Response = axum::response::Response> + Clone,
{
    type Response = axum::response::Response;
    type Error = S::Error;
    type Future = ConnectedFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: axum::extract::Request) -> Self::Future {
        ConnectedFuture { future: self.0.call(request) }
    }
}

pin_project! {
    /// What [`Connected`] answers with.
    pub struct ConnectedFuture<S: Service<Request<axum::body::Body>>> {
        #[pin]
        future: GuardedFuture<S, axum::body::Body>,
    }
}

impl<S> Future for ConnectedFuture<S>
where
    S: Service<axum::extract::Request, Response = Response<axum::body::Body>>,
{
    type Output = Result<axum::response::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map_ok(|response| response.map(|body| body.unify(axum::body::Body::new)))
    }
}
