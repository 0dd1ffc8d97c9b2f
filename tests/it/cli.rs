//! The operator's commands: users, keys, sessions, on the store of the configuration.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vestibule::account::User;
use vestibule::account::api_key;
use vestibule::account::password::{Hasher, Verified};
use vestibule::clock::Clock;
use vestibule::id::{SessionId, UserId};
use vestibule::secret::{self, Digest, Secret};
use vestibule::session::{Device, Session};
use vestibule::store::{Address, Saved, Store, open};

use crate::support::Site;
use crate::support::site::{Output, PASSWORD};

const TOML: &str = "upstream = \"http://127.0.0.1:9\"\npublic_url = \"https://blog.example.com\"\n\
                    roles = [\"journalist\", \"editor\"]\n[providers.local-userpass]\n[providers.api-key]\n";

fn site() -> Site {
    Site::exactly(TOML)
}

/// The same file from beside, as a server has it open.
fn store(site: &Site) -> Arc<dyn Store> {
    open(&Address::Sqlite(site.path("vestibule.db"))).unwrap()
}

async fn ann(site: &Site) -> User {
    store(site).user_by_email("ann@example.com").await.unwrap().unwrap()
}

/// A user signs in on two devices.
async fn sign_in_twice(store: &Arc<dyn Store>, user: UserId) -> [SessionId; 2] {
    let now = Clock::system().now();
    let mut ids = [SessionId::generate(now); 2];
    for id in &mut ids {
        *id = SessionId::generate(now);
        let session = Session {
            id: *id,
            user_id: user,
            provider: "local-userpass".into(),
            token: Digest::from_bytes(secret::random()),
            previous: None,
            device: Device { user_agent: "curl/8.9\u{1b}[2J".into(), address: "192.0.2.7".parse().ok(), app: None },
            created_at: now,
            last_seen_at: now,
            idle_expires_at: now + Duration::from_hours(1),
            expires_at: now + Duration::from_hours(24),
        };
        store.add_session(&session, 100).await.unwrap();
    }
    ids
}

