//! API keys: whole or not at all, ended when they should, and never in an address.

use serde_json::json;

use crate::support::{RecordingUpstream, Site, Vestibule, within};

const RULES: &str = r#"
roles = ["journalist"]
[session]
cache = "1ms"
[providers.local-userpass]
[providers.api-key]
[routes]
"/**" = { all = ["signed_in", "service"] }
"/write/**" = { all = "role:journalist" }
"/public/**" = { all = "anyone" }
"#;

async fn site(app: &RecordingUpstream) -> (Vestibule, String) {
    let site = Site::new(app, RULES).user("ann@example.com", &["journalist"]);
    let key = site.key(&["backup"]);
    (site.start().await, key)
}

async fn status(server: &Vestibule, key: &str) -> u16 {
    server.client().get("/a").header("x-api-key", key).await.status.as_u16()
}

#[tokio::test]
async fn a_key_counts_as_header_and_as_basic_password() {
    let app = RecordingUpstream::start();
    let (server, key) = site(&app).await;
    assert!(key.starts_with("vk_"), "a prefix that scanners know");
    assert_eq!(status(&server, &key).await, 200);
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("anything:{key}"));
    server.client().get("/a").header("authorization", format!("Basic {basic}")).await.is(200);
    let tokens = server.client().post("/.auth/login/api-key").json(&json!({ "key": key })).await.is(200).json();
    server.client().get("/a").bearer(tokens["access_token"].as_str().unwrap()).await.is(200);
    assert_eq!(app.last().header("x-auth-kind"), "service");
}

#[tokio::test]
async fn sec_key_01_a_key_is_whole_or_worthless() {
    let app = RecordingUpstream::start();
    let (server, key) = site(&app).await;
    let mut wrong: Vec<String> = (1..=8).map(|cut| key[..key.len() - cut].to_owned()).collect();
    let flipped = |at: usize| {
        let other = if key.as_bytes()[at] == b'a' { 'b' } else { 'a' };
        format!("{}{other}{}", &key[..at], &key[at + 1..])
    };
    wrong.extend((3..key.len()).step_by(5).map(flipped));
    wrong.extend([
        format!("{key}x"),
        format!("{key}{key}"),
        key.to_uppercase(),
        format!("x{key}"),
        "vk_".into(),
        format!("{key} {key}"),
        key.replace("vk_", ""),
    ]);
    for wrong in wrong.iter().filter(|wrong| **wrong != key) {
        let reply = server.client().get("/a").header("x-api-key", wrong).await;
        assert_eq!(reply.status, 401, "{} of {} characters: {}", wrong.len(), key.len(), reply.describe());
        assert!(!reply.text().contains(wrong.as_str()));
    }
    let two = server.client().get("/a").header("x-api-key", &key).header("x-api-key", "vk_other").await;
    assert!(matches!(two.status.as_u16(), 400 | 401), "{}", two.describe());
    assert_eq!(app.count(), 0);
    assert_eq!(status(&server, &key).await, 200);
}

#[tokio::test]
async fn a_key_beside_what_cannot_be_read_reaches_no_app() {
    let app = RecordingUpstream::start();
    let (server, key) = site(&app).await;
    let public = |value: &str| {
        let call = server.client().get("/public/a").header("x-api-key", value);
        call.header("authorization", "Bearer a b")
    };
    public(&key).await.is(200);
    assert!(!String::from_utf8_lossy(&app.bytes()).contains(&key), "the app would hold it");
    public("somebody-elses").await.is(200);
    assert_eq!(app.last().header("x-api-key"), "somebody-elses");
}

#[tokio::test]
async fn sec_key_02_a_key_in_an_address_is_no_key() {
    let app = RecordingUpstream::start();
    let (server, key) = site(&app).await;
    let tokens = server.client().tokens("ann@example.com").await;
    let access = tokens["access_token"].as_str().unwrap();
    for target in [
        format!("/a?api_key={key}"),
        format!("/a?access_token={access}"),
        format!("/a?apiKey={key}&key={key}&token={access}"),
        format!("/{key}"),
    ] {
        let reply = server.client().get(&target).header("referer", format!("http://app.localhost/?k={key}")).await;
        assert!(matches!(reply.status.as_u16(), 400 | 401), "{}", reply.describe());
    }
    let form = server.client().post("/a").form(&[("access_token", access), ("api_key", &key)]).await;
    form.is(401);
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{key}:"));
    server.client().get("/a").header("authorization", format!("Basic {basic}")).await.is(401);
    assert_eq!(app.count(), 0);
    let secret = &key[key.len() - 12..];
    assert!(!server.log().text().contains(secret), "the log:\n{}", server.log().text());
}

