//! Towards the app: streams as they come, faults told apart, one line when it goes and one when it is back.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::client::Call;
use crate::support::tools::{self, Program};
use crate::support::{Answer, Gate, RawUpstream, RecordingUpstream, Site, Vestibule, within};

const RULES: &str = "[routes]\n\"/**\" = { all = \"anyone\" }\n";

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).start().await
}

#[tokio::test]
async fn request_and_answer_pass_as_they_are() {
    let app = RecordingUpstream::scripted(|_| {
        Answer::status(418, "short and stout")
            .header("x-up-odd", b"caf\xe9")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("etag", "\"x\"")
    });
    let server = site(&app).await;
    let call = server.client().method("PUT", "/pot?a=b&c=%20+&d").body("tea").header("x-custom", b"na\xefve");
    let reply = call.header("accept-encoding", "br").header("range", "bytes=0-1").await;
    assert_eq!((reply.is(418).text().as_str(), reply.header("etag")), ("short and stout", "\"x\""));
    assert_eq!(reply.headers["x-up-odd"].as_bytes(), b"caf\xe9");
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
    let seen = app.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str(), &seen.body[..]), ("PUT", "/pot?a=b&c=%20+&d", &b"tea"[..]));
    assert_eq!(seen.headers["x-custom"].as_bytes(), b"na\xefve");
    assert_eq!((seen.header("accept-encoding").as_str(), seen.header("range").as_str()), ("br", "bytes=0-1"));
    assert_eq!(seen.header("content-length"), "3");
}

#[tokio::test]
async fn an_answer_streams_piece_by_piece_over_both_protocols() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for client in [server.client(), server.client().http2()] {
        let (answer, feed) = Answer::events();
        let answer = std::sync::Mutex::new(Some(answer));
        app.script(move |_| answer.lock().unwrap().take().unwrap());
        let mut body = client.get("/events").header("accept", "text/event-stream").open().await.into_body();
        for number in 0..3 {
            let piece = format!("data: {number}\n\n");
            feed.send(piece.clone().into()).unwrap();
            let frame = within("a piece", http_body_util::BodyExt::frame(&mut body)).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece.as_bytes());
        }
        drop(feed);
        let rest = within("the end", http_body_util::BodyExt::collect(body)).await.unwrap();
        assert!(rest.to_bytes().is_empty());
    }
}

#[tokio::test]
async fn an_upload_streams_to_the_app_before_it_is_complete() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let mut raw = server.raw().await;
    raw.send("POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nfirst-piece\r\n").await;
    app.arrived("first-piece").await;
    raw.send("c\r\nsecond-piece\r\n").await;
    app.arrived("second-piece").await;
    let reply = raw.ask("0\r\n\r\n").await;
    assert_eq!((reply.status, &app.last().body[..]), (200, &b"first-piecesecond-piece"[..]));
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body_is_sent() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let mut raw = server.raw().await;
    let first = raw.ask("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(first.status, 100);
    assert_eq!(raw.ask("abc").await.status, 200);
    assert_eq!(&app.last().body[..], b"abc");
    let refused = server
        .raw()
        .await
        .ask("POST /.auth/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(refused.status, 404, "what is refused is not asked for");
}

#[tokio::test]
async fn http2_by_prior_knowledge_reaches_the_app_as_http1() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let reply = server.client().http2().post("/a?b").body("abc").header("cookie", "a=1").header("cookie", "b=2").await;
    assert_eq!((reply.is(200).version, reply.text().as_str()), (Version::HTTP_2, "hello from the app"));
    let seen = app.last();
    assert_eq!(
        (seen.version, seen.header("host").as_str(), &seen.body[..]),
        (Version::HTTP_11, "app.localhost", &b"abc"[..])
    );
    assert_eq!(seen.header("cookie"), "a=1; b=2");
}

#[tokio::test]
async fn connections_to_the_app_are_used_again() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let mut raw = server.raw().await;
    for _ in 0..5 {
        assert_eq!(raw.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 200);
    }
    assert!(app.requests().iter().all(|seen| seen.connection == 0), "one connection is enough");
}

