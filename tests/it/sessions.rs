//! Sessions end when they should, everywhere at once, and on the server.

use serde_json::{Value, json};

use crate::support::{Client, RecordingUpstream, Site, Vestibule, within};

/// A change made by the command line takes effect at once: nothing is believed without asking the store.
const RULES: &str = r#"
roles = ["editor"]
[session]
cache = "1ms"
[providers.local-userpass]
[providers.api-key]
[routes]
"/**" = { all = "signed_in" }
"/admin/**" = { all = "role:editor" }
"#;

/// Ann by every means there is.
struct Ann {
    browser: Client,
    access: String,
    refresh: String,
    key: String,
    server: Vestibule,
}

async fn ann(app: &RecordingUpstream) -> Ann {
    let site = Site::new(app, RULES).user("ann@example.com", &["editor"]);
    let key = site.key(&["phone", "--user", &site.user_id("ann@example.com")]);
    let server = site.start().await;
    let browser = server.client();
    browser.sign_in("ann@example.com").await;
    let tokens = server.client().tokens("ann@example.com").await;
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    Ann { browser, access: text("access_token"), refresh: text("refresh_token"), key, server }
}

impl Ann {
    /// The status by cookie, bearer, key, and of a refresh.
    async fn statuses(&self, target: &str) -> [u16; 4] {
        let program = self.server.client();
        let refresh = json!({ "refresh_token": self.refresh });
        [
            self.browser.get(target).script().without_cookies().header("cookie", self.browser.cookie()).await.status,
            program.get(target).bearer(&self.access).await.status,
            program.get(target).header("x-api-key", &self.key).await.status,
            program.post("/.auth/token/refresh").json(&refresh).await.status,
        ]
        .map(|status| status.as_u16())
    }

    /// Asks until the answer is this: changes of another process take effect within `session.cache`.
    async fn soon(&self, target: &str, expected: [u16; 4]) {
        let wait = async { while self.statuses(target).await != expected {} };
        within(&format!("{expected:?} for {target}"), wait).await;
    }
}

#[tokio::test]
async fn sec_sess_01_a_disabled_account_is_out_by_every_means() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    assert_eq!(ann.statuses("/a").await[..3], [200, 200, 200]);
    ann.server.cli(&["users", "disable", "ann@example.com"]).success();
    ann.soon("/a", [401, 401, 401, 401]).await;
    let reached = app.count();
    assert_eq!(ann.statuses("/a").await, [401, 401, 401, 401]);
    let again = json!({ "email": "ann@example.com", "password": "copper-lantern-47" });
    ann.server.client().post("/.auth/login/local-userpass").json(&again).await.is(401);
    assert_eq!(app.count(), reached);
    ann.server.cli(&["users", "enable", "ann@example.com"]).success();
    ann.server.client().sign_in("ann@example.com").await;
}

#[tokio::test]
async fn sec_sess_01_a_deleted_account_is_out_by_every_means() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    ann.server.cli(&["users", "delete", "ann@example.com"]).success();
    ann.soon("/a", [401, 401, 401, 401]).await;
}

#[tokio::test]
async fn sec_sess_02_a_role_that_is_taken_away_is_gone_for_what_is_signed_in() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    assert_eq!(ann.statuses("/admin/a").await[..3], [200, 200, 200]);
    ann.server.cli(&["users", "role", "ann@example.com", "remove", "editor"]).success();
    let gone = async { while ann.statuses("/admin/a").await[..3] != [403, 403, 403] {} };
    within("the role to be gone", gone).await;
    assert_eq!(ann.statuses("/a").await[..3], [200, 200, 200]);
}

#[tokio::test]
async fn sec_sess_03_a_replayed_cookie_is_worth_nothing_after_sign_out() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    let old = (ann.browser.session_name(), ann.browser.session());
    ann.browser.get("/a").script().await.is(200);
    let page = ann.browser.get("/.auth/logout").navigate().await;
    assert!(page.is(200).text().contains("<form"), "{}", page.describe());
    ann.browser.get("/a").script().await.is(200);
    let reply = ann.browser.post("/.auth/logout").submit(&[]).await;
    assert!(
        reply.is(303).cookies().iter().any(|cookie| cookie.clears() && cookie.name == old.0),
        "{}",
        reply.describe()
    );
    let replay = ann.server.client();
    replay.keep(&old.0, &old.1);
    replay.get("/a").script().await.is(401);
    assert_eq!(ann.statuses("/a").await[1..], [200, 200, 200], "other sessions go on");
}

#[tokio::test]
async fn sec_sess_03_a_revoked_token_takes_its_access_token_along() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    let program = ann.server.client();
    program.get("/a").bearer(&ann.access).await.is(200);
    let reply = program.post("/.auth/token/revoke").json(&json!({ "refresh_token": ann.refresh })).await;
    assert!(reply.status.is_success(), "{}", reply.describe());
    program.get("/a").bearer(&ann.access).await.is(401);
    let refused = program.post("/.auth/token/refresh").json(&json!({ "refresh_token": ann.refresh })).await;
    assert!(matches!(refused.status.as_u16(), 400 | 401), "{}", refused.describe());
    assert_eq!(ann.statuses("/a").await[0], 200);
}

