//! Accounts that were somewhere else before.

use serde_json::{Value, json};

use crate::support::site::Output;
use crate::support::{RecordingUpstream, Site};

const HTPASSWD: &str = include_str!("../golden/hashes/htpasswd.txt");
const FIREBASE: &str = include_str!("../golden/hashes/firebase.txt");
const PASSLIB: &str = include_str!("../golden/hashes/passlib.txt");
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

#[tokio::test]
async fn htpasswd_is_taken_line_by_line_and_weak_hashes_are_refused_by_name() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let file = write(&site, "htpasswd", &format!("# ours\n{HTPASSWD}broken\n"));
    let dry = site.cli(&["import", "htpasswd", &file, "--role", "editor", "--dry-run"]).success();
    says(&dry, "3 taken");
    assert!(users(&site).is_empty());
    let output = site.cli(&["import", "htpasswd", &file, "--role", "editor"]).success();
    says(&output, "users: 4 refused, 3 taken");
    says(&output, "line 5: apr1@example.com: the hash cannot be taken: apr1-MD5");
    says(&output, "`users add sha1@example.com`");
    says(&output, "line 7: \"plain-name\" is no e-mail address");
    says(&output, "line 8: not of the form");
    assert!(!output.text().contains("$apr1$UCLg"), "{output:?}");
    says(&site.cli(&["import", "htpasswd", &file]).success(), "3 there already");
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
    let export = json!({ "users": [
        { "localId": "u1", "email": "ann@example.com", "emailVerified": true, "passwordHash": hash, "salt": salt,
          "createdAt": "1700000000000", "displayName": "Ann",
          "providerUserInfo": [{ "providerId": "password", "rawId": "ann@example.com" },
                               { "providerId": "google.com", "rawId": "1234" }] },
        { "localId": "u2", "phoneNumber": "+431", "providerUserInfo": [{ "providerId": "phone", "rawId": "+431" }] },
    ]});
    let file = write(&site, "users.json", &export.to_string());
    let parameters = write(
        &site,
        "parameters.txt",
        &format!(
            "hash_config {{\n  algorithm: SCRYPT,\n  base64_signer_key: {signer},\n  base64_salt_separator: {separator},\n  rounds: {rounds},\n  mem_cost: {cost},\n}}"
        ),
    );
    let output = site.cli(&["import", "firebase", &file, "--parameters", &parameters]).success();
    says(&output, "users: 1 refused, 1 taken");
    says(&output, "localId u2");
    let ann = site.cli(&["users", "show", "ann@example.com", "--json"]).success().json();
    assert_eq!(ann["verified_email"], "ann@example.com");
    assert_eq!(ann["identities"][0]["issuer"], "https://accounts.google.com");
    assert_eq!(ann["custom_data"]["firebase_uid"], "u1");
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
    let rows = [
        json!({ "id": "6f1", "email": "ann@example.com", "encrypted_password": bcrypt, "email_confirmed_at":
                "2024-05-01 12:00:00.5+00", "created_at": "2024-05-01T12:00:00Z", "raw_user_meta_data": {"name": "Ann"} }),
        json!({ "id": "6f2", "email": "bob@example.com", "encrypted_password": bcrypt, "banned_until": "2999-01-01 00:00:00+00" }),
        json!({ "id": "6f3", "email": "eve@example.com", "deleted_at": "2024-05-01 12:00:00+00" }),
    ];
    let file = write(&site, "rows.json", &rows.map(|row| row.to_string()).join("\n"));
    says(&site.cli(&["import", "supabase", &file]).success(), "1 left out, deleted there, 2 taken");
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
    write(
        &site,
        "app/root_config.json",
        r#"{"name": "blog", "app_id": "blog-abcde", "allowed_request_origins": ["https://a.example"]}"#,
    );
    let providers = json!({
        "anon-user": { "name": "anon-user", "type": "anon-user", "disabled": false },
        "local-userpass": { "type": "local-userpass", "config": { "emailConfirmationUrl": "https://a.example/confirm" } },
        "custom-token": { "type": "custom-token", "config": { "signingAlgorithm": "HS256", "audience": "blog" },
            "secret_config": { "signingKeys": ["tokenKey"] },
            "metadata_fields": [{ "name": "profile.first", "field_name": "first_name", "required": true }] },
        "oauth2-facebook": { "type": "oauth2-facebook", "disabled": true },
    });
    write(&site, "app/auth/providers.json", &providers.to_string());
    let users = json!([
        { "_id": "64f1c2a49d3b7e0000000001", "type": "normal", "data": { "email": "ann@example.com" },
          "identities": [{ "id": "64f1c2a49d3b7e00000000aa", "provider_type": "local-userpass" }],
          "creation_date": 1_700_000_000, "last_authentication_date": 0, "disabled": false },
        { "_id": "64f1c2a49d3b7e0000000002", "data": {}, "identities":
          [{ "id": "64f1c2a49d3b7e00000000ab-abcdefghijklmnopqrstuvwx", "provider_type": "anon-user" }] },
        { "_id": "64f1c2a49d3b7e0000000003", "data": { "email": "ANN@example.com" },
          "identities": [{ "id": "64f1c2a49d3b7e00000000ac", "provider_type": "local-userpass" }] },
    ]);
    write(&site, "app/users.json", &users.to_string());
    write(&site, "app/api_keys.json", r#"[{"_id": "64f1c2a49d3b7e0000000009", "name": "nightly", "disabled": false}]"#);
    let custom = write(&site, "custom.json", r#"{"user_id": "64f1c2a49d3b7e0000000001", "plan": "pro"}"#);
    let folder = site.path("app").display().to_string();
    let import = ["import", "app-services", &folder, "--custom-data", &custom];
    let dry = site.cli(&[&import[..], &["--dry-run"]].concat()).success();
    says(&dry, "1 keys to be made anew");
    assert!(self::users(&site).is_empty() && !dry.stdout.contains("vk_"));
    let output = site.cli(&import).success();
    says(&output, "1 keys made anew, 1 refused, 2 taken");
    says(&output, "oauth2-facebook is disabled there");
    for line in [
        "app_id = \"blog-abcde\"",
        "allowed_origins = [\"https://a.example\"]",
        "confirm_url = \"https://a.example/confirm\"",
        "keys = [{ env = \"TOKENKEY\" }]",
        "metadata = [{ path = \"profile.first\", field = \"first_name\", required = true }]",
    ] {
        assert!(output.stdout.contains(line), "{line}: {output:?}");
    }
    assert!(!output.stdout.contains("facebook"), "{output:?}");
    assert!(output.stdout.contains("vk_64f1c2a49d3b7e0000000009_"), "{output:?}");
    assert_eq!(site.user_id("ann@example.com"), "64f1c2a49d3b7e0000000001");
    let ann = site.cli(&["users", "show", "ann@example.com", "--json"]).json();
    assert_eq!(ann["custom_data"]["plan"], "pro");
    let guest = site.cli(&["users", "show", "64f1c2a49d3b7e0000000002", "--json"]).json();
    assert_eq!(guest["kind"], "guest");
    let again = site.cli(&import).success();
    says(&again, "1 keys there already, 1 refused, 2 there already");
    assert!(!again.stdout.contains("vk_"), "{again:?}");
}

#[test]
fn oauth2_proxy_becomes_a_file_that_opens_nothing_by_a_guess() {
    let upstream = RecordingUpstream::start();
    let site = site(&upstream);
    let cfg = "provider = \"oidc\"\noidc_issuer_url = \"https://id.example.com\"\nclient_id = \"web\"\n\
               client_secret = \"canary-secret\"\ncookie_secret = \"canary-cookie\"\nredirect_url = \"https://app.example.com/oauth2/callback\"\n\
               upstreams = [\"http://127.0.0.1:8000/\"]\nemail_domains = [\"*\"]\nset_xauthrequest = true\ncookie_expire = \"12h\"\n\
               skip_auth_routes = [\"GET=^/health$\", \"^/static/.*\", \"^/(a|b)/x\"]\nssl_insecure_skip_verify = true\nbanner = \"x\"\n";
    let file = write(&site, "oauth2-proxy.cfg", cfg);
    let output = site.cli(&["import", "oauth2-proxy", &file]).success();
    assert!(!output.text().contains("canary"), "{output:?}");
    let toml: toml::Table = output.stdout.parse().unwrap();
    assert_eq!(toml["public_url"].as_str(), Some("https://app.example.com"));
    assert_eq!(toml["upstream"].as_str(), Some("http://127.0.0.1:8000"));
    assert_eq!(toml["providers"]["corp"]["issuer"].as_str(), Some("https://id.example.com"));
    assert_eq!(toml["identity_headers"]["preset"].as_str(), Some("x-auth-request"));
    let routes = toml["routes"].as_table().unwrap();
    assert_eq!(routes["/**"]["all"].as_str(), Some("provider:corp"));
    assert_eq!(routes["/health"]["GET"].as_str(), Some("anyone"));
    assert_eq!(routes["/static/**"]["all"].as_str(), Some("anyone"));
    assert_eq!(routes.len(), 3);
    says(&output, "\"^/(a|b)/x\" is more than a path and stays closed");
    says(&output, "ssl_insecure_skip_verify is not carried over");
    says(&output, "banner has no counterpart");
    assert_eq!(site.cli(&["import", "oauth2-proxy", "/nowhere"]).code, 1);
}
