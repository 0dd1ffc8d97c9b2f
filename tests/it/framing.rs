//! Where one message ends and the next begins is never in doubt.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::h2::{GOOD, Outcome, PROTOCOL_ERROR, RawH2};
use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"/forbidden" = { all = "anyone", from = ["10.0.0.0/8"] }
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &[]).start().await
}

/// Each is refused with 400 (or not answered at all), the connection is closed, and the app hears nothing.
async fn refused(requests: &[String]) {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for request in requests {
        let mut raw = server.raw().await;
        raw.send(request).await;
        raw.finish().await;
        let all = String::from_utf8_lossy(&raw.rest().await).into_owned();
        let statuses: Vec<_> = all.split("HTTP/1.").skip(1).filter_map(|reply| reply.get(2..5)).collect();
        assert!(matches!(statuses.as_slice(), [] | ["400"] | ["501"]), "{request:?} → {statuses:?}");
        assert!(app.bytes().is_empty(), "{request:?} reached the app: {}", String::from_utf8_lossy(&app.bytes()));
    }
    let twin = server.raw().await.ask("POST /public/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!((twin.status, app.last().body.as_ref()), (200, &b"abc"[..]));
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /public/a HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n{body}")
}

#[tokio::test]
async fn sec_smug_01_two_lengths_are_none() {
    let hidden = "0\r\n\r\nGET /public/hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    refused(&[
        post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", hidden),
        post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", hidden),
    ])
    .await;
}

#[tokio::test]
async fn sec_smug_02_only_chunked_is_a_transfer_coding() {
    let fields = [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding:\r\n",
    ];
    let mut requests: Vec<_> = fields.iter().map(|fields| post(fields, "3\r\nabc\r\n0\r\n\r\n")).collect();
    requests.push(post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"));
    refused(&requests).await;
}

#[tokio::test]
async fn sec_smug_03_a_length_is_digits() {
    let values =
        ["+5", "-0", "0x5", "5 5", "5,6", "5, 6", "", "18446744073709551620", "99999999999999999999", "5.0", "five"];
    let mut requests: Vec<_> =
        values.iter().map(|value| post(&format!("Content-Length: {value}\r\n"), "abcde")).collect();
    requests.push(post("Content-Length: 5\r\nContent-Length: 6\r\n", "abcdef"));
    refused(&requests).await;
}

#[tokio::test]
async fn sec_smug_04_a_chunk_is_what_the_rfc_says() {
    let bodies = [
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcX\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
    ];
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for body in bodies {
        let mut raw = server.raw().await;
        raw.send(post("Transfer-Encoding: chunked\r\n", body) + "GET /public/next HTTP/1.1\r\nHost: x\r\n\r\n").await;
        raw.finish().await;
        let all = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(!all.contains("hello from the app"), "{body:?}: {all}");
        assert!(app.requests().is_empty(), "{body:?}");
    }
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(1 << 20));
    let mut raw = server.raw().await;
    raw.send(post("Transfer-Encoding: chunked\r\n", &long)).await;
    raw.finish().await;
    assert!(!String::from_utf8_lossy(&raw.rest().await).contains("hello from the app"), "a megabyte of extensions");
    let good = server.raw().await.ask(post("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n0\r\n\r\n")).await;
    assert_eq!((good.status, app.last().body.as_ref()), (200, &b"abc"[..]));
    assert!(!String::from_utf8_lossy(&app.bytes()).contains("a=b"), "chunks are written anew");
}

#[tokio::test]
async fn sec_smug_05_a_field_line_is_a_name_and_a_value() {
    let lines = [
        ": x",
        "X-Odd : a",
        "X-Odd\t: a",
        "X-Fold: a\r\n b",
        "X-Nul: a\0b",
        "X-Cr: a\rb",
        "X Space: a",
        "Transfer-Encoding\0: chunked",
        "X-Böse: a",
        "no colon at all",
        "X(odd): a",
    ];
    let mut requests: Vec<_> =
        lines.iter().map(|line| format!("GET /public/a HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n")).collect();
    requests.push("GET /public/a HTTP/1.1\r\n Host: x\r\n\r\n".into());
    requests.push("GET  /public/a HTTP/1.1\r\nHost: x\r\n\r\n".into());
    requests.push("GET /public/a\r\nHost: x\r\n\r\n".into());
    requests.push("GET /public/a HTTP/1.2x\r\nHost: x\r\n\r\n".into());
    refused(&requests).await;
}