#[tokio::test]
async fn an_app_that_is_not_there_is_told_at_the_start_and_one_that_is_there_serves_on_the_connection_that_looked() {
    let app = RecordingUpstream::start();
    app.stop().await;
    let server = site(&app).await;
    let line = server.log().line("upstream is down").await;
    assert!(line.contains("WARN") && line.contains(&app.url()), "{line}");
    server.client().get("/a").await.is(502);
    assert_eq!(server.log().with("upstream is down").len(), 1);
    app.restart();
    let server = site(&app).await;
    server.client().get("/a").await.is(200);
    server.client().get("/a").await.is(200);
    assert!(server.log().with("upstream is").is_empty(), "{}", server.log().text());
    assert_eq!(app.requests().iter().map(|seen| seen.connection).min(), Some(0), "nothing was opened to look alone");
}

#[tokio::test]
async fn an_app_that_is_down_is_a_502_for_each_and_one_line_for_the_log() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    server.client().get("/").await.is(200);
    app.stop().await;
    for _ in 0..3 {
        let reply = server.client().get("/").await;
        assert_eq!(reply.is(502).code(), "upstream.down");
        assert!(!reply.header("retry-after").is_empty(), "{}", reply.describe());
    }
    let page = server.client().get("/").navigate().await;
    assert!(page.is(502).header("content-type").starts_with("text/html"), "{}", page.describe());
    assert!(!page.text().contains(&app.address().to_string()), "{}", page.text());
    app.restart();
    server.client().get("/back").await.is(200);
    server.log().line("/back").await;
    let about: Vec<_> = server.log().with(&app.address().to_string());
    let changes: Vec<_> = about.iter().filter(|line| !line.contains("listening on")).collect();
    assert_eq!(changes.len(), 2, "gone and back: {changes:#?}");
}

#[tokio::test]
async fn an_app_that_is_too_slow_is_a_504() {
    let gate = Gate::closed();
    let held = gate.clone();
    let app = RecordingUpstream::scripted(move |_| Answer::text("late").held(&held));
    let rules = format!("[limits]\ntimeouts = {{ upstream = \"200ms\" }}\n{RULES}");
    let server = Site::new(&app, &rules).start().await;
    assert_eq!(server.client().get("/").await.is(504).code(), "upstream.timeout");
    gate.open();
    server.client().get("/").await.is(200);
}

#[tokio::test]
async fn a_client_that_has_said_all_may_end_its_side_and_still_gets_the_answer() {
    let gate = Gate::closed();
    let held = gate.clone();
    let app = RecordingUpstream::scripted(move |_| Answer::text("for a half-closed connection").held(&held));
    let server = site(&app).await;
    let mut raw = server.raw().await;
    raw.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").await;
    raw.finish().await;
    app.reached(1).await;
    gate.open();
    assert_eq!(raw.reply().await.text(), "for a half-closed connection");
    assert!(raw.rest().await.is_empty());
}

#[tokio::test]
async fn an_app_that_breaks_off_never_looks_complete() {
    let app = RawUpstream::start("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let server = Site::before(&app.url(), RULES).start().await;
    let mut raw = server.raw().await;
    raw.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let all = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(!all.ends_with("0\r\n\r\n") && (all.contains("ontent-") || all.contains("502")), "{all}");
    let silent = RawUpstream::start("").await;
    let server = Site::before(&silent.url(), RULES).start().await;
    server.client().get("/").await.is(502);
}

#[tokio::test]
async fn sec_smug_an_app_with_two_lengths_is_not_believed() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nokHTTP",
        "HTTP/1.1 200 OK\r\nX-Bad : a\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 99 No\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let app = RawUpstream::start(answer).await;
        let server = Site::before(&app.url(), RULES).start().await;
        let reply = server.client().get("/").await;
        assert_eq!(reply.status, 502, "{answer:?}: {}", reply.describe());
    }
}

#[tokio::test]
async fn an_upstream_may_be_a_unix_socket() {
    let site = Site::before("unix:app.sock", RULES);
    let listener = tokio::net::UnixListener::bind(site.path("app.sock")).unwrap();
    let path = site.path("app.sock");
    site.rewrite(|text| text.replace("unix:app.sock", &format!("unix:{}", path.display())));
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    let server = site.start().await;
    assert_eq!(server.client().get("/a").await.is(200).text(), "ok");
    assert!(served.await.unwrap().starts_with("GET /a HTTP/1.1"));
}

