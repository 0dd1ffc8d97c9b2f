//! The audit log, and whether everything that is done to keys, sessions and accounts is in it: once, and by whom.

use serde_json::{Value, json};

use crate::support::site::PASSWORD;
use crate::support::{Client, RecordingUpstream, Site, Vestibule};

const TOML: &str = r#"
[session]
cache = "1ms"
[app_services]
app_id = "blog-abcde"
[providers.anon-user]
[providers.local-userpass]
[providers.api-key]
[routes]
"/**" = { all = "guest" }
"#;
const APP: &str = "/api/client/v2.0/app/blog-abcde/auth/providers";
/// What the answers of the client API carry beside the usual.
const OWN: [&str; 2] = ["x-appservices-request-id", "access-control-expose-headers"];
const AUTH: &str = "/api/client/v2.0/auth";

async fn server(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, TOML).user("ann@example.com", &[]).start().await
}

fn entries(server: &Vestibule, user: &str) -> Vec<Value> {
    server.cli(&["audit", "--user", user, "--json"]).success().json_lines()
}

/// What was done, without how the account came to be.
fn actions(entries: &[Value]) -> Vec<&str> {
    let words = entries.iter().map(|entry| entry["action"].as_str().unwrap());
    words.filter(|word| !matches!(*word, "user.register" | "user.confirm")).collect()
}

async fn deed(client: &Client, path: &str, body: &Value, status: u16) -> Value {
    let reply = client.post(&format!("/.auth/account/{path}")).script().json(body).await;
    let reply = reply.is(status);
    if status == 204 { Value::Null } else { reply.json() }
}

#[tokio::test]
async fn what_is_done_on_the_account_page_is_noted_once() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let id = server.user_id("ann@example.com");
    let key = deed(&client, "keys", &json!({ "name": "phone" }), 201).await;
    let name = key["id"].as_str().unwrap();
    let tokens =
        client.stranger().post("/.auth/login/api-key").json(&json!({ "key": key["key"] })).await.is(200).json();
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    client.stranger().post("/.auth/token/revoke").json(&refresh).await.is(204);
    // It is over: nothing more is done by that.
    client.stranger().post("/.auth/token/revoke").json(&refresh).await.is(204);
    for word in ["disable", "enable", "delete"] {
        deed(&client, &format!("keys/{name}/{word}"), &json!({}), 204).await;
    }
    client.stranger().sign_in("ann@example.com").await;
    deed(&client, "sessions/end-others", &json!({}), 204).await;
    deed(&client, "sessions/end-others", &json!({}), 204).await;
    client.post("/.auth/logout").script().json(&json!({})).await.is(204);
    client.sign_in("ann@example.com").await;
    deed(&client, "delete", &json!({ "password": PASSWORD }), 204).await;
    let entries = entries(&server, &id);
    let expected = [
        "session.start",
        "key.create",
        "session.start",
        "session.end",
        "key.disable",
        "key.enable",
        "key.delete",
        "session.start",
        "session.revoke",
        "session.end",
        "session.start",
        "user.delete",
    ];
    assert_eq!(actions(&entries), expected);
    assert!(entries[1..].iter().all(|entry| entry["actor"] == format!("user:{id}")), "{entries:?}");
    assert!(entries[1..].iter().all(|entry| entry["request_id"].is_string()), "{entries:?}");
    let deleted = entries.iter().find(|entry| entry["action"] == "key.delete").unwrap();
    assert_eq!(deleted["before"], json!({ "key": name, "name": "phone" }));
    assert!(!json!(entries).to_string().contains(key["key"].as_str().unwrap()));
}

#[tokio::test]
async fn what_apps_do_for_their_users_is_noted_once() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client().expecting(&OWN);
    let login = async |provider: &str, body: Value| {
        let reply = client.stranger().post(&format!("{APP}/{provider}/login")).json(&body).await;
        reply.is(200).json()
    };
    let call = async |method: &str, path: &str, token: &Value, body: Value| {
        let call = client.stranger().method(method, &format!("{AUTH}/{path}")).bearer(token.as_str().unwrap());
        let reply = call.json(&body).await;
        assert!(reply.status.is_success(), "{}", reply.describe());
        reply
    };
    let ann = login("local-userpass", json!({ "username": "ann@example.com", "password": PASSWORD })).await;
    let refresh = &ann["refresh_token"];
    let key = call("POST", "api_keys", refresh, json!({ "name": "phone" })).await.json();
    let path = format!("api_keys/{}", key["_id"].as_str().unwrap());
    let by_key = login("api-key", json!({ "key": key["key"] })).await;
    call("DELETE", "session", &by_key["refresh_token"], json!({})).await;
    call("PUT", &format!("{path}/disable"), refresh, json!({})).await;
    call("PUT", &format!("{path}/enable"), refresh, json!({})).await;
    call("DELETE", &path, refresh, json!({})).await;
    call("DELETE", "delete", &ann["access_token"], json!({})).await;
    let id = ann["user_id"].as_str().unwrap();
    let entries = entries(&server, id);
    let expected = [
        "session.start",
        "key.create",
        "session.start",
        "session.end",
        "key.disable",
        "key.enable",
        "key.delete",
        "user.delete",
    ];
    assert_eq!(actions(&entries), expected);
    assert_eq!(entries.last().unwrap()["before"]["user"]["email"], "ann@example.com");
    assert!(entries[1..].iter().all(|entry| entry["actor"] == format!("user:{id}")), "{entries:?}");
}

#[tokio::test]
async fn guests_leave_the_trace_of_their_coming() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client().expecting(&OWN);
    let by_app = client.stranger().post(&format!("{APP}/anon-user/login")).json(&json!({})).await.is(200).json();
    let by_call = client.stranger().post("/.auth/login/anon-user").json(&json!({})).await.is(200).json();
    let visitor = client.stranger();
    visitor.get("/").navigate().await.is(200);
    let by_visit = visitor.get("/.auth/me").script().await.is(200).json();
    for guest in [by_app, by_call, by_visit] {
        let id = guest["user_id"].as_str().unwrap();
        let entries = entries(&server, id);
        assert_eq!(actions(&entries), ["session.start"]);
        assert_eq!(entries[0]["actor"], format!("user:{id}"));
        assert_eq!(entries[0]["after"], json!({ "provider": "anon-user" }));
    }
}

#[tokio::test]
async fn a_refresh_token_that_came_twice_is_noted_with_its_reason() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    let first = client.tokens("ann@example.com").await;
    let refresh = async |tokens: &Value| {
        let body = json!({ "refresh_token": tokens["refresh_token"] });
        client.stranger().post("/.auth/token/refresh").json(&body).await
    };
    let second = refresh(&first).await.is(200).json();
    refresh(&second).await.is(200);
    refresh(&first).await.is(401);
    let entries = entries(&server, "ann@example.com");
    assert_eq!(actions(&entries), ["session.start", "session.revoke"]);
    assert_eq!(entries.last().unwrap()["after"]["reason"], "session.token_reused");
}
