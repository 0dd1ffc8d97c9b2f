//! What is written down: one line per request, whole, and never a secret.

use serde_json::{Value, json};

use crate::support::site::PASSWORD;
use crate::support::{RawUpstream, RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[observe]
log = { format = "json", level = "info" }
[providers.anon-user]
[providers.local-userpass]
sign_up = "open"
[providers.api-key]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"/machines/**" = { all = "service" }
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &[]).start().await
}

/// The lines that are no announcement of a listener.
fn records(server: &Vestibule) -> Vec<Value> {
    let lines = server.log().lines();
    let lines = lines.iter().filter(|line| !line.contains("listening on ") && !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn sec_log_01_a_request_is_one_record_whatever_it_carries() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let agent = "evil \u{2028} \u{202e}bidi {\"level\":\"info\"}".repeat(40);
    server.client().get("/public/marker-one").header("user-agent", &agent).await.is(200);
    let mut raw = server.raw().await;
    raw.ask(b"GET /public/marker-two?q=%0d%0a{%22level%22:%22info%22} HTTP/1.1\r\nHost: app.localhost\r\nUser-Agent: \xff\xfe\x80\r\n\r\n").await;
    let email = "bob\r\n{\"level\":\"info\"}\u{1b}[2J@example.com";
    server.client().post("/.auth/login/local-userpass").json(&json!({ "email": email, "password": "x" })).await;
    server.client().get("/public/marker-end").await.is(200);
    server.log().line("marker-end").await;
    for record in records(&server) {
        let text = record.to_string();
        assert!(text.len() < 8 << 10, "{text}");
    }
    for marker in ["marker-one", "marker-two", "marker-end"] {
        assert_eq!(server.log().with(marker).len(), 1, "{marker}");
    }
    let odd = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    for line in server.log().lines() {
        assert!(!line.contains(odd), "{line:?}");
    }
}

#[tokio::test]
async fn a_record_says_who_what_and_how_it_went() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/marker-page").script().await.is(200);
    server.client().get("/marker-refused").await.is(401);
    let line = server.log().line("marker-page").await;
    for word in ["GET", "200", &server.user_id("ann@example.com")] {
        assert!(line.contains(word), "{word} in {line}");
    }
    assert!(!line.contains("ann@example.com"), "an address is no name: {line}");
    let refused = server.log().line("marker-refused").await;
    assert!(refused.contains("401") && refused.contains("authn"), "{refused}");
}

#[tokio::test]
async fn a_text_log_has_one_line_a_request_and_no_control_characters() {
    let app = RecordingUpstream::start();
    let rules = RULES.replace("format = \"json\"", "format = \"text\"");
    let server = Site::new(&app, &rules).start().await;
    server.client().get("/public/marker").header("user-agent", "a\u{9b}31m\u{85}b\u{2028}c").await.is(200);
    let mut raw = server.raw().await;
    raw.ask("GET /public/second%1b[31m HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await;
    server.client().get("/public/end").await.is(200);
    server.log().line("/public/end").await;
    assert_eq!(server.log().with("marker").len(), 1);
    for line in server.log().lines() {
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}'), "{line:?}");
    }
}

#[tokio::test]
async fn sec_log_02_no_secret_is_in_any_output_at_trace_level() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, &RULES.replace("\"info\"", "\"trace\"")).env("RUST_LOG", "trace");
    site.add_user("ann@example.com", PASSWORD, &[]);
    let key = site.key(&["backup"]);
    let server = site.start().await;
    let mut canaries = vec![("password", PASSWORD.to_owned()), ("key", key.clone())];
    let client = server.client();
    client.sign_in("ann@example.com").await;
    canaries.push(("cookie", client.session()));
    let tokens = server.client().tokens("ann@example.com").await;
    for name in ["access_token", "refresh_token"] {
        canaries.push((name, tokens[name].as_str().unwrap().to_owned()));
    }
    let refresh = |token: &Value| server.client().post("/.auth/token/refresh").json(&json!({ "refresh_token": token }));
    let second = refresh(&tokens["refresh_token"]).await.is(200).json();
    canaries.push(("second refresh token", second["refresh_token"].as_str().unwrap().to_owned()));
    server.client().get("/machines/a").header("x-api-key", &key).await.is(200);
    server.client().get("/a").bearer(tokens["access_token"].as_str().unwrap()).await.is(200);
    canaries.push(("assertion", app.last().header("x-auth-assertion")));
    client.get("/a").script().await.is(200);

    for (name, value) in [
        ("authorization", "Bearer canary-bearer-4711"),
        ("x-api-key", "vk_canary-key-4711"),
        ("authorization", "Basic Y2FuYXJ5LWJhc2ljLTQ3MTE="),
        ("cookie", "sess=canary-cookie-4711"),
    ] {
        server.client().get("/a").header(name, value).await;
        canaries.push((name, value.rsplit([' ', '=']).find(|part| part.len() > 8).unwrap().to_owned()));
    }
    server
        .client()
        .post("/.auth/login/local-userpass")
        .json(&json!({ "email": "ann@example.com", "password": "canary-wrong-4711" }))
        .await;
    server
        .client()
        .post("/.auth/register")
        .json(&json!({ "email": "new@example.com", "password": "canary-new-4711" }))
        .await
        .is(202);
    canaries
        .extend([("wrong password", "canary-wrong-4711".to_owned()), ("new password", "canary-new-4711".to_owned())]);
    server.client().post("/.auth/reset/send").json(&json!({ "email": "ann@example.com" })).await.is(202);
    for email in ["new@example.com", "ann@example.com"] {
        let mail = server.mailbox().wait(email, 1).await;
        canaries.extend([("token of a mail", mail.token()), ("code of a mail", mail.code())]);
        let page = client.get(&mail.path()).navigate().await;
        assert!(page.status.as_u16() < 500, "{}", page.describe());
    }
    let token = server.mailbox().wait("ann@example.com", 1).await.token();
    server.client().post("/.auth/reset").json(&json!({ "token": token, "password": "canary-reset-4711" })).await;
    canaries.push(("reset password", "canary-reset-4711".to_owned()));
    server.client().get("/public/end?access_token=canary-query-4711").await;
    server.log().line("/public/end").await;
    drop(client);
    let text = server.log().text();
    for (what, canary) in &canaries {
        assert!(canary.len() >= 8, "{what} is too short to be told apart: {canary}");
        let found: Vec<_> = text.lines().filter(|line| line.contains(canary.as_str())).collect();
        assert!(found.is_empty(), "{what} in {found:#?}");
    }
    assert!(text.contains("\"level\":\"debug\"") || text.contains("\"level\":\"trace\""), "the log was at trace level");
}

