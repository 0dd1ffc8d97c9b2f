use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Body;
use super::engine::{Decision, Later, Outcome};
use super::inner::{Held, Inner, Next};
use super::peer::Source;
use crate::body;
use crate::visit::{RequestId, Visit};

/// A gate as a tower layer.
///
/// Reads what every request carries; answers `/.auth/…` itself; refuses what the rules refuse, as a response, so that
/// the error type stays the service's own; adds the identity headers and the [`Identity`](super::Identity). Sits outside
/// whatever must not be reached without leave.
///
/// A body is handed on as it came. So a limit of its length holds by its declared length: a body without one is refused
/// with 411 where `limits.body`, or `body` of the route, sets a limit.
#[derive(Clone, Debug)]
pub struct Layer {
    inner: Arc<Inner>,
    source: Source,
}

impl Layer {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, source: Source::Usual }
    }

    /// Finds the peer of a request among its extensions, where the server puts it in a form of its own: see
    /// [`Peer`](super::Peer).
    ///
    /// ```
    /// # fn layered(gate: vestibule::Vestibule) {
    /// use tonic::transport::server::TcpConnectInfo;
    ///
    /// let layer = gate.layer().peer_from(|extensions| extensions.get::<TcpConnectInfo>()?.remote_addr());
    /// # }
    /// ```
    #[must_use]
    pub fn peer_from(self, find: impl Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        Self { source: Source::Own(Arc::new(find)), ..self }
    }
}

impl<S> tower_layer::Layer<S> for Layer {
    type Service = Guarded<S>;

    fn layer(&self, app: S) -> Guarded<S> {
        Guarded { inner: self.inner.clone(), source: self.source.clone(), app }
    }
}

/// A service behind a gate: what [`Layer`] makes.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: Arc<Inner>,
    source: Source,
    app: S,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: Arc<Inner>, app: S) -> Self {
        Self { inner, source: Source::Usual, app }
    }

    /// All requests come over a connection with this peer.
    #[must_use]
    pub fn from_peer(self, peer: SocketAddr) -> Self {
        Self { source: Source::Connection(peer), ..self }
    }
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: HttpBody<Data: Send, Error: Into<body::Error>> + Send + 'static,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = GuardedFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.app.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = self.source.peer(request.extensions());
        let (visit, held) = self.inner.enter(request, peer);
        let state = match self.inner.decide(visit) {
            Decision::Now(outcome) => after(&self.inner, outcome, held, &mut self.app),
            Decision::Later(decision) => {
                // The service that was made ready is the one to call; the clone takes its place.
                let clone = self.app.clone();
                let app = std::mem::replace(&mut self.app, clone);
                State::Deciding { waiting: Some(Box::new(Waiting { decision, held, app })) }
            }
        };
        GuardedFuture { state, inner: self.inner.clone() }
    }
}

/// A decision that takes time, and what goes on from there.
struct Waiting<S, B> {
    decision: Later,
    held: Held<B>,
    app: S,
}

pin_project! {
    /// What [`Guarded`] answers with.
    pub struct GuardedFuture<S: Service<Request<B>>, B> {
        #[pin]
        state: State<S, B, S::Future>,
        inner: Arc<Inner>,
    }
}

pin_project! {
    #[project = Project]
    enum State<S, B, F> {
        App { #[pin] future: F, visit: Option<Box<Visit>> },
        // Boxed: nearly no request has to wait, and each would carry the room.
        Deciding { waiting: Option<Box<Waiting<S, B>>> },
        Page { page: Later, id: RequestId },
        Over { response: Option<Response<body::Body>> },
    }
}

/// What comes after the decision.
fn after<S, B, R>(inner: &Arc<Inner>, outcome: Outcome, held: Held<B>, app: &mut S) -> State<S, B, S::Future>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: HttpBody<Data: Send, Error: Into<body::Error>> + Send + 'static,
{
    match inner.next(outcome, held) {
        Next::App(request, visit) => State::App { future: app.call(request), visit: Some(visit) },
        Next::Page(page, id) => State::Page { page, id },
        Next::Over(response) => State::Over { response: Some(response) },
    }
}

impl<S, B, R> Future for GuardedFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: HttpBody<Data: Send, Error: Into<body::Error>> + Send + 'static,
{
    type Output = Result<Response<Body<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, inner) = (this.state, this.inner);
        loop {
            let next = match state.as_mut().project() {
                Project::App { future, visit } => {
                    let Poll::Ready(outcome) = future.poll(cx) else { return Poll::Pending };
                    let Some(visit) = visit.take() else { return Poll::Pending };
                    return Poll::Ready(outcome.map(|response| inner.complete(visit, response).map(Body::app)));
                }
                Project::Deciding { waiting } => {
                    let Some(waits) = waiting else { return Poll::Pending };
                    let Poll::Ready(outcome) = polled(inner, waits.held.id(), &mut waits.decision, cx) else {
                        return Poll::Pending;
                    };
                    let Some(waits) = waiting.take() else { return Poll::Pending };
                    let Waiting { held, mut app, .. } = *waits;
                    after(inner, outcome, held, &mut app)
                }
                Project::Page { page, id } => {
                    let Poll::Ready(outcome) = polled(inner, *id, page, cx) else { return Poll::Pending };
                    let response = match outcome {
                        Ok(answer) => inner.respond().answer(answer),
                        Err(refusal) => inner.respond().refuse(refusal),
                    };
                    return Poll::Ready(Ok(response.map(Body::own)));
                }
                Project::Over { response } => {
                    let Some(response) = response.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(response.map(Body::own)));
                }
            };
            state.set(next);
        }
    }
}

/// Polls what is ours. A panic in it becomes an answer, as everything else does.
fn polled(inner: &Inner, id: RequestId, later: &mut Later, cx: &mut Context<'_>) -> Poll<Outcome> {
    catch_unwind(AssertUnwindSafe(|| later.as_mut().poll(cx)))
        .unwrap_or_else(|_| Poll::Ready(Err(inner.after_panic(id))))
}