fn refused(output: &Output, code: i32, words: &str) {
    assert_eq!(output.code, code, "{output:?}");
    assert!(output.stderr.contains(words), "{words:?} is not in {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

fn lines(output: Output) -> Vec<Value> {
    output.success().stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_user_added_with_a_password_has_it_and_its_roles() {
    let site = site();
    let output = site.cli_with(
        &["users", "add", "Ann@example.com", "--password-stdin", "--role", "editor", "--role", "journalist"],
        PASSWORD,
    );
    assert!(output.success().stdout.starts_with("Ann@example.com ("));
    let user = ann(&site).await;
    assert_eq!(user.roles, ["editor", "journalist"].map(String::from).into());
    assert_eq!(user.verified_email(), None, "no mail to the address was answered");
    let hash = user.password.unwrap().hash;
    assert_eq!(Hasher::new(1).verify(&Secret::new(PASSWORD), Some(&hash)).await.unwrap(), Verified::Match);
    refused(
        &site.cli_with(&["users", "add", "ANN@EXAMPLE.COM", "--password-stdin"], PASSWORD),
        1,
        "an account of this",
    );
}

#[test]
fn a_password_that_is_weak_or_missing_is_refused_and_not_repeated() {
    let site = site();
    let output = site.cli_with(&["users", "add", "ann@example.com", "--password-stdin"], "zq7");
    refused(&output, 1, "at least 8 characters");
    assert!(!output.text().contains("zq7"));
    refused(&site.cli_with(&["users", "add", "ann@example.com", "--password-stdin"], ""), 2, "no password");
    assert!(site.cli(&["users", "add", "ann@example.com", PASSWORD]).code == 2, "there is no argument for it");
    assert!(lines(site.cli(&["users", "list", "--json"])).is_empty());
}

#[tokio::test]
async fn a_user_added_without_a_password_gets_a_link_that_works_once() {
    let site = site();
    let output = site.cli(&["users", "add", "ann@example.com", "--role", "editor"]).success();
    let link = output.stdout.trim_end();
    let token = link.strip_prefix("https://blog.example.com/.auth/reset?token=").unwrap();
    let token = Digest::of(token.split('&').next().unwrap());
    let now = Clock::system().now();
    let invitation = store(&site).take_one_time(token, now).await.unwrap().unwrap();
    assert_eq!((invitation.email_key.as_str(), &invitation.payload["roles"]), ("ann@example.com", &json!(["editor"])));
    assert_eq!(store(&site).take_one_time(token, now).await.unwrap(), None);
    let again = site.cli(&["users", "add", "ann@example.com", "--json"]).success().json();
    assert!(again["link"].as_str().unwrap().starts_with("https://blog.example.com/.auth/reset?token="));
}

#[test]
fn a_link_begins_with_the_address_that_is_listened_on_unless_another_is_public() {
    let link = |listen: &str| {
        let site = Site::exactly(&format!("listen = [\"{listen}\"]\nupstream = \"http://127.0.0.1:9\"\n"));
        site.cli(&["users", "add", "ann@example.com"])
    };
    assert!(link("localhost:8123").success().stdout.starts_with("http://localhost:8123/.auth/reset?token="));
    refused(&link("localhost:0"), 1, "public_url");
}

#[test]
fn only_declared_roles_are_given() {
    let site = site();
    refused(&site.cli(&["users", "add", "ann@example.com", "--role", "editr"]), 1, "(have: editor, journalist)");
    site.add_user("ann@example.com", PASSWORD, &[]);
    refused(&site.cli(&["users", "role", "ann@example.com", "add", "editr"]), 1, "no role is named \"editr\"");
    refused(&site.cli(&["keys", "create", "ci", "--role", "editr"]), 1, "no role is named");
    let output = site.cli(&["users", "role", "ann@example.com", "add", "editor", "--json"]).success();
    assert_eq!(output.json()["roles"], json!(["editor"]));
    let output = site.cli(&["users", "role", "ann@example.com", "remove", "editor", "--json"]).success();
    assert_eq!(output.json()["roles"], json!([]));
}

#[test]
fn a_role_that_is_no_longer_declared_can_be_taken_away() {
    let site = site();
    site.add_user("ann@example.com", PASSWORD, &["editor"]);
    site.rewrite(|text| text.replace(", \"editor\"", ""));
    let output = site.cli(&["users", "role", "ann@example.com", "remove", "editor", "--json"]).success();
    assert_eq!(output.json()["roles"], json!([]));
}

#[test]
fn users_are_found_by_id_and_by_address() {
    let site = site();
    site.add_user("Ann@example.com", PASSWORD, &["editor"]);
    site.add_user("bob@example.com", PASSWORD, &[]);
    let id = site.user_id("aNN@example.com");
    let shown = site.cli(&["users", "show", &id, "--json"]).success().json();
    assert_eq!((&shown["email"], &shown["has_password"]), (&json!("Ann@example.com"), &json!(true)));
    assert!(!shown.to_string().contains("$argon2"), "{shown}");
    assert!(site.cli(&["users", "show", &id]).success().stdout.contains("roles           editor"));
    let table = site.cli(&["users", "list"]).success().stdout;
    assert!(table.starts_with("ID  ") && table.lines().count() == 3, "{table}");
    assert_eq!(lines(site.cli(&["users", "list", "--json"])).len(), 2);
    refused(&site.cli(&["users", "show", "eve@example.com"]), 1, "there is no user eve@example.com");
    refused(&site.cli(&["users", "show", "6553f1000000000000000000"]), 1, "there is no user");
    refused(&site.cli(&["users", "show", "nobody"]), 2, "neither an id");
}

#[tokio::test]
async fn a_disabled_user_loses_its_sessions_and_links_for_good() {
    let site = site();
    site.add_user("ann@example.com", PASSWORD, &[]);
    let (server, user) = (store(&site), ann(&site).await);
    sign_in_twice(&server, user.id).await;
    site.cli(&["users", "disable", "ann@example.com"]).success();
    assert!(server.user(user.id).await.unwrap().unwrap().disabled);
    assert_eq!(server.sessions_of(user.id).await.unwrap(), []);
    site.cli(&["users", "enable", "ann@example.com"]).success();
    assert!(!server.user(user.id).await.unwrap().unwrap().disabled);
    assert_eq!(server.sessions_of(user.id).await.unwrap(), []);
}

#[tokio::test]
async fn a_deleted_user_is_gone_for_a_server_that_has_the_file_open() {
    let site = site();
    site.add_user("ann@example.com", PASSWORD, &[]);
    let (server, user) = (store(&site), ann(&site).await);
    site.cli(&["users", "delete", &user.id.to_string()]).success();
    assert_eq!(server.user(user.id).await.unwrap(), None);
    // What a request had read before must not bring it back.
    assert_eq!(server.save_user(&user).await.unwrap(), Saved::Stale);
    refused(&site.cli(&["users", "delete", "ann@example.com"]), 1, "there is no user");
}

#[test]
fn custom_data_is_an_object() {
    let site = site();
    site.add_user("ann@example.com", PASSWORD, &[]);
    let set = |data: &str| site.cli(&["users", "custom-data", "ann@example.com", "--set", data]);
    set("{\"plan\": {\"tier\": \"pro\"}}").success();
    let shown = site.cli(&["users", "custom-data", "ann@example.com"]).success().json();
    assert_eq!(shown, json!({"plan": {"tier": "pro"}}));
    for odd in ["[1]", "\"pro\"", "{plan}", ""] {
        refused(&set(odd), 2, "--set takes a JSON object");
    }
    assert_eq!(site.cli(&["users", "custom-data", "ann@example.com"]).success().json(), shown);
}

#[tokio::test]
async fn a_server_key_speaks_for_a_service_of_its_own() {
    let site = site();
    let output = site.cli(&["keys", "create", "nightly build", "--role", "editor", "--expires", "90d"]).success();
    let (id, digest) = api_key::parse(output.stdout.trim_end()).expect("standard output is the key and nothing else");
    let (key, service) = store(&site).key(id).await.unwrap().unwrap();
    assert!(key.digest.matches(&digest) && key.name == "nightly build");
    assert_eq!(key.expires_at, Some(key.created_at + Duration::from_hours(90 * 24)));
    assert_eq!((service.kind.as_str(), service.roles), ("service", ["editor".to_owned()].into()));
    assert_eq!((service.identities[0].provider.as_str(), &service.identities[0].subject), ("api-key", &id.to_string()));
    assert_eq!(service.data["name"], json!("nightly build"));
    assert!(
        !std::fs::read(site.path("vestibule.db"))
            .unwrap()
            .windows(43)
            .any(|part| part == &output.stdout.as_bytes()[28..71])
    );
    site.cli(&["keys", "delete", &id.to_string()]).success();
    assert_eq!(store(&site).user(service.id).await.unwrap(), None, "a service goes with its key");
}

#[tokio::test]
async fn a_key_for_a_user_has_the_users_roles_and_leaves_the_user_when_it_goes() {
    let site = site();
    site.add_user("ann@example.com", PASSWORD, &["editor"]);
    let made = site.cli(&["keys", "create", "cli", "--user", "ann@example.com", "--json"]).success().json();
    let (id, _) = api_key::parse(made["key"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&made["kind"], &made["roles"], &made["expires_at"]),
        (&json!("user"), &json!(["editor"]), &Value::Null)
    );
    let both = site.cli(&["keys", "create", "cli", "--user", "ann@example.com", "--role", "editor"]);
    refused(&both, 2, "cannot be used with");
    site.cli(&["keys", "delete", &id.to_string()]).success();
    assert_eq!(store(&site).key(id).await.unwrap(), None);
    assert_eq!(ann(&site).await.email(), Some("ann@example.com"));
}

#[tokio::test]
async fn a_key_is_disabled_and_enabled_by_its_id_or_by_itself() {
    let site = site();
    let key = site.key(&["ci"]);
    let (id, _) = api_key::parse(&key).unwrap();
    let disabled = async || store(&site).key(id).await.unwrap().unwrap().0.disabled;
    let output = site.cli(&["keys", "disable", &key]).success();
    assert!(!output.text().contains(&key));
    assert!(disabled().await);
    assert_eq!(lines(site.cli(&["keys", "list", "--json"]))[0]["disabled"], json!(true));
    assert!(site.cli(&["keys", "list"]).success().stdout.contains("disabled"));
    site.cli(&["keys", "enable", &id.to_string()]).success();
    assert!(!disabled().await);
    refused(&site.cli(&["keys", "disable", &key[..70]]), 2, "24 hexadecimal digits");
    refused(&site.cli(&["keys", "disable", "6553f1000000000000000000"]), 1, "there is no key");
}

#[test]
fn odd_keys_are_not_made() {
    let site = site();
    refused(&site.cli(&["keys", "create", " "]), 2, "a name of 1 to 64");
    refused(&site.cli(&["keys", "create", "a\u{1b}b"]), 2, "a name of 1 to 64");
    refused(&site.cli(&["keys", "create", "ci", "--expires", "90"]), 2, "a duration has a unit");
    refused(&site.cli(&["keys", "create", "ci", "--user", "eve@example.com"]), 1, "there is no user");
    assert!(lines(site.cli(&["keys", "list", "--json"])).is_empty());
    assert!(lines(site.cli(&["users", "list", "--json"])).is_empty(), "no service without its key");
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_while_the_server_has_the_file_open() {
    let site = site();
    site.add_user("ann@example.com", PASSWORD, &[]);
    site.add_user("bob@example.com", PASSWORD, &[]);
    let (server, user) = (store(&site), ann(&site).await);
    let [one, other] = sign_in_twice(&server, user.id).await;
    let listed = lines(site.cli(&["sessions", "list", "--user", "ann@example.com", "--json"]));
    assert_eq!((listed.len(), &listed[0]["address"]), (2, &json!("192.0.2.7")));
    let table = site.cli(&["sessions", "list"]).success().stdout;
    assert!(table.contains(&one.to_string()) && !table.contains('\u{1b}'), "{table:?}");
    site.cli(&["sessions", "revoke", &one.to_string()]).success();
    assert_eq!(server.session(one).await.unwrap(), None);
    refused(&site.cli(&["sessions", "revoke", &one.to_string()]), 1, "there is no session");
    let ended = site.cli(&["sessions", "revoke", "--user", "ann@example.com", "--json"]).success().json();
    assert_eq!(ended, json!({"ended": [other.to_string()]}));
    assert!(lines(site.cli(&["sessions", "list", "--user", "bob@example.com", "--json"])).is_empty());
    refused(&site.cli(&["sessions", "revoke"]), 2, "required");
}

#[test]
fn a_store_that_cannot_be_opened_ends_with_its_own_code_and_the_way_out() {
    let missing = Site::exactly(&format!("{TOML}[store]\nurl = \"sqlite:no/where/vestibule.db\"\n"));
    let output = missing.cli(&["users", "list"]);
    refused(&output, 5, "there is no directory");
    assert!(output.stderr.contains("help: mkdir -p "), "{output:?}");
    let memory = Site::exactly(&format!("{TOML}[store]\nurl = \"memory:\"\n"));
    refused(&memory.cli(&["users", "list"]), 5, "in the memory of the server");
    let garbage = site();
    std::fs::write(garbage.path("vestibule.db"), "no database\n".repeat(100)).unwrap();
    refused(&garbage.cli(&["sessions", "list"]), 5, "cannot be read");
    let faulty = Site::exactly("upstrem = 1\n");
    assert_eq!(faulty.cli(&["keys", "list"]).code, 3);
}
