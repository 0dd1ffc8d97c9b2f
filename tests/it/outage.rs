//! What happens while something we depend on is away: refusals, and not an open door.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Site, Vestibule, within};

const RULES: &str = r#"
[session]
cache = "1ms"
[providers.anon-user]
[providers.local-userpass]
[providers.api-key]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"/guests/**" = { all = "guest" }
"#;

/// Damages the store of a running server: every table is gone.
pub fn break_store(server: &Vestibule) {
    let store = Connection::open(server.path("vestibule.db")).unwrap();
    store.busy_timeout(Duration::from_secs(10)).unwrap();
    let tables = store
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    store.pragma_update(None, "foreign_keys", false).unwrap();
    for table in tables {
        store.execute(&format!("DROP TABLE \"{table}\""), []).unwrap();
    }
}

#[tokio::test]
async fn sec_sess_09_without_its_store_it_admits_nobody_and_says_when_to_come_back() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES).user("ann@example.com", &[]);
    let key = site.key(&["machine", "--user", &site.user_id("ann@example.com")]);
    let server = site.start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let tokens = server.client().tokens("ann@example.com").await;
    client.get("/").script().await.is(200);
    break_store(&server);
    let known = async { while client.get("/").script().await.status == 200 {} };
    within("the cache to forget", known).await;
    let reached = app.count();
    let stranger = || server.client();
    let account = json!({ "email": "ann@example.com", "password": PASSWORD });
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let answers = [
        ("a cookie", client.get("/").script().await),
        ("a bearer", stranger().get("/").bearer(tokens["access_token"].as_str().unwrap()).await),
        ("a key", stranger().get("/").header("x-api-key", &key).await),
        ("oneself", client.get("/.auth/me").await),
        ("oneself by bearer", stranger().get("/.auth/me").bearer(tokens["access_token"].as_str().unwrap()).await),
        ("the account page", client.get("/.auth/account").navigate().await),
        ("the sign-in page of somebody who may be signed in", client.get("/.auth/login").navigate().await),
        ("a sign-out", client.post("/.auth/logout").submit(&[]).await),
        ("a sign-in", stranger().post("/.auth/login/local-userpass").json(&account).await),
        ("a refresh", stranger().post("/.auth/token/refresh").json(&refresh).await),
        ("a guest to be made", stranger().get("/guests/a").navigate().await),
        (
            "a reset",
            stranger()
                .post("/.auth/reset")
                .json(&json!({ "token": "A".repeat(43), "password": "velvet-harbour-12" }))
                .await,
        ),
    ];
    for (what, reply) in &answers {
        assert_eq!(reply.status, 503, "{what}: {}", reply.describe());
        assert!(!reply.header("retry-after").is_empty(), "{what}: {}", reply.describe());
        let text = reply.describe().to_lowercase();
        assert!(!text.contains("sql") && !text.contains("table"), "sec_err_01: {text}");
    }
    stranger().get("/").script().await.is(401);
    stranger().get("/.auth/me").await.is(401);
    stranger().get("/.auth/login").navigate().await.is(200);
    client.get("/.auth/jwks.json").await.is(200);
    assert_eq!(app.count(), reached);
    stranger().get("/public/a").await.is(200);
}

#[tokio::test]
async fn sec_sess_09_a_store_that_comes_back_is_used_again_without_a_restart() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let other = Connection::open(server.path("vestibule.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    client.get("/").script().await.is(200);
    let waiting = json!({ "email": "ann@example.com", "password": PASSWORD });
    let blocked = server.client().post("/.auth/login/local-userpass").json(&waiting).await;
    assert_eq!(blocked.status, 503, "a writer that waits too long gives up: {}", blocked.describe());
    other.execute_batch("ROLLBACK").unwrap();
    server.client().sign_in("ann@example.com").await;
}
