//! Secrets that the server keeps for others, followed through every output at the loudest level.

use serde_json::json;

use crate::support::idp::json_answer;
use crate::support::trip::{back, callback, consent, oidc, out, parameters, with};
use crate::support::{Answer, FakeIdp, RecordingUpstream, Site};

const RULES: &str = r#"
listen = ["127.0.0.1:0"]
[observe]
log = { format = "json", level = "trace" }
[mail]
from = "blog@example.com"
smtp = { url = "smtp://127.0.0.1:1", user = "postman", password = { env = "SMTP_PASSWORD" } }
[providers.local-userpass]
sign_up = "open"
[providers.custom-function]
webhook = { url = "{hook}/decide?token=canary-hook-query-4711", secret = { env = "HOOK_SECRET" } }
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
[admin]
listen = "127.0.0.1:0"
token = { env = "ADMIN_TOKEN" }
"#;

const KEPT: [(&str, &str); 4] = [
    ("CORP_SECRET", "canary-client-secret-4711"),
    ("HOOK_SECRET", "canary-hook-secret-4711"),
    ("SMTP_PASSWORD", "canary-smtp-password-4711"),
    ("ADMIN_TOKEN", "canary-admin-token-4711"),
];

#[tokio::test(flavor = "multi_thread")]
async fn sec_log_02_what_is_kept_for_providers_hooks_and_mail_is_in_no_output() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    app.script(|request| match request.method.as_str() {
        "POST" => Answer::status(500, "canary-hook-answer-4711"),
        _ => Answer::text("x"),
    });
    let toml = format!("{}{}", RULES.replace("{hook}", &app.url()), oidc("corp", &idp, ""));
    let site = KEPT.iter().fold(Site::new(&app, &toml), |site, (name, value)| site.env(name, value));
    let server = site.env("RUST_LOG", "trace").start().await;
    let mut canaries: Vec<String> = KEPT.iter().map(|(_, value)| (*value).to_owned()).collect();
    canaries.extend(["canary-hook-query-4711".to_owned(), "canary-hook-answer-4711".to_owned()]);
    let client = server.client();

    // A sign-in that goes well, and one that the provider refuses in its own words.
    for fails in [false, true] {
        let location = out(&client, "corp", "/").await;
        let asked = parameters(&location);
        let mut target = callback(consent(&location).await.location());
        if fails {
            target = with(&target, "code", Some("canary-code-4711"));
        }
        canaries.extend([asked["state"].clone(), asked["nonce"].clone()]);
        // Which provider a browser used last is no secret.
        let cookies = client.cookie();
        let secrets = cookies.split("; ").filter(|cookie| !cookie.contains("-last="));
        canaries.extend(secrets.map(|cookie| cookie.split_once('=').unwrap().1.to_owned()));
        if fails {
            let body = json!({ "error": "invalid_grant", "error_description": "canary-idp-words-4711" });
            idp.replace("/token", move |_| json_answer(400, &body));
        }
        let reply = back(&client, &target).await;
        assert_eq!(reply.status.as_u16(), if fails { 502 } else { 303 }, "{}", reply.describe());
        let exchange = idp.requests("/token").pop().unwrap();
        let sent = crate::support::idp::fields(std::str::from_utf8(&exchange.body).unwrap());
        canaries.push(sent["code_verifier"].clone());
    }
    canaries.push("canary-idp-words-4711".to_owned());
    canaries.push("canary-code-4711".to_owned());
    canaries.push(client.session());

    let payload = json!({ "card": "canary-payload-4711" });
    assert!(client.stranger().post("/.auth/login/custom-function").json(&payload).await.status.is_server_error());
    let form = json!({ "email": "new@example.com", "password": "canary-password-4711" });
    client.stranger().post("/.auth/register").json(&form).await;
    for target in ["/public/a?token=canary-query-4711", "/a?rd=canary-query-4711&code=canary-query-4711"] {
        client.stranger().get(target).navigate().header("referer", "http://app.localhost/?t=canary-query-4711").await;
    }
    canaries.extend(["canary-payload-4711", "canary-password-4711", "canary-query-4711"].map(str::to_owned));
    client.stranger().get("/public/end").await.is(200);
    server.log().line("/public/end").await;

    let outputs = [server.log().text(), server.cli(&["check"]).text(), server.cli(&["doctor"]).text()];
    for canary in &canaries {
        assert!(canary.len() >= 8, "too short to be told apart: {canary}");
        for output in &outputs {
            let found: Vec<_> = output.lines().filter(|line| line.contains(canary.as_str())).collect();
            assert!(found.is_empty(), "{canary} in {found:#?}");
        }
    }
    assert!(outputs[0].contains("\"level\":\"debug\"") || outputs[0].contains("\"level\":\"trace\""));
}

