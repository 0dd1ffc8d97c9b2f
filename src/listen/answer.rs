use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::gauge::Gauge;
use super::streams::Stream;
use crate::body::{Body, Error};

/// A request in progress, from its head until the last byte of its answer is handed over or nobody wants it any more.
pub(super) struct InProgress(Arc<Gauge>);

impl InProgress {
    pub(super) fn begin(gauge: &Arc<Gauge>) -> Self {
        gauge.began();
        Self(Arc::clone(gauge))
    }

    pub(super) fn gauge(&self) -> &Gauge {
        &self.0
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// The body of an answer.
pub(super) struct Answer {
    body: Body,
    /// On HTTP/2.
    stream: Option<Arc<Stream>>,
    _in_progress: InProgress,
}

impl Answer {
    pub(super) fn new(body: Body, stream: Option<Arc<Stream>>, in_progress: InProgress) -> Self {
        Self { body, stream, _in_progress: in_progress }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(stream) = &self.stream {
            stream.answered(&poll);
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
