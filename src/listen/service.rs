use std::cell::Cell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::answer::{Answer, InProgress};
use super::gauge::{Gauge, Stage};
use super::request_head::LONGEST_TARGET;
use super::streams::{Arriving, Stream};
use super::{Connection, Handler};
use crate::body::Body;

/// Hands the requests of one connection to its handler, but for those whose framing was refused.
pub(super) struct Service<H> {
    handler: H,
    connection: Connection,
    gauge: Arc<Gauge>,
    requests: Cell<u32>,
    most_fields: usize,
    ready: Cell<Option<Response<Answer>>>,
}

impl<H: Handler> Service<H> {
    pub(super) fn new(handler: H, connection: Connection, gauge: Arc<Gauge>, most_fields: usize) -> Self {
        Self { handler, connection, gauge, requests: Cell::new(0), most_fields, ready: Cell::new(None) }
    }

    /// The other end of the connection.
    pub(super) fn peer(&self) -> IpAddr {
        self.connection.peer.ip()
    }

    /// Answers a request of HTTP/1.1 that is there as a whole and wants no upgrade.
    pub(super) fn answer(&self, request: Request<Body>) -> Serving<H::Future> {
        let in_progress = Some(InProgress::begin(&self.gauge));
        let answer = self.handler.call(request, self.connection);
        Serving { doing: Doing::Handling { answer }, in_progress, stream: None, asked: Asked::Http }
    }

    /// The next request of the connection has been answered before it came: with this.
    pub(super) fn is_answered(&self, response: Option<Response<Answer>>) {
        self.ready.set(response);
    }

    /// What is answered here.
    fn refuse(&self, request: &Request<Incoming>) -> Option<StatusCode> {
        if request.version() != Version::HTTP_2 {
            let number = self.requests.get().wrapping_add(1);
            self.requests.set(number);
            return self.gauge.refusal(number).map(|refusal| refusal.violation.status());
        }
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if *request.method() == Method::CONNECT {
            return Some(StatusCode::NOT_IMPLEMENTED);
        }
        if target > LONGEST_TARGET {
            return Some(StatusCode::URI_TOO_LONG);
        }
        (request.headers().len() > self.most_fields).then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    }
}

impl<H: Handler> hyper::service::Service<Request<Incoming>> for Service<H> {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Serving<H::Future>;

    fn call(&self, request: Request<Incoming>) -> Serving<H::Future> {
        if let Some(response) = self.ready.take() {
            self.requests.set(self.requests.get().wrapping_add(1));
            let doing = Doing::Done { response: Some(response) };
            return Serving { doing, in_progress: None, stream: None, asked: Asked::Http };
        }
        let in_progress = Some(InProgress::begin(&self.gauge));
        let is_http2 = request.version() == Version::HTTP_2;
        let stream = is_http2.then(|| self.gauge.streams.open());
        if let Some(status) = self.refuse(&request) {
            return Serving { doing: Doing::Refusing { status }, in_progress, stream, asked: Asked::Http };
        }
        let asked = if !is_http2 && is_websocket(&request) { Asked::WebSocket } else { Asked::Http };
        let request = request.map(|body| match &stream {
            Some(stream) => Arriving::watch(body.into(), stream),
            None => body.into(),
        });
        let answer = self.handler.call(request, self.connection);
        Serving { doing: Doing::Handling { answer }, in_progress, stream, asked }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Http,
    WebSocket,
}

pin_project! {
    /// The answer in the making.
    pub(super) struct Serving<F> {
        #[pin]
        doing: Doing<F>,
        in_progress: Option<InProgress>,
        stream: Option<Arc<Stream>>,
        asked: Asked,
    }
}

pin_project! {
    #[project = DoingProject]
    enum Doing<F> {
        Done { response: Option<Response<Answer>> },
        Refusing { status: StatusCode },
        Handling { #[pin] answer: F },
    }
}

impl<F: Future<Output = Response<Body>>> Future for Serving<F> {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(stream) = this.stream {
            stream.bind();
        }
        let response = match this.doing.project() {
            DoingProject::Handling { answer } => {
                let mut response = ready!(answer.poll(cx));
                if *this.asked != Asked::Http || response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    let gauge = this.in_progress.as_ref().map(InProgress::gauge);
                    settle_upgrade(&mut response, *this.asked, gauge);
                }
                response
            }
            DoingProject::Refusing { status } => refusal(*status),
            DoingProject::Done { response } => {
                return response.take().map_or(Poll::Pending, |done| Poll::Ready(Ok(done)));
            }
        };
        let Some(in_progress) = this.in_progress.take() else { return Poll::Pending };
        Poll::Ready(Ok(response.map(|body| Answer::new(body, this.stream.take(), in_progress))))
    }
}

/// A WebSocket that came about is no longer HTTP. One that did not ends its connection: its bytes were not followed.
fn settle_upgrade(response: &mut Response<Body>, asked: Asked, gauge: Option<&Gauge>) {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    match (asked, switches) {
        (Asked::WebSocket, true) => {
            if let Some(gauge) = gauge {
                gauge.enter(Stage::Tunnel);
            }
        }
        (Asked::WebSocket, false) => close(response),
        (Asked::Http, true) => {
            tracing::warn!("an answer switched protocols without having been asked to");
            *response = refusal(StatusCode::BAD_GATEWAY);
        }
        (Asked::Http, false) => {}
    }
}

fn is_websocket(request: &Request<Incoming>) -> bool {
    request.headers().get_all(UPGRADE).iter().any(|to| to.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn refusal(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    close(&mut response);
    response
}

/// Ends an HTTP/1 connection after this answer; hyper leaves the field out on HTTP/2.
fn close(response: &mut Response<Body>) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}
