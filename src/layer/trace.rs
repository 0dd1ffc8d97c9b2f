//! Makes a request a span, if it is one of those that are traced. Reads `traceparent` (W3C Trace Context): the trace of
//! whoever sent it goes on here, and whether it is recorded is the wish of trusted proxies alone, as anybody else could
//! have everything recorded. Refuses nothing; sits above every other layer, so that what any of them waits for is part
//! of the span.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;
use tracing::field::Empty;

use crate::body::Body;
use crate::layer::client_addr::ClientAddr;
use crate::layer::respond::shown;
use crate::rejection::Reason;
use crate::route::Route;
use crate::span::{self, Sampling};
use crate::visit::Visit;

/// See the [module](self). Without anything in it no request is traced.
#[derive(Clone, Debug)]
pub struct TraceLayer(Option<Arc<Choice>>);

#[derive(Debug)]
struct Choice {
    sampling: Sampling,
    proxies: ClientAddr,
}

impl TraceLayer {
    /// Traces this share of requests, or none.
    pub fn new(share: Option<f64>, proxies: ClientAddr) -> Self {
        Self(share.map(|share| Arc::new(Choice { sampling: Sampling::new(share), proxies })))
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner, choice: self.0.clone() }
    }
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    choice: Option<Arc<Choice>>,
}

impl<S> Service<Box<Visit>> for Trace<S>
where
    S: Service<Box<Visit>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut visit: Box<Visit>) -> Self::Future {
        if let Some(choice) = self.choice.as_deref().filter(|_| span::is_on()) {
            visit.span = choice.span(&visit);
        }
        let span = visit.span.clone();
        let inner = span.in_scope(|| self.inner.call(visit));
        TraceFuture { inner, span }
    }
}

pin_project! {
    /// What [`Trace`] answers with.
    pub struct TraceFuture<F> {
        #[pin]
        inner: F,
        span: Span,
    }
}

impl<F: Future> Future for TraceFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _in = this.span.enter();
        this.inner.poll(cx)
    }
}

impl Choice {
    fn span(&self, visit: &Visit) -> Span {
        let headers = visit.request.headers();
        let wish = span::wish(headers).filter(|_| self.proxies.believes(visit.client.peer));
        if !self.sampling.takes(wish) {
            return Span::none();
        }
        let method = visit.request.method().as_str();
        let span = tracing::info_span!(
            target: span::TARGET,
            parent: None,
            "request",
            otel.name = method,
            otel.kind = "server",
            http.request.method = method,
            http.route = Empty,
            http.response.status_code = Empty,
            url.scheme = Empty,
            url.path = Empty,
            client.address = Empty,
            user.id = Empty,
            vestibule.request = Empty,
            vestibule.kind = Empty,
            vestibule.provider = Empty,
            vestibule.rule = Empty,
            vestibule.reason = Empty,
            error.type = Empty,
            otel.status_code = Empty,
        );
        span::join(&span, headers);
        span
    }
}

/// Notes in the span of a request what has become of it.
pub fn note(visit: &Visit, status: StatusCode, reason: Option<&Reason>, route: Option<&Route>) {
    let span = &visit.span;
    if span.is_none() {
        return;
    }
    let method = visit.request.method();
    if let Some(route) = route {
        span::rename(span, format!("{method} {}", route.key()));
        span.record("http.route", route.key()).record("vestibule.rule", route.who(method));
    }
    span.record("http.response.status_code", status.as_u16())
        .record("url.scheme", visit.client.scheme.as_str())
        .record("url.path", &*shown(visit.request.uri().path()))
        .record("client.address", tracing::field::display(visit.client.address))
        .record("vestibule.request", visit.id.as_str());
    if let Some(caller) = &visit.caller {
        span.record("user.id", caller.user.id.to_string())
            .record("vestibule.kind", caller.kind().as_str())
            .record("vestibule.provider", caller.provider.as_str());
    }
    if let Some(reason) = reason {
        span.record("vestibule.reason", reason.code());
    }
    // A refusal is no failure of ours (semantic conventions for HTTP spans).
    if status.is_server_error() {
        match reason {
            Some(reason) => span::fail(span, reason.code()),
            None => span::fail(span, status.as_str()),
        }
    }
}
