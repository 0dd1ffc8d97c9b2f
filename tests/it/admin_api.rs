//! What operators do over the operator's listener: the REST interface, and the App Services Admin API.

use serde_json::{Value, json};

use crate::support::client::Call;
use crate::support::site::PASSWORD;
use crate::support::{Client, RecordingUpstream, Site, Vestibule};

const TOKEN: &str = "brass-weather-vane-8811-on-the-roof";
const APP: &str = "/api/admin/v3.0/groups/64f1c2a49d3b7e0012345678/apps/64f1c2a49d3b7e0087654321";

fn site(upstream: &RecordingUpstream) -> Site {
    let toml = "listen = [\"127.0.0.1:0\"]\nroles = [\"editor\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                token = { env = \"OPERATOR_TOKEN\" }\n\
                app_services = { group_id = \"64f1c2a49d3b7e0012345678\", app_id = \"64f1c2a49d3b7e0087654321\" }\n\
                [providers.local-userpass]\nsign_up = \"open\"\n[providers.api-key]\n\
                [routes]\n\"/**\" = { all = [\"signed_in\", \"service\"] }\n";
    Site::new(upstream, toml).env("OPERATOR_TOKEN", TOKEN)
}

async fn start(site: Site) -> (Vestibule, Client) {
    let server = site.start_listeners(2).await;
    let address = server.addresses()[1];
    let client = Client::new(address, &format!("http://{address}"));
    (server, client)
}

fn asked(call: Call) -> Call {
    call.header("authorization", format!("Bearer {TOKEN}"))
}

