//! Accounts that were somewhere else before.

use serde_json::{Value, json};

use crate::support::site::Output;
use crate::support::{RecordingUpstream, Site};

const HTPASSWD: &str = include_str!("../golden/hashes/htpasswd.txt");
const FIREBASE: &str = include_str!("../golden/hashes/firebase.txt");
const PASSLIB: &str = include_str!("../golden/hashes/passlib.txt");
const FIREBASE_USERS: &str = include_str!("../golden/import/firebase.json");
const SUPABASE_ROWS: &str = include_str!("../golden/import/supabase.jsonl");
const OAUTH2_PROXY: &str = include_str!("../golden/import/oauth2-proxy.cfg");
const PASSWORD: &str = "correct horse battery";

fn site(upstream: &RecordingUpstream) -> Site {
    Site::new(
        upstream,
        "roles = [\"editor\"]\n[providers.local-userpass]\n[providers.anon-user]\n[providers.api-key]\n",
    )
}

fn write(site: &Site, name: &str, text: &str) -> String {
    let path = site.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn says(output: &Output, words: &str) {
    assert!(output.stderr.contains(words), "{words:?} is not in {output:?}");
}

fn users(site: &Site) -> Vec<Value> {
    site.cli(&["users", "list", "--json"]).success().json_lines()
}

/// All that an import could change.
fn everything(site: &Site) -> [String; 3] {
    [&["users", "list", "--json"][..], &["keys", "list", "--json"], &["audit", "--json"]]
        .map(|arguments| site.cli(arguments).success().stdout)
}

/// Imports: a dry run first, which changes nothing, then twice, of which the second changes nothing. The output of each.
fn import(site: &Site, arguments: &[&str]) -> [Output; 3] {
    let command = [&["import"], arguments].concat();
    let before = everything(site);
    let dry = site.cli(&[&command[..], &["--dry-run"]].concat()).success();
    assert_eq!(everything(site), before, "{dry:?}");
    let first = site.cli(&command).success();
    let after = everything(site);
    let again = site.cli(&command).success();
    assert_eq!(everything(site), after, "{again:?}");
    [dry, first, again]
}

/// Holds a configuration that was printed to the words of `check`, with variables for the secrets it names.
fn is_taken(site: &Site, toml: &str) {
    std::fs::write(site.config(), toml).unwrap();
    let mut command = site.command(&["check"]);
    for name in ["TOKEN_KEY", "GOOGLE_SECRET", "FACEBOOK_SECRET", "OAUTH2_PROXY_CLIENT_SECRET"] {
        command.env(name, "brass weather vane 8811 on the roof");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{toml}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn restrictions_of_app_services_are_held_or_the_provider_stays_off() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let folder = copy(&site, "app-services");
    std::fs::rename(site.path("app-services/functions"), site.path("functions")).unwrap();
    let path = site.path("app-services/auth/providers.json");
    let mut providers: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    providers["oauth2-google"]["config"]["openId"] = json!(true);
    providers["oauth2-facebook"]["disabled"] = json!(false);
    for (domains, is_off) in [(json!(["example.com"]), true), (json!([]), false)] {
        providers["oauth2-facebook"]["domain_restrictions"] = domains;
        std::fs::write(&path, providers.to_string()).unwrap();
        let output = site.cli(&["import", "app-services", &folder, "--dry-run"]).success();
        assert_eq!(output.stderr.contains("oauth2-facebook is off"), is_off, "{output:?}");
        assert_eq!(output.stdout.contains("\n[providers.oauth2-facebook]\n"), !is_off, "{output:?}");
        let before = std::fs::read_to_string(site.config()).unwrap();
        is_taken(&site, &output.stdout);
        std::fs::write(site.config(), before).unwrap();
    }
}

/// A folder of the fixtures, copied to the site.
fn copy(site: &Site, name: &str) -> String {
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import").join(name);
    let mut folders = vec![std::path::PathBuf::new()];
    while let Some(folder) = folders.pop() {
        std::fs::create_dir_all(site.path(name).join(&folder)).unwrap();
        for entry in from.join(&folder).read_dir().unwrap().map(Result::unwrap) {
            let inside = folder.join(entry.file_name());
            match entry.path().is_dir() {
                true => folders.push(inside),
                false => drop(std::fs::copy(entry.path(), site.path(name).join(inside)).unwrap()),
            }
        }
    }
    site.path(name).display().to_string()
}

#[tokio::test]
async fn htpasswd_is_taken_line_by_line_and_weak_hashes_are_refused_by_name() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let file = write(&site, "htpasswd", &format!("# ours\n{HTPASSWD}broken\n"));
    let [dry, output, again] = import(&site, &["htpasswd", &file, "--role", "editor"]);
    says(&dry, "3 taken; nothing was changed (--dry-run)");
    says(&again, "3 there already");
    assert!(users(&site).iter().all(|user| user["roles"] == json!(["editor"])));
    says(&output, "users: 4 refused, 3 taken");
    says(&output, "line 5: apr1@example.com: the hash cannot be taken: apr1-MD5");
    says(&output, "`users add sha1@example.com`");
    says(&output, "line 7: \"plain-name\" is no e-mail address");
    says(&output, "line 8: not of the form");
    assert!(!output.text().contains("$apr1$UCLg"), "{output:?}");
    assert_eq!(site.cli(&["import", "htpasswd", &file, "--role", "editr"]).code, 1);
    let server = site.start().await;
    for name in ["bcrypt", "sha256", "sha512"] {
        let email = format!("{name}@example.com");
        server.client().sign_in_with(&email, PASSWORD).await;
        // By the hash that took its place.
        server.client().sign_in_with(&email, PASSWORD).await;
        let form = [("email", email.as_str()), ("password", "correct horse batterx")];
        server.client().post("/.auth/login/local-userpass").submit(&form).await.is(401);
    }
    assert!(server.log().with("credential.corrupt").is_empty());
}

#[tokio::test]
async fn firebase_users_keep_their_passwords_and_accounts() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let line: Vec<&str> = FIREBASE.lines().next().unwrap().split('\t').collect();
    let [_, cost, rounds, separator, signer, salt, hash] = line[..] else { panic!("{line:?}") };
    let export = FIREBASE_USERS.replace("PASSWORD_HASH", hash).replace("PASSWORD_SALT", salt);
    let file = write(&site, "users.json", &export);
    let parameters = write(
        &site,
        "parameters.txt",
        &format!(
            "hash_config {{\n  algorithm: SCRYPT,\n  base64_signer_key: {signer},\n  base64_salt_separator: {separator},\n  rounds: {rounds},\n  mem_cost: {cost},\n}}"
        ),
    );
    let [dry, output, again] = import(&site, &["firebase", &file, "--parameters", &parameters]);
    says(&dry, "2 refused, 2 taken; nothing was changed");
    says(&output, "users: 2 refused, 2 taken");
    says(&again, "users: 2 refused, 2 there already");
    says(&output, "localId pH0ne: sign-in by phone is not known here");
    says(&output, "localId pH0ne: there is no way to sign in that is known here");
    says(&output, "localId tw1tter: twitter.com is not taken over");
    says(&output, "localId an0nymous: there is no way to sign in that is known here");
    let ann = site.cli(&["users", "show", "ann@example.com", "--json"]).success().json();
    assert_eq!(ann["verified_email"], "ann@example.com");
    assert_eq!(ann["identities"][0]["issuer"], "https://accounts.google.com");
    assert_eq!(ann["custom_data"]["firebase_uid"], "kV9Qe0aZt7MvJ2b1");
    let bob = users(&site).into_iter().find(|user| user["custom_data"]["firebase_uid"] == "tw1tter").unwrap();
    assert_eq!((&bob["disabled"], &bob["identities"][0]["provider"]), (&json!(true), &json!("github")));
    assert!(!ann.to_string().contains(signer));
    let server = site.start().await;
    server.client().sign_in_with("ann@example.com", PASSWORD).await;
    server.client().sign_in_with("ann@example.com", PASSWORD).await;
}