#[tokio::test]
async fn the_icon_that_a_browser_asks_for_by_itself_is_no_line_until_somebody_looks() {
    let app = RecordingUpstream::start();
    for (level, lines) in [("info", 0), ("debug", 1)] {
        let rules = format!(
            "[observe.log]\nlevel = \"{level}\"\n[providers.local-userpass]\n[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n"
        );
        let server = Site::new(&app, &rules).start().await;
        server.client().get("/favicon.ico").fetch("no-cors", "image", "same-origin").await.is(401);
        server.client().get("/favicon.ico").navigate().await.is(303);
        server.client().get("/other.ico").script().await.is(401);
        server.log().line("path=/other.ico").await;
        assert_eq!(server.log().with("status=401").iter().filter(|line| line.contains("favicon")).count(), lines);
        assert_eq!(server.log().with("status=303").len(), 1);
    }
}

#[tokio::test]
async fn sec_err_01_an_error_tells_a_client_nothing_of_our_insides() {
    let broken = RawUpstream::start("HTTP/1.1 banana\r\n\r\n").await;
    let server = Site::before(&broken.url(), RULES).start().await;
    let reply = server.client().get("/public/a").await;
    assert_eq!(reply.status, 502, "{}", reply.describe());
    let bad = server
        .client()
        .post("/.auth/login/local-userpass")
        .header("content-type", "application/json")
        .body("{\"email\": 1")
        .await;
    assert!(bad.status.is_client_error());
    let missing = server.client().get("/.auth/nothing").await;
    // An upstream that speaks no TLS where it should.
    let plain = Site::before(&broken.url().replace("http:", "https:"), RULES).start().await;
    let tls = plain.client().get("/public/a").await;
    assert_eq!(tls.status, 502, "{}", tls.describe());
    for reply in [reply, bad, missing, tls] {
        let text = reply.describe().to_lowercase();
        for inside in [
            "panicked",
            "src/",
            ".rs:",
            "hyper",
            "rusqlite",
            "sqlite",
            "127.0.0.1",
            "select ",
            "vestibule/",
            env!("CARGO_PKG_VERSION"),
            "serde",
            "rustls",
            "certificate",
            "localhost:",
            "line 1 column",
        ] {
            assert!(!text.contains(inside), "{inside}: {}", reply.describe());
        }
        assert!(!reply.code().is_empty());
    }
}

#[tokio::test]
async fn sec_err_02_what_is_personal_is_not_kept_by_caches() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for (who, target, navigate) in [
        (&server.client(), "/a", true),
        (&server.client(), "/a", false),
        (&client, "/machines/a", true),
        (&client, "/.auth/me", false),
        (&client, "/.auth/account", true),
        (&client, "/.auth/login", true),
    ] {
        for method in ["GET", "HEAD"] {
            let call = who.method(method, target).header("if-none-match", "*").header("range", "bytes=0-1");
            let reply = if navigate { call.navigate().await } else { call.script().await };
            assert_eq!(reply.header("cache-control"), "no-store", "{method} {target}: {}", reply.describe());
            let vary = reply.header("vary").to_ascii_lowercase();
            assert!(vary.contains("cookie"), "{method} {target}: {}", reply.describe());
            assert!(!matches!(reply.status.as_u16(), 206 | 304), "{method} {target}");
        }
    }
    client.get("/.auth/me/x.css").await.is(404);
}

#[tokio::test]
async fn sec_err_02_no_decision_for_another_proxy_is_kept() {
    let app = RecordingUpstream::start();
    let rules = format!("{RULES}[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n");
    let server = Site::new(&app, &rules).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let told = [
        "x-auth-user",
        "x-auth-kind",
        "x-auth-provider",
        "x-auth-email",
        "x-auth-name",
        "x-auth-roles",
        "x-auth-assertion",
    ];
    for (who, path, status) in [(&client, "/a", 200), (&client, "/machines/a", 403), (&client.stranger(), "/a", 401)] {
        for (method, more) in [("GET", ""), ("HEAD", ""), ("GET", "bytes=0-1")] {
            let call = who.expecting(&told).method(method, "/.auth/check").header("if-none-match", "*");
            let call = if more.is_empty() { call } else { call.header("range", more) };
            let call =
                call.header("x-original-url", format!("http://app.localhost{path}")).header("x-original-method", "GET");
            let reply = call.await;
            assert_eq!(
                (reply.status.as_u16(), reply.header("cache-control")),
                (status, "no-store"),
                "{}",
                reply.describe()
            );
            let vary = reply.header("vary").to_ascii_lowercase();
            assert!(vary.contains("cookie") && vary.contains("authorization"), "{}", reply.describe());
        }
    }
}
