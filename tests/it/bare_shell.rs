//! Commands of operators, in a shell that knows none of the server's secrets: they need what opens the store.

use crate::support::{RecordingUpstream, Site};

const SECRETS: &str = r#"
roles = ["editor"]

[cluster]
redis = { env = "REDIS_URL" }

[admin]
listen = "127.0.0.1:0"
token = { env = "ADMIN_TOKEN" }

[mail]
from = "blog@example.com"
smtp = { url = "smtps://mail.example.com", user = "blog", password = { credential = "mail" } }

[providers.local-userpass]
[providers.api-key]
[providers.oauth2-google]
client_id = "blog"
client_secret = { env = "GOOGLE_SECRET" }
[providers.oauth2-facebook]
client_id = "blog"
client_secret = { file = "facebook.secret" }
[providers.oauth2-apple]
services_id = "com.example.blog"
team_id = "DEF123GHIJ"
key_id = "ABC123DEFG"
private_key = { file = "AuthKey.p8" }
[providers.custom-token]
algorithms = ["HS256"]
audience = "blog"
keys = [{ secret = { env = "TOKEN_SECRET" } }]
[providers.custom-function]
webhook = { url = "https://app.example.com/sign-in", secret = { env = "HOOK_SECRET" } }

[routes]
"/**" = { all = ["provider:custom-function", "role:editor"] }
"#;

#[test]
fn operators_need_none_of_the_servers_secrets() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, SECRETS);
    for command in ["run", "check", "doctor"] {
        let output = site.cli(&[command]);
        assert!(output.code == 3 && output.stderr.matches("VB0202").count() == 8, "{output:?}");
    }
    site.add_user("ann@example.com", "copper-lantern-47", &["editor"]);
    for command in [
        &["users", "list"][..],
        &["users", "add", "bob@example.com"],
        &["users", "link", "ann@example.com", "oauth2-facebook", "", "4711"],
        &["users", "unlink", "ann@example.com", "oauth2-facebook"],
        &["users", "disable", "ann@example.com"],
        &["users", "enable", "ann@example.com"],
        &["keys", "create", "nightly"],
        &["keys", "create", "ops", "--operator"],
        &["keys", "list"],
        &["sessions", "list"],
        &["audit"],
        &["explain", "GET", "/", "--as", "ann@example.com"],
    ] {
        let output = site.cli(command).success();
        assert!(!output.stderr.contains("no provider is named"), "{output:?}");
    }
    let output = site.cli(&["users", "disable", "ann@example.com"]).success();
    assert!(output.stderr.contains("`cluster.redis` is not here; servers follow within `session.cache`"), "{output:?}");
}

#[test]
fn a_mail_is_not_sent_without_the_secret_of_the_mail_server() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, SECRETS);
    let output = site.cli(&["users", "pending", "--resend", "ann@example.com"]);
    assert!(output.code == 1 && output.stderr.contains("`mail.smtp.password` is not here"), "{output:?}");
    site.rewrite(|text| text.replace("smtp = {", "# smtp = {"));
    let output = site.cli(&["users", "pending", "--resend", "ann@example.com"]);
    assert!(output.code == 1 && output.stderr.contains("no registration of ann@example.com waits"), "{output:?}");
}

#[test]
fn the_secret_of_the_store_is_needed_by_all() {
    let app = RecordingUpstream::start();
    let site = |more: &str| Site::new(&app, &format!("[store]\nurl = {{ env = \"STORE_URL\" }}\n{more}"));
    for more in ["", "[providers.local-userpass]\n"] {
        let output = site(more).cli(&["users", "list"]);
        assert!(output.code == 3 && output.stderr.contains("`STORE_URL` is not set"), "{output:?}");
        site(more).env("STORE_URL", "sqlite:vestibule.db").cli(&["users", "list"]).success();
    }
}

#[test]
fn what_is_wrong_besides_is_told_to_operators_too() {
    let app = RecordingUpstream::start();
    let typo = SECRETS.replace("role:editor", "role:edtior");
    let output = Site::new(&app, &typo).cli(&["users", "list"]);
    assert!(output.code == 3 && output.stderr.contains("VB0302") && !output.stderr.contains("VB0202"), "{output:?}");
}