#[tokio::test]
async fn supabase_rows_are_taken_with_their_hashes() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let bcrypt = PASSLIB.lines().find_map(|line| line.strip_prefix(PASSWORD)?.strip_prefix('\t')).unwrap();
    let file = write(&site, "rows.jsonl", &SUPABASE_ROWS.replace("PASSWORD_HASH", bcrypt));
    let [dry, output, again] = import(&site, &["supabase", &file]);
    says(&dry, "1 left out, deleted there, 1 refused, 2 taken; nothing was changed");
    says(&output, "1 left out, deleted there, 1 refused, 2 taken");
    says(&again, "1 left out, deleted there, 1 refused, 2 there already");
    says(&output, "discord is not taken over");
    says(&output, "phone is not taken over");
    let ann = site.cli(&["users", "show", "ann@example.com", "--json"]).success().json();
    let google = ann["identities"].as_array().unwrap().iter().find(|one| one["provider"] == "oauth2-google").unwrap();
    assert_eq!(google["subject"], "109876543210987654321");
    assert_eq!(ann["custom_data"]["supabase_id"], "6f1d2c1e-0000-4000-8000-000000000001");
    assert_eq!(site.cli(&["users", "show", "bob@example.com", "--json"]).json()["disabled"], true);
    let server = site.start().await;
    server.client().sign_in_with("ann@example.com", PASSWORD).await;
    let form = [("email", "bob@example.com"), ("password", PASSWORD)];
    server.client().post("/.auth/login/local-userpass").submit(&form).await.is(401);
}

