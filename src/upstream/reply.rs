use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use super::Pool;
use crate::body::{Body, Error};

/// The body of an upstream's answer, which gives its connection back to the pool when it has ended.
///
/// A short one has arrived together with the head: it is taken at once, and costs neither a box nor a wake-up.
pub(super) fn body(mut body: Incoming, sender: SendRequest<Body>, pool: Pool, upstream: usize) -> Body {
    if body.is_end_stream() {
        pool.put(upstream, sender);
        return Body::empty();
    }
    let first = match look(&mut body) {
        Poll::Ready(Some(Ok(frame))) => Some(frame),
        Poll::Ready(None) => {
            pool.put(upstream, sender);
            return Body::empty();
        }
        Poll::Ready(Some(Err(error))) => return Body::new(Failed(Some(error))),
        Poll::Pending => None,
    };
    match first.map(Frame::into_data) {
        Some(Ok(data)) if body.is_end_stream() => {
            pool.put(upstream, sender);
            data.into()
        }
        Some(Ok(data)) => Body::new(Reply { first: Some(data), body, home: Some(Home { sender, pool, upstream }) }),
        _ => Body::new(Reply { first: None, body, home: Some(Home { sender, pool, upstream }) }),
    }
}

fn look(body: &mut Incoming) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

struct Reply {
    first: Option<Bytes>,
    body: Incoming,
    /// Gone once the body has ended. Dropped with it before, the connection is closed: the upstream stops working.
    home: Option<Home>,
}

struct Home {
    sender: SendRequest<Body>,
    pool: Pool,
    upstream: usize,
}

impl Reply {
    fn settle(&mut self) {
        if let Some(Home { sender, pool, upstream }) = self.home.take() {
            pool.put(upstream, sender);
        }
    }
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        loop {
            return match Pin::new(&mut self.body).poll_frame(cx) {
                // RFC 9110 §6.5.1: trailers that nobody asked for by name are not passed on.
                Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => continue,
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
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if let (Some(first), Some(rest)) = (&self.first, hint.exact()) {
            hint.set_exact(rest + first.len() as u64);
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
