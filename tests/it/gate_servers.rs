//! Other servers than axum's, and what is more than a request and an answer.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::cors::CorsLayer;
use vestibule::gate::Protected;
use vestibule::test::SignedIn;
use vestibule::{Identity, Vestibule, identity};

use crate::gate::{RULES, client, kit, protected, signed_in};
use crate::support::within;

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let who = identity(&request).and_then(Identity::email).unwrap_or("nobody").to_owned();
    Ok(Response::new(Full::from(who)))
}

/// An app that hands what comes through the gate on to this server, as it came.
pub async fn forwarding(gate: &Vestibule, to: SocketAddr) -> SocketAddr {
    let forward = service_fn(move |request: Request<Incoming>| async move {
        let stream = TokioIo::new(TcpStream::connect(to).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.unwrap();
        // A tunnel is not what this is about.
        let status = answer.status();
        Ok::<_, Infallible>(answer).map(|mut answer| {
            *answer.status_mut() = if status == 101 { StatusCode::OK } else { status };
            answer
        })
    });
    listening(gate.protect(forward)).await
}

/// Plain hyper, which knows nothing of tower's layers.
async fn plain(gate: &Vestibule) -> SocketAddr {
    listening(gate.protect(service_fn(hello))).await
}

/// The same by somebody who forgot to say where requests come from.
async fn untold(gate: &Vestibule) -> SocketAddr {
    serving(gate.protect(service_fn(hello)), |app, _| app).await
}

async fn listening<S, R>(app: Protected<S>) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    R: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    serving(app, Protected::from_peer).await
}

async fn serving<S, R>(app: Protected<S>, from: fn(Protected<S>, SocketAddr) -> Protected<S>) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    R: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let app = from(app.clone(), peer);
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                server.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(app)).await
            });
        }
    });
    address
}

#[tokio::test]
async fn plain_hyper_serves_a_protected_function() {
    let kit = kit(RULES).await;
    let client = client(plain(kit.gate()).await);
    client.get("/").script().await.is(401);
    client.get("/.auth/login").navigate().await.is(200);
    assert_eq!(client.get("/public/x").script().await.is(200).text(), "nobody");
    let ann = signed_in(&client, &kit.sign_in("ann@example.com").await.unwrap());
    assert_eq!(ann.get("/").script().await.is(200).text(), "ann@example.com");
    assert_eq!(ann.http2().get("/").script().await.is(200).text(), "ann@example.com");
}

const BY_ADDRESS: &str = r#"
public_url = "http://app.localhost"
[trusted_proxies]
addresses = ["127.0.0.1"]
[routes]
"/near/**" = { all = "anyone", from = ["127.0.0.0/8"] }
"/anywhere/**" = { all = "anyone", from = ["0.0.0.0/0"] }
"/**" = { all = "anyone" }
"#;

#[tokio::test]
async fn rules_by_address_refuse_where_the_server_tells_no_address() {
    let kit = kit(BY_ADDRESS).await;
    let (told, untold) = (client(plain(kit.gate()).await), client(untold(kit.gate()).await));
    for path in ["/near/x", "/anywhere/x"] {
        told.get(path).script().await.is(200);
        untold.get(path).script().await.is(403);
        // And nobody is believed about it.
        untold.get(path).script().header("x-forwarded-for", "127.0.0.9").await.is(403);
    }
    untold.get("/").script().await.is(200);
    told.get("/near/x").script().header("x-forwarded-for", "192.0.2.1").await.is(403);
}

#[tokio::test]
async fn sec_cook_01_a_program_leads_who_came_in_the_clear_to_tls() {
    let rules = BY_ADDRESS.replace("http://app.localhost", "https://app.test") + "[providers.local-userpass]\n";
    let kit = kit(&rules).await;
    let client = client(plain(kit.gate()).await).calling("https://app.test");
    for path in ["/x?a=b", "/.auth/login"] {
        let page = |scheme| client.get(path).header("accept", "text/html").header("x-forwarded-proto", scheme);
        let reply = page("http").await;
        assert_eq!(reply.is(307).location(), format!("https://app.test{path}"));
        page("https").await.is(200);
    }
}

