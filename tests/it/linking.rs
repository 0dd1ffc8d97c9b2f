//! Several ways to sign in to one account: by the front door, and by the operator.

use serde_json::{Value, json};

use crate::support::site::PASSWORD;
use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule};

const TOML: &str = r#"
roles = ["editor"]
[providers.anon-user]
[providers.local-userpass]
sign_up = "open"
confirm = "automatic"
[providers.api-key]
[limits]
sign_in = { per_account = "1000/15m", per_address = "1000/15m" }
sign_up = { per_account = "1000/1h", per_address = "1000/1h" }
[routes]
"/**" = { all = "guest" }
"#;

const NEW: &str = "new@example.com";

async fn server(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, TOML).user("ann@example.com", &["editor"]).user("bob@example.com", &[]).start().await
}

fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

async fn register(client: &Client, email: &str) {
    let reply = client.stranger().post("/.auth/register").json(&credentials(email, PASSWORD)).await;
    assert!(reply.status.is_success(), "{}", reply.describe());
}

/// Tokens of a new guest.
async fn guest(client: &Client) -> Value {
    client.stranger().post("/.auth/login/anon-user").json(&json!({})).await.is(200).json()
}

async fn link(client: &Client, tokens: &Value, provider: &str, credentials: &Value) -> Reply {
    let path = format!("/.auth/login/{provider}?link=true");
    client.stranger().post(&path).bearer(tokens["access_token"].as_str().unwrap()).json(credentials).await
}

fn audit(server: &Vestibule, user: &str) -> Vec<String> {
    let entries = server.cli(&["audit", "--user", user, "--json"]).success().json_lines();
    entries.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_guest_that_links_keeps_its_id_and_its_tokens() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    register(&client, NEW).await;
    let registered = server.cli(&["users", "show", NEW, "--json"]).success().json()["id"].clone();
    let guest = guest(&client).await;
    let linked = link(&client, &guest, "local-userpass", &credentials(NEW, PASSWORD)).await.is(200).json();
    assert_eq!((&linked["user_id"], &linked["outcome"]), (&guest["user_id"], &json!("link.done")));
    assert_eq!(client.tokens(NEW).await["user_id"], guest["user_id"]);
    let body = json!({ "refresh_token": guest["refresh_token"] });
    client.post("/.auth/token/refresh").json(&body).await.is(200);
    let user = server.cli(&["users", "show", NEW, "--json"]).success().json();
    let providers: Vec<_> = user["identities"].as_array().unwrap().iter().map(|one| one["provider"].clone()).collect();
    assert_eq!(providers, ["anon-user", "local-userpass"]);
    assert_eq!(user["kind"], "user");
    let gone = server.cli(&["users", "show", registered.as_str().unwrap()]);
    assert_eq!(gone.code, 1, "what was registered by itself is part of it now: {gone:?}");
}

#[tokio::test]
async fn linking_again_changes_nothing() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    let ann = client.tokens("ann@example.com").await;
    let again = link(&client, &ann, "local-userpass", &credentials("ann@example.com", PASSWORD)).await.is(200).json();
    assert_eq!((&again["user_id"], &again["outcome"]), (&ann["user_id"], &json!("link.already_yours")));
}

/// SEC-LINK-09
#[tokio::test]
async fn sec_link_09_a_refused_link_is_409_and_named_and_reveals_nobody() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    client.tokens("bob@example.com").await;
    register(&client, NEW).await;
    let key = server.cli(&["keys", "create", "deploy", "--user", "bob@example.com"]).success().stdout;
    let ann = client.tokens("ann@example.com").await;
    let guest = guest(&client).await;
    let bob = server.cli(&["users", "show", "bob@example.com", "--json"]).success().json();
    let bobs = credentials("bob@example.com", PASSWORD);
    let cases = [
        ("link.owned_by_another", &ann, "local-userpass", bobs.clone()),
        ("link.owned_by_another", &guest, "local-userpass", bobs),
        ("link.second_email_account", &ann, "local-userpass", credentials(NEW, PASSWORD)),
        ("link.guest_credential", &ann, "anon-user", json!({})),
        ("link.not_proved", &ann, "local-userpass", credentials("bob@example.com", "wrong-password")),
        ("link.not_proved", &guest, "local-userpass", credentials("nobody@example.com", "wrong-password")),
        ("link.not_proved", &guest, "api-key", json!({ "key": "vk_nonsense" })),
        ("link.owned_by_another", &guest, "api-key", json!({ "key": key.trim() })),
    ];
    for (code, caller, provider, credentials) in cases {
        let reply = link(&client, caller, provider, &credentials).await;
        assert_eq!(reply.is(409).code(), code, "{provider} {}", reply.describe());
        let text = reply.text();
        assert!(!text.contains(bob["id"].as_str().unwrap()) && !text.contains("bob@"), "{text}");
    }
    assert_eq!(server.cli(&["users", "show", "bob@example.com", "--json"]).success().json()["id"], bob["id"]);
    let nobody =
        client.stranger().post("/.auth/login/local-userpass?link=true").json(&credentials(NEW, PASSWORD)).await;
    assert_eq!(nobody.is(401).code(), "authn.needed");
}

