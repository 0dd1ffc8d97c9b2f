//! `doctor` and `check --online`: whether what the file names is there and works.

use serde_json::{Value, json};

use crate::support::idp::json_answer;
use crate::support::{FakeIdp, RecordingUpstream, Site};

const FINDINGS: [&str; 4] = ["fine   store", "fine   upstream", "fine   clock", "fine   mail"];

#[test]
fn doctor_and_check_online_reach_what_the_file_names() {
    let upstream = RecordingUpstream::start();
    let site = Site::new(&upstream, "[providers.local-userpass]\n");
    for command in [&["doctor"][..], &["check", "--online"]] {
        let output = site.cli(command).success();
        for line in FINDINGS {
            assert!(output.stdout.contains(line), "{line}: {output:?}");
        }
    }
    site.rewrite(|text| text.replace(&upstream.url(), "http://127.0.0.1:9"));
    let output = site.cli(&["doctor", "--json"]);
    assert_eq!((output.code, wrong(&output.json_lines())), (1, vec!["upstream".to_owned()]), "{output:?}");
    let output = site.cli(&["check", "--online"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("error: upstream: 127.0.0.1:9"), "{output:?}");
    site.cli(&["check"]).success();
}

#[test]
fn issuers_are_asked_for_their_documents_and_their_keys() {
    let (site, corp, tokens, _app) = site();
    let output = site.cli(&["check", "--online"]).success();
    for (name, issuer) in [("corp", &corp), ("custom-token", &tokens)] {
        let host = issuer.issuer().replace("http://", "");
        let line = output.stdout.lines().find(|line| line.starts_with(&format!("fine   issuer     {name}: ")));
        assert!(line.is_some_and(|line| line.contains(&format!("keys of {host}: 1 of use"))), "{output:?}");
    }
    assert_eq!(corp.count("/.well-known/openid-configuration"), 1);
    assert_eq!((corp.count("/jwks"), tokens.count("/jwks")), (1, 1));
    assert_eq!(site.cli(&["doctor"]).success().stdout.matches("fine   issuer").count(), 2);
}

#[test]
fn an_issuer_that_is_down_is_named_with_why() {
    let (site, corp, tokens, _app) = site();
    site.cli(&["check", "--online"]).success();
    corp.replace("/.well-known/openid-configuration", |_| json_answer(503, &json!({})));
    tokens.replace("/jwks", |_| json_answer(200, &json!({ "keys": [] })));
    let output = site.cli(&["check", "--online"]);
    assert_eq!(output.code, 1, "{output:?}");
    for (name, why) in [("corp", "answered 503"), ("custom-token", "no key in the set can be used")] {
        let line = output.stderr.lines().find(|line| line.starts_with(&format!("error: issuer: {name}: ")));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {output:?}");
    }
    let output = site.cli(&["check", "--online", "--json"]);
    assert_eq!((output.code, wrong(&output.json_lines())), (1, vec!["issuer".to_owned(), "issuer".to_owned()]));
    site.cli(&["check"]).success();
}

#[test]
fn an_issuer_without_keys_that_can_be_fetched_is_named() {
    let (site, corp, _tokens, _app) = site();
    corp.replace("/jwks", |_| json_answer(404, &json!({})));
    let output = site.cli(&["doctor"]);
    let host = corp.issuer().replace("http://", "");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains(&format!("wrong  issuer     corp: keys of {host}: status 404")), "{output:?}");
    corp.restore("/jwks");
    site.cli(&["doctor"]).success();
}

#[test]
fn where_nothing_is_published_the_token_endpoint_is_asked() {
    let (app, hub) = (RecordingUpstream::start(), FakeIdp::start());
    let toml = format!(
        "[providers.github]\nclient_id = \"us\"\nclient_secret = {{ file = \"s\" }}\n\
         authorization_endpoint = \"{0}/authorize\"\ntoken_endpoint = \"{0}/token\"\napi_url = \"{0}/api\"\n",
        hub.issuer()
    );
    let site = Site::new(&app, &toml);
    secret(&site);
    site.cli(&["check", "--online"]).success();
    assert_eq!(hub.count("/token"), 1);
    let address = hub.issuer();
    site.rewrite(|text| text.replace(&address, "http://127.0.0.1:9"));
    let output = site.cli(&["check", "--online"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("error: issuer: github: 127.0.0.1:9: no connection"), "{output:?}");
}

/// One provider that people are sent to, and one whose tokens are taken; each with an issuer of its own.
fn site() -> (Site, FakeIdp, FakeIdp, RecordingUpstream) {
    let (app, corp, tokens) = (RecordingUpstream::start(), FakeIdp::start(), FakeIdp::start());
    let toml = format!(
        "[providers.corp]\ntype = \"oidc\"\nissuer = \"{}\"\nclient_id = \"us\"\nclient_secret = {{ file = \"s\" }}\n\
         [providers.custom-token]\nalgorithms = [\"ES256\"]\naudience = \"app\"\nissuer = \"{}\"\njwks_uri = \"{}\"\n",
        corp.issuer(),
        tokens.issuer(),
        tokens.url("/jwks")
    );
    let site = Site::new(&app, &toml);
    secret(&site);
    (site, corp, tokens, app)
}

fn secret(site: &Site) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(site.path("s"), "a secret of the client that nobody guesses").unwrap();
    std::fs::set_permissions(site.path("s"), std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn wrong(findings: &[Value]) -> Vec<String> {
    let wrong = findings.iter().filter(|finding| finding["state"] == "wrong");
    wrong.map(|finding| finding["check"].as_str().unwrap().to_owned()).collect()
}
