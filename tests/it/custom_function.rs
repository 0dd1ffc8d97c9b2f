//! `custom-function` as clients see it: JSON in, a session or tokens out.

use serde_json::json;

use crate::support::{Answer, Client, RecordingUpstream, Reply, Site, Vestibule};

const RULES: &str = r#"
[limits]
sign_in = { per_account = "1000/15m", per_address = "1000/15m" }
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

async fn with_script(app: &RecordingUpstream, source: &str, more: &str) -> Vestibule {
    let toml = format!("{more}\n[providers.custom-function]\njavascript = \"auth.js\"\n{RULES}");
    let site = Site::new(app, &toml);
    std::fs::write(site.path("auth.js"), source).unwrap();
    site.start().await
}

async fn sign_in(client: &Client, credentials: serde_json::Value) -> Reply {
    client.post("/.auth/login/custom-function").json(&credentials).await
}

#[tokio::test]
async fn the_function_of_the_examples_signs_members_in() {
    let app = RecordingUpstream::start();
    let toml = format!(
        "[providers.custom-function]\njavascript = \"auth.js\"\nvalues = {{ cards = {{ env = \"CARDS\" }} }}\n{RULES}"
    );
    let site = Site::new(&app, &toml).env("CARDS", r#"{"17":{"card":"4711","name":"Ann"}}"#);
    std::fs::write(site.path("auth.js"), include_str!("../../examples/functions/auth.js")).unwrap();
    let server = site.start().await;
    let client = server.client();
    let reply = sign_in(&client, json!({ "member": "17", "card": "4711" })).await.is(200).json();
    let token = reply["access_token"].as_str().unwrap().to_owned();
    client.get("/").bearer(&token).await.is(200);
    let seen = app.last();
    assert_eq!(seen.header("x-auth-user"), reply["user_id"].as_str().unwrap());
    assert_eq!((seen.header("x-auth-provider"), seen.header("x-auth-name")), ("custom-function".into(), "Ann".into()));
    let again = sign_in(&client, json!({ "member": "17", "card": "4711" })).await.is(200).json();
    assert_eq!(again["user_id"], reply["user_id"], "the same account is the same user");
    for (member, card) in [("17", "0000"), ("18", "4711"), ("__proto__", "4711"), ("constructor", "4711")] {
        let reply = sign_in(&client, json!({ "member": member, "card": card })).await;
        assert_eq!(reply.is(401).code(), "authn.refused", "{member}");
    }
    server.log().line("another card").await;
    assert!(server.log().with("console").iter().any(|line| line.contains("from 127.0.0.1")), "{}", server.log().text());
}

#[tokio::test]
async fn a_function_sees_the_payload_without_options_and_the_request() {
    let source = "exports = (payload) => { console.log(JSON.stringify([payload, context.request, context.user.type])); \
                  return 'ann-1'; }";
    let app = RecordingUpstream::start();
    let server = with_script(&app, source, "").await;
    let credentials = json!({ "card": 7, "options": { "device": { "sdkVersion": "9" } } });
    let call = server.client().post("/.auth/login/custom-function").json(&credentials);
    let reply = call.header("user-agent", "Test/1").await;
    let id = reply.is(200).header("x-request-id").to_owned();
    let line = server.log().line("console").await;
    for part in [r#"{"card":7}"#, &id, "127.0.0.1", "Test/1", "system"] {
        assert!(line.replace('\\', "").contains(part), "{part}: {line}");
    }
    assert!(!line.contains("sdkVersion"), "{line}");
}

#[tokio::test]
async fn what_a_function_throws_is_for_the_log_alone() {
    let app = RecordingUpstream::start();
    let server = with_script(&app, "exports = () => { throw new Error('the\\ncard\\u001b expired'); }", "").await;
    let reply = sign_in(&server.client(), json!({ "card": 7 })).await;
    assert!(!reply.is(401).text().contains("expired"), "{}", reply.describe());
    server.log().line("expired").await;
    assert!(!server.log().text().contains('\u{1b}'), "control characters are escaped");
    assert!(!server.log().text().contains("the\ncard"));
}

#[tokio::test]
async fn one_that_cannot_tell_is_503_and_never_a_yes() {
    let app = RecordingUpstream::start();
    let server = with_script(&app, "exports = ({ n }) => { while (n) {} return 'ann-1'; }", "").await;
    let reply = sign_in(&server.client(), json!({ "n": 1 })).await;
    assert_eq!(reply.is(503).code(), "unavailable");
    assert!(!reply.header("retry-after").is_empty() && reply.cookies().is_empty());
    server.log().line("script.limit").await;
    sign_in(&server.client(), json!({ "n": 0 })).await.is(200);
}

/// SEC-SSRF-05
#[tokio::test]
async fn sec_ssrf_05_requests_are_served_while_functions_run_wild() {
    const BOMBS: [&str; 8] = [
        "for (;;) {}",
        "new ArrayBuffer(2 ** 30)",
        "(function f() { return f() + 1; })()",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "new Array(1e9).join()",
        "[].indexOf.call({ length: 2 ** 53 - 1 }, 1)",
        "return 'x'.repeat(10 << 20)",
        "return new Promise(() => {})",
    ];
    let cases: String = BOMBS.iter().enumerate().map(|(n, bomb)| format!("case {n}: {bomb}; break;\n")).collect();
    let source = format!("exports = ({{ bomb }}) => {{ switch (bomb) {{ {cases} default: return 'ann-1'; }} }}");
    let app = RecordingUpstream::start();
    let server = with_script(&app, &source, "workers = 1").await;
    let client = server.client();
    let bombs = async {
        let all = (0..BOMBS.len()).map(|bomb| {
            let client = client.stranger();
            async move { (bomb, sign_in(&client, json!({ "bomb": bomb })).await) }
        });
        futures_util::future::join_all(all).await
    };
    tokio::pin!(bombs);
    let mut served = 0;
    let done = loop {
        tokio::select! {
            biased;
            done = &mut bombs => break done,
            reply = client.get("/public/page") => {
                reply.is(200);
                served += 1;
            }
        }
    };
    for (bomb, reply) in done {
        assert_eq!(reply.is(503).code(), "unavailable", "{}", BOMBS[bomb]);
    }
    assert!(served >= 20, "{served}");
    sign_in(&client, json!({ "bomb": 99 })).await.is(200);
}

#[tokio::test]
async fn a_webhook_signs_in_a_browser_by_its_form() {
    let hook = RecordingUpstream::scripted(|_| {
        let json = http::Response::builder().header("content-type", "application/json");
        Answer::Full(json.body(r#"{"id":"ann-1","name":"Ann","data":{"plan":"pro"}}"#.into()).unwrap())
    });
    let app = RecordingUpstream::start();
    let toml = format!(
        "[providers.club]\ntype = \"custom-function\"\nwebhook = {{ url = \"{}/x\", secret = {{ env = \"HOOK\" }} }}\n{RULES}",
        hook.url()
    );
    let server = Site::new(&app, &toml).env("HOOK", "canary-of-the-hook").start().await;
    let client = server.client();
    let reply = client.post("/.auth/login/club?rd=/page").submit(&[("card", "4711")]).await;
    assert_eq!(reply.is(303).header("location"), "/page");
    client.get("/page").script().await.is(200);
    let seen = app.last();
    assert_eq!((seen.header("x-auth-name"), seen.header("x-auth-meta-plan")), ("Ann".into(), "pro".into()));
    assert!(hook.last().header("vestibule-signature").starts_with("t="));
    hook.script(|_| Answer::status(500, "no"));
    client.stranger().post("/.auth/login/club").submit(&[("card", "4711")]).await.is(503);
    assert!(!server.log().text().contains("canary-of-the-hook"));
}

/// SEC-LINK-06
#[tokio::test]
async fn sec_link_06_an_address_that_a_webhook_claims_opens_no_rule() {
    let source = "exports = () => ({ id: 'm', data: { email: 'ann@example.com', email_verified: true } })";
    let app = RecordingUpstream::start();
    let site = Site::new(
        &app,
        "[providers.custom-function]\njavascript = \"auth.js\"\n[routes]\n\"/**\" = { all = \"signed_in\" }\n\
         \"/staff/**\" = { all = \"email:*@example.com\" }\n",
    );
    std::fs::write(site.path("auth.js"), source).unwrap();
    let server = site.start().await;
    let client = server.client();
    let token = sign_in(&client, json!({})).await.is(200).json()["access_token"].as_str().unwrap().to_owned();
    client.get("/").bearer(&token).await.is(200);
    client.get("/staff/").bearer(&token).await.is(403);
}
