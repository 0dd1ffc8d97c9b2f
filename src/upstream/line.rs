use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio::time::Instant;

use super::answer::{Answer, Fault};
use super::patience::Patience;
use super::stream::Stream;
use crate::head::Names;

/// A connection to an upstream for requests that are there as a whole, one after the other.
///
/// It belongs to the request that uses it and is polled with it. A connection with a task of its own costs every request
/// two hand-overs, which is as much as everything else we do with it.
pub(super) struct Line {
    stream: Stream,
    patience: Patience,
    names: Names,
}

/// The beginning of an answer.
pub(super) struct Heard {
    pub(super) answer: Answer,
    /// What has arrived of its body.
    pub(super) arrived: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// It did not begin in time.
    Late,
    /// The connection was given up before a byte of it arrived. Whether the request was read nobody knows, unless no
    /// byte of it went out.
    GivenUp { unsent: bool, error: io::Error },
    /// What arrived is no answer.
    Broken(io::Error),
}

impl Line {
    pub(super) fn new(stream: Stream, deadline: Instant) -> Self {
        Self { stream, patience: Patience::new(deadline), names: Names::default() }
    }

    /// Whether it may be used again.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.stream.is_quiet()
    }

    /// Sends a whole request, and waits for its answer to begin: from `now` on for `limit`.
    ///
    /// # Errors
    /// See [`Silence`]. The connection is of no use any more then.
    pub(super) async fn ask(
        &mut self,
        head: &[u8],
        to_head: bool,
        now: Instant,
        limit: Duration,
    ) -> Result<Heard, Silence> {
        let (mut sent, mut arrived) = (0, Bytes::new());
        let (stream, names) = (&mut self.stream, &mut self.names);
        let answer = poll_fn(|cx| {
            while sent < head.len() {
                match ready!(Pin::new(&mut *stream).poll_write(cx, &head[sent..])) {
                    Ok(0) => return Poll::Ready(Err(Silence::given_up(sent, io::ErrorKind::WriteZero.into()))),
                    Ok(more) => sent += more,
                    Err(error) => return Poll::Ready(Err(Silence::given_up(sent, error))),
                }
            }
            if let Err(error) = ready!(Pin::new(&mut *stream).poll_flush(cx)) {
                return Poll::Ready(Err(Silence::given_up(sent, error)));
            }
            loop {
                match ready!(more(stream, &mut arrived, cx)) {
                    Ok(0) if arrived.is_empty() => {
                        return Poll::Ready(Err(Silence::given_up(sent, io::ErrorKind::UnexpectedEof.into())));
                    }
                    Ok(0) => return Poll::Ready(Err(Silence::broken(Fault::Broken))),
                    Ok(_) => {}
                    Err(error) if arrived.is_empty() => return Poll::Ready(Err(Silence::given_up(sent, error))),
                    Err(error) => return Poll::Ready(Err(Silence::Broken(error))),
                }
                match Answer::take(&mut arrived, to_head, names) {
                    Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                    Ok(None) => {}
                    Err(fault) => return Poll::Ready(Err(Silence::broken(fault))),
                }
            }
        });
        let answer = self.patience.wait(answer, || false, now, limit).await.ok_or(Silence::Late)??;
        Ok(Heard { answer, arrived })
    }

    /// Reads more of a body, about `room` bytes at most; ready with how much, none being the end of the connection.
    pub(super) fn poll_more(
        &mut self,
        arrived: &mut BytesMut,
        room: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // With less room left than this the kernel would be asked too often.
        if arrived.capacity() - arrived.len() < room / 4 {
            arrived.reserve(room);
        }
        pin!(self.stream.read_buf(arrived)).poll(cx)
    }
}

impl Silence {
    fn given_up(sent: usize, error: io::Error) -> Self {
        Self::GivenUp { unsent: sent == 0, error }
    }

    fn broken(fault: Fault) -> Self {
        Self::Broken(io::Error::new(io::ErrorKind::InvalidData, fault))
    }
}

/// Reads the first of an answer, or more of its head. Most are short: they are read where all that this thread does
/// are, and kept in as many bytes as they have.
fn more(stream: &mut Stream, arrived: &mut Bytes, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    READING.with_borrow_mut(|place| {
        let mut buf = ReadBuf::new(place);
        ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
        let read = buf.filled();
        *arrived = match arrived.is_empty() {
            true => Bytes::copy_from_slice(read),
            false => Bytes::from([arrived, read].concat()),
        };
        Poll::Ready(Ok(read.len()))
    })
}

thread_local! {
    static READING: RefCell<Box<[u8]>> = RefCell::new(vec![0; ROOM].into());
}

/// Room for most answers.
const ROOM: usize = 16 << 10;