#[tokio::test]
async fn users_are_made_found_changed_and_removed() {
    let upstream = RecordingUpstream::start();
    let (server, api) = start(site(&upstream)).await;
    let new = json!({ "email": "Ann@example.com", "password": PASSWORD, "roles": ["editor"] });
    let ann = asked(api.post("/api/users").json(&new)).await.is(201).json();
    let id = ann["id"].as_str().unwrap();
    asked(api.post("/api/users").json(&new)).await.is(409);
    for odd in [
        json!({ "email": "bob@example.com", "password": PASSWORD, "roles": ["editr"] }),
        json!({ "email": "bob@example.com", "password": PASSWORD, "rolls": [] }),
        json!({ "email": "bob@example.com", "password": "x" }),
        json!({ "email": "bob" , "password": PASSWORD}),
    ] {
        asked(api.post("/api/users").json(&odd)).await.is(422);
    }
    assert_eq!(asked(api.get("/api/users/ann@example.com")).await.is(200).json()["id"], id);
    assert_eq!(asked(api.get("/api/users")).await.is(200).json()["items"].as_array().unwrap().len(), 1);
    let visitor = server.client();
    visitor.sign_in("ann@example.com").await;
    visitor.get("/").await.is(200);
    let change = json!({ "disabled": true, "custom_data": { "plan": "pro" } });
    let changed = asked(api.method("PATCH", &format!("/api/users/{id}")).json(&change)).await.is(200).json();
    assert_eq!((&changed["disabled"], &changed["custom_data"]["plan"]), (&json!(true), &json!("pro")));
    visitor.get("/").await.is(401);
    let log = asked(api.get(&format!("/api/audit?user={id}"))).await.is(200).json();
    let disabled = log["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "user.disable").unwrap();
    assert_eq!((&disabled["actor"], &disabled["after"]["disabled"]), (&json!("operator:token"), &json!(true)));
    asked(api.method("DELETE", &format!("/api/users/{id}"))).await.is(204);
    asked(api.get(&format!("/api/users/{id}"))).await.is(404);
    assert_eq!(asked(api.method("PUT", "/api/users")).await.is(405).header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn sessions_and_keys_end_at_once() {
    let upstream = RecordingUpstream::start();
    let (server, api) = start(site(&upstream).user("ann@example.com", &[])).await;
    let (one, other) = (server.client(), server.client());
    one.sign_in("ann@example.com").await;
    other.sign_in("ann@example.com").await;
    let sessions = asked(api.get("/api/users/ann@example.com/sessions")).await.is(200).json();
    let first = sessions["items"][1]["id"].as_str().unwrap();
    asked(api.method("DELETE", &format!("/api/sessions/{first}"))).await.is(204);
    let left = [one.get("/").await.status.as_u16(), other.get("/").await.status.as_u16()];
    assert!(left.contains(&200) && left.contains(&401), "{left:?}");
    let ended = asked(api.method("DELETE", "/api/users/ann@example.com/sessions")).await.is(200).json();
    assert_eq!(ended["ended"], 1);
    let key = asked(api.post("/api/keys").json(&json!({ "name": "ci", "roles": ["editor"] }))).await.is(201).json();
    let visit = || server.client().get("/").header("x-api-key", key["key"].as_str().unwrap());
    visit().await.is(200);
    let path = format!("/api/keys/{}", key["id"].as_str().unwrap());
    asked(api.method("PATCH", &path).json(&json!({ "disabled": true }))).await.is(200);
    visit().await.is(401);
    asked(api.method("PATCH", &path).json(&json!({ "disabled": false }))).await.is(200);
    visit().await.is(200);
    asked(api.method("DELETE", &path)).await.is(204);
    visit().await.is(401);
}

#[tokio::test]
async fn the_document_names_every_path() {
    let upstream = RecordingUpstream::start();
    let (_server, api) = start(site(&upstream)).await;
    let document = asked(api.get("/api/openapi.json")).await.is(200).json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths["/api/users/{user}"]["patch"]["requestBody"].is_object(), "{document}");
    for (path, methods) in paths {
        let there = path.replace("{user}", "nobody@example.com").replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
            let reply = asked(api.method(&method.to_uppercase(), &there).json(&json!({}))).await;
            assert!([404, 422].contains(&reply.status.as_u16()), "{method} {path}: {}", reply.describe());
        }
    }
}

/// Signs in as scripts do.
async fn script(api: &Client, site: &Site) -> (String, String) {
    let key = site.key(&["deploy", "--operator"]);
    let path = "/api/admin/v3.0/auth/providers/mongodb-cloud/login";
    api.post(path).json(&json!({ "username": "other", "apiKey": key })).await.is(401);
    api.post(path).json(&json!({ "username": "deploy", "apiKey": format!("{key}x") })).await.is(401);
    let tokens = api.post(path).json(&json!({ "username": "deploy", "apiKey": key })).await.is(200).json();
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

#[tokio::test]
async fn scripts_for_the_admin_api_sign_in_and_go_on() {
    let upstream = RecordingUpstream::start();
    let (server, api) = start(site(&upstream)).await;
    let (access, refresh) = script(&api, &server).await;
    let profile = api.get("/api/admin/v3.0/auth/profile").bearer(&access).await.is(200).json();
    assert_eq!(profile["roles"][0]["group_id"], "64f1c2a49d3b7e0012345678");
    for _ in 0..2 {
        let renewed = api.post("/api/admin/v3.0/auth/session").bearer(&refresh).await.is(201).json();
        let renewed = renewed["access_token"].as_str().unwrap().to_owned();
        api.get(&format!("{APP}/users")).bearer(&renewed).await.is(200);
    }
    server.client().get("/").bearer(&access).await.is(401);
    api.method("DELETE", "/api/admin/v3.0/auth/session").bearer(&refresh).await.is(204);
    let over = api.get(&format!("{APP}/users")).bearer(&access).await;
    assert_eq!(over.is(401).json()["error_code"], "InvalidSession");
    assert_eq!(over.header("content-type"), "application/json");
    assert!(over.json()["link"].as_str().unwrap().contains("logs?co_id="));
}

#[tokio::test]
async fn users_of_the_admin_api_have_their_life() {
    let upstream = RecordingUpstream::start();
    let (server, api) = start(site(&upstream)).await;
    let at = |path: &str| format!("{APP}{path}");
    let new = json!({ "email": "ann@example.com", "password": PASSWORD });
    let ann = asked(api.post(&at("/users")).json(&new)).await.is(201).json();
    let id = ann["_id"].as_str().unwrap();
    assert_eq!(ann["identities"][0]["provider_type"], "local-userpass");
    let twice = asked(api.post(&at("/users")).json(&new)).await;
    assert_eq!(twice.is(409).json()["error_code"], "AccountNameInUse");
    let tokens = server.client().tokens("ann@example.com").await;
    let access = tokens["access_token"].as_str().unwrap();
    let verify = |token: &str| asked(api.post(&at("/users/verify_token")).json(&json!({ "token": token })));
    assert_eq!(verify(access).await.is(200).json()["sub"], id);
    verify("nonsense").await.is(400);
    let (head, _) = access.rsplit_once('.').unwrap();
    verify(&format!("{head}.{}", "A".repeat(86))).await.is(401);
    let devices = asked(api.get(&at(&format!("/users/{id}/devices")))).await.is(200).json();
    assert_eq!(devices.as_array().unwrap().len(), 1);
    asked(api.method("PUT", &at(&format!("/users/{id}/logout")))).await.is(204);
    assert_eq!(verify(access).await.is(401).json()["error"], "invalid session");
    let list = |query: &str| asked(api.get(&at(&format!("/users{query}"))));
    asked(api.method("PUT", &at(&format!("/users/{id}/disable")))).await.is(204);
    assert_eq!(list("?status=enabled").await.is(200).json(), json!([]));
    assert_eq!(list("?status=disabled&provider_types=local-userpass").await.json()[0]["_id"], id);
    asked(api.method("PUT", &at(&format!("/users/{id}/enable")))).await.is(204);
    let email = json!({ "email": "anna@example.com" });
    asked(api.method("PATCH", &at(&format!("/users/{id}/reset_email"))).json(&email)).await.is(204);
    server.client().sign_in("anna@example.com").await;
    asked(api.method("DELETE", &at(&format!("/users/{id}")))).await.is(204);
    assert_eq!(asked(api.get(&at(&format!("/users/{id}")))).await.is(404).json()["error_code"], "UserNotFound");
}

#[tokio::test]
async fn pending_registrations_are_confirmed_or_turned_away() {
    let upstream = RecordingUpstream::start();
    let (server, api) = start(site(&upstream)).await;
    let at = |path: &str| format!("{APP}/user_registrations{path}");
    for email in ["ann@example.com", "bob@example.com"] {
        let new = json!({ "email": email, "password": PASSWORD });
        server.client().post("/.auth/register").json(&new).await.is(202);
    }
    let pending = asked(api.get(&at("/pending_users"))).await.is(200).json();
    assert_eq!(pending.as_array().unwrap().len(), 2, "{pending}");
    asked(api.post(&at("/by_email/ann@example.com/confirm"))).await.is(204);
    server.client().sign_in("ann@example.com").await;
    asked(api.post(&at("/by_email/ann@example.com/confirm"))).await.is(404);
    asked(api.method("DELETE", &at("/by_email/bob@example.com"))).await.is(204);
    asked(api.post(&at("/by_email/bob@example.com/confirm"))).await.is(404);
}

/// SEC-KEY-03
#[tokio::test]
async fn sec_key_03_keys_of_the_admin_api_open_the_app_and_no_more() {
    let upstream = RecordingUpstream::start();
    let (server, api) = start(site(&upstream)).await;
    let at = |path: &str| format!("{APP}/api_keys{path}");
    let new = json!({ "name": "nightly", "userId": "64f1c2a49d3b7e0000000001" });
    api.post(&at("")).json(&new).await.is(401);
    let other = APP.replace("64f1c2a49d3b7e0087654321", "64f1c2a49d3b7e0087654322");
    asked(api.post(&format!("{other}/api_keys")).json(&new)).await.is(404);
    let odd = asked(api.post(&at("")).json(&json!({ "name": "a b" }))).await;
    assert_eq!(odd.is(400).json()["error_code"], "InvalidParameter");
    let made = asked(api.post(&at("")).json(&new)).await.is(201).json();
    let (id, key) = (made["_id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let visit = || server.client().get("/").header("x-api-key", key);
    visit().await.is(200);
    api.get("/api/users").bearer(key).await.is(401);
    api.get(&at("")).bearer(key).await.is(401);
    assert_eq!(
        asked(api.get(&at(""))).await.is(200).json(),
        json!([{"_id": id, "name": "nightly", "disabled": false}])
    );
    asked(api.method("PUT", &at(&format!("/{id}/disable")))).await.is(204);
    visit().await.is(401);
    asked(api.method("PUT", &at(&format!("/{id}/enable")))).await.is(204);
    asked(api.method("DELETE", &at(&format!("/{id}")))).await.is(204);
    assert_eq!(asked(api.get(&at(&format!("/{id}")))).await.is(404).json()["error_code"], "APIKeyNotFound");
}

#[tokio::test]
async fn the_life_of_refresh_tokens_is_said_and_kept_in_the_file() {
    let upstream = RecordingUpstream::start();
    let (_server, api) = start(site(&upstream)).await;
    let at = format!("{APP}/security/refresh_token_expiration");
    let life = asked(api.get(&at)).await.is(200).json();
    assert_eq!(life, json!({ "expiration_time_seconds": 5_184_000 }));
    asked(api.method("PUT", &at).json(&life)).await.is(204);
    let other: Value = json!({ "expiration_time_seconds": 3600 });
    let refused = asked(api.method("PUT", &at).json(&other)).await.is(400).json();
    assert!(refused["error"].as_str().unwrap().contains("session.refresh_token"), "{refused}");
}

#[tokio::test]
async fn operators_have_a_page_that_shows_text_as_text() {
    let upstream = RecordingUpstream::start();
    let (_server, api) = start(site(&upstream).user("ann@example.com", &[])).await;
    let ann = asked(api.get("/api/users/ann@example.com")).await.json();
    let id = ann["id"].as_str().unwrap();
    let page = asked(api.get("/?q=%3Cscript%3Ealert(1)%3C/script%3E")).await.is(200).text();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    assert!(asked(api.get("/")).await.is(200).text().contains("ann@example.com"));
    asked(api.get("/style.css")).await.is(200);
    asked(api.post(&format!("/users/{id}/disable"))).await.is(303);
    assert!(asked(api.get(&format!("/users/{id}"))).await.is(200).text().contains("user.disable"));
    asked(api.post(&format!("/users/{id}/delete")).form(&[("confirm", "yes")])).await.is(422);
    asked(api.post(&format!("/users/{id}/delete")).form(&[("confirm", id)])).await.is(303);
    asked(api.get(&format!("/users/{id}"))).await.is(404);
    api.get("/").await.is(401);
}