/// SEC-LINK-09
#[tokio::test]
async fn sec_link_09_a_key_links_nothing() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    register(&client, NEW).await;
    let key = server.cli(&["keys", "create", "deploy", "--user", "ann@example.com"]).success().stdout;
    let by_key =
        client.stranger().post("/.auth/login/api-key").json(&json!({ "key": key.trim() })).await.is(200).json();
    let reply = link(&client, &by_key, "local-userpass", &credentials(NEW, PASSWORD)).await;
    assert_eq!(reply.is(409).code(), "link.sign_in_too_old");
}

/// SEC-LINK-09
#[tokio::test]
async fn sec_link_09_two_links_at_once_give_one_user() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    for round in 0..5 {
        let email = format!("new{round}@example.com");
        register(&client, &email).await;
        let (one, two) = (guest(&client).await, guest(&client).await);
        let credentials = credentials(&email, PASSWORD);
        let (first, second) = tokio::join!(
            link(&client, &one, "local-userpass", &credentials),
            link(&client, &two, "local-userpass", &credentials)
        );
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", first.describe(), second.describe());
        let winner = if first.status == 200 { &one } else { &two };
        assert_eq!(client.tokens(&email).await["user_id"], winner["user_id"]);
    }
}

/// SEC-LINK-09
#[tokio::test]
async fn sec_link_09_a_browsers_guest_gets_a_new_session_and_the_planted_one_is_over() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    register(&client, NEW).await;
    client.get("/").navigate().await.is(200);
    let (id, planted) = (app.last().header("x-auth-user"), client.session());
    let form = [("email", NEW), ("password", PASSWORD)];
    let reply = client.post("/.auth/login/local-userpass?link=true").submit(&form).await;
    assert_eq!(reply.is(303).location(), "/.auth/account?note=linked");
    assert_ne!(client.session(), planted);
    client.get("/").script().await.is(200);
    assert_eq!((app.last().header("x-auth-user"), app.last().header("x-auth-kind")), (id, "user".to_owned()));
    let attacker = server.client();
    attacker.keep(&client.session_name(), &planted);
    attacker.get("/.auth/me").script().await.is(401);
}

/// SEC-LINK-09
#[tokio::test]
async fn sec_link_09_the_last_way_in_stays() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let me = client.get("/.auth/me").script().await.is(200).json();
    let own = &me["identities"][0];
    let body = json!({ "provider": own["provider"], "issuer": own["issuer"], "subject": own["subject"] });
    let reply = client.post("/.auth/account/unlink").script().json(&body).await;
    assert_eq!(reply.is(409).code(), "unlink.last_identity");
    server.cli(&["users", "link", "ann@example.com", "corp", "https://id.example.com", "7"]).success();
    let page = client.get("/.auth/account").navigate().await.is(200).text();
    assert!(page.contains("account/unlink") && page.contains("corp"), "{page}");
    let body = json!({ "provider": "corp", "issuer": "https://id.example.com", "subject": "7" });
    client.post("/.auth/account/unlink").script().json(&body).await.is(204);
    let stays = server.cli(&["users", "unlink", "ann@example.com", "local-userpass"]);
    assert_eq!(stays.code, 1, "{stays:?}");
    assert_eq!(
        audit(&server, "ann@example.com"),
        ["user.register", "session.start", "identity.link", "identity.unlink"]
    );
}

#[tokio::test]
async fn an_account_can_be_taken_along_as_a_file_without_what_would_open_it() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let key = client.post("/.auth/account/keys").script().json(&json!({ "name": "phone" })).await.is(201).json();
    let reply = client.get("/.auth/account/data").navigate().await;
    assert_eq!(reply.is(200).header("content-disposition"), "attachment; filename=\"account.json\"");
    let data = reply.json();
    assert_eq!((&data["email"], &data["roles"]), (&json!("ann@example.com"), &json!(["editor"])));
    assert_eq!((data["sessions"].as_array().unwrap().len(), &data["api_keys"][0]["name"]), (1, &json!("phone")));
    let actions: Vec<_> = data["history"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["user.register", "session.start", "key.create"]);
    let text = reply.text();
    for secret in ["$argon2", key["key"].as_str().unwrap(), &client.session()] {
        assert!(!text.contains(secret), "{secret}");
    }
    client.stranger().get("/.auth/account/data").script().await.is(401);
    client.stranger().get("/.auth/account/data").header("x-api-key", key["key"].as_str().unwrap()).await.is(403);
}

