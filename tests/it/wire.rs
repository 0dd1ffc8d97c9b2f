//! The wire on both sides: raw bytes in front of a proxy of nothing but `listen` and `upstream`.

mod limits;
mod pool;
mod shutdown;
mod smuggling;
mod streaming;
mod tls;
mod tunnel;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vestibule::body::Body;
use vestibule::limit;
use vestibule::listen::{self, Connection, Outcome, Settings, Shutdown};
use vestibule::upstream::{Error, Pool, Round, Upstreams, forward};
use vestibule::visit::Client;

/// A test that waits longer is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy without any rule.
struct Proxy {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<Outcome>,
}

impl Proxy {
    async fn to(upstream: SocketAddr) -> Self {
        Self::with(upstream, |_, _| {}).await
    }

    async fn with(upstream: SocketAddr, change: impl FnOnce(&mut Settings, &mut limit::Settings)) -> Self {
        let mut settings = Settings { addresses: vec!["127.0.0.1:0".to_owned()], workers: 2, ..Settings::default() };
        let mut limits = limit::Settings::default();
        change(&mut settings, &mut limits);
        let bound = listen::bind(&settings).unwrap();
        let address = bound.address().unwrap();
        let shutdown = Shutdown::new();
        let upstreams = Upstreams::new(vec![format!("http://{upstream}").parse().unwrap()], limits.timeouts);
        let until = shutdown.clone();
        let ended = tokio::spawn(async move {
            let make = move |_| {
                let pool = upstreams.pool();
                move |request, connection| forward(pool.clone(), request, connection)
            };
            listen::serve(bound, &settings, &limits, make, until).await
        });
        Self { address, shutdown, ended }
    }

    /// Sends bytes and reads until the proxy closes.
    async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // It may close before it has read everything.
        let _ = stream.write_all(bytes.as_ref()).await;
        read_to_end(&mut stream).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.force();
    }
}

async fn forward(pool: Pool, mut request: Request<Body>, connection: Connection) -> Response<Body> {
    if request.uri().path() == "/refused" {
        return status(StatusCode::UNAUTHORIZED);
    }
    let Ok(upgrade) = forward::strip_request(request.headers_mut(), |_| false) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let peer = connection.peer.ip();
    let client = Client { peer, address: peer, scheme: connection.scheme, trusted: false };
    let round = Round::first("http://app.localhost");
    let answer = match upgrade {
        forward::Upgrade::No if pool.takes_whole(0, &request) => {
            let head = forward::head(&mut request, &client, round);
            let text = head.finish(request.body().whole().unwrap_or_default());
            pool.ask(0, request.method(), &text, Instant::now()).await
        }
        forward::Upgrade::No => {
            forward::request(&mut request, &client, round, upgrade);
            pool.send(0, request).await
        }
        forward::Upgrade::WebSocket => {
            forward::request(&mut request, &client, round, upgrade);
            pool.upgrade(0, request, std::future::pending()).await
        }
    };
    match answer {
        Ok(mut response) => {
            forward::response(&mut response);
            response
        }
        Err(Error::Request(_)) => status(StatusCode::BAD_REQUEST),
        Err(Error::Timeout) => status(StatusCode::GATEWAY_TIMEOUT),
        Err(_) => status(StatusCode::BAD_GATEWAY),
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An upstream that keeps every byte it receives and answers each header block with the same bytes.
struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    connections: Arc<AtomicUsize>,
}

impl Recorder {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (record, count) = (Arc::clone(&seen), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(record_and_answer(stream, Arc::clone(&record), answer));
            }
        });
        Self { address, seen, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

async fn record_and_answer(mut stream: TcpStream, record: Arc<Mutex<Vec<u8>>>, answer: &str) {
    let mut buffer = vec![0; 64 << 10];
    let mut tail = Vec::new();
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        record.lock().unwrap().extend_from_slice(&buffer[..read]);
        tail.extend_from_slice(&buffer[..read]);
        while let Some(end) = tail.windows(4).position(|four| four == b"\r\n\r\n") {
            tail.drain(..end + 4);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An upstream that serves one connection as the test says.
async fn upstream<F: Future<Output = ()> + Send>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("nobody connects").unwrap();
        serve(stream).await;
    });
    address
}

/// What an upstream of a test reports next. It may be gone, or the request may never have come to it: nobody waits for
/// ever.
async fn reported<T>(reports: &mut tokio::sync::mpsc::Receiver<T>) -> T {
    timeout(PATIENCE, reports.recv()).await.expect("nothing comes to the upstream").expect("the upstream failed")
}

/// Reads one header block, and not a byte more.
async fn read_head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).await.unwrap(), 1, "ended in {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    String::from_utf8(head).unwrap()
}

async fn read_exactly(stream: &mut (impl tokio::io::AsyncRead + Unpin), length: usize) -> String {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A reset counts as an end, too.
async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection stays open");
    String::from_utf8_lossy(&bytes).into_owned()
}
