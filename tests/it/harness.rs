//! The harness itself: what it records is what was sent, what it reads is what was answered.

use std::path::Path;

use futures_util::{SinkExt, StreamExt};
use http::Response;
use tokio_tungstenite::tungstenite::Message;

use crate::support::mailbox::Mailbox;
use crate::support::{Answer, Browser, Client, Gate, RawClient, RawUpstream, RecordingUpstream, tools};

#[tokio::test]
async fn the_upstream_records_order_spelling_body_and_trailers() {
    let app = RecordingUpstream::start();
    let mut raw = RawClient::connect(app.address()).await;
    let first = raw.ask("POST /a?b HTTP/1.1\r\nhost: x\r\nX-Second: 2\r\nx-FIRST: 1\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n3\r\nabc\r\n0\r\nx-end: yes\r\n\r\n").await;
    let second = raw.ask("GET /next HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!((first.status, second.text().as_str()), (200, "hello from the app"));
    let requests = app.requests();
    assert_eq!(requests[0].head.lines().nth(3), Some("x-FIRST: 1"));
    assert_eq!((requests[0].target.as_str(), requests[0].body.as_ref()), ("/a?b", &b"abc"[..]));
    assert_eq!(requests[0].trailers.as_ref().unwrap()["x-end"], "yes");
    assert!(requests[1].head.starts_with("GET /next HTTP/1.1\n"), "{}", requests[1].head);
    assert_eq!(requests[1].connection, 0);
    assert_eq!(requests[0].family("X-Sec_ond"), [("X-Second".to_owned(), "2".to_owned())]);
}

#[tokio::test]
async fn the_upstream_stops_and_comes_back_at_the_same_address() {
    let app = RecordingUpstream::start();
    let mut open = RawClient::connect(app.address()).await;
    open.ask("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    app.stop().await;
    assert!(open.rest().await.is_empty(), "the connection is cut");
    assert!(tokio::net::TcpStream::connect(app.address()).await.is_err());
    app.restart();
    Client::new(app.address(), "http://x").get("/again").await.is(200);
    assert_eq!(app.count(), 2);
}

#[tokio::test]
async fn a_held_answer_waits_for_the_test_and_a_stream_comes_piece_by_piece() {
    let gate = Gate::closed();
    let held = gate.clone();
    let (events, feed) = Answer::events();
    let events = std::sync::Mutex::new(Some(events));
    let app = RecordingUpstream::scripted(move |request| match request.target.as_str() {
        "/events" => events.lock().unwrap().take().unwrap(),
        _ => Answer::text("late").held(&held),
    });
    let client = Client::new(app.address(), "http://x");
    let late = tokio::spawn(client.get("/held").into_future());
    app.reached(1).await;
    assert!(!late.is_finished());
    gate.open();
    assert_eq!(late.await.unwrap().text(), "late");

    let mut raw = RawClient::connect(app.address()).await;
    raw.send("GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await;
    feed.send("data: 1\n\n".into()).unwrap();
    raw.until("data: 1").await;
    feed.send("data: 2\n\n".into()).unwrap();
    raw.until("data: 2").await;
}

#[tokio::test]
async fn the_upstream_echoes_websocket_messages() {
    let app = RecordingUpstream::start();
    let stream = tokio::net::TcpStream::connect(app.address()).await.unwrap();
    let (mut socket, answer) = tokio_tungstenite::client_async("ws://x/chat", stream).await.unwrap();
    assert_eq!(answer.status(), 101);
    socket.send(Message::text("hi")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hi"));
}

#[tokio::test]
async fn trailers_of_the_upstream_reach_the_client_of_the_harness() {
    let app = RecordingUpstream::scripted(|_| {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-up-sum", "9".parse().unwrap());
        let response = Response::builder().header("trailer", "x-up-sum").body("body".into()).unwrap();
        Answer::Trailers(response, trailers)
    });
    let reply = Client::new(app.address(), "http://x").get("/").header("te", "trailers").await;
    assert_eq!(reply.trailers.unwrap()["x-up-sum"], "9");
}

#[tokio::test]
#[should_panic(expected = "unexpected header `x-powered-by`")]
async fn the_client_refuses_a_header_that_is_not_on_its_list() {
    let app = RecordingUpstream::scripted(|_| Answer::text("").header("x-powered-by", "magic"));
    Client::new(app.address(), "http://x").get("/").await;
}

#[tokio::test]
async fn the_client_keeps_sends_and_drops_cookies() {
    let app = RecordingUpstream::scripted(|request| match request.target.as_str() {
        "/in" => Answer::text("").header("set-cookie", "a=1; Path=/; HttpOnly").header("set-cookie", "b=2"),
        "/out" => Answer::text("").header("set-cookie", "a=; Max-Age=0"),
        _ => Answer::text(""),
    });
    let client = Client::new(app.address(), "http://x");
    client.get("/in").await;
    assert_eq!(client.cookie(), "a=1; b=2");
    client.get("/out").await;
    client.get("/").await;
    assert_eq!(app.last().header("cookie"), "b=2");
    client.stranger().get("/").await;
    assert_eq!(app.last().header("cookie"), "");
}

#[tokio::test]
async fn the_raw_upstream_answers_these_very_bytes() {
    let app = RawUpstream::start("HTTP/1.1 200 OK\r\nX-Odd: a\r\nContent-Length: 2\r\n\r\nok").await;
    let address = app.url().trim_start_matches("http://").parse().unwrap();
    let reply = RawClient::connect(address).await.ask("GET / HTTP/1.1\r\n\r\n").await;
    assert!(reply.head.contains("X-Odd: a"));
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
    assert!(app.received().starts_with("GET / "));
}

#[tokio::test]
async fn the_mailbox_waits_for_a_mail_and_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::new(folder.path().join("outbox"));
    let wanted = mailbox.wait("ann@example.com", 1);
    let mail = "From: a@b\r\nTo: Ann <ann@example.com>\r\nSubject: =?utf-8?Q?Best=C3=A4tigen_Sie?=\r\n\
                Content-Type: multipart/alternative; boundary=\"q\"\r\n\r\n--q\r\nContent-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: quoted-printable\r\n\r\nOpen http://app.localhost/.auth/confirm?token=3Da=\r\nb\r\n\r\nOr this code: ABCD-2345\r\n\
                --q\r\nContent-Type: text/html\r\n\r\n<p>\r\n--q--\r\n";
    let write = async {
        std::fs::create_dir_all(folder.path().join("outbox")).unwrap();
        std::fs::write(folder.path().join("outbox/1.part"), mail).unwrap();
        std::fs::rename(folder.path().join("outbox/1.part"), folder.path().join("outbox/1.eml")).unwrap();
    };
    let (mail, ()) = tokio::join!(wanted, write);
    assert_eq!((mail.subject.as_str(), mail.token().as_str()), ("Bestätigen Sie", "ab"));
    assert_eq!((mail.path().as_str(), mail.code().as_str()), ("/.auth/confirm?token=ab", "ABCD2345"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_finds_the_site_by_its_name_and_sees_what_changes() {
    let app = RecordingUpstream::start();
    app.script(|_| {
        let page = "<title>app</title><p id=p>before</p><script>setTimeout(() => p.textContent = 'after')</script>";
        Answer::Full(Response::builder().header("content-type", "text/html").body(page.into()).unwrap())
    });
    let Some(browser) = Browser::start(app.address(), "the browser").await else { return };
    browser.go("http://app.localhost/page?x=1").await;
    assert_eq!(browser.title().await, "app");
    browser.says("#p", "after").await;
    assert_eq!(browser.url().await, "http://app.localhost/page?x=1");
    assert_eq!(app.requests()[0].header("host"), "app.localhost");
    browser.close().await;
}

#[test]
fn a_missing_program_is_said_and_no_failure_outside_of_ci() {
    assert!(tools::find(Path::new("no-such-program-anywhere")).is_none());
    assert!(tools::find(Path::new("sh")).is_some());
}
