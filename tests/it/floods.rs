//! Much at once, or much in one: refused early, and others are served meanwhile.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::h2::{Flood, Outcome, RawH2};
use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[limits]
sign_in = { per_account = "off", per_address = "off" }
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &[]).start().await
}

#[tokio::test]
async fn sec_dos_03_a_client_that_opens_streams_to_reset_them_is_sent_away() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for flood in [Flood::Resets, Flood::ZeroWindows, Flood::DataAfterTheEnd] {
        let mut attacker = RawH2::connect(server.address()).await;
        let outcome = attacker.flood(flood, 20_000).await;
        assert!(matches!(outcome, Outcome::GoAway(_)), "{flood:?}: {outcome:?}");
        server.client().http2().get("/public/healthy").await.is(200);
    }
    let reached = app.requests().iter().filter(|seen| seen.target == "/public/a").count();
    assert!(reached < 1000, "{reached} requests of streams that were reset went on");
}

#[tokio::test]
async fn sec_dos_02_a_header_block_without_end_is_cut() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let before = server.resident();
    let mut attacker = RawH2::connect(server.address()).await;
    let outcome = attacker.endless_head(50_000).await;
    assert!(matches!(outcome, Outcome::GoAway(_)), "{outcome:?}");
    server.client().http2().get("/public/healthy").await.is(200);
    assert_eq!(app.count(), 1);
    assert!(server.resident() < before + (16 << 20), "fifty megabytes were not kept");
}

#[tokio::test]
async fn sec_dos_01_two_thousand_stalled_clients_cost_little_and_others_are_served() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    server.client().http2().get("/public/warm").await.is(200);
    let before = server.resident();
    let starts = [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        // Answered, and nobody reads it.
        "GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
        "POST /public/a HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 10\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        // Settings, and a head that does not go on.
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0\0\0\u{9}\u{1}\0\0\0\0\u{1}",
    ];
    // For the sockets of this side.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let mut stalled = Vec::new();
    for start in starts.iter().cycle().take(STALLED) {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    for _ in 0..20 {
        server.client().http2().get("/public/healthy").await.is(200);
        server.client().get("/public/healthy").await.is(200);
    }
    let each = server.resident().saturating_sub(before) / STALLED as u64;
    assert!(each < 64 << 10, "{each} bytes for each");
}

const STALLED: usize = 2_000;

#[tokio::test]
async fn sec_dos_05_a_flood_of_sign_ins_is_turned_away_and_requests_go_on() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let tries: Vec<_> = (0..500)
        .map(|number| {
            let body = json!({ "email": format!("nobody{number}@example.com"), "password": "wrong-password" });
            tokio::spawn(server.client().post("/.auth/login/local-userpass").json(&body).into_future())
        })
        .collect();
    for _ in 0..20 {
        server.client().get("/public/a").await.is(200);
    }
    let (mut answered, mut turned_away) = (0, 0);
    for attempt in tries {
        let reply = attempt.await.unwrap();
        match reply.status.as_u16() {
            401 => answered += 1,
            503 => {
                turned_away += 1;
                assert!(!reply.header("retry-after").is_empty(), "{}", reply.describe());
            }
            _ => panic!("{}", reply.describe()),
        }
    }
    assert!(answered > 0 && turned_away > 0, "{answered} answered, {turned_away} turned away");
    server.client().sign_in("ann@example.com").await;
}

#[tokio::test]
async fn sec_dos_06_a_packed_or_nested_body_is_refused_unread() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let send = |body: String, coding: &str| {
        let call = server.client().post("/.auth/login/local-userpass").header("content-type", "application/json");
        let call = if coding.is_empty() { call } else { call.header("content-encoding", coding) };
        call.body(body).into_future()
    };
    for coding in ["gzip", "br", "deflate", "zstd", "gzip, gzip", "identity"] {
        send("{}".into(), coding).await.is(415);
    }
    for (opening, closing) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", opening.repeat(depth), closing.repeat(depth));
        for depth in [40, 5_000, 100_000] {
            let status = send(nested(depth), "").await.status.as_u16();
            assert!(matches!(status, 400 | 413), "{depth}: {status}");
        }
    }
    server.client().sign_in("ann@example.com").await;
}

#[tokio::test]
async fn sec_dos_07_many_names_in_a_body_and_many_rules_cost_little() {
    let app = RecordingUpstream::start();
    let routes: String = (0..2_000).map(|n| format!("\"/a{n}/*/b/**\" = {{ all = \"nobody\" }}\n")).collect();
    let server = Site::new(&app, &format!("{RULES}{routes}")).start().await;
    let names = (0..4_000).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(",");
    let json = server.client().post("/.auth/login/local-userpass").header("content-type", "application/json");
    assert_eq!(json.body(format!("{{{names}}}")).await.is(400).code(), "json.too_complex");
    let pairs = (0..4_000).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join("&");
    let form = server.client().post("/.auth/login/local-userpass");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body(pairs).await;
    assert!(form.is(400).text().contains("cannot be read"), "{}", form.describe());
    let long = format!("/public/{}", "a".repeat(7_000));
    server.client().get(&long).await.is(200);
    let deep = format!("/public{}", "/a".repeat(3_500));
    server.client().get(&deep).await.is(200);
    server.client().get("/a1999/x/b/c").script().await.is(401);
}
