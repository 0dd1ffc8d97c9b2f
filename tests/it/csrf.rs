//! Requests that come from another site with our cookie.

use serde_json::json;

use crate::support::client::Call;
use crate::support::site::PASSWORD;
use crate::support::{Client, RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[providers.local-userpass]
sign_up = "open"
[providers.api-key]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

async fn site(app: &RecordingUpstream) -> (Vestibule, Client) {
    let server = Site::new(app, RULES).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    (server, client)
}

/// What a page of another site can make a browser send, and what is ours: whether it passes.
fn ways(call: impl Fn() -> Call) -> [(&'static str, Call, bool); 11] {
    let site = |value: &str| call().fetch("navigate", "document", value);
    let origin = |value: &str| call().header("origin", value);
    [
        ("cross-site", site("cross-site"), false),
        ("same-site", site("same-site"), false),
        ("an unknown word", site("whatever"), false),
        ("cross-site with our origin", site("cross-site").header("origin", "http://app.localhost"), false),
        ("another origin", origin("https://evil.test"), false),
        ("null", origin("null"), false),
        ("our host over https", origin("https://app.localhost"), false),
        ("our host at another port", origin("http://app.localhost:8080"), false),
        ("a longer host", origin("http://app.localhost.evil.test"), false),
        ("same-origin", site("same-origin"), true),
        ("our origin", origin("http://app.localhost"), true),
    ]
}

#[tokio::test]
async fn sec_csrf_01_nobody_is_signed_in_from_another_site() {
    let app = RecordingUpstream::start();
    let (server, _) = site(&app).await;
    let form = [("email", "ann@example.com"), ("password", PASSWORD)];
    for (what, call, passes) in
        ways(|| server.client().post("/.auth/login/local-userpass").form(&form).header("accept", "text/html"))
    {
        let reply = call.await;
        match passes {
            true => assert_eq!(reply.status, 303, "{what}: {}", reply.describe()),
            false => {
                assert_eq!(reply.status, 403, "{what}: {}", reply.describe());
                assert!(reply.cookies().is_empty(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn sec_csrf_01_an_apps_form_is_not_sent_from_another_site_with_our_cookie() {
    let app = RecordingUpstream::start();
    let (_server, client) = site(&app).await;
    let mut good = 0;
    for method in ["POST", "PUT", "DELETE", "PATCH", "ODD"] {
        for (what, call, passes) in ways(|| client.method(method, "/form").body("a=b")) {
            let reply = call.await;
            good += usize::from(passes);
            match passes {
                true => assert_eq!(reply.status, 200, "{method} {what}: {}", reply.describe()),
                false => assert!(reply.is(403).cookies().is_empty(), "{method} {what}"),
            }
            assert_eq!(app.count(), good, "{method} {what}");
        }
    }
}

#[tokio::test]
async fn a_credential_a_browser_does_not_send_by_itself_needs_no_proof() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    let tokens = server.client().tokens("ann@example.com").await;
    let access = tokens["access_token"].as_str().unwrap();
    server.client().post("/form").bearer(access).header("origin", "https://evil.test").await.is(200);
    server.client().post("/public/form").header("origin", "https://evil.test").await.is(200);
    client.get("/page").fetch("navigate", "document", "cross-site").await.is(200);
    let old = client.post("/form").await;
    assert!(matches!(old.status.as_u16(), 200 | 403), "neither header: {}", old.describe());
}

#[tokio::test]
async fn sec_csrf_02_a_get_signs_nobody_out_and_changes_nothing() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    for site in ["cross-site", "same-origin", "none"] {
        let page = client.get("/.auth/logout").fetch("no-cors", "image", site).await;
        assert!(page.cookies().is_empty(), "{}", page.describe());
        let page =
            client.get("/.auth/logout?rd=/&confirm=1&sid=x").navigate().fetch("navigate", "document", site).await;
        assert!(page.is(200).cookies().is_empty() && page.text().contains("<button"), "{}", page.describe());
    }
    client.get("/").script().await.is(200);
    let cross = client
        .post("/.auth/logout")
        .fetch("navigate", "document", "cross-site")
        .header("origin", "https://evil.test")
        .await;
    assert!(cross.is(403).cookies().is_empty());
    client.get("/").script().await.is(200);
    for target in ["/.auth/confirm?token=x", "/.auth/reset?token=x", "/.auth/account"] {
        server.client().get(target).fetch("navigate", "document", "cross-site").header("accept", "text/html").await;
    }
    client.post("/.auth/logout").submit(&[]).await.is(303);
    client.get("/").script().await.is(401);
}

#[tokio::test]
async fn sec_csrf_04_json_is_json_by_its_name() {
    let app = RecordingUpstream::start();
    let (server, client) = site(&app).await;
    let body = json!({ "email": "ann@example.com", "password": PASSWORD }).to_string();
    for kind in
        ["text/plain", "multipart/form-data; boundary=x", "application/xml", "application/jsonp", "text/json", ""]
    {
        let call = server.client().post("/.auth/login/local-userpass").body(body.clone());
        let call = if kind.is_empty() { call } else { call.header("content-type", kind) };
        assert_eq!(call.await.is(415).code(), "media_type", "{kind}");
    }
    let as_form = server.client().post("/.auth/login/local-userpass").body(body.clone());
    let as_form = as_form.header("content-type", "application/x-www-form-urlencoded").await;
    assert!(as_form.status.is_client_error() && as_form.cookies().is_empty(), "{}", as_form.describe());
    let tokens = server.client().tokens("ann@example.com").await;
    let refresh = json!({ "refresh_token": tokens["refresh_token"] }).to_string();
    let plain = client.post("/.auth/token/refresh").script().body(refresh).header("content-type", "text/plain").await;
    plain.is(415);
    let program = client.post("/form").header("origin", "https://evil.test").await;
    assert_eq!(program.is(403).code(), "csrf.rejected");
    let charset = server
        .client()
        .post("/.auth/login/local-userpass")
        .body(body.clone())
        .header("content-type", "application/json; charset=utf-8");
    charset.await.is(200);
    let coded =
        server.client().post("/.auth/login/local-userpass").body(body).header("content-type", "application/json");
    let coded = coded.header("content-encoding", "gzip").await;
    assert!(matches!(coded.status.as_u16(), 400 | 415), "sec_dos_06: {}", coded.describe());
}

#[tokio::test]
async fn a_websocket_with_a_cookie_needs_our_origin() {
    let app = RecordingUpstream::start();
    let (_server, client) = site(&app).await;
    let upgrade = || {
        let call = client.get("/live").header("connection", "Upgrade").header("upgrade", "websocket");
        call.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    for call in [
        upgrade(),
        upgrade().header("origin", "https://evil.test"),
        upgrade().header("origin", "null"),
        upgrade().header("origin", "https://app.localhost"),
    ] {
        call.await.is(403);
    }
    assert_eq!(app.count(), 0);
    assert_eq!(upgrade().header("origin", "http://app.localhost").open().await.status(), 101);
}