#[tokio::test]
async fn two_users_become_one_at_the_operators_word() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    let guest = guest(&client).await;
    let id = guest["user_id"].as_str().unwrap();
    server.cli(&["users", "link", id, "corp", "https://id.example.com", "7"]).success();
    server.cli(&["users", "custom-data", id, "--set", "{\"plan\": \"pro\"}"]).success();
    let bob = client.tokens("bob@example.com").await;
    let merged = server.cli(&["users", "merge", "bob@example.com", id, "--json"]).success().json();
    assert_eq!((&merged["id"], &merged["email"]), (&guest["user_id"], &json!("bob@example.com")));
    assert_eq!(merged["custom_data"], json!({ "plan": "pro" }));
    assert_eq!(client.tokens("bob@example.com").await["user_id"], guest["user_id"]);
    let refreshed = client.post("/.auth/token/refresh").json(&json!({ "refresh_token": bob["refresh_token"] })).await;
    refreshed.is(200);
    let old = bob["user_id"].as_str().unwrap();
    assert_eq!(server.cli(&["users", "show", old]).code, 1);
    assert_eq!(audit(&server, old).last().unwrap(), "user.merge", "also of one who is gone");
    let two = server.cli(&["users", "merge", "ann@example.com", id]);
    assert!(two.code == 1 && two.stderr.contains("merge.two_passwords"), "{two:?}");
    server.cli(&["users", "merge", "ann@example.com", id, "--drop-password"]).success();
    let user = server.cli(&["users", "show", id, "--json"]).success().json();
    assert_eq!((&user["roles"], &user["email"]), (&json!(["editor"]), &json!("bob@example.com")));
    let reply = client.post("/.auth/login/local-userpass").json(&credentials("ann@example.com", PASSWORD)).await;
    reply.is(401);
}

#[tokio::test]
async fn registrations_that_wait_can_be_seen_sent_again_and_voided() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, &TOML.replace("confirm = \"automatic\"", "")).start().await;
    let client = server.client();
    register(&client, NEW).await;
    register(&client, "other@example.com").await;
    let waiting = server.cli(&["users", "pending", "--json"]).success().json_lines();
    let emails: Vec<_> = waiting.iter().map(|one| one["email"].clone()).collect();
    assert_eq!(emails, ["other@example.com", NEW]);
    server.mailbox().wait(NEW, 1).await;
    server.cli(&["users", "pending", "--resend", NEW]).success();
    let mail = server.mailbox().wait(NEW, 2).await;
    client.post("/.auth/confirm").json(&json!({ "token": mail.token() })).await.is(200);
    server.cli(&["users", "pending", "--delete", "other@example.com"]).success();
    assert_eq!(server.cli(&["users", "pending", "--json"]).success().stdout, "");
    assert_eq!(server.cli(&["users", "pending", "--resend", "other@example.com"]).code, 1);
    let void = server.mailbox().wait("other@example.com", 1).await.token();
    assert!(client.post("/.auth/confirm").json(&json!({ "token": void })).await.status.is_client_error());
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_and_by_which_request() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let passwords = json!({ "current_password": PASSWORD, "new_password": "velvet-harbour-12" });
    let changed = client.post("/.auth/account/password").script().json(&passwords).await;
    changed.is(204);
    server.cli(&["users", "role", "ann@example.com", "remove", "editor"]).success();
    server.cli(&["users", "disable", "ann@example.com"]).success();
    let id = server.cli(&["users", "show", "ann@example.com", "--json"]).success().json()["id"].clone();
    let output = server.cli(&["audit", "--user", "ann@example.com", "--since", "1h", "--json"]).success();
    let entries = output.json_lines();
    let of = |action: &str| entries.iter().find(|entry| entry["action"] == action).unwrap();
    assert_eq!(of("password.change")["actor"], format!("user:{}", id.as_str().unwrap()));
    assert_eq!(of("password.change")["subject"], id);
    let request = format!("request={}", of("password.change")["request_id"].as_str().unwrap());
    let asked = server.log().with("path=/.auth/account/password");
    assert!(asked.iter().any(|line| line.contains(&request)), "{request} {asked:?}");
    assert_eq!(of("user.roles")["actor"], "operator:cli");
    assert_eq!(
        (&of("user.roles")["before"], &of("user.roles")["after"]),
        (&json!({ "roles": ["editor"] }), &json!({ "roles": [] }))
    );
    assert_eq!(of("user.disable")["actor"], "operator:cli");
    for secret in [PASSWORD, "velvet-harbour-12", "$argon2"] {
        assert!(!output.stdout.contains(secret), "{secret}");
    }
    let people = server.cli(&["audit"]).success().stdout;
    assert!(people.contains("password.change") && people.contains("by operator:cli"), "{people}");
    assert!(server.log().text().contains("vestibule::audit"), "and in the log");
}

/// A kill at any moment: who got an answer is linked, with the entry that says so.
#[tokio::test]
async fn a_kill_loses_no_acknowledged_link() {
    let app = RecordingUpstream::start();
    let server = server(&app).await;
    let client = server.client();
    let mut linked = Vec::new();
    for round in 0..4 {
        let email = format!("new{round}@example.com");
        register(&client, &email).await;
        let guest = guest(&client).await;
        link(&client, &guest, "local-userpass", &credentials(&email, PASSWORD)).await.is(200);
        linked.push((email, guest["user_id"].clone()));
    }
    let server = server.kill_and_restart().await;
    for (email, id) in linked {
        assert_eq!(server.client().tokens(&email).await["user_id"], id);
        assert!(audit(&server, id.as_str().unwrap()).contains(&"identity.link".to_owned()));
    }
}