#[tokio::test]
async fn an_operator_disables_enables_deletes_and_sees_last_use() {
    let app = RecordingUpstream::start();
    let (server, key) = site(&app).await;
    assert_eq!(status(&server, &key).await, 200);
    let list = server.cli(&["keys", "list", "--json"]).success();
    assert!(!list.stdout.contains(&key), "a list shows no key");
    let entry = list.json_lines().remove(0);
    let id = entry["id"].as_str().unwrap_or_else(|| panic!("{entry}")).to_owned();
    assert_eq!(entry["name"], "backup");
    let soon =
        async |expected: u16| within("the change", async { while status(&server, &key).await != expected {} }).await;
    server.cli(&["keys", "disable", &id]).success();
    soon(401).await;
    server.cli(&["keys", "enable", &id]).success();
    soon(200).await;
    server.cli(&["keys", "delete", &id]).success();
    soon(401).await;
}

#[tokio::test]
async fn what_was_opened_with_a_key_ends_with_it_and_what_was_not_goes_on() {
    let app = RecordingUpstream::start();
    for command in ["disable", "delete"] {
        let site = Site::new(&app, RULES).user("ann@example.com", &[]);
        let key = site.key(&["phone", "--user", &site.user_id("ann@example.com")]);
        let server = site.start().await;
        let opened = json!({ "key": key });
        let tokens = server.client().post("/.auth/login/api-key").json(&opened).await.is(200).json();
        let browser = server.client();
        browser.post("/.auth/login/api-key").submit(&[("key", &key), ("rd", "/")]).await.is(303);
        let own = server.client();
        own.sign_in("ann@example.com").await;
        let access = tokens["access_token"].as_str().unwrap();
        let statuses = async || {
            let (bearer, cookie) = (server.client().get("/a").bearer(access), browser.get("/a").script());
            [bearer.await.status.as_u16(), cookie.await.status.as_u16()]
        };
        assert_eq!(statuses().await, [200, 200]);
        let list = server.cli(&["keys", "list", "--json"]).success().json_lines().remove(0);
        server.cli(&["keys", command, list["id"].as_str().unwrap()]).success();
        within("the end of both sessions", async { while statuses().await != [401, 401] {} }).await;
        let refresh = json!({ "refresh_token": tokens["refresh_token"] });
        server.client().post("/.auth/token/refresh").json(&refresh).await.is(401);
        own.get("/a").script().await.is(200);
    }
}

#[tokio::test]
async fn a_key_has_its_roles_and_its_end() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES);
    let (writer, plain) = (site.key(&["writer", "--role", "journalist"]), site.key(&["plain"]));
    let lasting = site.key(&["lasting", "--expires", "90d"]);
    assert_ne!(site.cli(&["keys", "create", "x", "--role", "jurnalist"]).code, 0);
    let server = site.start().await;
    server.client().post("/write/a").header("x-api-key", &writer).await.is(200);
    assert_eq!(app.last().header("x-auth-roles"), "journalist");
    server.client().post("/write/a").header("x-api-key", &plain).await.is(403);
    assert_eq!(status(&server, &lasting).await, 200);
}

#[tokio::test]
async fn a_user_makes_a_key_on_the_account_page_and_sees_it_once() {
    let app = RecordingUpstream::start();
    let (server, _) = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let page = client.get("/.auth/account").navigate().await.is(200).text();
    let action = super::sessions::action(&page, "account/keys");
    let made = client.post(&action).submit(&[("name", "phone <b>"), ("days", "30")]).await;
    let shown = match made.status.as_u16() {
        200 | 201 => made.text(),
        _ => client.get(made.is(303).location()).navigate().await.text(),
    };
    assert!(!shown.contains("<b>"), "sec_xss_02: {shown}");
    let words = shown.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    let key = words.into_iter().find(|word| word.starts_with("vk_")).unwrap_or_else(|| panic!("{shown}")).to_owned();
    server.client().post("/write/a").header("x-api-key", &key).await.is(200);
    assert_eq!(app.last().header("x-auth-email"), "ann@example.com");
    let page = client.get("/.auth/account").navigate().await.text();
    assert!(!page.contains(&key) && page.contains("phone"), "{page}");
    // Whose it is is the session's to say, and so is what it may.
    let other = "64f1c2a49d3b7e0000000001";
    let more = [
        ("name", "loot"),
        ("days", "30"),
        ("user_id", other),
        ("userId", other),
        ("role", "editor"),
        ("kind", "service"),
    ];
    client.post(&action).submit(&more).await;
    let keys = server.cli(&["keys", "list", "--json"]).success();
    assert!(!keys.stdout.contains(other), "sec_key_03: {}", keys.stdout);
    let stranger = server.client().post(&action).submit(&more).await;
    assert!(stranger.status == 401 || stranger.leads_to_login(), "sec_key_03: {}", stranger.describe());
    assert_eq!(server.cli(&["keys", "list", "--json"]).success().stdout.lines().count(), keys.stdout.lines().count());
    let by_key = server.client().post(&action).header("x-api-key", &key).form(&[("name", "more"), ("days", "0")]).await;
    assert!(by_key.status.is_client_error(), "sec_key_03: a key makes no keys: {}", by_key.describe());
}
