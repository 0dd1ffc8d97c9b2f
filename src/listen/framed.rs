use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, Violation};
use super::gauge::{Gauge, Order, Stage};
use super::linger::Linger;

/// The bytes of a connection on their way to the parser, with the first ones (read to tell the protocol) put back.
pub(super) struct Framed<S> {
    inner: S,
    first: Bytes,
    /// None on HTTP/2, which frames by itself.
    framing: Option<Framing>,
    blocked: Blocked,
    /// Once our side is closed.
    closing: Option<Linger>,
    gauge: Arc<Gauge>,
    /// The other end, for the log.
    peer: IpAddr,
}

#[derive(Clone, Copy)]
enum Blocked {
    No,
    /// The answer to a refused request is all that is left; what else the client sends is not read.
    Silent,
    /// A body broke off in the middle.
    Broken(Violation),
}

impl<S> Framed<S> {
    pub(super) fn new(inner: S, first: Bytes, framing: Option<Framing>, gauge: Arc<Gauge>, peer: IpAddr) -> Self {
        Self { inner, first, framing, blocked: Blocked::No, closing: None, gauge, peer }
    }

    fn follow(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Some(framing) = &mut self.framing else { return };
        let requests = framing.requests();
        let stage = framing.stage();
        let fed = framing.feed(&buf.filled()[before..]);
        if framing.stage() != stage || framing.requests() != requests {
            self.gauge.enter(framing.stage());
        }
        let Some(refusal) = fed.refusal else { return };
        let (peer, reason) = (self.peer, refusal.violation.code());
        tracing::info!(code = "reject.protocol", reason, %peer, "request refused");
        buf.set_filled(before + fed.passed);
        self.gauge.refuse(refusal);
        self.blocked = match refusal.violation {
            Violation::Chunk | Violation::ChunkExtensions => Blocked::Broken(refusal.violation),
            _ => Blocked::Silent,
        };
    }

    /// What is to be done with bytes that come after the end of our side. Those of a tunnel are the app's, HTTP/2 has
    /// ends of its own.
    fn linger(&self) -> Option<Linger> {
        let is_refused = !matches!(self.blocked, Blocked::No);
        match self.gauge.stage() {
            Stage::Tunnel | Stage::Http2 => None,
            // Whoever is in the middle of a request goes on with it, and may do so for long: not when we are to end.
            stage if is_refused || matches!(stage, Stage::Head | Stage::Body) => {
                (self.gauge.order() == Order::None).then(|| Linger::awaiting(&self.gauge))
            }
            _ => Some(Linger::looking()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.blocked {
            Blocked::No => {}
            Blocked::Silent => return Poll::Pending,
            Blocked::Broken(violation) => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation.code())));
            }
        }
        let before = buf.filled().len();
        if this.first.has_remaining() {
            let some = this.first.split_to(this.first.len().min(buf.remaining()));
            buf.put_slice(&some);
        } else {
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        }
        if this.framing.is_some() && this.gauge.stage() != Stage::Tunnel {
            this.follow(buf, before);
            if let Blocked::Broken(violation) = this.blocked
                && buf.filled().len() == before
            {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation.code())));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.closing = this.linger();
        }
        match &mut this.closing {
            Some(linger) => linger.poll(&mut this.inner, &this.gauge, cx).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}
