//! An app behind the proxy that records every byte it receives and answers as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Answer, within};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: Method,
    /// The request target as it was written.
    pub target: String,
    pub version: Version,
    pub headers: HeaderMap,
    /// The head as it was written: request line and fields, in order and spelling.
    pub head: String,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

type Script = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

/// The app. Runs on a thread of its own; stops when dropped.
pub struct RecordingUpstream {
    address: SocketAddr,
    // Bound and never listening: keeps the port ours while the app is stopped.
    _reserved: Socket,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
    runtime: Option<Runtime>,
}

struct Shared {
    script: Mutex<Script>,
    requests: Mutex<Vec<Recorded>>,
    /// What came on each connection.
    bytes: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    grown: watch::Sender<()>,
}

/// Of each connection so many bytes are kept.
const KEPT: usize = 8 << 20;

impl RecordingUpstream {
    /// An app that greets everybody: 200, `x-up-app: yes`, `hello from the app`.
    pub fn start() -> Self {
        Self::scripted(|_| Answer::text("hello from the app"))
    }

    /// An app that answers so. Upgrades to WebSocket are taken and echoed in any case.
    pub fn scripted(script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let reserved = bound("127.0.0.1:0".parse().unwrap());
        let address = reserved.local_addr().unwrap().as_socket().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            requests: Mutex::default(),
            bytes: Mutex::default(),
            grown: watch::channel(()).0,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let app = Self { address, _reserved: reserved, shared, accepting: Mutex::default(), runtime: Some(runtime) };
        app.restart();
        app
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:4711`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers otherwise from now on.
    pub fn script(&self, script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests arrived.
    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// The latest request.
    #[track_caller]
    pub fn last(&self) -> Recorded {
        self.shared.requests.lock().unwrap().last().expect("the app was not reached").clone()
    }

    /// Everything that arrived, of all connections.
    pub fn bytes(&self) -> Vec<u8> {
        let connections = self.shared.bytes.lock().unwrap();
        connections.iter().flat_map(|bytes| bytes.lock().unwrap().clone()).collect()
    }

    /// Waits until these bytes have arrived on some connection.
    pub async fn arrived(&self, needle: &str) {
        let mut grown = self.shared.grown.subscribe();
        let here = async {
            while !String::from_utf8_lossy(&self.bytes()).contains(needle) {
                grown.changed().await.unwrap();
            }
        };
        within(&format!("{needle:?} at the app"), here).await;
    }

    /// Waits until so many requests have arrived whole.
    pub async fn reached(&self, count: usize) {
        let mut grown = self.shared.grown.subscribe();
        let here = async {
            while self.count() < count {
                grown.changed().await.unwrap();
            }
        };
        within(&format!("{count} requests at the app"), here).await;
    }

    /// Stops listening and cuts every connection; the port stays ours.
    pub async fn stop(&self) {
        let accepting = self.accepting.lock().unwrap().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            let _ = accepting.await;
        }
    }

    /// Listens again at the same address.
    pub fn restart(&self) {
        let runtime = self.runtime.as_ref().unwrap();
        let listener = bound(self.address);
        listener.listen(1024).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener.into()).unwrap()
        };
        let task = runtime.spawn(accept(listener, self.shared.clone()));
        *self.accepting.lock().unwrap() = Some(task);
    }
}

impl Drop for RecordingUpstream {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Recorded {
    /// A header's value; empty if absent. Fails the test when there are several.
    #[track_caller]
    pub fn header(&self, name: &str) -> String {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(values.len() < 2, "{name} came {} times:\n{}", values.len(), self.head);
        values.first().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    }

    /// Names and values of the fields whose folded name begins so: `x-auth` finds `X_Auth.User`, too.
    pub fn family(&self, folded: &str) -> Vec<(String, String)> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let fields = fields.filter(|(name, _)| fold(name).starts_with(&fold(folded)));
        fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }
}

/// A name without case and separators.
fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task: its end cuts the connections.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let number = {
            let mut all = shared.bytes.lock().unwrap();
            all.push(bytes.clone());
            all.len() - 1
        };
        let tee = Tee { stream, bytes: bytes.clone(), shared: shared.clone() };
        let connection = Connection { number, bytes, consumed: Arc::default(), shared: shared.clone() };
        let service = service_fn(move |request| connection.clone().answer(request));
        let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tee), service);
        connections.spawn(served.with_upgrades());
    }
}

#[derive(Clone)]
struct Connection {
    number: usize,
    bytes: Arc<Mutex<Vec<u8>>>,
    consumed: Arc<Mutex<usize>>,
    shared: Arc<Shared>,
}

type Payload = UnsyncBoxBody<Bytes, Infallible>;

impl Connection {
    async fn answer(self, mut request: Request<Incoming>) -> Result<Response<Payload>, hyper::Error> {
        let head = self.head();
        let upgrade = (request.headers().get("upgrade").is_some_and(|to| to == "websocket"))
            .then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        *self.consumed.lock().unwrap() = self.bytes.lock().unwrap().len();
        let recorded = Recorded {
            method: parts.method,
            target: head.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned(),
            version: parts.version,
            headers: parts.headers,
            head,
            body: body.to_bytes(),
            trailers,
            connection: self.number,
        };
        self.shared.requests.lock().unwrap().push(recorded.clone());
        self.shared.grown.send_modify(|()| ());
        let script = self.shared.script.lock().unwrap().clone();
        let mut answer = if upgrade.is_some() { Answer::WebSocket } else { script(&recorded) };
        loop {
            answer = match answer {
                Answer::Held(gate, then) => {
                    gate.passed().await;
                    *then
                }
                Answer::Full(response) => return Ok(response.map(|body| Full::new(body).boxed_unsync())),
                Answer::Trailers(response, trailers) => {
                    // As a stream its length is unknown, so it is sent in chunks: only those have trailers.
                    let frames = |body| [Ok(Frame::data(body)), Ok(Frame::trailers(trailers))];
                    let stream = |body| StreamBody::new(futures_util::stream::iter(frames(body)));
                    return Ok(response.map(|body| BodyExt::boxed_unsync(stream(body))));
                }
                Answer::Stream(response, receiver) => {
                    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async {
                        receiver.recv().await.map(|piece| (Ok(Frame::data(piece)), receiver))
                    });
                    return Ok(response.map(|()| BodyExt::boxed_unsync(StreamBody::new(pieces))));
                }
                Answer::WebSocket => {
                    let key = recorded.headers.get("sec-websocket-key").map(HeaderValue::as_bytes).unwrap_or_default();
                    let response = Response::builder()
                        .status(101)
                        .header("connection", "upgrade")
                        .header("upgrade", "websocket")
                        .header("sec-websocket-accept", derive_accept_key(key));
                    if let Some(upgrade) = upgrade {
                        tokio::spawn(echo(upgrade));
                    }
                    return Ok(response.body(Full::default().boxed_unsync()).unwrap());
                }
            }
        }
    }

    /// The head of the request that is being answered: what came since the one before.
    fn head(&self) -> String {
        let bytes = self.bytes.lock().unwrap();
        let text = String::from_utf8_lossy(&bytes[*self.consumed.lock().unwrap()..]).into_owned();
        text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n", "\n")
    }
}

async fn echo(upgrade: hyper::upgrade::OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// A socket that notes what it reads.
struct Tee {
    stream: TcpStream,
    bytes: Arc<Mutex<Vec<u8>>>,
    shared: Arc<Shared>,
}

impl AsyncRead for Tee {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            let mut bytes = self.bytes.lock().unwrap();
            if bytes.len() < KEPT {
                bytes.extend_from_slice(&buf.filled()[before..]);
            }
            drop(bytes);
            self.shared.grown.send_modify(|()| ());
        }
        read
    }
}

impl AsyncWrite for Tee {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
