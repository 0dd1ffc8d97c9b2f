//! The order of the layers: what goes wrong when two neighbours of `stack.rs` swap. Pairs that are not here are held by
//! whole modules: `ext_authz` (the client's address, then Envoy's question), `forward_auth` (a question, then sanitize;
//! identity, then the verdict), `websocket` (sanitize, then locate), `csrf` (authenticate, then csrf).

use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
roles = ["editor"]
[routes]
"/**" = { all = "signed_in" }
"/desk/**" = { all = "role:editor" }
"#;

async fn site(app: &RecordingUpstream, more: &str) -> Vestibule {
    Site::new(app, &format!("{RULES}{more}")).user("ann@example.com", &[]).start().await
}

/// `ByAddress` stands above `ForwardAuth`.
#[tokio::test]
async fn a_flood_of_questions_is_counted_before_anybody_looks_who_asks() {
    let app = RecordingUpstream::start();
    let server = site(&app, "[limits]\nrequests = { per_address = \"3/1h\" }\n").await;
    for _ in 0..3 {
        server.client().get("/.auth/check/a").await.is(403);
    }
    assert_eq!(server.client().get("/.auth/check/a").await.is(429).code(), "rate.limited");
}

/// `ByAddress` and `Locate` stand above `Authenticate`, whose answer to an unknown cookie is to clear it.
#[tokio::test]
async fn no_credential_is_looked_up_for_a_flood_or_for_what_cannot_be_read() {
    let app = RecordingUpstream::start();
    let server = site(&app, "[limits]\nrequests = { per_address = \"2/1h\" }\n").await;
    let ask =
        |path| server.client().get(path).without_cookies().header("cookie", "vestibule=unknown-until-now").script();
    assert!(ask("/a").await.is(401).cookies()[0].clears());
    assert!(ask("/a/%00").await.is(400).cookies().is_empty());
    assert!(ask("/a").await.is(429).cookies().is_empty());
}

/// `Csrf` stands above `ByUser`.
#[tokio::test]
async fn another_site_cannot_use_up_what_a_user_may_ask() {
    let app = RecordingUpstream::start();
    let server = site(&app, "[limits]\nrequests = { per_user = \"2/1h\" }\n").await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for _ in 0..5 {
        let foreign = client.post("/a").without("origin").header("origin", "https://evil.test").body("x");
        assert_eq!(foreign.header("sec-fetch-site", "cross-site").await.is(403).code(), "csrf.rejected");
    }
    client.get("/a").script().await.is(200);
    client.get("/a").script().await.is(200);
    client.get("/a").script().await.is(429);
}

/// `ByUser` stands above `Authorize`.
#[tokio::test]
async fn what_a_user_may_not_do_counts_for_the_user_too() {
    let app = RecordingUpstream::start();
    let server = site(&app, "[limits]\nrequests = { per_user = \"2/1h\" }\n").await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/desk/a").script().await.is(403);
    client.get("/desk/a").script().await.is(403);
    assert_eq!(client.get("/desk/a").script().await.is(429).code(), "rate.limited");
}

/// `Authorize` stands above `BodyLimit`.
#[tokio::test]
async fn only_who_may_send_at_all_is_told_how_much() {
    let app = RecordingUpstream::start();
    let server = site(&app, "[limits]\nbody = \"4B\"\n").await;
    let stranger = server.client();
    stranger.post("/a").body("too long").await.is(401);
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.post("/desk/a").body("too long").await.is(403);
    client.post("/a").body("too long").await.is(413);
    client.post("/a").body("fits").await.is(200);
}
