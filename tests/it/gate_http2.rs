//! WebSockets on streams of HTTP/2 (RFC 8441), as browsers open them where a server offers it.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::service_fn;
use vestibule::{Vestibule, identity};

use crate::gate::{ORIGIN, RULES, kit};
use crate::support::within;

/// Says once who is there, and what the app saw of the opening.
async fn greet(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let email = identity(&request).and_then(|who| who.email()).unwrap_or("nobody").to_owned();
    let rest =
        ["connection", "upgrade", "sec-websocket-key", "cookie"].map(|name| request.headers().get(name).is_some());
    let protocol = request.extensions().get::<Protocol>().map(|protocol| protocol.as_str().to_owned());
    let seen = format!("{email} {} {protocol:?} {}", request.method(), rest.contains(&true));
    if request.method() != Method::CONNECT {
        return Ok(Response::new(Empty::new()));
    }
    tokio::spawn(async move {
        let stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        socket.send(Message::text(seen)).await.unwrap();
        socket.close(None).await.unwrap();
    });
    Ok(Response::new(Empty::new()))
}

async fn serving(gate: &Vestibule) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = gate.protect(service_fn(greet));
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(app.clone().from_peer(peer));
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().enable_connect_protocol();
            tokio::spawn(async move { server.serve_connection(TokioIo::new(stream), service).await.unwrap() });
        }
    });
    address
}

/// Asks for a stream that speaks this protocol.
async fn open(
    address: SocketAddr,
    protocol: &'static str,
    cookie: Option<HeaderValue>,
    origin: &str,
) -> Response<Incoming> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = |method: Method, path: &str| {
        let request = Request::builder().method(method).version(Version::HTTP_2).uri(format!("{ORIGIN}{path}"));
        let request = request.header("origin", origin).header("sec-websocket-version", "13");
        cookie.iter().fold(request, |request, cookie| request.header("cookie", cookie)).body(Empty::<Bytes>::new())
    };
    // Its settings have come with the first answer: before them a client may not ask for a protocol.
    within("an answer", sender.send_request(request(Method::GET, "/public/settings").unwrap())).await.unwrap();
    let mut opening = request(Method::CONNECT, "/live").unwrap();
    opening.extensions_mut().insert(Protocol::from_static(protocol));
    within("the opening", sender.send_request(opening)).await.unwrap()
}

#[tokio::test]
async fn a_web_socket_opens_on_a_stream_of_http2_for_whom_the_rules_let_in() {
    let kit = kit(RULES).await;
    let address = serving(kit.gate()).await;
    let ann = kit.sign_in("ann@example.com").await.unwrap().cookie();
    for (protocol, cookie, origin, status) in [
        ("websocket", None, ORIGIN, StatusCode::UNAUTHORIZED),
        ("websocket", Some(ann.clone()), "https://evil.example", StatusCode::FORBIDDEN),
        ("connect-udp", Some(ann.clone()), ORIGIN, StatusCode::NOT_IMPLEMENTED),
        ("websocket", Some(ann), ORIGIN, StatusCode::OK),
    ] {
        let answer = open(address, protocol, cookie, origin).await;
        assert_eq!(answer.status(), status, "{protocol} {origin}");
        if status == StatusCode::OK {
            let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
            let greeting = within("a message", socket.next()).await.unwrap().unwrap();
            assert_eq!(greeting, Message::text("ann@example.com CONNECT Some(\"websocket\") false"));
        }
    }
}