#[test]
fn app_services_users_and_keys_keep_their_ids() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let folder = copy(&site, "app-services");
    let custom = format!("{folder}/custom_data.jsonl");
    let issuer = "https://id.example.com";
    let [dry, output, again] =
        import(&site, &["app-services", &folder, "--custom-data", &custom, "--token-issuer", issuer]);
    says(&dry, "2 keys to be made anew");
    says(&output, "2 keys made anew, 1 refused, 3 taken");
    says(&again, "2 keys there already");
    says(&again, "3 there already");
    assert!(!dry.stdout.contains("vk_") && !again.stdout.contains("vk_"), "{again:?}");
    let lost = [
        "oauth2-facebook is disabled there",
        "oauth2-apple is off until",
        "passwords cannot be exported there",
        "64f1c2a49d3b7e0000000001: its own API keys cannot be read there",
        "64f1c2a49d3b7e0000000003: ANN@example.com stands twice",
        "confirmEmailSubject",
        "on_user_created is told a moment later",
        "secrets of API keys cannot be exported there",
        "key old-batch (64f1c2a49d3b7e000000000b): its user is not in users.json; it gets a new user id",
    ];
    for lost in lost {
        says(&dry, lost);
        says(&output, lost);
    }
    for line in [
        "app_id = \"blog-abcde\"",
        "allowed_origins = [\"https://blog.example.com\", \"https://app.example.com\"]",
        "redirect_uris = [\"https://app.example.com/redirect\"]",
        "confirm_url = \"https://app.example.com/confirm\"",
        "keys = [{ secret = { env = \"TOKEN_KEY\" } }]",
        "on_user_created = { javascript = \"functions/onUserCreation.js\" }",
    ] {
        assert!(output.stdout.contains(line), "{line}: {output:?}");
    }
    assert!(output.stdout.contains("# key nightly") && output.stdout.contains("vk_64f1c2a49d3b7e0000000009_"));
    let keys = site.cli(&["keys", "list", "--json"]).success().json_lines();
    let keys: Vec<_> = keys.iter().map(|key| (key["id"].as_str().unwrap(), key["disabled"] == true)).collect();
    assert_eq!(keys, [("64f1c2a49d3b7e0000000009", false), ("64f1c2a49d3b7e000000000b", true)]);
    assert_eq!(site.user_id("ann@example.com"), "64f1c2a49d3b7e0000000001");
    let shown = |user: &str| site.cli(&["users", "show", user, "--json"]).success().json();
    assert_eq!(shown("ann@example.com")["custom_data"]["plan"], "pro");
    assert_eq!(shown("64f1c2a49d3b7e0000000002")["kind"], "guest");
    let nightly = shown("64f1c2a49d3b7e0000000005");
    assert_eq!((&nightly["kind"], &nightly["data"]["name"]), (&json!("service"), &json!("nightly")));
    assert_eq!(nightly["identities"][0]["subject"], "64f1c2a49d3b7e0000000009");
    let bob = shown("64f1c2a49d3b7e0000000004");
    assert_eq!((&bob["disabled"], &bob["identities"][0]["issuer"]), (&json!(true), &json!(issuer)));
    std::fs::rename(site.path("app-services/functions"), site.path("functions")).unwrap();
    is_taken(&site, &output.stdout);
}

