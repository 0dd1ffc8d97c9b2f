use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::connect::connect;
use super::http2::{self, Shared};
use super::patience::Patience;
use super::tls::{Connector, TlsError, TlsSettings};
use super::upload::Upload;
use super::{Address, expect, reply, tunnel};
use crate::body::Body;
use crate::limit::Timeouts;

/// Every upstream of the configuration, by number, and whether it answers.
#[derive(Debug)]
pub struct Upstreams {
    list: Vec<Upstream>,
    timeouts: Timeouts,
    /// After so long without a request a connection may be about to be closed by its other end.
    doubtful: Duration,
}

#[derive(Debug)]
struct Upstream {
    address: Address,
    tls: Option<Connector>,
    is_down: AtomicBool,
}

/// Connections to the upstreams that are kept between requests. Each worker has its own, so that nothing is shared
/// between cores on the way of a request.
#[derive(Clone)]
pub struct Pool {
    upstreams: Arc<Upstreams>,
    idle: Arc<[Mutex<VecDeque<Idle>>]>,
    shared: Arc<[Shared]>,
}

/// A connection to an upstream.
pub(super) struct Link {
    sender: SendRequest<Body>,
    patience: Patience,
}

struct Idle {
    link: Link,
    since: Instant,
}

/// Why there is no answer of an upstream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It takes no connections.
    #[error("no connection: {0}")]
    Down(#[source] io::Error),
    /// Its answer did not begin within `limits.timeouts.upstream`.
    #[error("no answer in time")]
    Timeout,
    /// It took the request and ended the connection, or answered what is not HTTP.
    #[error("no answer: {0}")]
    Broken(#[source] hyper::Error),
    /// The client broke off, or framed its body badly; not the upstream's fault.
    #[error("the body of the request broke off: {0}")]
    Request(#[source] hyper::Error),
    /// The request does not say where it goes, and the upstream has no name of its own.
    #[error("no authority")]
    Authority,
    /// There is no upstream of this number.
    #[error("no upstream number {0}")]
    Unknown(usize),
}

impl Upstreams {
    /// The upstreams that requests name by their place in `addresses`. One over TLS takes no connection: it is
    /// [`open`](Self::open) that says how it is verified.
    pub fn new(addresses: Vec<Address>, timeouts: Timeouts) -> Arc<Self> {
        Self::of(addresses.into_iter().map(|address| (address, None)), timeouts)
    }

    /// The same with those over TLS, verified by these settings, else by the authorities of the machine.
    ///
    /// # Errors
    /// A file that cannot be used, or a machine without authorities.
    pub fn open(addresses: Vec<Address>, timeouts: Timeouts, tls: &TlsSettings) -> Result<Arc<Self>, TlsError> {
        let all = addresses.into_iter().map(|address| Connector::new(&address, tls).map(|tls| (address, tls)));
        Ok(Self::of(all.collect::<Result<Vec<_>, _>>()?.into_iter(), timeouts))
    }

    fn of(all: impl Iterator<Item = (Address, Option<Connector>)>, timeouts: Timeouts) -> Arc<Self> {
        let list = all.map(|(address, tls)| Upstream { address, tls, is_down: AtomicBool::new(false) }).collect();
        Arc::new(Self { list, timeouts, doubtful: DOUBTFUL })
    }

    /// An empty pool, for one worker.
    pub fn pool(self: &Arc<Self>) -> Pool {
        Pool {
            upstreams: Arc::clone(self),
            idle: self.list.iter().map(|_| Mutex::default()).collect(),
            shared: self.list.iter().map(|_| Shared::default()).collect(),
        }
    }

    /// Each upstream, and whether its last connection came about.
    pub fn states(&self) -> impl Iterator<Item = (&Address, bool)> {
        self.list.iter().map(|upstream| (&upstream.address, !upstream.is_down.load(Ordering::Relaxed)))
    }

    /// Whether the last connection to this upstream failed.
    pub fn is_down(&self, upstream: usize) -> bool {
        self.list.get(upstream).is_some_and(|upstream| upstream.is_down.load(Ordering::Relaxed))
    }
}

impl Upstream {
    /// Only a change is worth a line: an upstream that is down is asked by every request.
    fn note(&self, outcome: Result<(), &io::Error>) {
        match outcome {
            Ok(()) if self.is_down.load(Ordering::Relaxed) && self.is_down.swap(false, Ordering::Relaxed) => {
                tracing::info!(upstream = %self.address, "upstream is up again");
            }
            Err(error) if !self.is_down.swap(true, Ordering::Relaxed) => {
                tracing::warn!(upstream = %self.address, %error, "upstream is down");
            }
            _ => {}
        }
    }
}

impl Pool {
    /// Sends a request as [`forward`](super::forward) left it, and returns when the answer has begun.
    ///
    /// A request is sent a second time only if no byte of it went out, or if it is a GET or HEAD without a body that
    /// met a connection which the upstream had given up.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(&self, upstream: usize, mut request: Request<Body>) -> Result<Response<Body>, Error> {
        let target = self.upstreams.list.get(upstream).ok_or(Error::Unknown(upstream))?;
        if http2::carries(&target.address, request.headers()) {
            // Boxed: it is the rarer way, and its future the larger one.
            return Box::pin(self.send_http2(upstream, request)).await;
        }
        expect::hold_body(&mut request);
        let mut request = Some(request);
        let mut now = Instant::now();
        let (mut link, mut spare, mut is_new) = match self.take(upstream, now) {
            // Boxed, as there hardly ever is one.
            Some((link, age)) if age < self.upstreams.doubtful => (link, None, false),
            Some((link, _)) => (link, request.as_ref().and_then(spare).map(Box::new), false),
            None => (self.open(upstream).await?, None, true),
        };
        loop {
            match self.exchange(upstream, link, &mut request, now).await {
                Err(error) if is_new || matches!(error, Error::Timeout) => return Err(error),
                Err(error) if request.is_none() && spare.is_none() => return Err(error),
                Err(_) => request = request.or(spare.take().map(|spare| *spare)),
                Ok(response) => return Ok(response),
            }
            link = self.open(upstream).await?;
            (now, is_new) = (Instant::now(), true);
        }
    }

    /// A new connection. Boxed: few requests need one, and every one would carry the room for its making.
    fn open(&self, upstream: usize) -> Pin<Box<dyn Future<Output = Result<Link, Error>> + Send + '_>> {
        Box::pin(async move {
            let sender = self.reach(upstream, connect).await.map_err(Error::Down)?;
            Ok(Link { sender, patience: Patience::new(Instant::now() + self.upstreams.timeouts.upstream) })
        })
    }

    /// Sends a WebSocket handshake. When the upstream agrees, both connections become one tunnel, until an end closes
    /// it or `cut` completes (a session that is over); else its answer is an ordinary one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn upgrade(
        &self,
        upstream: usize,
        mut request: Request<Body>,
        cut: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Response<Body>, Error> {
        let client = hyper::upgrade::on(&mut request);
        let mut response = self.send(upstream, request).await?;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            let server = hyper::upgrade::on(&mut response);
            tokio::spawn(tunnel::run(client, server, cut));
        }
        Ok(response)
    }

    /// Sends what is in `request`; what could not be sent at all is in it again afterwards.
    async fn exchange(
        &self,
        upstream: usize,
        mut link: Link,
        request: &mut Option<Request<Body>>,
        now: Instant,
    ) -> Result<Response<Body>, Error> {
        let limit = self.upstreams.timeouts.upstream;
        let Some(mut sent) = request.take() else { return Err(Error::Unknown(upstream)) };
        let upload = Upload::watch(&mut sent);
        let goes_on = || upload.as_ref().is_some_and(Upload::goes_on);
        let outcome = link.patience.wait(link.sender.try_send_request(sent), goes_on, now, limit).await;
        match outcome {
            Some(Ok(response)) => Ok(self.receive(upstream, link, response)),
            Some(Err(mut error)) => {
                *request = error.take_message();
                let error = error.into_error();
                Err(if error.is_user() { Error::Request(error) } else { Error::Broken(error) })
            }
            None => Err(Error::Timeout),
        }
    }

    /// Opens a connection, and notes whether there is one.
    pub(super) async fn reach<'a, T, F>(
        &'a self,
        upstream: usize,
        connect: impl FnOnce(&'a Address, Option<&'a Connector>, Duration) -> F,
    ) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let target = self.upstreams.list.get(upstream).ok_or(io::ErrorKind::NotFound)?;
        let outcome = connect(&target.address, target.tls.as_ref(), self.upstreams.timeouts.connect).await;
        target.note(outcome.as_ref().map(|_| ()));
        outcome
    }

    pub(super) fn address(&self, upstream: usize) -> Result<&Address, Error> {
        self.upstreams.list.get(upstream).map(|upstream| &upstream.address).ok_or(Error::Unknown(upstream))
    }

    pub(super) fn shared(&self, upstream: usize) -> Result<&Shared, Error> {
        self.shared.get(upstream).ok_or(Error::Unknown(upstream))
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.upstreams.timeouts
    }

    fn receive(&self, upstream: usize, link: Link, response: Response<Incoming>) -> Response<Body> {
        response.map(|body| reply::body(body, link, self.clone(), upstream))
    }

    /// Takes a connection that is open and waits for a request, and how long it has.
    fn take(&self, upstream: usize, now: Instant) -> Option<(Link, Duration)> {
        let mut idle = lock(self.idle.get(upstream)?);
        while let Some(Idle { link, since }) = idle.pop_back() {
            let age = now.saturating_duration_since(since);
            if age >= KEPT {
                // The younger ones are taken first, so all below are as old.
                idle.clear();
                return None;
            }
            if link.sender.is_ready() {
                return Some((link, age));
            }
        }
        None
    }

    /// Keeps a connection whose answer has ended.
    pub(super) fn put(&self, upstream: usize, link: Link) {
        let Some(idle) = self.idle.get(upstream) else { return };
        if !link.sender.is_ready() {
            return;
        }
        let since = Instant::now();
        let mut idle = lock(idle);
        while idle.len() >= MOST || idle.front().is_some_and(|oldest| since.duration_since(oldest.since) >= KEPT) {
            idle.pop_front();
        }
        idle.push_back(Idle { link, since });
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("upstreams", &self.upstreams.list).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A second copy of a request that may be sent twice (RFC 9110 §9.2.2).
fn spare(request: &Request<Body>) -> Option<Request<Body>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// How long a connection is kept without a request: less than the 5 s after which common app servers close theirs.
const KEPT: Duration = Duration::from_secs(4);
/// A request that follows the one before it at once meets no connection that was given up for being idle.
const DOUBTFUL: Duration = Duration::from_millis(500);
/// The most connections kept for one upstream by one worker.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn read_head(stream: &mut TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
    }

    /// Serves one request, then ends the connection at the second; whether that one came again on another.
    async fn comes_again(doubtful: Duration, second: Request<Body>) -> Result<bool, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let list = vec![Upstream { address, tls: None, is_down: AtomicBool::new(false) }];
        let pool = Arc::new(Upstreams { list, timeouts: Timeouts::default(), doubtful }).pool();
        let upstream = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            read_head(&mut stream).await;
            drop(stream);
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        });
        assert_eq!(pool.send(0, Request::new(Body::empty())).await.unwrap().status(), 204);
        let answer = pool.send(0, second).await;
        upstream.abort();
        answer.map(|response| response.status() == 205)
    }

    fn request(method: Method, body: &'static str) -> Request<Body> {
        Request::builder().method(method).body(Body::from(body)).unwrap()
    }

    #[tokio::test]
    async fn a_request_that_met_a_dying_connection_is_repeated_if_that_is_safe() {
        for method in [Method::GET, Method::HEAD] {
            assert!(comes_again(Duration::ZERO, request(method, "")).await.unwrap());
        }
        for (method, body) in [(Method::POST, ""), (Method::DELETE, ""), (Method::GET, "x")] {
            let outcome = comes_again(Duration::ZERO, request(method, body)).await;
            assert!(matches!(outcome, Err(Error::Broken(_))));
        }
    }

    #[tokio::test]
    async fn a_request_on_a_lively_connection_is_never_repeated() {
        let outcome = comes_again(DOUBTFUL, request(Method::GET, "")).await;
        assert!(matches!(outcome, Err(Error::Broken(_))));
    }

    /// Every request pays for copying what it carries, and for the cache it fills.
    #[tokio::test]
    async fn what_waits_for_an_answer_is_small() {
        let address = "http://127.0.0.1:9".parse().unwrap();
        let pool = Upstreams::new(vec![address], Timeouts::default()).pool();
        let size = size_of_val(&pool.send(0, Request::new(Body::empty())));
        assert!(size <= 2048, "{size} bytes");
    }
}
