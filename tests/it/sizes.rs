//! Limits on what a request may be, checked before the rest is read.

use serde_json::json;

use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[providers.local-userpass]
[routes]
"/**" = { all = "anyone" }
"/small/**" = { all = "anyone", body = "1KiB" }
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).start().await
}

async fn status(server: &Vestibule, request: String) -> u16 {
    let mut raw = server.raw().await;
    raw.send(request).await;
    raw.maybe_reply().await.map_or(0, |reply| reply.status)
}

#[tokio::test]
async fn sec_dos_02_large_heads_are_refused() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n");
    let many = |count: usize, value: usize| {
        (0..count).map(|n| format!("x-{n}: {}\r\n", "v".repeat(value))).collect::<String>()
    };
    let cases = [
        ("a request line of 1 MiB", get(&format!("/{}", "a".repeat(1 << 20)), "")),
        ("a request line of 9 KiB", get(&format!("/{}", "a".repeat(9 << 10)), "")),
        ("10,000 fields", get("/", &many(10_000, 1))),
        ("101 fields", get("/", &many(101, 1))),
        ("a field of 64 KiB", get("/", &format!("x-big: {}\r\n", "v".repeat(64 << 10)))),
        ("a name of 64 KiB", get("/", &format!("x-{}: v\r\n", "n".repeat(64 << 10)))),
        ("40 KiB in all", get("/", &many(80, 512))),
        (
            "5,000 cookies",
            get("/", &format!("cookie: {}\r\n", (0..5000).map(|n| format!("c{n}=v; ")).collect::<String>())),
        ),
        ("100,000 parameters", get(&format!("/?{}", "a=b&".repeat(100_000)), "")),
    ];
    for (what, request) in cases {
        let status = status(&server, request).await;
        assert!(matches!(status, 414 | 431), "{what}: {status}");
    }
    assert_eq!(app.count(), 0);
    let fits = [
        ("a request line of 7 KiB", get(&format!("/{}", "a".repeat(7 << 10)), "")),
        ("90 fields", get("/", &many(90, 1))),
        ("20 KiB in all", get("/", &many(40, 500))),
    ];
    for (what, request) in fits {
        assert_eq!(status(&server, request).await, 200, "{what}");
    }
}

#[tokio::test]
async fn the_limits_of_a_head_can_be_set() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, &format!("[limits]\nheader_bytes = \"64KiB\"\n{RULES}")).start().await;
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nx-big: {}\r\n\r\n", "v".repeat(50 << 10));
    assert_eq!(status(&server, request).await, 200);
}

#[tokio::test]
async fn our_own_endpoints_read_64_kib_and_no_more() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let body = json!({ "email": "a".repeat(70 << 10), "password": "x" });
    let reply = server.client().post("/.auth/login/local-userpass").json(&body).await;
    assert_eq!(reply.is(413).code(), "body.too_large");
    let chunk = "x".repeat(70 << 10);
    let chunked = format!(
        "POST /.auth/login/local-userpass HTTP/1.1\r\nHost: app.localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n",
        chunk.len()
    );
    assert_eq!(status(&server, chunked).await, 413);
    let deep = "[".repeat(1000);
    let reply =
        server.client().post("/.auth/login/local-userpass").header("content-type", "application/json").body(deep).await;
    assert!(matches!(reply.status.as_u16(), 400 | 422), "sec_dos_06: {}", reply.describe());
}

#[tokio::test]
async fn a_route_may_limit_bodies_by_their_length_and_by_what_really_comes() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    server.client().post("/small/a").body("x".repeat(1024)).await.is(200);
    let reply = server.client().post("/small/a").body("x".repeat(1025)).await;
    assert_eq!(reply.is(413).code(), "body.too_large");
    assert_eq!(app.count(), 1);
    let chunk = "x".repeat(2000);
    let chunked = format!(
        "POST /small/a HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n",
        chunk.len()
    );
    let status = status(&server, chunked).await;
    assert!(matches!(status, 413 | 502 | 0), "{status}");
    assert!(app.requests().iter().all(|seen| seen.body.len() <= 1024));
    server.client().post("/other").body("x".repeat(1 << 20)).await.is(200);
    assert_eq!(app.last().body.len(), 1 << 20, "no limit unless one is set");
}

#[tokio::test]
async fn more_connections_than_the_limit_wait_or_are_closed_and_old_ones_go_on() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, &format!("[limits]\nconnections = 4\n{RULES}")).start().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut raw = server.raw().await;
        assert_eq!(raw.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 200);
        open.push(raw);
    }
    let mut fifth = server.raw().await;
    fifth.send("GET /fifth HTTP/1.1\r\nHost: x\r\n\r\n").await;
    for raw in &mut open {
        assert_eq!(raw.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 200);
    }
    assert!(!app.requests().iter().any(|seen| seen.target == "/fifth"), "not served while four are open");
    drop(open);
    let turned_away = fifth.maybe_reply().await.is_none_or(|reply| matches!(reply.status, 200 | 503));
    assert!(turned_away);
    assert_eq!(server.raw().await.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 200);
}
