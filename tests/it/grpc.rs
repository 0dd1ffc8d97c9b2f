//! gRPC through the proxy: HTTP/2 all the way, trailers and deadlines intact, refusals in its own words.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::support::client::Call;
use crate::support::h2::{GOOD, Outcome, PROTOCOL_ERROR, RawH2};
use crate::support::secure::{Authority, EchoApp};
use crate::support::{Client, RecordingUpstream, Site, Vestibule, within};

const RULES: &str = r#"
roles = ["admin"]
[providers.local-userpass]
[routes]
"/**" = { all = "anyone" }
"/up.Echo/Private" = { all = "signed_in" }
"/up.Echo/Admin" = { all = "role:admin" }
[limits]
timeouts = { upstream = "2s" }
"#;

/// A message of five bytes as gRPC frames it.
const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";

async fn site(app: &EchoApp) -> Vestibule {
    Site::before(&format!("h2c://{}", app.address()), RULES).user("ann@example.com", &[]).start().await
}

fn call(client: &Client, path: &str) -> Call {
    let client = client.http2().expecting(&["grpc-status", "grpc-message"]);
    let call = client.post(path).header("content-type", "application/grpc").header("te", "trailers");
    call.fetch("cors", "empty", "same-origin").body(MESSAGE)
}

fn trailer(trailers: &Option<HeaderMap>, name: &str) -> String {
    let value = trailers.as_ref().and_then(|trailers| trailers.get(name));
    value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn goes_through(app: &EchoApp, server: &Vestibule) {
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for _ in 0..5 {
        let reply = call(&client, "/up.Echo/Say").header("grpc-timeout", "7S").await;
        reply.is(200);
        assert_eq!(reply.header("x-up-version"), "HTTP/2.0");
        assert_eq!((reply.header("x-up-te"), reply.header("x-up-timeout")), ("trailers", "7S"));
        assert_eq!(reply.header("x-up-email"), "ann@example.com");
        assert!(reply.header("x-up-target").ends_with("://app.localhost/up.Echo/Say"), "{}", reply.describe());
        assert_eq!((&reply.body[..], reply.header("content-type")), (MESSAGE, "application/grpc"));
        assert_eq!(trailer(&reply.trailers, "grpc-status"), "0");
        assert_eq!(trailer(&reply.trailers, "x-up-sum"), "42");
    }
    assert!(app.connections() <= 2, "one for each worker: {}", app.connections());
}

#[tokio::test]
async fn a_call_goes_over_plain_http2_with_message_trailers_and_deadline() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    goes_through(&app, &server).await;
}

#[tokio::test]
async fn a_call_goes_over_tls_by_alpn_and_other_requests_as_before() {
    let authority = Authority::new();
    let app = EchoApp::start(Some(authority.vouch("localhost").server(&["h2", "http/1.1"], None))).await;
    let upstream = format!("https://localhost:{}", app.address().port());
    let rules = format!("{RULES}[upstreams]\n\"{upstream}\" = {{ ca = \"ca.pem\" }}\n");
    let site = Site::before(&upstream, &rules);
    authority.write(&site.path("ca.pem"));
    let server = site.user("ann@example.com", &[]).start().await;
    goes_through(&app, &server).await;
    assert_eq!(server.client().get("/page").await.header("x-up-version"), "HTTP/1.1");
}

#[tokio::test]
async fn a_server_that_does_not_agree_to_http2_gets_no_call() {
    let authority = Authority::new();
    let app = EchoApp::start(Some(authority.vouch("localhost").server(&[], None))).await;
    let upstream = format!("https://localhost:{}", app.address().port());
    let site = Site::before(&upstream, &format!("{RULES}[upstreams]\n\"{upstream}\" = {{ ca = \"ca.pem\" }}\n"));
    authority.write(&site.path("ca.pem"));
    let server = site.start().await;
    assert_eq!(call(&server.client(), "/up.Echo/Say").await.header("grpc-status"), "14");
    assert_eq!(app.requests(), 0);
    server.client().get("/page").await.is(200);
}

#[tokio::test]
async fn an_answer_without_a_message_stays_one() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    let reply = call(&server.client(), "/up.Echo/Refuse").await;
    reply.is(200);
    assert_eq!((reply.header("grpc-status"), reply.header("grpc-message")), ("5", "no such thing"));
}

#[tokio::test]
async fn messages_pass_one_by_one_both_ways_and_announced_trailers_after_them() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (feed, frames) = mpsc::unbounded_channel::<Frame<Bytes>>();
    let frames = futures_util::stream::unfold(frames, |mut frames| async {
        frames.recv().await.map(|frame| (Ok::<_, Infallible>(frame), frames))
    });
    let request = Request::post("http://app.localhost/up.Echo/Stream")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("trailer", "x-checksum")
        .body(StreamBody::new(Box::pin(frames)))
        .unwrap();
    feed.send(Frame::data(Bytes::from_static(b"first"))).unwrap();
    let mut answer = within("an answer", sender.send_request(request)).await.unwrap().into_body();
    for piece in ["first", "second", "third"] {
        if piece != "first" {
            feed.send(Frame::data(Bytes::from(piece))).unwrap();
        }
        let frame = within("a message", answer.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    trailers.insert("x-auth-user", HeaderValue::from_static("evil-identity"));
    feed.send(Frame::trailers(trailers)).unwrap();
    drop(feed);
    let trailers = within("trailers", answer.frame()).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["x-up-x-checksum"], "abc");
    assert!(!trailers.contains_key("x-up-x-auth-user"));
}