#[tokio::test]
async fn sec_smug_06_an_early_refusal_does_not_shift_the_next_answer() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for (target, status, length) in [
        ("/admin", 401, 1 << 10),
        ("/admin", 401, 1 << 20),
        ("/forbidden", 403, 1 << 10),
        ("/forbidden", 403, 1 << 20),
        ("/.auth/nothing", 404, 1 << 20),
        ("/a//b", 400, 1 << 20),
        ("/.auth/login/local-userpass", 413, 1 << 20),
    ] {
        let mut raw = server.raw().await;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: app.localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut all = head.into_bytes();
        // The body looks like requests: answered, they would be hits on a public page.
        all.extend("GET /public/smuggled HTTP/1.1\r\nHost: x\r\n\r\n".bytes().cycle().take(length));
        all.extend(b"GET /admin/keys HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        raw.send(all).await;
        let first = raw.maybe_reply().await;
        if let Some(first) = &first {
            assert_eq!(first.status, status, "{target}: {}", first.head);
            if let Some(second) = raw.maybe_reply().await {
                assert_eq!(second.status, 401, "{target}: answered on its own merits: {}", second.head);
            }
        } else {
            assert_eq!(length, 1 << 20, "a small body leaves room for the answer");
        }
        assert_eq!(app.count(), 0, "{target}");
    }
}

