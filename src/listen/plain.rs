use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Method, Response};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::answer::Answer;
use super::gauge::{Gauge, Order, Stage};
use super::linger::Linger;
use super::service::Service;
use super::{Handler, plain_answer, plain_request};
use crate::head::{self, Names};
use crate::spare;

/// A connection of HTTP/1.1 as long as everything on it is plain: requests that have arrived as a whole, one after the
/// other, answered with bodies of known length. That is what nearly all of them are, and a general server spends as much on
/// each as all our decisions do. At the first thing that is not, it is given on with that request unread.
pub(super) struct Plain<'a, S> {
    io: S,
    gauge: &'a Gauge,
    longest_head: usize,
    most_fields: usize,
    arrived: BytesMut,
    /// How much of it holds no end of a head: whoever sends it byte by byte does not have it read again and again.
    searched: usize,
    names: Names,
}

/// How it goes on with a connection.
pub(super) enum Next<S> {
    /// Not at all.
    Closed,
    /// With something that is not plain: on this stream, after these bytes of it, whose first request may have been
    /// answered already.
    Other(S, Bytes, Option<Response<Answer>>),
}

enum Turn {
    Answered { lasts: bool },
    NotPlain(Bytes, Option<Response<Answer>>),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Plain<'a, S> {
    /// Begins with bytes that were read already.
    pub(super) fn new(io: S, arrived: BytesMut, gauge: &'a Gauge, limits: (usize, usize)) -> Self {
        let (longest_head, most_fields) = limits;
        Self { io, gauge, longest_head, most_fields, arrived, searched: 0, names: Names::default() }
    }

    /// Answers what comes.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn serve<H: Handler>(mut self, service: &Service<H>) -> io::Result<Next<S>> {
        while let Some(end) = poll_fn(|cx| self.poll_head(cx)).await? {
            let turn = match end {
                Some(end) => {
                    let head = self.arrived.split_to(end).freeze();
                    self.gauge.enter(Stage::Between);
                    self.turn(head, service).await?
                }
                None => Turn::NotPlain(Bytes::new(), None),
            };
            match turn {
                Turn::Answered { lasts: true } => {}
                Turn::Answered { lasts: false } => break,
                Turn::NotPlain(head, response) => {
                    let first = [&head[..], &self.arrived[..]].concat();
                    return Ok(Next::Other(self.io, first.into(), response));
                }
            }
        }
        poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
        let mut linger = Linger::looking();
        poll_fn(|cx| linger.poll(&mut self.io, self.gauge, cx)).await;
        Ok(Next::Closed)
    }

    /// Waits for a whole head: where it ends. `Some(None)` for one that is no plain one anyway, `None` for the end of the
    /// connection: the client's, or ours while there is no request.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Option<usize>>>> {
        loop {
            let length = self.arrived.len();
            if length > 0 {
                // An empty line before a request is somebody else's to judge.
                if let Some(end) = head::end(&self.arrived, self.searched) {
                    self.searched = 0;
                    return Poll::Ready(Ok(Some(Some(end).filter(|end| *end <= self.longest_head))));
                }
                // Whoever speaks something else, as TLS to a port without, is told at once and does not wait for an end.
                let is_none = self.searched == 0 && !plain_request::may_begin(&self.arrived, self.most_fields);
                if is_none || length > self.longest_head {
                    return Poll::Ready(Ok(Some(None)));
                }
                self.searched = length.saturating_sub(3);
                if self.gauge.stage() != Stage::Head {
                    self.gauge.enter(Stage::Head);
                }
            } else if self.gauge.order() >= Order::Retire {
                return Poll::Ready(Ok(None));
            }
            if self.arrived.capacity() - length < LEAST_ROOM {
                self.arrived.reserve(ROOM);
            }
            if ready!(pin!(self.io.read_buf(&mut self.arrived)).poll(cx))? == 0 {
                // With a head that broke off there is nobody to answer.
                return Poll::Ready(Ok(None));
            }
        }
    }

    async fn turn<H: Handler>(&mut self, head: Bytes, service: &Service<H>) -> io::Result<Turn> {
        let Some((request, body)) = plain_request::read(&head, &mut self.arrived, &mut self.names, self.most_fields)
        else {
            return Ok(Turn::NotPlain(head, None));
        };
        let to_head = *request.method() == Method::HEAD;
        let mut answer = pin!(service.answer(request.map(|()| body.clone().into())));
        let response = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Ok(response)),
            // Nothing is read meanwhile; whether the client is still there is learnt here.
            Poll::Pending => match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            },
        });
        let Ok(response) = response.await?;
        let lasts = self.gauge.order() < Order::Retire;
        let mut sending = Sending::default();
        let Some(said) = plain_answer::write(&mut sending.text, &response, to_head, lasts) else {
            return Ok(Turn::NotPlain([head, body].concat().into(), Some(response)));
        };
        let (parts, mut body) = response.into_parts();
        spare::keep_map(parts.headers);
        let mut left = said.length;
        poll_fn(|cx| sending.poll(&mut self.io, &mut body, &mut left, cx)).await?;
        // Its end is the end of the request.
        drop(body);
        poll_fn(|cx| Pin::new(&mut self.io).poll_flush(cx)).await?;
        Ok(Turn::Answered { lasts: said.lasts })
    }
}

/// What is to be sent: text, and after it a piece of the body that is too long to be copied.
struct Sending {
    text: Vec<u8>,
    sent: usize,
    piece: Bytes,
}

impl Sending {
    /// Sends what there is, and so many bytes more of the body.
    fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        body: &mut Answer,
        left: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while *left > 0 && self.piece.is_empty() && self.text.len() < LITTLE {
                let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                    ready!(self.poll_drain(io, cx))?;
                    ready!(Pin::new(io).poll_flush(cx))?;
                    return Poll::Pending;
                };
                let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
                let Ok(data) = frame.into_data() else { continue };
                *left = left.checked_sub(data.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
                if data.len() <= LITTLE {
                    self.text.extend_from_slice(&data);
                } else {
                    self.piece = data;
                }
            }
            ready!(self.poll_drain(io, cx))?;
            if *left == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_drain<S: AsyncWrite + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.text.len() || !self.piece.is_empty() {
            let text = &self.text[self.sent..];
            let io = Pin::new(&mut *io);
            let sent = match (text.is_empty(), self.piece.is_empty()) {
                (_, true) => ready!(io.poll_write(cx, text))?,
                (true, _) => ready!(io.poll_write(cx, &self.piece))?,
                _ => ready!(io.poll_write_vectored(cx, &[IoSlice::new(text), IoSlice::new(&self.piece)]))?,
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_text = sent.min(text.len());
            self.sent += of_text;
            self.piece.advance(sent - of_text);
        }
        self.text.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl Default for Sending {
    fn default() -> Self {
        Self { text: spare::text(), sent: 0, piece: Bytes::new() }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        spare::keep_text(std::mem::take(&mut self.text));
    }
}

/// With less room left than this the kernel would be asked twice.
const LEAST_ROOM: usize = 1 << 10;
/// Room for the requests of most clients.
const ROOM: usize = 4 << 10;
/// What is copied rather than sent as a piece of its own.
const LITTLE: usize = 4 << 10;
