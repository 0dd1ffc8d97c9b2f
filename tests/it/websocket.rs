//! WebSocket: admitted by the same rules, then a tunnel, and closed with the session.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::h2::{Outcome, PROTOCOL_ERROR, RawH2};
use crate::support::{Client, RecordingUpstream, Site, Vestibule, within};

const RULES: &str = r#"
roles = ["editor"]
[session]
cache = "100ms"
[providers.anon-user]
[providers.local-userpass]
[providers.api-key]
[routes]
"/**" = { all = "signed_in" }
"/half/**" = { read = "signed_in", write = "role:editor" }
"#;

async fn site(app: &RecordingUpstream) -> (Vestibule, Client) {
    let server = Site::new(app, RULES).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    (server, client)
}

/// Opens a WebSocket with these fields more; the status if it is refused.
pub async fn open(
    server: &Vestibule,
    target: &str,
    fields: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, u16> {
    let mut request = format!("ws://app.localhost{target}").into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(server.address()).await.unwrap();
    match within("the handshake", client_async(request, stream)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

pub async fn echo(socket: &mut WebSocketStream<TcpStream>, message: Message) {
    socket.send(message.clone()).await.unwrap();
    assert_eq!(within("the echo", socket.next()).await.unwrap().unwrap(), message);
}

#[tokio::test]
async fn messages_pass_through_the_tunnel_in_both_directions() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    let cookie = client.cookie();
    let mut socket = open(&server, "/live?room=1", &[("cookie", &cookie), ("origin", client.origin())]).await.unwrap();
    echo(&mut socket, Message::text("hi")).await;
    echo(&mut socket, Message::binary(vec![7; 1 << 20])).await;
    let seen = app.last();
    assert_eq!((seen.target.as_str(), seen.header("x-auth-email").as_str()), ("/live?room=1", "ann@example.com"));
    assert_eq!((seen.header("upgrade").as_str(), seen.header("cookie").as_str()), ("websocket", ""));
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = within("the end", socket.next()).await {}
}

#[tokio::test]
async fn sec_smug_08_a_websocket_needs_a_session_and_our_origin() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    let cookie = client.cookie();
    let stale = format!("{}={}", client.session_name(), "A".repeat(43));
    assert_eq!(open(&server, "/live", &[("origin", client.origin())]).await.err(), Some(401));
    assert_eq!(open(&server, "/live", &[("cookie", &stale), ("origin", client.origin())]).await.err(), Some(401));
    assert_eq!(open(&server, "/live", &[("cookie", &cookie), ("origin", "https://evil.test")]).await.err(), Some(403));
    assert_eq!(open(&server, "/live", &[("cookie", &cookie)]).await.err(), Some(403));
    assert_eq!(open(&server, "/half/live", &[("cookie", &cookie), ("origin", client.origin())]).await.err(), Some(403));
    assert!(app.requests().is_empty());
    let key = server.key(&["machine", "--user", &server.user_id("ann@example.com")]);
    assert!(open(&server, "/live", &[("x-api-key", &key)]).await.is_ok(), "a key is no cookie: no origin is asked for");
}

#[tokio::test]
async fn sec_smug_08_a_broken_handshake_is_never_tunnelled() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    let good = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let ask = async |method: &str, fields: &[(&str, &str)]| {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "{method} /live HTTP/1.1\r\nHost: app.localhost\r\nOrigin: http://app.localhost\r\nCookie: {}\r\n{lines}\r\n",
            client.cookie()
        );
        server.raw().await.ask(request).await
    };
    let with = |name: &str, value: &'static str| good.map(|(have, old)| (have, if have == name { value } else { old }));
    for (what, fields) in [
        ("version 7", with("Sec-WebSocket-Version", "7").to_vec()),
        ("no key", good[..3].to_vec()),
        ("a short key", with("Sec-WebSocket-Key", "abc").to_vec()),
        ("no version", [&good[..2], &good[3..]].concat()),
    ] {
        let reply = ask("GET", &fields).await;
        assert!(matches!(reply.status, 400 | 426), "{what}: {}", reply.head);
    }
    let post = ask("POST", &good).await;
    assert!(post.status >= 400 || post.status == 200, "{}", post.head);
    assert_ne!(ask("GET", &good[1..]).await.status, 101, "no Upgrade field");
    assert!(app.requests().iter().all(|seen| seen.header("upgrade").is_empty()), "{:?}", app.requests());
    assert_eq!(ask("GET", &good).await.status, 101);
}

