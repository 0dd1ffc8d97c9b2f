use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::framed::Framed;
use super::framing::Framing;
use super::gauge::{Gauge, Order, Stage};
use super::plain::{Next, Plain};
use super::service::Service;
use super::socket::{Socket, Stream, prepare};
use super::streams::StreamTasks;
use super::tls::Certificates;
use super::{Connection, Handler};
use crate::limit;
use crate::visit::Scheme;

/// How the connections of a worker are served.
pub(super) struct Protocol {
    http1: http1::Builder,
    http2: http2::Builder<StreamTasks>,
    certificates: Option<Certificates>,
    longest_head: usize,
    most_fields: usize,
}

impl Protocol {
    pub(super) fn new(limits: &limit::Settings, certificates: Option<Certificates>) -> Self {
        let mut http1 = http1::Builder::new();
        // Times are kept by the sweep: hyper's own would make a timer for every request.
        // A client that has said all there is may close its side and still wants the answer.
        http1.half_close(true);
        http1.header_read_timeout(None).max_header_size(limits.header_bytes);
        // For the number it takes by itself the parser has a place on its stack; for any other it fills one each time.
        if limits.header_fields != USUAL_FIELDS {
            http1.max_headers(limits.header_fields);
        }
        http1.max_buf_size(limits.header_bytes.max(BUFFER));
        let mut http2 = http2::Builder::new(StreamTasks);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            // CVE-2023-44487, CVE-2025-8671: streams opened to be reset, and frames that make us reset them.
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(64)
            .max_send_buf_size(BUFFER)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(4 * STREAM_WINDOW)
            .keep_alive_interval(limits.timeouts.stall)
            .keep_alive_timeout(Duration::from_secs(10).min(limits.timeouts.stall));
        let (longest_head, most_fields) = (limits.header_bytes, limits.header_fields);
        Self { http1, http2, certificates, longest_head, most_fields }
    }

    /// Serves a connection until it ends or is told to.
    pub(super) async fn serve<H: Handler>(&self, stream: Stream, gauge: &Arc<Gauge>, handler: H) -> io::Result<()> {
        let scheme = if self.certificates.is_some() { Scheme::Https } else { Scheme::Http };
        let connection = Connection { peer: prepare(&stream)?, scheme };
        let service = Service::new(handler, connection, Arc::clone(gauge), self.most_fields);
        let mut socket = Socket::new(stream, Arc::clone(gauge));
        let Some(certificates) = &self.certificates else {
            let first = first_bytes(&mut socket, gauge).await?;
            return if first.starts_with(PREFACE) {
                self.speak_http2(socket, first.freeze(), gauge, service).await
            } else {
                self.speak_http1(socket, first, gauge, service).await
            };
        };
        gauge.enter(Stage::Handshake);
        let stream = certificates.accept(socket).await?;
        gauge.enter(Stage::Fresh);
        match stream.get_ref().1.alpn_protocol() {
            // The authority has seen all it came for.
            #[cfg(feature = "acme")]
            Some(crate::acme::ALPN) => Ok(()),
            Some(b"h2") => self.speak_http2(stream, Bytes::new(), gauge, service).await,
            _ => self.speak_http1(stream, BytesMut::new(), gauge, service).await,
        }
    }

    /// What is plain first, and from the first other thing on the rest.
    pub(super) async fn speak_http1<S, H>(
        &self,
        io: S,
        first: BytesMut,
        gauge: &Arc<Gauge>,
        service: Service<H>,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler,
    {
        let plain = Plain::new(io, first, gauge, (self.longest_head, self.most_fields));
        let Next::Other(io, first, response) = plain.serve(&service).await? else { return Ok(()) };
        service.is_answered(response);
        self.speak_any_http1(io, first, gauge, service).await
    }

    pub(super) async fn speak_any_http1<S, H>(
        &self,
        io: S,
        first: Bytes,
        gauge: &Arc<Gauge>,
        service: Service<H>,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler,
    {
        let io = Framed::new(io, first, Some(Framing::new(self.longest_head)), Arc::clone(gauge), service.peer());
        let connection = pin!(self.http1.serve_connection(TokioIo::new(io), service).with_upgrades());
        served(gauge, connection, |connection| connection.graceful_shutdown()).await
    }

    async fn speak_http2<S, H>(&self, io: S, first: Bytes, gauge: &Arc<Gauge>, service: Service<H>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler,
    {
        gauge.enter(Stage::Http2);
        let io = Framed::new(io, first, None, Arc::clone(gauge), service.peer());
        let connection = pin!(self.http2.serve_connection(TokioIo::new(io), service));
        served(gauge, connection, |connection| connection.graceful_shutdown()).await
    }
}

/// Serves a connection; when it is to retire it is told so, and ends after what it has in progress.
async fn served<C: Future<Output = hyper::Result<()>>>(
    gauge: &Gauge,
    mut connection: Pin<&mut C>,
    retire: impl Fn(Pin<&mut C>),
) -> io::Result<()> {
    let mut retires = false;
    poll_fn(|cx| {
        if !retires && gauge.order() >= Order::Retire {
            retires = true;
            retire(connection.as_mut());
        }
        connection.as_mut().poll(cx)
    })
    .await
    .map_err(io::Error::other)
}

/// Ends the work on a connection at once when it is cut.
pub(super) async fn until_cut<F: Future>(gauge: &Gauge, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // At every poll: an order takes the waker along, and a second one may follow.
        gauge.task.register(cx.waker());
        if gauge.order() == Order::Cut { Poll::Ready(None) } else { work.as_mut().poll(cx).map(Some) }
    })
    .await
}

/// Reads until HTTP/2 (RFC 9113 §3.4, by prior knowledge) and HTTP/1 can be told apart.
async fn first_bytes(socket: &mut Socket, gauge: &Gauge) -> io::Result<BytesMut> {
    let mut first = BytesMut::with_capacity(FIRST);
    loop {
        let read = until_retired(gauge, socket.read_buf(&mut first)).await?;
        let known = first.len().min(PREFACE.len());
        if read == 0 && first.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read == 0 || known == PREFACE.len() || first[..known] != PREFACE[..known] {
            return Ok(first);
        }
    }
}

async fn until_retired<T>(gauge: &Gauge, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if gauge.order() >= Order::Retire {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        work.as_mut().poll(cx)
    })
    .await
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How many fields hyper takes unless it is told otherwise.
const USUAL_FIELDS: usize = 100;
/// Room for the first request of most clients.
const FIRST: usize = 2 << 10;
/// Buffers of one connection in each direction.
const BUFFER: usize = 64 << 10;
/// How much of a request body may be under way on one stream.
const STREAM_WINDOW: u32 = 256 << 10;
