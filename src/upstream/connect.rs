use std::io;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use super::Address;
use crate::body::Body;
use crate::gather::Gathered;

/// Opens a connection and leaves it to a task of its own, which ends with the connection.
pub(super) async fn connect(address: &Address, limit: Duration) -> io::Result<SendRequest<Body>> {
    match address {
        Address::Tcp { host, port } => {
            let stream = dial(host, *port, limit).await?;
            stream.set_nodelay(true)?;
            handshake(stream).await
        }
        Address::Unix(path) => {
            let stream = timeout(limit, UnixStream::connect(path)).await.map_err(|_| too_late())??;
            handshake(stream).await
        }
    }
}

/// Tries every address of a name; one that is silent leaves time for the others.
async fn dial(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<_> = timeout(limit, lookup_host((host, port))).await.map_err(|_| too_late())??.collect();
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = too_late(),
        }
    }
    Err(last)
}

async fn handshake<S>(stream: S) -> io::Result<SendRequest<Body>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Gathered(stream));
    let (sender, connection) =
        http1::Builder::new().max_buf_size(READ_BUFFER).handshake(io).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        // Whoever waits for an answer on it learns of the error, too.
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to the upstream ended");
        }
    });
    Ok(sender)
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection in time")
}

/// Large downloads travel in reads of up to this size; hyper's own default is seven times as much for each connection.
const READ_BUFFER: usize = 64 << 10;
