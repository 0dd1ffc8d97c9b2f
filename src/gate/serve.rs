//! A protected app under `axum::serve`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::serve::{IncomingStream, Listener};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Guarded, GuardedFuture, Protected};

impl<S> Protected<S> {
    /// What `axum::serve` takes: a service for each connection, which knows its peer.
    pub fn into_make_service(self) -> MakeProtected<S> {
        MakeProtected(self)
    }
}

/// Makes a service for each connection of an `axum::serve`.
#[derive(Clone, Debug)]
pub struct MakeProtected<S>(Protected<S>);

impl<S, L> Service<IncomingStream<'_, L>> for MakeProtected<S>
where
    S: Clone,
    L: Listener<Addr = SocketAddr>,
{
    type Response = Connected<S>;
    type Error = Infallible;
    type Future = Ready<Result<Connected<S>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, L>) -> Self::Future {
        ready(Ok(Connected(self.0.clone().from_peer(*stream.remote_addr()).into_guarded())))
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