#[tokio::test]
async fn large_messages_pass_within_the_windows_of_both_sides() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    let large = Bytes::from(vec![7; 3 << 20]);
    let calls = (0..4).map(|_| {
        let call = call(&server.client(), "/up.Echo/Say").body(large.clone());
        tokio::spawn(async move { call.await })
    });
    for reply in futures_util::future::join_all(calls.collect::<Vec<_>>()).await {
        assert!(reply.unwrap().body == large);
    }
}

#[tokio::test]
async fn refusals_are_told_in_the_words_of_grpc() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    let client = server.client();
    let status = async |call: Call| {
        let reply = call.await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("content-type"), reply.body.len()),
            (200, "application/grpc", 0)
        );
        assert!(!reply.header("grpc-message").is_empty());
        reply.header("grpc-status").to_owned()
    };
    assert_eq!(status(call(&client, "/up.Echo/Private")).await, "16");
    assert_eq!(status(call(&client, "/up.Echo/Private").bearer("nothing")).await, "16");
    assert_eq!(status(call(&client, "/up.Echo//Private")).await, "3");
    client.sign_in("ann@example.com").await;
    assert_eq!(status(call(&client, "/up.Echo/Admin")).await, "7");
    let reply = call(&client, "/up.Echo/Private").await;
    assert_eq!((trailer(&reply.trailers, "grpc-status").as_str(), reply.header("x-up-kind")), ("0", "user"));
    // Twin: whoever does not speak gRPC is told by a status of HTTP.
    client.stranger().http2().post("/up.Echo/Private").header("content-type", "application/json").await.is(401);
}

#[tokio::test]
async fn an_app_that_is_away_is_unavailable_and_reached_again_when_it_is_back() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    let client = server.client();
    let say = async || call(&client, "/up.Echo/Say").await;
    assert_eq!(trailer(&say().await.trailers, "grpc-status"), "0");
    let address = app.stop().await;
    for _ in 0..3 {
        assert_eq!(say().await.header("grpc-status"), "14");
    }
    let _app = EchoApp::at(address, None).await;
    for _ in 0..3 {
        assert_eq!(trailer(&say().await.trailers, "grpc-status"), "0");
    }
    let told = |words: &str| server.log().lines().iter().filter(|line| line.contains(words)).count();
    assert_eq!((told("upstream is down"), told("upstream is up again")), (1, 1));
}

#[tokio::test]
async fn a_call_that_is_given_up_is_given_up_at_the_app() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    assert_eq!(call(&server.client(), "/up.Echo/Hang").await.header("grpc-status"), "4");
    within("the end of the call", async {
        while app.cancelled() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_http2_app_serves_pages_too() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    let reply = server.client().get("/page").await;
    reply.is(200);
    assert_eq!(reply.header("x-up-version"), "HTTP/2.0");
    assert_eq!(server.client().post("/page").body("a form").await.text(), "a form");
}

#[tokio::test]
async fn sec_hdr_01_a_clients_identity_does_not_reach_a_grpc_app() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    let reply = call(&server.client(), "/up.Echo/Say").header("x-auth-email", "evil-identity").await;
    assert_eq!((reply.header("x-up-email"), reply.header("x-up-version")), ("", "HTTP/2.0"));
}

#[tokio::test]
async fn sec_smug_10_what_http2_forbids_does_not_reach_an_http2_app() {
    let app = EchoApp::start(None).await;
    let server = site(&app).await;
    for (name, value) in [("transfer-encoding", "chunked"), ("X-Upper", "a"), ("x-a", "b\r\nx-c: d"), ("te", "gzip")] {
        let fields = [&GOOD[..], &[(name, value)]].concat();
        let outcome = RawH2::connect(server.address()).await.ask(&fields, None).await;
        let refused = matches!(outcome, Outcome::Reset(PROTOCOL_ERROR) | Outcome::GoAway(PROTOCOL_ERROR));
        assert!(refused || outcome == Outcome::Status(400), "{name}: {outcome:?}");
    }
    assert_eq!(app.requests(), 0);
    let fields = [&GOOD[..], &[("x-a", "b")]].concat();
    assert_eq!(RawH2::connect(server.address()).await.ask(&fields, None).await, Outcome::Status(200));
}

#[tokio::test]
async fn an_http1_app_gets_what_it_got() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).start().await;
    call(&server.client(), "/up.Echo/Say").await.is(200);
    assert_eq!(app.last().version, http::Version::HTTP_11);
}
