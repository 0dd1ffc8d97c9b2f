use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http::header::{HeaderName, HeaderValue, TRAILER};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::forward::tokens;
use super::trailers;
use crate::body::{Body, Error};

/// How the body of a request gets along. An upload may take hours: the time for the answer to begin only runs while
/// the upstream has all of it, or does not take what there is.
pub(super) struct Upload {
    progress: Arc<Progress>,
    seen: AtomicU32,
}

#[derive(Default)]
struct Progress {
    frames: AtomicU32,
    awaits_client: AtomicBool,
}

impl Upload {
    /// Watches the body of a request, if there is one.
    pub(super) fn watch(request: &mut Request<Body>) -> Option<Self> {
        if request.body().is_end_stream() {
            return None;
        }
        let progress = Arc::new(Progress::default());
        let body = std::mem::take(request.body_mut());
        let announced = request.headers().get(TRAILER).cloned();
        *request.body_mut() = Body::new(Watched { body, announced, progress: Arc::clone(&progress) });
        Some(Self { progress, seen: AtomicU32::new(0) })
    }

    /// Whether something was taken since the last call, or the client has more to send.
    pub(super) fn goes_on(&self) -> bool {
        let frames = self.progress.frames.load(Ordering::Relaxed);
        self.seen.swap(frames, Ordering::Relaxed) != frames || self.progress.awaits_client.load(Ordering::Relaxed)
    }
}

struct Watched {
    body: Body,
    /// What [`strip_request`](super::forward::strip_request) left of `Trailer`.
    announced: Option<HeaderValue>,
    progress: Arc<Progress>,
}

impl Watched {
    /// Trailers that were not announced are dropped: their names were not looked at when the headers were.
    fn keep(&self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let announced = self.announced.as_ref()?;
        let is_announced = |name: &HeaderName| tokens(announced).any(|other| name.as_str().as_bytes() == other);
        trailers::keep(frame.into_trailers().ok()?, is_announced).map(Frame::trailers)
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.awaits_client.store(poll.is_pending(), Ordering::Relaxed);
        if poll.is_ready() {
            self.progress.frames.fetch_add(1, Ordering::Relaxed);
        }
        match poll {
            // Trailers are the end of a body, whether any of them passes or not.
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => Poll::Ready(self.keep(frame).map(Ok)),
            poll => poll,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