#[test]
fn sec_log_02_a_store_that_does_not_answer_is_named_without_its_password() {
    for url in
        ["postgres://ann:canary-store-4711@127.0.0.1:1/x", "postgres://ann@127.0.0.1:1/x?password=canary-store-4711"]
    {
        let site = Site::exactly("upstream = \"http://127.0.0.1:1\"\n[store]\nurl = { env = \"STORE\" }\n");
        let site = site.env("STORE", url).env("RUST_LOG", "trace");
        for command in [&["run"][..], &["check"], &["doctor"], &["users", "list"]] {
            let output = site.cli(command);
            assert!(!output.text().contains("canary-store"), "{command:?}: {output:?}");
        }
        assert_ne!(site.cli(&["run"]).code, 0);
    }
}

/// SEC-LOG-01, SEC-XSS-02: what a provider says of itself and of its people is text wherever it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn sec_log_01_and_xss_02_what_a_provider_says_is_text_in_log_and_page() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let loud = "[observe]\nlog = { format = \"json\", level = \"trace\" }\n";
    let label = "label = \"<svg onload=1>&'\\\"\"";
    let toml = format!("{loud}[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n{}", oidc("corp", &idp, label));
    let server = Site::new(&app, &toml).env("CORP_SECRET", "a long way to the lighthouse").start().await;
    let client = server.client();
    let evil = "<svg onload=1>\r\n{\"level\":\"info\"}\u{1b}[2J\u{2028}\u{202e}";
    let page = client.get("/.auth/login").navigate().await.is(200).text();
    assert!(!page.contains("<svg onload") && page.contains("&lt;svg onload"), "{page}");

    // An error of the provider, brought by the browser and by the token endpoint.
    let target = callback(consent(&out(&client, "corp", "/").await).await.location());
    let refused = with(&with(&target, "code", None), "error", Some(evil));
    let reply = back(&client, &with(&refused, "error_description", Some(&evil.repeat(50)))).await;
    assert!(reply.status.is_client_error() || reply.status == 502, "{}", reply.describe());
    assert!(!reply.text().contains("<svg onload"), "{}", reply.describe());
    let body = json!({ "error": evil, "error_description": evil.repeat(2_000) });
    idp.replace("/token", move |_| json_answer(400, &body));
    let target = callback(consent(&out(&client, "corp", "/").await).await.location());
    let reply = back(&client, &target).await;
    assert!(!reply.text().contains("<svg onload"), "{}", reply.describe());
    idp.restore("/token");

    idp.person(&json!({ "sub": "ann-7", "name": evil, "picture": "javascript:alert(1)", "email": "ann@example.com" }));
    let target = callback(consent(&out(&client, "corp", "/").await).await.location());
    back(&client, &target).await.is(303);
    let page = client.get("/.auth/account").navigate().await.is(200).text();
    assert!(!page.contains("<svg onload") && !page.contains("=\"javascript:"), "{page}");
    client.get("/end").script().await.is(200);
    let value = app.last().header("x-auth-name");
    assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{value:?}");
    server.log().line("/end").await;
    let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}');
    for line in server.log().lines() {
        assert!(!line.contains(odd) && line.len() < 8 << 10, "{line:?}");
        if !line.contains("listening on ") && !line.trim().is_empty() {
            let record: serde_json::Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(record.is_object());
        }
    }
}