#[tokio::test]
async fn a_large_body_passes_whole_in_both_directions() {
    let app = RecordingUpstream::scripted(|request| {
        let body = request.body.clone();
        Answer::Full(Response::builder().header("content-type", "application/octet-stream").body(body).unwrap())
    });
    let server = site(&app).await;
    let body: Bytes = (0..8 << 20).map(|n: u32| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect::<Vec<_>>().into();
    let calls: [Call; 2] = [server.client().post("/echo"), server.client().http2().post("/echo")];
    for call in calls {
        let reply = call.body(body.clone()).await;
        assert!(reply.status == 200 && reply.body == body, "{} bytes came back", reply.body.len());
    }
}

#[tokio::test]
async fn the_app_hears_when_the_client_hangs_up() {
    let (answer, feed) = Answer::events();
    let answer = std::sync::Mutex::new(Some(answer));
    let app = RecordingUpstream::scripted(move |_| answer.lock().unwrap().take().unwrap_or_else(|| Answer::text("")));
    let server = site(&app).await;
    let mut raw = server.raw().await;
    raw.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    feed.send("data: 1\n\n".into()).unwrap();
    raw.until("data: 1").await;
    drop(raw);
    // An end of the client's side alone is no hang-up: the next piece that nobody takes is.
    let hung_up = async {
        while tokio::time::timeout(Duration::from_millis(10), feed.closed()).await.is_err() {
            let _ = feed.send("data: 2\n\n".into());
        }
    };
    within("the app to notice", hung_up).await;
}

#[tokio::test]
async fn a_real_nginx_serves_files_ranges_and_not_modified_through_us_unchanged() {
    if !tools::have(&[Path::new("nginx")], "nginx behind the binary") {
        return;
    }
    // nginx tells nobody which port it took: it listens on a socket of the file system.
    let nginx = Program::start(Path::new("nginx"), |command, folder| {
        let shown = folder.display();
        std::fs::write(folder.join("file.txt"), "0123456789").unwrap();
        let config = format!(
            "daemon off; master_process off; pid {shown}/pid; error_log stderr notice; events {{}}\n\
             http {{ access_log off; client_body_temp_path {shown}/b; proxy_temp_path {shown}/p; fastcgi_temp_path {shown}/f;\n\
             uwsgi_temp_path {shown}/u; scgi_temp_path {shown}/s; server {{ listen unix:{shown}/app.sock; root {shown}; }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), config).unwrap();
        command.arg("-e").arg("stderr").arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    });
    nginx.said("getrlimit").await;
    let socket = nginx.folder().join("app.sock");
    let server = Site::before(&format!("unix:{}", socket.display()), RULES).start().await;
    let client = server.client().expecting(&["last-modified", "accept-ranges", "content-range", "server"]);
    let whole = client.get("/file.txt").await;
    assert_eq!(whole.is(200).text(), "0123456789");
    let part = client.get("/file.txt").header("range", "bytes=2-4").await;
    assert_eq!((part.is(206).text().as_str(), part.header("content-range")), ("234", "bytes 2-4/10"));
    client.get("/file.txt").header("if-none-match", whole.header("etag")).await.is(304);
    client.method("HEAD", "/file.txt").await.is(200);
    client.get("/none").await.is(404);
}

/// How a client goes away.
#[derive(Clone, Copy, PartialEq)]
enum Leaving {
    Reset,
    /// With bytes under way behind the request.
    ResetAfterMore,
    HalfClosed,
}

/// Whether the app's connection is ended before it answers, when the client goes away like this.
async fn gives_up(leaving: Leaving) -> bool {
    let app = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rules = "[routes]\n\"/**\" = { all = \"anyone\" }\n";
    let server = Site::before(&format!("http://{}", app.local_addr().unwrap()), rules).start().await;
    let mut client = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (mut connection, _) = app.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    if leaving == Leaving::ResetAfterMore {
        client.write_all(b"GET /next").await.unwrap();
        // The server takes notice of them before the reset.
        server.client().get("/.auth/login").navigate().await.is(200);
    }
    match leaving {
        Leaving::Reset | Leaving::ResetAfterMore => {
            client.set_zero_linger().unwrap();
            drop(client);
            within("the end of the app's connection", connection.read_u8()).await.is_err()
        }
        Leaving::HalfClosed => {
            client.shutdown().await.unwrap();
            // The server takes notice of one client before it answers the next.
            server.client().get("/.auth/login").navigate().await.is(200);
            connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            let mut answer = [0; 12];
            within("the answer", client.read_exact(&mut answer)).await.unwrap();
            answer != *b"HTTP/1.1 204"
        }
    }
}

#[tokio::test]
async fn a_client_that_resets_its_connection_is_given_up_and_one_that_ends_its_side_is_not() {
    assert!(gives_up(Leaving::Reset).await);
    assert!(gives_up(Leaving::ResetAfterMore).await);
    assert!(!gives_up(Leaving::HalfClosed).await);
}