#[tokio::test]
async fn sec_smug_06_an_unread_body_on_http2_is_that_of_its_stream() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let stream = TokioIo::new(tokio::net::TcpStream::connect(server.address()).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = |method: &str, path: &str, body: &[u8]| {
        let request = Request::builder().method(method).uri(format!("http://app.localhost{path}"));
        request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    };
    let body = b"GET /public/smuggled HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20_000);
    for (path, status) in [("/page", 401), ("/forbidden", 403), ("/.auth/nothing", 404), ("/a//b", 400)] {
        // Refused before its end, a body may be cut off, by which the client sees no answer.
        if let Ok(reply) = sender.send_request(request("POST", path, &body)).await {
            assert_eq!(reply.status(), status, "{path}");
        }
        let next = sender.send_request(request("GET", "/admin/keys", b"")).await.unwrap();
        assert_eq!((next.status().as_u16(), app.count()), (401, 0), "{path}: on its own merits");
    }
    assert_eq!(sender.send_request(request("GET", "/public/a", b"")).await.unwrap().status(), 200);
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn sec_smug_09_an_upgrade_to_h2c_opens_no_tunnel() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for (connection, upgrade) in [
        ("Upgrade, HTTP2-Settings", "h2c"),
        ("Upgrade", "h2c"),
        ("Upgrade", "h2c, websocket"),
        ("Upgrade", "foo/1"),
        ("HTTP2-Settings", "h2c"),
        ("Upgrade", "TLS/1.0"),
    ] {
        let mut raw = server.raw().await;
        let request = format!(
            "GET /public/a HTTP/1.1\r\nHost: app.localhost\r\nConnection: {connection}\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        );
        let reply = raw.ask(request).await;
        assert!(matches!(reply.status, 200 | 400 | 426), "{upgrade}: {}", reply.head);
        if reply.status == 200 {
            let seen = app.last();
            assert!(
                !seen.headers.contains_key("upgrade") && !seen.headers.contains_key("http2-settings"),
                "{}",
                seen.head
            );
        }
    }
}

/// What is wrong, the header fields, and the body.
type Http2Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Option<&'a [u8]>);

#[tokio::test]
async fn sec_smug_10_http2_requests_that_http1_cannot_say_are_stream_errors() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let with = |extra: &[(&'static str, &'static str)]| [GOOD.as_slice(), extra].concat();
    let instead = |name: &str, value: &'static str| {
        GOOD.map(|(have, old)| (have, if have == name { value } else { old })).to_vec()
    };
    let cases: [Http2Case; 36] = [
        ("CR LF in a value", with(&[("x-a", "b\r\nx-auth-user: admin")]), None),
        ("LF in a value", with(&[("x-a", "b\nc")]), None),
        ("NUL in a value", with(&[("x-a", "b\0c")]), None),
        ("a colon in a name", with(&[("x:a", "b")]), None),
        ("upper case in a name", with(&[("X-A", "b")]), None),
        ("a space in a name", with(&[("x a", "b")]), None),
        ("connection", with(&[("connection", "close")]), None),
        ("connection that names identity", with(&[("connection", "x-auth-user")]), None),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")]), Some(b"abc")),
        ("te", with(&[("te", "gzip")]), None),
        ("upgrade", with(&[("upgrade", "websocket")]), None),
        ("a space in the path", instead(":path", "/public/a b"), None),
        ("CR in the path", instead(":path", "/public/a\r\nx: y"), None),
        ("no slash", instead(":path", "public/a"), None),
        ("an empty path", instead(":path", ""), None),
        ("two methods", with(&[(":method", "GET")]), None),
        ("an unknown pseudo-header", with(&[(":odd", "x")]), None),
        ("a pseudo-header after a regular one", [&[("x-a", "b")], GOOD.as_slice()].concat(), None),
        ("no method", GOOD[1..].to_vec(), None),
        ("no path", GOOD[..3].to_vec(), None),
        ("a length that is too long", with(&[("content-length", "5")]), Some(b"abc")),
        ("a length that is too short", with(&[("content-length", "2")]), Some(b"abc")),
        ("a length without a body", with(&[("content-length", "5")]), None),
        ("another scheme", instead(":scheme", "ftp"), None),
        ("a scheme in capitals", instead(":scheme", "HTTP"), None),
        ("CR in a value", with(&[("x-a", "b\rc")]), None),
        ("keep-alive", with(&[("keep-alive", "5")]), None),
        ("proxy-connection", with(&[("proxy-connection", "close")]), None),
        ("a signed length", with(&[("content-length", "+3")]), Some(b"abc")),
        ("a length in base 16", with(&[("content-length", "0x3")]), Some(b"abc")),
        ("an empty length", with(&[("content-length", "")]), Some(b"abc")),
        ("two numbers in one length", with(&[("content-length", "3, 4")]), Some(b"abc")),
        ("two lengths", with(&[("content-length", "3"), ("content-length", "4")]), Some(b"abc")),
        ("a length and chunks", with(&[("content-length", "3"), ("transfer-encoding", "chunked")]), Some(b"abc")),
        ("two authorities", with(&[("host", "admin.test")]), None),
        ("a user in the authority", instead(":authority", "u:p@app.localhost"), None),
    ];
    let mut faults = Vec::new();
    for (what, fields, body) in cases {
        let outcome = RawH2::connect(server.address()).await.ask(&fields, body).await;
        let fine = matches!(
            outcome,
            Outcome::Reset(PROTOCOL_ERROR) | Outcome::GoAway(PROTOCOL_ERROR) | Outcome::Status(400 | 421)
        );
        if !fine || !app.requests().is_empty() {
            faults.push(format!("{what}: {outcome:?}, reached the app: {:?}", app.requests()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The protocol library drops a fragment before anybody sees it: what it says decides nothing.
    let fragment = instead(":path", "/admin/keys#/public/x");
    let outcome = RawH2::connect(server.address()).await.ask(&fragment, None).await;
    assert!(matches!(outcome, Outcome::Status(401) | Outcome::Reset(PROTOCOL_ERROR)), "sec_path_05: {outcome:?}");
    let same_host = with(&[("host", "app.localhost")]);
    for (what, fields) in [
        ("a good one", GOOD.to_vec()),
        ("host equal to the authority", same_host),
        ("te: trailers", with(&[("te", "trailers")])),
    ] {
        assert_eq!(RawH2::connect(server.address()).await.ask(&fields, None).await, Outcome::Status(200), "{what}");
    }
}

#[tokio::test]
async fn sec_hdr_09_http2_trailers_carry_no_identity() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let mut fields = GOOD;
    fields[0].1 = "POST";
    let trailers = [("x-auth-user", "evil-identity"), ("x-sum", "9")];
    let outcome = RawH2::connect(server.address()).await.ask_with_trailers(&fields, b"abc", &trailers).await;
    assert_eq!(outcome, Outcome::Status(200));
    assert_eq!(&app.last().body[..], b"abc");
    assert!(!String::from_utf8_lossy(&app.bytes()).contains("evil-identity"));
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_and_closed_when_asked() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let mut raw = server.raw().await;
    for number in 0..3 {
        let reply = raw.ask(format!("GET /public/{number} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(reply.text(), "hello from the app");
    }
    let piped = "GET /public/a HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2) + "HEAD /public/h HTTP/1.1\r\nHost: x\r\n\r\n";
    raw.send(piped).await;
    assert_eq!((raw.reply().await.status, raw.reply().await.status, raw.head_reply().await.status), (200, 200, 200));
    raw.send("GET /public/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(raw.reply().await.status, 200);
    assert!(raw.rest().await.is_empty());
    assert_eq!(app.count(), 7);
    let old = server.raw().await.ask("GET /public/old HTTP/1.0\r\nHost: app.localhost\r\n\r\n").await;
    assert_eq!(old.text(), "hello from the app");
}
