use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, timeout_at};

use super::connect::{self, connect};
use super::connections::Connections;
use super::first::First;
use super::http2::{self, Shared};
use super::line::{Line, Silence};
use super::patience::Patience;
use super::stream::Stream;
use super::tls::Connector;
use super::upload::Upload;
use super::{Address, Error, TlsError, TlsSettings, expect, flow, reply, tunnel};
use crate::body::Body;
use crate::limit::Timeouts;

/// Every upstream of the configuration, by number, and whether it answers.
#[derive(Debug)]
pub struct Upstreams {
    list: Vec<Upstream>,
    timeouts: Timeouts,
}

#[derive(Debug)]
struct Upstream {
    address: Address,
    tls: Option<Connector>,
    is_down: AtomicBool,
    first: First,
}

/// Connections to the upstreams that are kept between requests. Each worker has its own, so that nothing is shared
/// between cores on the way of a request.
#[derive(Clone)]
pub struct Pool {
    upstreams: Arc<Upstreams>,
    connections: Arc<Connections>,
}

/// A connection to an upstream for requests with a body or an upgrade: it has a task of its own, so that an upload goes
/// on while nobody takes the answer.
pub(super) struct Link {
    sender: SendRequest<Body>,
    patience: Patience,
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
        let list = all
            .map(|(address, tls)| Upstream { address, tls, is_down: AtomicBool::new(false), first: First::default() })
            .collect();
        Arc::new(Self { list, timeouts })
    }

    /// Looks whether each of them is there, in the background: one that is down is told before anybody asks for it.
    pub fn look(self: &Arc<Self>) {
        for (number, upstream) in self.list.iter().enumerate() {
            let all = Arc::clone(self);
            upstream.first.dial(upstream.address.clone(), self.timeouts.connect, move |outcome| {
                all.list[number].note(outcome.as_ref().copied());
            });
        }
    }

    /// An empty pool, for one worker.
    pub fn pool(self: &Arc<Self>) -> Pool {
        Pool { upstreams: Arc::clone(self), connections: Connections::to(self.list.len()) }
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
    /// Whether [`ask`](Self::ask) is the way for a request: all it has to say is there, and the upstream reads HTTP/1.1.
    pub fn takes_whole(&self, upstream: usize, request: &Request<Body>) -> bool {
        let Some(body) = request.body().whole() else { return false };
        // A length that is not the body's would make the next request part of this one (RFC 9112 §11.2).
        let says_so = match request.headers().get(CONTENT_LENGTH) {
            Some(length) => length.to_str().is_ok_and(|length| length.parse() == Ok(body.len())),
            None => body.is_empty(),
        };
        let target = self.upstreams.list.get(upstream);
        says_so && target.is_some_and(|target| !http2::carries(&target.address, request.headers()))
    }

    /// Sends a request of which the whole [text](crate::head::Head) is given, at the time `now`, and returns when the
    /// answer has begun.
    ///
    /// It is sent a second time only if no byte of it went out, or if it is safe (RFC 9110 §9.2.1) and met a connection
    /// which the upstream had given up.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ask(
        &self,
        upstream: usize,
        method: &Method,
        text: &[u8],
        now: std::time::Instant,
    ) -> Result<Response<Body>, Error> {
        let of = self.connections.of.get(upstream).ok_or(Error::Unknown(upstream))?;
        let limit = self.upstreams.timeouts.upstream;
        let mut now = Instant::from_std(now);
        let mut used = of.lines.take(now, Line::is_quiet);
        loop {
            let (mut line, is_new) = match used.take() {
                Some((line, _)) => (line, false),
                None => self.open_line(upstream).await?,
            };
            match line.ask(text, *method == Method::HEAD, now, limit).await {
                // It counts as idle from here on, which is too early, and saves a look at the clock.
                Ok(heard) => return Ok(flow::body(heard, line, self, upstream, now)),
                Err(Silence::Late) => return Err(Error::Timeout),
                Err(Silence::GivenUp { unsent, .. }) if !is_new && (unsent || method.is_safe()) => {}
                Err(Silence::GivenUp { error, .. } | Silence::Broken(error)) => {
                    return Err(Error::Broken(error.into()));
                }
            }
            now = Instant::now();
        }
    }

    /// Boxed, as below.
    fn open_line(&self, upstream: usize) -> Opening<'_, Line> {
        Box::pin(async move {
            let (stream, is_new) = self.reach(upstream, connect::line).await.map_err(Error::Down)?;
            Ok((Line::new(stream, Instant::now() + self.upstreams.timeouts.upstream), is_new))
        })
    }

    /// Sends a request as [`forward`](super::forward) left it, and returns when the answer has begun.
    ///
    /// It is sent a second time only if no byte of it went out.
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
        self.send_http1(upstream, request, Whose::Any).await
    }

    async fn send_http1(&self, upstream: usize, request: Request<Body>, whose: Whose) -> Result<Response<Body>, Error> {
        let mut request = Some(request);
        let mut now = Instant::now();
        let used = match whose {
            Whose::Any => self.connections.of[upstream].links.take(now, |link| link.sender.is_ready()),
            Whose::New => None,
        };
        let (mut link, mut is_new) = match used {
            Some((link, _)) => (link, false),
            None => self.open(upstream).await?,
        };
        loop {
            match self.exchange(upstream, link, &mut request, now).await {
                Err(error) if is_new || request.is_none() || matches!(error, Error::Timeout) => return Err(error),
                Err(_) => {}
                Ok(response) => return Ok(response),
            }
            (link, is_new) = self.open(upstream).await?;
            now = Instant::now();
        }
    }

    /// A new connection. Boxed: few requests need one, and every one would carry the room for its making.
    fn open(&self, upstream: usize) -> Opening<'_, Link> {
        Box::pin(async move {
            let (sender, is_new) = self.reach(upstream, connect).await.map_err(Error::Down)?;
            let patience = Patience::new(Instant::now() + self.upstreams.timeouts.upstream);
            Ok((Link { sender, patience }, is_new))
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
        // On a connection of its own, which it will keep: one that waited may have been given up.
        let mut response = self.send_http1(upstream, request, Whose::New).await?;
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
                Err(if error.is_user() { Error::Request(error) } else { Error::Broken(error.into()) })
            }
            None => Err(Error::Timeout),
        }
    }

    /// Opens a connection, and notes whether there is one. With it goes whether it is new: the first one has waited, as
    /// one that was used before.
    pub(super) async fn reach<'a, T, F>(
        &'a self,
        upstream: usize,
        connect: impl Fn(&'a Address, Option<&'a Connector>, Option<Stream>, Duration) -> F,
    ) -> io::Result<(T, bool)>
    where
        F: Future<Output = io::Result<T>>,
    {
        let target = self.upstreams.list.get(upstream).ok_or(io::ErrorKind::NotFound)?;
        let end = Instant::now() + self.upstreams.timeouts.connect;
        let left = || end.saturating_duration_since(Instant::now());
        let connect = |first| connect(&target.address, target.tls.as_ref(), first, left());
        let connection = async {
            if let Some(first) = target.first.take().await
                && let Ok(connection) = connect(Some(first)).await
            {
                return Ok((connection, false));
            }
            connect(None).await.map(|connection| (connection, true))
        };
        // One limit for all: for the first one, for a name, TCP and TLS, and for what HTTP/2 begins with.
        let outcome = timeout_at(end, connection).await.unwrap_or_else(|_| Err(connect::too_late()));
        target.note(outcome.as_ref().map(|_| ()));
        outcome
    }

    /// What an upstream is called in the log.
    pub fn name(&self, upstream: usize) -> String {
        self.address(upstream).map(Address::to_string).unwrap_or_default()
    }

    pub(super) fn address(&self, upstream: usize) -> Result<&Address, Error> {
        self.upstreams.list.get(upstream).map(|upstream| &upstream.address).ok_or(Error::Unknown(upstream))
    }

    pub(super) fn shared(&self, upstream: usize) -> Result<&Shared, Error> {
        self.connections.of.get(upstream).map(|of| &of.http2).ok_or(Error::Unknown(upstream))
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.upstreams.timeouts
    }

    fn receive(&self, upstream: usize, link: Link, response: Response<Incoming>) -> Response<Body> {
        response.map(|body| reply::body(body, link, self.clone(), upstream))
    }

    /// Keeps a connection whose answer has ended.
    pub(super) fn put(&self, upstream: usize, link: Link) {
        if let Some(of) = self.connections.of.get(upstream)
            && link.sender.is_ready()
            && of.links.put(link, Instant::now())
        {
            self.connections.look_after();
        }
    }

    /// Keeps a connection whose answer has ended.
    pub(super) fn put_line(&self, upstream: usize, line: Line, now: Instant) {
        if let Some(of) = self.connections.of.get(upstream)
            && of.lines.put(line, now)
        {
            self.connections.look_after();
        }
    }
}

/// A connection in the making, and whether it is new.
type Opening<'a, T> = Pin<Box<dyn Future<Output = Result<(T, bool), Error>> + Send + 'a>>;

/// Which connection a request may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Any,
    New,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("upstreams", &self.upstreams.list).finish()
    }
}
