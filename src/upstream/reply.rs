use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::Link;
use super::{Pool, trailers};
use crate::body::{Body, Error};

/// The body of an upstream's answer, which gives its connection back to the pool when it has ended.
///
/// A short one has arrived together with the head: it is taken at once, and costs neither a box nor a wake-up.
pub(super) fn body(mut body: Incoming, link: Link, pool: Pool, upstream: usize) -> Body {
    if body.is_end_stream() {
        pool.put(upstream, link);
        return Body::empty();
    }
    let first = match look(&mut body) {
        Poll::Ready(Some(Ok(frame))) => Some(frame),
        Poll::Ready(None) => {
            pool.put(upstream, link);
            return Body::empty();
        }
        Poll::Ready(Some(Err(error))) => return Body::new(Failed(Some(error))),
        Poll::Pending => None,
    };
    match first.map(Frame::into_data) {
        Some(Ok(data)) if body.is_end_stream() => {
            pool.put(upstream, link);
            data.into()
        }
        Some(Ok(data)) => {
            let first = Some(Frame::data(data));
            Body::new(Reply { first, body, home: Some(Home { link, pool, upstream }) })
        }
        // An answer of trailers alone ends with them.
        Some(Err(other)) => {
            pool.put(upstream, link);
            match harmless(other) {
                Some(frame) => Body::new(Reply { first: Some(frame), body, home: None }),
                None => Body::empty(),
            }
        }
        None => Body::new(Reply { first: None, body, home: Some(Home { link, pool, upstream }) }),
    }
}

/// The body of an answer on a connection that is shared: dropped before its end, the stream is cancelled and nothing
/// else.
pub(super) fn stream(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(Reply { first: None, body, home: None }) }
}

fn look(body: &mut Incoming) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Trailers without those that may be none.
fn harmless(frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    trailers::keep(frame.into_trailers().ok()?, |_| true).map(Frame::trailers)
}

struct Reply {
    first: Option<Frame<Bytes>>,
    body: Incoming,
    /// Gone once the body has ended. Dropped with it before, the connection is closed: the upstream stops working.
    home: Option<Home>,
}

struct Home {
    link: Link,
    pool: Pool,
    upstream: usize,
}

impl Reply {
    fn settle(&mut self) {
        if let Some(Home { link, pool, upstream }) = self.home.take() {
            pool.put(upstream, link);
        }
    }
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            // They are the end: whoever reads on HTTP/1.1 does not ask for more after them.
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => {
                self.settle();
                Poll::Ready(harmless(frame).map(Ok))
            }
            Poll::Ready(Some(Ok(frame))) => {
                if self.body.is_end_stream() {
                    self.settle();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.settle();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.home = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if let (Some(first), Some(rest)) = (&self.first, hint.exact()) {
            hint.set_exact(rest + first.data_ref().map_or(0, Bytes::len) as u64);
        }
        hint
    }
}

/// A body that broke off before its first byte.
struct Failed(Option<hyper::Error>);

impl HttpBody for Failed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(self.0.take().map(|error| Err(error.into())))
    }
}
