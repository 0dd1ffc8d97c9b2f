use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::gauge::{Gauge, Order, Stage};
use crate::gather;

/// A client's connection.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// A client's connection which tells its gauge what moves.
pub(super) struct Socket {
    stream: Stream,
    gauge: Arc<Gauge>,
}

impl Socket {
    pub(super) fn new(stream: Stream, gauge: Arc<Gauge>) -> Self {
        Self { stream, gauge }
    }

    /// A tunnel belongs to a task that knows nothing of the gauge: it learns here that it is to end.
    fn obey(&self, cx: &Context<'_>) -> io::Result<()> {
        if self.gauge.stage() == Stage::Tunnel {
            self.gauge.task.register(cx.waker());
            if self.gauge.order() == Order::Cut {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }

    /// Whether the client has reset the connection while its request waits for an answer. Nothing is read meanwhile, and
    /// a client that ended its side only still wants the answer: but a reset leaves an error on the socket.
    fn is_reset(&self, cx: &mut Context<'_>) -> bool {
        let waits = matches!(self.gauge.stage(), Stage::Between) && self.gauge.is_busy();
        let is_reset = match &self.stream {
            _ if !waits => return false,
            Either::Left(stream) if stream.poll_read_ready(cx).is_pending() => return false,
            Either::Right(stream) if stream.poll_read_ready(cx).is_pending() => return false,
            Either::Left(stream) => matches!(stream.take_error(), Ok(Some(_)) | Err(_)),
            Either::Right(stream) => has_hung_up(stream),
        };
        if !is_reset {
            self.gauge.is_blind();
        }
        is_reset
    }

    fn wrote(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &poll {
            Poll::Ready(Ok(bytes)) => self.gauge.sent(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.gauge.cannot_send(),
        }
        poll
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.obey(cx)?;
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        match poll {
            Poll::Ready(_) => self.gauge.received(buf.filled().len() - before),
            Poll::Pending => self.gauge.wants_bytes(),
        }
        poll
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.obey(cx)?;
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.obey(cx)?;
        let poll = gather::poll_write(Pin::new(&mut self.stream), cx, bufs);
        self.wrote(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP stream has nothing to flush; the connection comes by here whenever it has nothing else to do.
        if self.is_reset(cx) { Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.gauge.order() == Order::Cut {
            // A reset: the kernel would else keep trying to deliver to somebody who does not read.
            if let Either::Left(stream) = &self.stream {
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
        }
    }
}

/// Has small writes go out at once, and tells whom the connection is with.
pub(super) fn prepare(stream: &Stream) -> io::Result<SocketAddr> {
    match stream {
        Either::Left(stream) => {
            stream.set_nodelay(true)?;
            stream.peer_addr()
        }
        Either::Right(_) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
    }
}

/// Whether both sides of the client's end are closed, not its sending side alone: over a Unix socket a client that goes
/// away leaves no error behind.
fn has_hung_up(stream: &UnixStream) -> bool {
    let mut look = [PollFd::new(stream, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut look, Some(&now))
        .is_ok_and(|found| found > 0 && look[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
}
