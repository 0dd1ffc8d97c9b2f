use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::StreamBody;
use tokio::time::Instant;

use super::answer::{Fault, Length};
use super::chunks::{Chunks, Piece};
use super::line::{Heard, Line};
use super::{Pool, trailers};
use crate::body::{Body, Error};

/// The body of an answer on a connection that has no task of its own, which gives the connection back when it has ended.
///
/// A short one has arrived together with its head: it is taken at once.
pub(super) fn body(heard: Heard, line: Line, pool: &Pool, upstream: usize, asked: Instant) -> http::Response<Body> {
    let Heard { answer, mut arrived } = heard;
    let body = match answer.length {
        Length::Sized(length) if length <= arrived.len() as u64 => {
            let data = arrived.split_to(length as usize);
            if answer.lasts {
                settle(pool, upstream, line, &arrived, asked);
            }
            data.into()
        }
        length => {
            let chunks = (length == Length::Chunked).then_some(Chunks::Size);
            let left = if let Length::Sized(length) = length { Some(length) } else { None };
            let home = answer.lasts.then(|| (pool.clone(), upstream));
            let arrived = BytesMut::from(arrived);
            let flow = Flow { arrived, room: LEAST, chunks, left, first: None, broken: None, line: Some(line), home };
            flow.whole_or_rest()
        }
    };
    answer.response.map(|()| body)
}

/// Keeps the connection. What came after the end of its answer nobody has asked for; the next request must not get it.
fn settle(pool: &Pool, upstream: usize, line: Line, rest: &[u8], now: Instant) {
    if rest.is_empty() {
        pool.put_line(upstream, line, now);
    } else {
        tracing::warn!("an upstream sent more than its answer; the connection is closed");
    }
}

struct Flow {
    arrived: BytesMut,
    /// How much is read at a time: more as long as it comes in faster than it is taken.
    room: usize,
    /// If it comes in chunks.
    chunks: Option<Chunks>,
    /// How many bytes are to come, if it has said so.
    left: Option<u64>,
    /// What was taken already.
    first: Option<Bytes>,
    /// What is to be told once the client has what came before.
    broken: Option<io::Error>,
    /// Gone once the body has ended. Dropped with it before, the connection is closed: the upstream stops working.
    line: Option<Line>,
    /// Where the connection goes after the end, if it may.
    home: Option<(Pool, usize)>,
}

/// What can be said of a body with what has arrived.
enum Next {
    Data(Bytes),
    End(Option<HeaderMap>),
    More,
}

impl Flow {
    /// A body in chunks that is there already needs none of them any more.
    fn whole_or_rest(mut self) -> Body {
        if self.chunks.is_none() {
            return Body::new(self);
        }
        loop {
            match (self.next(), &self.first) {
                (Ok(Next::Data(data)), None) => self.first = Some(data),
                (Ok(Next::Data(data)), Some(first)) => {
                    self.first = Some([&first[..], &data[..]].concat().into());
                }
                (Ok(Next::End(None)), _) => {
                    self.end();
                    return self.first.unwrap_or_default().into();
                }
                (Ok(Next::End(Some(trailers))), _) => {
                    self.end();
                    let data = self.first.map(|data| Ok::<_, Error>(Frame::data(data)));
                    let frames = data.into_iter().chain([Ok(Frame::trailers(trailers))]);
                    return Body::new(StreamBody::new(futures_util::stream::iter(frames)));
                }
                (Ok(Next::More), _) => return Body::new(self),
                (Err(fault), _) => {
                    self.broken = Some(io::Error::new(io::ErrorKind::InvalidData, fault));
                    return Body::new(self);
                }
            }
        }
    }

    fn next(&mut self) -> Result<Next, Fault> {
        if let Some(chunks) = &mut self.chunks {
            return Ok(match chunks.take(&mut self.arrived)? {
                Some(Piece::Data(data)) => Next::Data(data),
                Some(Piece::End(fields)) => Next::End(trailers::keep(fields, |_| true)),
                None => Next::More,
            });
        }
        let length = match self.left {
            Some(0) => return Ok(Next::End(None)),
            Some(left) => self.arrived.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            None => self.arrived.len(),
        };
        if length == 0 {
            return Ok(Next::More);
        }
        self.left = self.left.map(|left| left - length as u64);
        Ok(Next::Data(self.arrived.split_to(length).freeze()))
    }

    fn end(&mut self) {
        if let (Some(line), Some((pool, upstream))) = (self.line.take(), self.home.take()) {
            settle(&pool, upstream, line, &self.arrived, Instant::now());
        }
    }

    /// Whoever hears of it drops what he has not sent yet. So it is told at the next look, when what came before is on
    /// its way: the client sees an answer that breaks off, and not none at all.
    fn fail(&mut self, error: io::Error, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl HttpBody for Flow {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(error) = this.broken.take() {
            this.line = None;
            return Poll::Ready(Some(Err(error.into())));
        }
        loop {
            if this.line.is_none() {
                return Poll::Ready(None);
            }
            match this.next() {
                Ok(Next::Data(data)) => {
                    // Whoever knows the length does not ask for the end.
                    if this.left == Some(0) {
                        this.end();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Next::End(fields)) => {
                    this.end();
                    return Poll::Ready(fields.map(|fields| Ok(Frame::trailers(fields))));
                }
                Ok(Next::More) => {}
                Err(fault) => return this.fail(io::Error::new(io::ErrorKind::InvalidData, fault), cx),
            }
            let Some(line) = &mut this.line else { return Poll::Ready(None) };
            match ready!(line.poll_more(&mut this.arrived, this.room, cx)) {
                Ok(0) if this.chunks.is_none() && this.left.is_none() => {
                    this.line = None;
                    return Poll::Ready(None);
                }
                Ok(0) => return this.fail(io::Error::new(io::ErrorKind::UnexpectedEof, Fault::Broken), cx),
                Ok(more) if more >= this.room => this.room = (2 * this.room).min(MOST),
                Ok(_) => {}
                Err(error) => return this.fail(error, cx),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.line.is_none() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) if self.line.is_some() || left == 0 => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }
}

/// What is read at a time at first: an event stream may stay open for days.
const LEAST: usize = 8 << 10;
/// And of a long download.
const MOST: usize = 64 << 10;