/// A layer outside that answers itself, as CORS and time limits do, makes an empty body of the gate's kind.
#[tokio::test]
async fn layers_that_answer_themselves_stand_outside_the_gate() {
    let kit = kit(RULES).await;
    let hello =
        service_fn(async |_: Request<Full<Bytes>>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hi"))));
    let mut service = ServiceBuilder::new().layer(CorsLayer::permissive()).layer(kit.gate().layer()).service(hello);
    for (method, status) in [("OPTIONS", StatusCode::OK), ("GET", StatusCode::UNAUTHORIZED)] {
        let request = Request::builder().method(method).uri("/").header("host", "app.localhost");
        let request = request.header("origin", "https://other.example").header("access-control-request-method", "GET");
        let answer = service.call(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status);
        let length = answer.into_body().collect().await.unwrap().to_bytes().len();
        assert_eq!(length == 0, method == "OPTIONS");
    }
}

#[tokio::test]
async fn the_error_type_stays_the_apps_own() {
    #[derive(Debug, PartialEq)]
    struct Own;
    let kit = kit(RULES).await;
    let failing = service_fn(async |_: Request<Full<Bytes>>| Err::<Response<Full<Bytes>>, Own>(Own));
    let mut service = ServiceBuilder::new().layer(kit.gate().layer()).service(failing);
    let request = |path: &str| Request::get(path).header("host", "app.localhost").body(Full::default()).unwrap();
    assert_eq!(service.call(request("/public/x")).await.unwrap_err(), Own);
    assert_eq!(service.call(request("/")).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_body_keeps_to_its_limit_or_says_no_length_and_is_refused() {
    let rules =
        RULES.replace("\"/public/**\" = { all = \"anyone\" }", "\"/public/**\" = { all = \"anyone\", body = \"4B\" }");
    let kit = kit(&rules).await;
    let router = Router::new().route("/public/x", axum::routing::post(async |body: String| body));
    let client = client(protected(kit.gate(), router).await);
    assert_eq!(client.post("/public/x").script().body("four").await.is(200).text(), "four");
    client.post("/public/x").script().body("fives").await.is(413);
    let chunked = client.post("/public/x").script().header("transfer-encoding", "chunked").body("four").await;
    assert_eq!(chunked.is(411).code(), "body.length_required");
}

#[tokio::test]
async fn an_event_stream_flows_while_it_lasts() {
    let kit = kit(RULES).await;
    let events = async |who: Identity| {
        let first = futures_util::stream::iter([Ok::<_, Infallible>(Event::default().data(who.id().to_string()))]);
        Sse::new(first.chain(futures_util::stream::pending()))
    };
    let client = client(protected(kit.gate(), Router::new().route("/events", get(events))).await);
    client.get("/events").script().header("accept", "text/event-stream").await.is(401);
    let ann = kit.sign_in("ann@example.com").await.unwrap();
    let mut answer = signed_in(&client, &ann).get("/events").script().open().await;
    let frame = within("an event", http_body_util::BodyExt::frame(answer.body_mut())).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), format!("data: {}\n\n", ann.id()));
}

/// Answers a handshake (RFC 6455 §4.2.2) and sends back what it gets, until the session is over.
async fn echo(who: Identity, mut request: Request) -> Response<axum::body::Body> {
    let key = request.headers()["sec-websocket-key"].clone();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let stream = TokioIo::new(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let serve = async {
            while let Some(Ok(message)) = socket.next().await {
                socket.send(message).await.unwrap();
            }
        };
        tokio::select! { () = serve => {}, () = who.ended() => {} }
    });
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    let answer = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
    answer.header("sec-websocket-accept", accept).body(axum::body::Body::empty()).unwrap()
}

async fn open(address: SocketAddr, who: Option<&SignedIn>, origin: &str) -> Result<WebSocketStream<TcpStream>, u16> {
    let mut request = "ws://app.localhost/live".into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    if let Some(who) = who {
        request.headers_mut().insert("cookie", who.cookie());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match within("the handshake", tokio_tungstenite::client_async(request, stream)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_web_socket_opens_for_whom_the_rules_let_in_and_ends_with_the_session() {
    let kit = kit(&format!("session.cache = \"100ms\"\n{RULES}")).await;
    let address = protected(kit.gate(), Router::new().route("/live", get(echo))).await;
    let ann = kit.sign_in("ann@example.com").await.unwrap();
    assert_eq!(open(address, None, crate::gate::ORIGIN).await.err(), Some(401));
    assert_eq!(open(address, Some(&ann), "https://evil.example").await.err(), Some(403));
    let mut socket = open(address, Some(&ann), crate::gate::ORIGIN).await.unwrap();
    socket.send(Message::text("hi")).await.unwrap();
    assert_eq!(within("the echo", socket.next()).await.unwrap().unwrap(), Message::text("hi"));
    signed_in(&client(address), &ann).post("/.auth/logout").submit(&[]).await;
    let end = within("the end", socket.next()).await;
    assert!(end.is_none_or(|last| last.is_err() || last.unwrap().is_close()));
}