/// RFC 8441 is not offered, so nobody may use it.
#[tokio::test]
async fn sec_smug_08_http2_opens_no_socket() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    let cookie = format!("{}={}", client.session_name(), client.session());
    let extended = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "app.localhost"),
        (":path", "/live"),
        ("sec-websocket-version", "13"),
        ("origin", "http://app.localhost"),
        ("cookie", &cookie),
    ];
    let tunnel = [(":method", "CONNECT"), (":authority", "app.localhost:80"), ("cookie", &cookie)];
    for fields in [&extended[..], &tunnel] {
        let outcome = RawH2::connect(server.address()).await.ask(fields, None).await;
        let refused = matches!(outcome, Outcome::Reset(PROTOCOL_ERROR) | Outcome::Status(400..=501));
        assert!(refused || outcome == Outcome::GoAway(PROTOCOL_ERROR), "{fields:?}: {outcome:?}");
    }
    assert!(app.requests().is_empty());
    let plain = [(":method", "GET"), extended[2], extended[3], extended[4], extended[7]];
    assert_eq!(RawH2::connect(server.address()).await.ask(&plain, None).await, Outcome::Status(200));
}

#[tokio::test]
async fn sec_smug_08_a_socket_ends_with_its_session() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    let cookie = client.cookie();
    let mut socket = open(&server, "/live", &[("cookie", &cookie), ("origin", client.origin())]).await.unwrap();
    let other = server.client();
    other.sign_in("ann@example.com").await;
    let mut kept = open(&server, "/live", &[("cookie", &other.cookie()), ("origin", client.origin())]).await.unwrap();
    echo(&mut socket, Message::text("hi")).await;
    client.post("/.auth/logout").submit(&[]).await.is(303);
    let ended = async { while let Some(Ok(_)) = socket.next().await {} };
    within("the socket to be closed", ended).await;
    echo(&mut kept, Message::text("still here")).await;
    server.cli(&["users", "disable", "ann@example.com"]).success();
    let ended = async { while let Some(Ok(_)) = kept.next().await {} };
    within("the other socket to be closed", ended).await;
}

#[tokio::test]
async fn sec_pwd_09_a_socket_ends_when_the_password_is_reset() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    let cookie = client.cookie();
    let mut socket = open(&server, "/live", &[("cookie", &cookie), ("origin", client.origin())]).await.unwrap();
    echo(&mut socket, Message::text("hi")).await;
    let program = server.client();
    program.post("/.auth/reset/send").json(&serde_json::json!({ "email": "ann@example.com" })).await.is(202);
    let token = server.mailbox().wait("ann@example.com", 1).await.token();
    echo(&mut socket, Message::text("to ask for a reset ends nothing")).await;
    let reset = serde_json::json!({ "token": token, "password": "velvet-harbour-12" });
    assert!(program.post("/.auth/reset").json(&reset).await.status.is_success());
    let ended = async { while let Some(Ok(_)) = socket.next().await {} };
    within("the socket to be closed", ended).await;
    assert_eq!(open(&server, "/live", &[("cookie", &cookie), ("origin", client.origin())]).await.err(), Some(401));
}

#[tokio::test]
async fn an_app_that_takes_no_websocket_says_so_itself() {
    let app = crate::support::RawUpstream::start(
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\nX-Up-App: yes\r\n\r\nno",
    )
    .await;
    let server = Site::before(&app.url(), "[routes]\n\"/**\" = { all = \"anyone\" }\n").start().await;
    assert_eq!(open(&server, "/live", &[]).await.err(), Some(426));
}
