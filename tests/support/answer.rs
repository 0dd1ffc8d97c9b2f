//! What an app behind the proxy is told to answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::sync::{mpsc, watch};

/// What the app does with a request.
pub enum Answer {
    /// Answers.
    Full(Response<Bytes>),
    /// Answers, and sends trailers after the body.
    Trailers(Response<Bytes>, HeaderMap),
    /// Answers with a body that comes piece by piece and ends when the sender is dropped.
    Stream(Response<()>, mpsc::UnboundedReceiver<Bytes>),
    /// Answers once the gate is open.
    Held(Gate, Box<Answer>),
    /// Takes the WebSocket and sends every message back.
    WebSocket,
}

/// Closed until the test opens it.
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Answer {
    /// 200 with this text and the app's own header.
    pub fn text(text: impl Into<String>) -> Self {
        Self::status(200, text)
    }

    /// The same with another status.
    pub fn status(status: u16, text: impl Into<String>) -> Self {
        let mut response = Response::new(Bytes::from(text.into()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert("x-up-app", HeaderValue::from_static("yes"));
        response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
        Self::Full(response)
    }

    /// The same with a header field more.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let Self::Full(response) = &mut self else { panic!("only a whole answer takes header fields") };
        let name: HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    /// An event stream, and what feeds it.
    pub fn events() -> (Self, mpsc::UnboundedSender<Bytes>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let response = Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
        (Self::Stream(response, receiver), sender)
    }

    /// The same once the gate is open.
    pub fn held(self, gate: &Gate) -> Self {
        Self::Held(gate.clone(), Box::new(self))
    }
}

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn passed(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
