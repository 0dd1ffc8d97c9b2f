//! Functions that decide about registrations and new passwords, and the one that is told of new users.

use serde_json::{Value, json};

use crate::support::site::PASSWORD;
use crate::support::{Answer, Client, RecordingUpstream, Reply, Site, Vestibule};

const NEW: &str = "velvet-harbour-12";

const RULES: &str = r#"
[limits]
sign_in = { per_account = "1000/15m", per_address = "1000/15m" }
sign_up = { per_account = "1000/1h", per_address = "1000/1h" }
reset = { per_account = "1000/1h", per_address = "1000/1h" }
[routes]
"/**" = { all = "signed_in" }
"/staff/**" = { all = "email:*@example.com" }
"#;

/// A site whose `word` is decided by this file; it says what it was given.
async fn site(app: &RecordingUpstream, word: &str, source: &str) -> Vestibule {
    let more = format!("{word} = \"function\"\n{word}_function = {{ javascript = \"decide.js\" }}");
    let toml = format!("[providers.local-userpass]\nsign_up = \"open\"\n{more}\n{RULES}");
    let site = Site::new(app, &toml);
    std::fs::write(site.path("decide.js"), source).unwrap();
    site.user("ann@example.com", &[]).start().await
}

/// A function that tells the log its arguments and says this.
fn saying(status: &str) -> String {
    format!("exports = (...all) => {{ console.log('asked ' + JSON.stringify(all)); return {{ status: '{status}' }}; }}")
}

/// The arguments that the latest call had.
async fn asked(server: &Vestibule) -> Value {
    let line = server.log().line("asked ").await;
    let text = line.split_once("asked ").unwrap().1.replace('\\', "");
    let end = text.rfind(']').unwrap();
    serde_json::from_str(&text[..=end]).unwrap()
}

async fn register(server: &Vestibule, email: &str) -> Reply {
    server.client().post("/.auth/register").json(&json!({ "email": email, "password": PASSWORD })).await
}

async fn reset(server: &Vestibule, body: Value) -> Reply {
    server.client().post("/.auth/reset/send").json(&body).await
}

async fn try_sign_in(server: &Vestibule, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password });
    server.client().post("/.auth/login/local-userpass").json(&body).await
}

async fn bearer(client: &Client, reply: Reply, target: &str) -> Reply {
    let token = reply.is(200).json()["access_token"].as_str().unwrap().to_owned();
    client.get(target).bearer(&token).await
}

#[tokio::test]
async fn success_makes_the_account_and_proves_no_address() {
    let app = RecordingUpstream::start();
    let server = site(&app, "confirm", &saying("success")).await;
    register(&server, "Bob@example.com").await.is(202);
    server.log().line("a function said success").await;
    let given = asked(&server).await;
    let [argument] = given.as_array().unwrap().as_slice() else { panic!("{given}") };
    assert_eq!(argument["username"], "Bob@example.com");
    assert_eq!((argument["token"].as_str().unwrap().len(), argument["tokenId"].as_str().unwrap().len()), (43, 24));
    assert_eq!(argument.as_object().unwrap().len(), 3);
    let signed_in = try_sign_in(&server, "bob@example.com", PASSWORD).await;
    bearer(&server.client(), signed_in, "/").await.is(200);
    let signed_in = try_sign_in(&server, "bob@example.com", PASSWORD).await;
    bearer(&server.client(), signed_in, "/staff/").await.is(403);
}

#[tokio::test]
async fn pending_waits_for_the_token_that_the_function_delivers() {
    let app = RecordingUpstream::start();
    let server = site(&app, "confirm", &saying("pending")).await;
    register(&server, "bob@example.com").await.is(202);
    server.log().line("a function said pending").await;
    try_sign_in(&server, "bob@example.com", PASSWORD).await.is(401);
    let given = asked(&server).await;
    let body = json!({ "token": given[0]["token"], "tokenId": given[0]["tokenId"] });
    server.client().post("/.auth/confirm").json(&body).await.is(200);
    let signed_in = try_sign_in(&server, "bob@example.com", PASSWORD).await;
    bearer(&server.client(), signed_in, "/staff/").await.is(200);
}

