//! Small writes in one plain `send`: for a head and a short body a vectored write costs the kernel more than copying
//! them together does.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Writes what `bufs` hold: together if that is little, else as the stream does it.
pub fn poll_write<S: AsyncWrite + Unpin>(
    mut stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
    match (filled.next(), filled.next()) {
        (None, _) => stream.poll_write(cx, &[]),
        (Some(only), None) => stream.poll_write(cx, only),
        _ if bufs.iter().map(|buf| buf.len()).sum::<usize>() > LITTLE => stream.poll_write_vectored(cx, bufs),
        _ => {
            let mut together = [0; LITTLE];
            let mut end = 0;
            for buf in bufs {
                together[end..end + buf.len()].copy_from_slice(buf);
                end += buf.len();
            }
            stream.as_mut().poll_write(cx, &together[..end])
        }
    }
}

/// A stream that writes so.
#[derive(Debug)]
pub struct Gathered<S>(pub S);

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
        poll_write(Pin::new(&mut self.0), cx, bufs)
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

/// A head and a short body. Zeroing and copying it costs less than a second slice does.
const LITTLE: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn sent(parts: &[&[u8]]) -> Vec<u8> {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let mut near = Gathered(near);
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let written = near.write_vectored(rest).await.unwrap();
            IoSlice::advance_slices(&mut rest, written);
        }
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        all
    }

    #[tokio::test]
    async fn every_byte_is_written_in_its_order() {
        let long = vec![b'x'; LITTLE];
        for parts in [&[&b"head"[..], b"", b"body"][..], &[b"head"], &[b"head", &long], &[&long, &long, b"end"]] {
            assert_eq!(sent(parts).await, parts.concat());
        }
    }
}
