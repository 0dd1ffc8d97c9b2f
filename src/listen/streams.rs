use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::body::{Body, Error};

/// The streams of an HTTP/2 connection. One of them can stall while others flow, so each is looked at by itself.
#[derive(Default)]
pub(super) struct Streams(Mutex<Vec<Weak<Stream>>>);

/// One stream: for which move of the client it waits, if for any.
#[derive(Default)]
pub(super) struct Stream {
    waits: AtomicU8,
    /// Counted up by whatever moves.
    moves: AtomicU32,
    is_cut: AtomicBool,
    task: AtomicWaker,
    /// What the last look saw, and since when.
    seen: Mutex<Option<(u32, Instant)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Not for the client.
    No,
    /// For the next piece of the request's body.
    ForBody,
    /// For the client to take a piece of the answer.
    ForWindow,
}

impl Streams {
    pub(super) fn open(&self) -> Arc<Stream> {
        let stream = Arc::new(Stream::default());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&stream));
        stream
    }

    /// Ends the streams whose client has not moved for so long.
    pub(super) fn look(&self, now: Instant, stall: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|stream| {
            let Some(stream) = stream.upgrade() else { return false };
            if stream.stalls(now, stall) {
                tracing::debug!("stream ended: the client stalls");
                stream.is_cut.store(true, Relaxed);
                stream.task.wake();
            }
            true
        });
    }
}

impl Stream {
    /// Called in the task of the stream: it is this task that ends when the stream is cut.
    pub(super) fn bind(self: &Arc<Self>) {
        BINDING.with(|binding| *binding.borrow_mut() = Some(Arc::clone(self)));
    }

    /// A piece of the answer was asked for and came, or did not.
    pub(super) fn answered(&self, piece: &Poll<Option<Result<Frame<Bytes>, Error>>>) {
        self.note(if matches!(piece, Poll::Ready(Some(_))) { Waits::ForWindow } else { Waits::No });
    }

    fn note(&self, waits: Waits) {
        self.waits.store(waits as u8, Relaxed);
        self.moves.fetch_add(1, Relaxed);
    }

    fn stalls(&self, now: Instant, stall: Duration) -> bool {
        let moves = self.moves.load(Relaxed);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match *seen {
            Some((before, since)) if before == moves && self.waits.load(Relaxed) != Waits::No as u8 => {
                now.duration_since(since) >= stall
            }
            _ => {
                *seen = Some((moves, now));
                false
            }
        }
    }
}

/// The body of a request of HTTP/2.
pub(super) struct Arriving {
    body: Body,
    stream: Arc<Stream>,
}

impl Arriving {
    pub(super) fn watch(body: Body, stream: &Arc<Stream>) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Self { body, stream: Arc::clone(stream) })
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(cx);
        match &poll {
            Poll::Pending if self.stream.waits.load(Relaxed) == Waits::ForBody as u8 => {}
            Poll::Pending => self.stream.note(Waits::ForBody),
            Poll::Ready(_) => self.stream.note(Waits::No),
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

/// Runs streams on the thread of their connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for StreamTasks {
    fn execute(&self, work: F) {
        tokio::task::spawn_local(StreamTask { work, stream: None });
    }
}

pin_project! {
    struct StreamTask<F> {
        #[pin]
        work: F,
        stream: Option<Arc<Stream>>,
    }
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    /// Dropped half-way, the stream is reset.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.as_ref().is_some_and(|stream| stream.is_cut.load(Relaxed)) {
            return Poll::Ready(());
        }
        let poll = this.work.poll(cx);
        if let Some(stream) = BINDING.with(|binding| binding.borrow_mut().take()) {
            stream.task.register(cx.waker());
            *this.stream = Some(stream);
        }
        poll
    }
}

thread_local! {
    /// The stream that was bound in the task being polled.
    static BINDING: RefCell<Option<Arc<Stream>>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn piece() -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }

    #[test]
    fn a_stream_whose_client_takes_nothing_stalls_and_one_that_waits_for_the_upstream_does_not() {
        let (start, stall) = (Instant::now(), SECOND * 30);
        let stream = Stream::default();
        stream.answered(&piece());
        assert!(!stream.stalls(start, stall));
        assert!(!stream.stalls(start + SECOND * 29, stall));
        assert!(stream.stalls(start + SECOND * 30, stall));
        stream.answered(&piece());
        assert!(!stream.stalls(start + SECOND * 31, stall));
        stream.answered(&Poll::Pending);
        assert!(!stream.stalls(start + SECOND * 32, stall));
        assert!(!stream.stalls(start + SECOND * 99, stall));
    }

    #[test]
    fn streams_that_ended_are_forgotten() {
        let streams = Streams::default();
        drop(streams.open());
        let _open = streams.open();
        streams.look(Instant::now(), SECOND);
        assert_eq!(streams.0.lock().unwrap().len(), 1);
    }
}
