use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::gauge::{Gauge, Stage};

/// The time between our last byte on a connection and its end, in which what still comes is thrown away. To close with
/// bytes unread would reset the connection, and the client could lose the last answer, or the one that tells it why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Linger {
    /// So many bytes are still thrown away.
    left: usize,
    /// Until the client ends its side. Otherwise only if something has come already: who has sent nothing beyond what was
    /// answered is not waited for.
    waits: bool,
}

impl Linger {
    /// For a client of which more is to come.
    pub(super) fn awaiting(gauge: &Gauge) -> Self {
        gauge.enter(Stage::Lingering);
        Self { left: MOST, waits: true }
    }

    /// For a client that has been answered.
    pub(super) fn looking() -> Self {
        Self { left: MOST, waits: false }
    }

    /// Ready when the connection may be closed.
    pub(super) fn poll<S: AsyncRead + Unpin>(&mut self, io: &mut S, gauge: &Gauge, cx: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; 4 << 10];
        while self.left > 0 {
            let mut scrap = ReadBuf::new(&mut scrap);
            let read = match Pin::new(&mut *io).poll_read(cx, &mut scrap) {
                Poll::Pending if !self.waits => break,
                read => ready!(read),
            };
            match scrap.filled().len() {
                some @ 1.. if read.is_ok() => self.left = self.left.saturating_sub(some),
                _ => break,
            }
            if !self.waits {
                *self = Self { left: self.left, ..Self::awaiting(gauge) };
            }
        }
        self.left = 0;
        Poll::Ready(())
    }
}

/// The most bytes that are thrown away after the last answer.
const MOST: usize = 4 << 20;
