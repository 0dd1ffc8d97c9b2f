//! Guests: made on a visit of a person, never for a machine, and kept when they become somebody.

use serde_json::json;

use crate::support::client::Call;
use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
roles = ["journalist"]
[providers.anon-user]
[providers.local-userpass]
sign_up = "open"
confirm = "automatic"
[routes]
"/**" = { read = "guest", write = "role:journalist" }
"/account-only/**" = { all = "signed_in" }
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &["journalist"]).start().await
}

#[tokio::test]
async fn a_first_visit_makes_a_guest_and_shows_the_page_at_once() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    let reply = client.get("/posts/1?x").navigate().await;
    assert_eq!(reply.is(200).text(), "hello from the app");
    assert_eq!(reply.cookies().len(), 1, "{}", reply.describe());
    let id = app.last().header("x-auth-user");
    assert_eq!((id.len(), app.last().header("x-auth-kind").as_str()), (24, "guest"));
    let again = client.get("/posts/2").navigate().await;
    assert!(again.is(200).cookies().is_empty(), "{}", again.describe());
    assert_eq!(app.last().header("x-auth-user"), id);
    client.get("/posts.json").script().await.is(200);
    assert_eq!(app.last().header("x-auth-user"), id);
    let users = server.cli(&["users", "list", "--json"]).success().json_lines();
    assert_eq!(users.iter().filter(|user| user["kind"] == "guest").count(), 1, "{users:?}");
}

#[tokio::test]
async fn no_guest_is_made_for_a_machine() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let get = || server.client().get("/posts/1");
    let upgrade = |call: Call| {
        call.header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let asked: [(&str, Call); 7] = [
        ("a program", get()),
        ("a script", get().script()),
        ("an image", get().fetch("no-cors", "image", "same-origin")),
        ("an upgrade", upgrade(get().navigate())),
        ("an event stream", get().header("accept", "text/event-stream").fetch("cors", "empty", "same-origin")),
        ("a prefetching machine", get().header("accept", "text/html").fetch("no-cors", "empty", "cross-site")),
        (
            "a preflight",
            server
                .client()
                .method("OPTIONS", "/posts/1")
                .header("origin", "https://x.test")
                .header("access-control-request-method", "GET"),
        ),
    ];
    for (who, call) in asked {
        let reply = call.await;
        assert_eq!(reply.status, 401, "{who}: {}", reply.describe());
        assert!(reply.cookies().is_empty(), "{who}");
    }
    assert_eq!(app.count(), 0);
    assert!(!server.cli(&["users", "list", "--json"]).success().stdout.contains("guest"));
}

#[tokio::test]
async fn no_guest_is_made_where_guests_may_not_go() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let page = server.client().get("/account-only/a").navigate().await;
    assert!(page.leads_to_login() && page.cookies().is_empty(), "{}", page.describe());
    let form = server.client().post("/posts").submit(&[("title", "Hi")]).await;
    assert!(form.leads_to_login() && form.cookies().is_empty(), "{}", form.describe());
    assert!(!server.cli(&["users", "list", "--json"]).success().stdout.contains("guest"));
}

#[tokio::test]
async fn a_program_becomes_a_guest_by_asking_for_it() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    let tokens = client.post("/.auth/login/anon-user").json(&json!({})).await.is(200).json();
    client.get("/posts/1").bearer(tokens["access_token"].as_str().unwrap()).await.is(200);
    assert_eq!(app.last().header("x-auth-user"), tokens["user_id"].as_str().unwrap());
    client.post("/posts").bearer(tokens["access_token"].as_str().unwrap()).await.is(401);
}

#[tokio::test]
async fn a_guest_who_registers_keeps_the_user_id() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.get("/posts/1").navigate().await.is(200);
    let (id, guest_session) = (app.last().header("x-auth-user"), client.session());
    let reply = client.post("/.auth/register").submit(&[("email", "new@example.com"), ("password", PASSWORD)]).await;
    assert!(matches!(reply.status.as_u16(), 200 | 202 | 303), "{}", reply.describe());
    client.sign_in("new@example.com").await;
    client.get("/account-only/a").script().await.is(200);
    let seen = app.last();
    assert_eq!((seen.header("x-auth-user"), seen.header("x-auth-kind").as_str()), (id.clone(), "user"));
    let replay = server.client();
    replay.keep(&client.session_name(), &guest_session);
    replay.get("/account-only/a").script().await.is(401);
    let elsewhere = server.client();
    elsewhere.sign_in("new@example.com").await;
    elsewhere.get("/posts/1").script().await.is(200);
    assert_eq!(app.last().header("x-auth-user"), id);
}

#[tokio::test]
async fn a_guest_who_confirms_by_mail_keeps_the_user_id() {
    let app = RecordingUpstream::start();
    let rules = RULES.replace("confirm = \"automatic\"\n", "");
    let server = Site::new(&app, &rules).start().await;
    let client = server.client();
    client.get("/posts/1").navigate().await.is(200);
    let id = app.last().header("x-auth-user");
    client.post("/.auth/register").submit(&[("email", "new@example.com"), ("password", PASSWORD)]).await;
    client.get("/posts/1").script().await.is(200);
    assert_eq!(app.last().header("x-auth-kind"), "guest", "not before the mail is answered");
    let token = server.mailbox().wait("new@example.com", 1).await.token();
    let elsewhere = server.client();
    let done = elsewhere.post("/.auth/confirm").submit(&[("token", &token)]).await;
    assert!(matches!(done.status.as_u16(), 200 | 303), "{}", done.describe());
    elsewhere.sign_in("new@example.com").await;
    elsewhere.get("/posts/1").script().await.is(200);
    assert_eq!((app.last().header("x-auth-user"), app.last().header("x-auth-kind").as_str()), (id, "user"));
}

#[tokio::test]
async fn a_guest_who_signs_in_to_an_old_account_becomes_that_account() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.get("/posts/1").navigate().await.is(200);
    let guest = app.last().header("x-auth-user");
    client.sign_in("ann@example.com").await;
    client.post("/posts").submit(&[("title", "Hi")]).await.is(200);
    assert_eq!(app.last().header("x-auth-user"), server.user_id("ann@example.com"));
    assert_ne!(app.last().header("x-auth-user"), guest);
}

#[tokio::test]
async fn making_guests_is_limited_and_the_limit_is_no_lock_out() {
    let app = RecordingUpstream::start();
    let rules =
        format!("[limits]\nguest = {{ per_address = \"2/1h\" }}\n{}", &RULES[RULES.find("[providers").unwrap()..]);
    let server = Site::new(&app, &format!("roles = [\"journalist\"]\n{rules}")).start().await;
    let first = server.client();
    first.get("/").navigate().await.is(200);
    server.client().get("/").navigate().await.is(200);
    let third = server.client().get("/").navigate().await;
    assert!(third.status == 429 || third.leads_to_login(), "{}", third.describe());
    first.get("/").navigate().await.is(200);
    assert_eq!(app.count(), 3);
}
