use std::io;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::Address;
use super::stream::Stream;
use super::tls::Connector;
use crate::body::Body;
use crate::gather::Gathered;

/// Opens a connection, or goes on with this one, and leaves it to a task of its own, which ends with the connection. The
/// limit is shared out among the addresses of a name; whoever calls sees to it that it holds for all that is done here.
pub(super) async fn connect(
    address: &Address,
    tls: Option<&Connector>,
    first: Option<Stream>,
    limit: Duration,
) -> io::Result<http1::SendRequest<Body>> {
    handshake(dial(address, tls, Protocol::Http1, first, limit).await?).await
}

/// The same for HTTP/2: what comes back can be cloned, and every clone speaks on the one connection.
pub(super) async fn connect_http2(
    address: &Address,
    tls: Option<&Connector>,
    first: Option<Stream>,
    limit: Duration,
) -> io::Result<http2::SendRequest<Body>> {
    handshake_http2(dial(address, tls, Protocol::Http2, first, limit).await?).await
}

/// Opens a connection for HTTP/1.1 that nobody polls but who uses it.
pub(super) async fn line(
    address: &Address,
    tls: Option<&Connector>,
    first: Option<Stream>,
    limit: Duration,
) -> io::Result<Stream> {
    dial(address, tls, Protocol::Http1, first, limit).await
}

/// What is to be spoken on a connection.
#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

async fn dial(
    address: &Address,
    tls: Option<&Connector>,
    protocol: Protocol,
    first: Option<Stream>,
    limit: Duration,
) -> io::Result<Stream> {
    let stream = match first {
        Some(first) => first,
        None => plain(address, limit).await?,
    };
    match (address, stream) {
        (Address::Https { .. }, Stream::Tcp(stream)) => {
            let verified = verified(tls)?;
            let stream = match protocol {
                Protocol::Http1 => verified.http1(stream).await,
                Protocol::Http2 => verified.http2(stream).await,
            };
            Ok(Stream::Tls(Box::new(stream?)))
        }
        (_, stream) => Ok(stream),
    }
}

/// Opens a connection on which nothing is said yet.
pub(super) async fn plain(address: &Address, limit: Duration) -> io::Result<Stream> {
    match address {
        Address::Tcp { host, port } | Address::H2c { host, port } | Address::Https { host, port } => {
            reach(host, *port, limit).await.map(Stream::Tcp)
        }
        Address::Unix(path) => {
            Ok(Stream::Unix(timeout(limit, UnixStream::connect(path)).await.map_err(|_| too_late())??))
        }
    }
}

/// Nothing goes out unless there is something to know the other end by.
fn verified(tls: Option<&Connector>) -> io::Result<&Connector> {
    tls.ok_or_else(|| io::Error::other("no settings for TLS"))
}

/// Tries every address of a name; one that is silent leaves time for the others.
async fn reach(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let end = Instant::now() + limit;
    let addresses: Vec<_> = timeout_at(end, lookup_host((host, port))).await.map_err(|_| too_late())??.collect();
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let share = end.saturating_duration_since(Instant::now()) / count;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = too_late(),
        }
    }
    Err(last)
}

async fn handshake(stream: Stream) -> io::Result<http1::SendRequest<Body>> {
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

async fn handshake_http2(stream: Stream) -> io::Result<http2::SendRequest<Body>> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .max_send_buf_size(SEND_BUFFER);
    let handshake = builder.handshake(TokioIo::new(Gathered(stream)));
    let (sender, connection) = handshake.await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP/2 connection to the upstream ended");
        }
    });
    Ok(sender)
}

pub(super) fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection in time")
}

/// Large downloads travel in reads of up to this size; hyper's own default is seven times as much for each connection.
const READ_BUFFER: usize = 64 << 10;
/// What one stream may send us before its client has taken it (RFC 9113 §5.2).
const STREAM_WINDOW: u32 = 256 << 10;
/// What all streams of a connection may: one client that does not read must not stop the others.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// The longest header list of an answer: as long as HTTP/1.1 takes.
const HEADER_LIST: u32 = 64 << 10;
/// What waits for the upstream to take it, for each stream.
const SEND_BUFFER: usize = 256 << 10;