#[tokio::test]
async fn sec_cook_05_a_sign_in_makes_a_new_session_and_ends_the_one_it_replaces() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    let (name, first) = (ann.browser.session_name(), ann.browser.session());
    ann.browser.sign_in("ann@example.com").await;
    assert_ne!(ann.browser.session(), first);
    ann.browser.get("/a").script().await.is(200);
    let old = ann.server.client();
    old.keep(&name, &first);
    old.get("/a").script().await.is(401);
    let chosen = ann.server.client();
    chosen.keep(&name, &first);
    chosen.sign_in("ann@example.com").await;
    assert_ne!(chosen.session(), first, "a value the client brought is never taken");
}

#[tokio::test]
async fn me_says_who_it_is_and_401_otherwise() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    let me: Value = ann.browser.get("/.auth/me").script().await.is(200).json();
    assert_eq!(me["user_id"], ann.server.user_id("ann@example.com").as_str());
    assert_eq!((&me["kind"], &me["provider"]), (&json!("user"), &json!("local-userpass")));
    assert_eq!((&me["roles"], &me["data"]["email"]), (&json!(["editor"]), &json!("ann@example.com")));
    assert!(me["identities"].is_array() && me["custom_data"].is_object() && me["session"].is_object(), "{me}");
    assert!(!me.to_string().contains(&ann.browser.session()), "{me}");
    assert_eq!(ann.server.client().get("/.auth/me").await.is(401).code(), "authn.needed");
    let by_token = ann.server.client().get("/.auth/me").bearer(&ann.access).await;
    assert_eq!(by_token.is(200).json()["user_id"], me["user_id"]);
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn a_refresh_token_rotates_and_its_reuse_ends_the_session() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    let program = ann.server.client();
    let refresh = |token: &str| program.post("/.auth/token/refresh").json(&json!({ "refresh_token": token }));
    let second = refresh(&ann.refresh).await.is(200).json();
    let next = second["refresh_token"].as_str().unwrap();
    assert_ne!(next, ann.refresh);
    assert!(second["expires_in"].as_u64().is_some_and(|seconds| seconds == 30 * 60), "{second}");
    program.get("/a").bearer(second["access_token"].as_str().unwrap()).await.is(200);
    let third = refresh(next).await.is(200).json();
    refresh(third["refresh_token"].as_str().unwrap()).await.is(200);
    let grave = refresh(&ann.refresh).await;
    assert!(matches!(grave.status.as_u16(), 400 | 401), "two rotations old: {}", grave.describe());
    program.get("/a").bearer(second["access_token"].as_str().unwrap()).await.is(401);
}

#[tokio::test]
async fn the_command_line_lists_and_ends_sessions() {
    let app = RecordingUpstream::start();
    let ann = ann(&app).await;
    let list = ann.server.cli(&["sessions", "list", "--user", "ann@example.com", "--json"]).success().json_lines();
    assert_eq!(list.len(), 2, "{list:?}");
    let me = ann.browser.get("/.auth/me").script().await.json();
    let id = me["session"]["id"].as_str().unwrap_or_else(|| panic!("no session id in {me}"));
    ann.server.cli(&["sessions", "revoke", id]).success();
    let ended = async { while ann.statuses("/a").await[0] != 401 {} };
    within("the end of the session", ended).await;
    assert_eq!(ann.statuses("/a").await[1], 200);
    ann.server.cli(&["sessions", "revoke", "--user", "ann@example.com"]).success();
    ann.soon("/a", [401, 401, 200, 401]).await;
    let unknown = ann.server.cli(&["sessions", "revoke", "000000000000000000000000"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
}

#[tokio::test]
async fn the_account_page_ends_one_session_and_all_others() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, "[providers.local-userpass]\n").user("ann@example.com", &[]).start().await;
    let clients: Vec<_> = (0..3).map(|_| server.client()).collect();
    for client in &clients {
        client.sign_in("ann@example.com").await;
    }
    let page = clients[0].get("/.auth/account").navigate().await.is(200).text();
    assert!(!page.contains(&clients[1].session()), "no session token on the page");
    let id = clients[1].get("/.auth/me").script().await.json()["session"]["id"].as_str().unwrap().to_owned();
    let end = action(&page, &id);
    clients[0].post(&end).submit(&[]).await.is(303);
    clients[1].get("/").script().await.is(401);
    clients[2].get("/").script().await.is(200);
    let page = clients[0].get("/.auth/account").navigate().await.text();
    clients[0].post(&action(&page, "end-others")).submit(&[]).await.is(303);
    clients[2].get("/").script().await.is(401);
    clients[0].get("/").script().await.is(200);
}

#[tokio::test]
async fn one_account_cannot_end_the_session_of_another() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, "[providers.local-userpass]\n").user("ann@example.com", &[]);
    let server = site.user("max@example.com", &[]).start().await;
    let (ann, max) = (server.client(), server.client());
    ann.sign_in("ann@example.com").await;
    max.sign_in("max@example.com").await;
    let own = max.get("/.auth/me").script().await.json()["session"]["id"].as_str().unwrap().to_owned();
    let page = max.get("/.auth/account").navigate().await.text();
    let theirs = ann.get("/.auth/me").script().await.json()["session"]["id"].as_str().unwrap().to_owned();
    let reply = max.post(&action(&page, &own).replace(&own, &theirs)).submit(&[]).await;
    assert!(reply.status.is_client_error() || reply.status == 303, "{}", reply.describe());
    ann.get("/").script().await.is(200);
}

/// The address of the form on a page whose address contains this.
pub fn action(page: &str, part: &str) -> String {
    let actions = page.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut actions = actions.map(|action| action.replace("&#x2f;", "/").replace("&amp;", "&"));
    actions.find(|action| action.contains(part)).unwrap_or_else(|| panic!("no form for {part} on\n{page}"))
}
