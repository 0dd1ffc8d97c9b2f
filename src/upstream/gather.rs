use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Writes several small pieces as one: for a message of usual size, copying it costs much less than the kernel spends
/// on a list of pieces.
pub(crate) fn poll_write_gathered<W: AsyncWrite>(
    writer: Pin<&mut W>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [piece] = pieces {
        return writer.poll_write(cx, piece);
    }
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    if total > SMALL {
        return writer.poll_write_vectored(cx, pieces);
    }
    let mut whole = [0; SMALL];
    let mut end = 0;
    for piece in pieces {
        whole[end..end + piece.len()].copy_from_slice(piece);
        end += piece.len();
    }
    writer.poll_write(cx, &whole[..end])
}

/// Up to this length a message is copied.
const SMALL: usize = 1 << 10;

/// A connection whose small writes are gathered.
pub(super) struct Gathered<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write_gathered(Pin::new(&mut self.0), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn pieces_arrive_in_order_however_long_they_are() {
        for length in [1, 500, 600, 5000] {
            let (near, mut far) = duplex(64 << 10);
            let mut near = Gathered(near);
            let (one, two) = (vec![b'1'; length], vec![b'2'; length]);
            let written = near.write_vectored(&[IoSlice::new(&one), IoSlice::new(&two)]).await.unwrap();
            drop(near);
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, [one, two].concat()[..written]);
        }
    }
}