#[tokio::test]
async fn anything_else_makes_no_account_and_voids_the_token() {
    for answer in [
        "return { status: 'fail' }",
        "return { status: 'Success' }",
        "return { status: true }",
        "return 'success'",
        "return",
        "throw new Error('no')",
        "for (;;) {}",
    ] {
        let source = format!("exports = (...all) => {{ console.log('asked ' + JSON.stringify(all)); {answer}; }}");
        let app = RecordingUpstream::start();
        let server = site(&app, "confirm", &source).await;
        register(&server, "bob@example.com").await.is(202);
        server.log().line("a function did not agree").await;
        let token = asked(&server).await[0]["token"].clone();
        let reply = server.client().post("/.auth/confirm").json(&json!({ "token": token })).await;
        assert_eq!(reply.is(409).code(), "link.over", "{answer}");
        try_sign_in(&server, "bob@example.com", PASSWORD).await.is(401);
    }
}

#[tokio::test]
async fn whether_an_address_has_an_account_does_not_show() {
    let app = RecordingUpstream::start();
    for status in ["success", "pending", "fail"] {
        let server = site(&app, "confirm", &saying(status)).await;
        let (known, new) = (register(&server, "ann@example.com").await, register(&server, "bob@example.com").await);
        assert_eq!((known.is(202).text(), new.is(202).text()), (String::new(), String::new()));
        asked(&server).await;
        assert_eq!(server.log().with("asked ").len(), 1, "the function is asked about new addresses alone");
        let form = |email: &'static str| {
            let client = server.client();
            async move { client.post("/.auth/register").submit(&[("email", email), ("password", PASSWORD)]).await }
        };
        let (known, new) = (form("ann@example.com").await, form("carl@example.com").await);
        assert_eq!(known.is(303).location(), new.is(303).location());
    }
    let server = site(&app, "reset", &saying("success")).await;
    for email in ["ann@example.com", "nobody@example.com"] {
        assert_eq!(reset(&server, json!({ "email": email, "password": NEW })).await.is(202).text(), "");
    }
}

#[tokio::test]
async fn a_registration_is_shown_to_the_function_again() {
    let app = RecordingUpstream::start();
    let server = site(&app, "confirm", &saying("pending")).await;
    register(&server, "bob@example.com").await.is(202);
    server.log().first(1, "a function said pending").await.unwrap();
    for email in ["bob@example.com", "ann@example.com", "nobody@example.com"] {
        server.client().post("/.auth/confirm/send").json(&json!({ "email": email })).await.is(202);
    }
    server.log().first(2, "a function said pending").await.unwrap();
    assert_eq!(server.log().with("asked ").len(), 2);
}

#[tokio::test]
async fn success_sets_the_new_password_and_ends_every_session() {
    let app = RecordingUpstream::start();
    let server = site(&app, "reset", &saying("success")).await;
    let before = try_sign_in(&server, "ann@example.com", PASSWORD).await.is(200).json();
    let arguments = json!(["what", { "is": 1 }]);
    let body = json!({ "email": "ann@example.com", "password": NEW, "arguments": arguments });
    reset(&server, body).await.is(202);
    server.log().line("a function said success").await;
    let given = asked(&server).await;
    let given = given.as_array().unwrap();
    assert_eq!(given[1..], *arguments.as_array().unwrap());
    let first = &given[0];
    assert_eq!((&first["username"], &first["password"]), (&json!("ann@example.com"), &json!(NEW)));
    assert_eq!(first["currentPasswordValid"], false);
    assert!(first["token"].is_string() && first["tokenId"].is_string() && first.as_object().unwrap().len() == 5);
    try_sign_in(&server, "ann@example.com", PASSWORD).await.is(401);
    try_sign_in(&server, "ann@example.com", NEW).await.is(200);
    let old = before["access_token"].as_str().unwrap();
    server.client().get("/").bearer(old).await.is(401);
}

#[tokio::test]
async fn the_function_learns_whether_the_password_is_the_current_one() {
    let app = RecordingUpstream::start();
    let server = site(&app, "reset", &saying("fail")).await;
    reset(&server, json!({ "email": "ann@example.com", "password": PASSWORD })).await.is(202);
    assert_eq!(asked(&server).await[0]["currentPasswordValid"], true);
}

#[tokio::test]
async fn pending_and_fail_change_no_password() {
    for status in ["pending", "fail"] {
        let app = RecordingUpstream::start();
        let server = site(&app, "reset", &saying(status)).await;
        reset(&server, json!({ "email": "ann@example.com", "password": NEW })).await.is(202);
        server.log().line(if status == "fail" { "did not agree" } else { "said pending" }).await;
        try_sign_in(&server, "ann@example.com", NEW).await.is(401);
        let token = asked(&server).await[0]["token"].clone();
        let done = server.client().post("/.auth/reset").json(&json!({ "token": token, "password": NEW })).await;
        done.is(if status == "fail" { 409 } else { 200 });
        try_sign_in(&server, "ann@example.com", NEW).await.is(if status == "fail" { 401 } else { 200 });
    }
}