#[tokio::test]
async fn a_server_key_of_app_services_goes_on_for_the_user_it_had() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let folder = copy(&site, "app-services");
    // Where the identity does not name the key, the name does, as long as one alone has it.
    for (id, owner) in [("64f1c2a49d3b7e0000000009", true), ("64f1c2a49d3b7e00000000ff", true), ("", false)] {
        let users = std::fs::read_to_string(site.path("app-services/users.json")).unwrap();
        let users = users.replace("64f1c2a49d3b7e0000000009", id);
        let users = if owner { users } else { users.replace("\"nightly\"", "\"hourly\"") };
        let file = write(&site, "listed.json", &users);
        let output = site.cli(&["import", "app-services", &folder, "--users", &file, "--dry-run"]).success();
        let new_id = "key nightly (64f1c2a49d3b7e0000000009): its user is not in users.json";
        assert_eq!(!output.stderr.contains(new_id), owner, "{output:?}");
        let left = "user 64f1c2a49d3b7e0000000005: its server key \"hourly\" is not in api_keys.json";
        assert_eq!(output.stderr.contains(left), !owner, "{output:?}");
    }
    let output = site.cli(&["import", "app-services", &folder]).success();
    let key = output.stdout.split_whitespace().find(|word| word.starts_with("vk_64f1c2a49d3b7e0000000009_")).unwrap();
    let server = site.start().await;
    let me = server.client().get("/.auth/me").header("x-api-key", key).await.json();
    assert_eq!((&me["user_id"], &me["kind"]), (&json!("64f1c2a49d3b7e0000000005"), &json!("service")), "{me}");
}

#[test]
fn oauth2_proxy_becomes_a_file_that_opens_nothing_by_a_guess() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let file = write(&site, "oauth2-proxy.cfg", OAUTH2_PROXY);
    let [dry, output, again] = import(&site, &["oauth2-proxy", &file]);
    assert_eq!((&dry.stdout, &again.stdout), (&output.stdout, &output.stdout));
    assert!(!output.text().contains("canary"), "{output:?}");
    let toml: toml::Table = output.stdout.parse().unwrap();
    assert_eq!(toml["public_url"].as_str(), Some("https://app.example.com"));
    assert_eq!(toml["upstream"].as_str(), Some("http://127.0.0.1:8000"));
    assert_eq!(toml["providers"]["corp"]["issuer"].as_str(), Some("https://id.example.com/realms/web"));
    assert_eq!(toml["identity_headers"]["preset"].as_str(), Some("x-auth-request"));
    let routes = toml["routes"].as_table().unwrap();
    assert_eq!(routes["/**"]["all"].as_str(), Some("provider:corp"));
    assert_eq!(routes["/health"]["GET"].as_str(), Some("anyone"));
    assert_eq!(routes["/static/**"]["all"].as_str(), Some("anyone"));
    assert_eq!(routes.len(), 3);
    says(&output, "\"^/(a|b)/x\" is more than a path and stays closed");
    says(&output, "ssl_insecure_skip_verify is not carried over");
    says(&output, "banner has no counterpart");
    says(&output, "reverse_proxy: write the addresses of your proxy");
    assert_eq!(site.cli(&["import", "oauth2-proxy", "/nowhere"]).code, 1);
    is_taken(&site, &output.stdout);
}