#[tokio::test]
async fn the_page_of_a_reset_by_function_asks_for_the_password() {
    let app = RecordingUpstream::start();
    let server = site(&app, "reset", &saying("success")).await;
    let page = server.client().get("/.auth/reset").navigate().await.is(200).text();
    assert!(page.contains("name=\"password\"") && !page.contains("Send the mail"), "{page}");
    let form = [("email", "ann@example.com"), ("password", NEW)];
    let reply = server.client().post("/.auth/reset/send").submit(&form).await;
    assert!(reply.is(303).location().starts_with("/.auth/login?note=asked-reset"), "{}", reply.location());
    server.log().line("a function said success").await;
    let weak = [("email", "ann@example.com"), ("password", "short")];
    let page = server.client().post("/.auth/reset/send").submit(&weak).await.is(422).text();
    assert!(page.contains("password-wrong"), "{page}");
}

#[tokio::test]
async fn functions_that_decide_know_the_request() {
    let app = RecordingUpstream::start();
    let source =
        "exports = () => { console.log('asked by ' + JSON.stringify(context.request)); return { status: 'fail' }; }";
    for (word, target) in [("confirm", "/.auth/register"), ("reset", "/.auth/reset/send")] {
        let server = site(&app, word, source).await;
        let email = if word == "confirm" { "bob@example.com" } else { "ann@example.com" };
        let call = server.client().post(target).header("user-agent", "Test/1");
        let reply = call.json(&json!({ "email": email, "password": NEW })).await;
        let id = reply.is(202).header("x-request-id").to_owned();
        let line = server.log().line("asked by ").await;
        for part in [id.as_str(), "127.0.0.1", "Test/1"] {
            assert!(line.contains(part), "{word}: {part}: {line}");
        }
    }
}

fn told(hook: &RecordingUpstream) -> Vec<Value> {
    hook.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[tokio::test]
async fn a_webhook_is_told_of_new_users_once_and_its_failure_undoes_nothing() {
    let hook = RecordingUpstream::scripted(|_| Answer::status(500, "no"));
    let app = RecordingUpstream::start();
    let toml = format!(
        "[providers]\non_user_created = {{ webhook = {{ url = \"{}/new\", secret = {{ env = \"HOOK\" }} }} }}\n\
         custom-function = {{ javascript = \"auth.js\" }}\n\
         local-userpass = {{ sign_up = \"open\", confirm = \"automatic\" }}\n{RULES}",
        hook.url()
    );
    let site = Site::new(&app, &toml).env("HOOK", "correct horse");
    std::fs::write(site.path("auth.js"), "exports = ({ n }) => ({ id: 'card-' + n, name: 'Ann' })").unwrap();
    let server = site.start().await;
    let sign_in = || {
        let client = server.client();
        async move { client.post("/.auth/login/custom-function").json(&json!({ "n": 7 })).await }
    };
    let id = sign_in().await.is(200).json()["user_id"].clone();
    hook.arrived("card-7").await;
    assert_eq!(sign_in().await.is(200).json()["user_id"], id);
    register(&server, "bob@example.com").await.is(202);
    hook.arrived("bob@example.com").await;
    server.log().first(2, "failed to take a new user").await.unwrap();
    let told = told(&hook);
    assert_eq!(told.len(), 2, "a sign-in of a known user is no news");
    let user = &told[0]["payload"];
    assert_eq!((&told[0]["provider"], &user["id"], &user["type"]), (&json!("custom-function"), &id, &json!("normal")));
    assert_eq!(user["data"], json!({ "name": "Ann" }));
    let identity = json!({ "id": "card-7", "provider_type": "custom-function", "data": { "name": "Ann" } });
    assert_eq!(user["identities"], json!([identity]));
    assert_eq!(told[1]["provider"], "local-userpass");
    for told in &told {
        assert_eq!(
            (&told["request"]["address"], &told["request"]["user_agent"]),
            (&json!("127.0.0.1"), &json!("vestibule-test"))
        );
    }
    assert!(!hook.bytes().windows(7).any(|part| part == b"$argon2"), "no hash goes out");
    try_sign_in(&server, "bob@example.com", PASSWORD).await.is(200);
}
