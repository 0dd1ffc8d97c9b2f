//! The method on the wire is the method that counts; and nothing is promised to other origins.

use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
roles = ["reader"]
[providers.local-userpass]
[routes]
"/**" = { GET = "role:reader" }
"/all/**" = { all = "anyone" }
"/get/**" = { GET = "anyone" }
"/read/**" = { read = "anyone" }
"/away/**" = { read = "anyone", write = "nobody" }
"/office/**" = { read = "anyone", from = ["10.0.0.0/8"] }
"#;

const OVERRIDES: [&str; 6] = [
    "x-http-method-override",
    "x-method-override",
    "x-http-method",
    "X_HTTP_Method_Override",
    "x-original-method",
    "x-forwarded-method",
];

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &["reader"]).start().await
}

#[tokio::test]
async fn sec_meth_01_a_method_is_not_overridden() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for name in OVERRIDES {
        client.post("/items/1").script().header(name, "GET").await.is(405);
        client.get("/items/1").script().header(name, "DELETE").await.is(200);
        let seen = app.last();
        assert_eq!(seen.method, "GET");
        assert!(seen.family("x-http-method").is_empty() && !seen.head.contains("DELETE"), "{name}: {}", seen.head);
    }
    client.post("/items/1?_method=GET").script().form(&[("_method", "GET")]).await.is(405);
    client.get("/items/1?_method=DELETE").script().await.is(200);
    assert_eq!(app.count(), OVERRIDES.len() + 1);
}

#[tokio::test]
async fn sec_meth_02_odd_methods_are_tokens_and_no_more() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for method in ["get", "GETX", "TRACK", "DEBUG", "PROPFIND", "Get"] {
        let reply = client.method(method, "/items/1").script().await;
        assert_eq!(
            (reply.is(405).code().as_str(), reply.header("allow")),
            ("method.not_allowed", "GET, HEAD"),
            "{method}"
        );
        server.client().method(method, "/items/1").script().await.is(401);
        client.method(method, "/all/a").script().await.is(200);
    }
    client.post("/read/a").script().await.is(405);
    client.post("/away/a").script().await.is(403);
    assert_eq!(client.post("/office/a").script().await.is(403).header("allow"), "", "not from here");
    client.method("HEAD", "/get/a").await.is(200);
    client.method("HEAD", "/read/a").await.is(200);
    client.stranger().method("HEAD", "/items/1").await.is(401);
    let reached = app.count();
    for target in ["/all/a", "/items/1", "/.auth/me"] {
        client.method("TRACE", target).await.is(501);
    }
    let connect = server.raw().await.ask("CONNECT app.localhost:443 HTTP/1.1\r\nHost: app.localhost:443\r\n\r\n").await;
    assert_eq!(connect.status, 501, "{}", connect.head);
    let long = "A".repeat(200);
    let reply = server.raw().await.ask(format!("{long} /all/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n")).await;
    assert!(matches!(reply.status, 200 | 400 | 403 | 405 | 501), "{}", reply.head);
    let pri = server.raw().await.ask("PRI /all/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await;
    assert!(pri.status >= 200, "{}", pri.head);
    assert!(app.requests()[reached..].iter().all(|seen| !["TRACE", "CONNECT"].contains(&seen.method.as_str())));
}

#[tokio::test]
async fn our_own_endpoints_name_the_methods_they_know() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for (method, target, allowed) in [
        ("DELETE", "/.auth/login", "GET"),
        ("GET", "/.auth/token/refresh", "POST"),
        ("POST", "/.auth/me", "GET"),
        ("PUT", "/.auth/logout", "POST"),
    ] {
        let reply = server.client().method(method, target).script().await;
        assert_eq!(reply.is(405).code(), "method.not_allowed");
        assert!(reply.header("allow").contains(allowed), "{}", reply.describe());
    }
    let head = server.client().method("HEAD", "/.auth/login").navigate().await;
    assert!(head.is(200).body.is_empty());
}

#[tokio::test]
async fn sec_cors_02_no_origin_is_told_that_it_may_read() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for origin in
        ["null", "https://app.test.evil.test", "http://app.localhost", "http://APP.localhost", "https://app.localhost"]
    {
        for target in
            ["/.auth/me", "/.auth/login", "/.auth/jwks.json", "/items/1", "/nothing/here", "/.auth/token/refresh"]
        {
            let method = if target.ends_with("refresh") { "POST" } else { "GET" };
            let reply =
                client.method(method, target).header("origin", origin).fetch("cors", "empty", "cross-site").await;
            no_cors(&reply.headers, target);
            let preflight = client
                .method("OPTIONS", target)
                .header("origin", origin)
                .header("access-control-request-method", "PUT")
                .await;
            no_cors(&preflight.headers, target);
        }
    }
    let two =
        client.get("/.auth/me").header("origin", "http://app.localhost").header("origin", "https://evil.test").await;
    no_cors(&two.headers, "two origins");
}

fn no_cors(headers: &http::HeaderMap, what: &str) {
    assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{what}: {headers:?}");
}

#[tokio::test]
async fn sec_cors_03_a_swollen_preflight_costs_nothing() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let commas = ",".repeat(64 << 10);
    let request = format!(
        "OPTIONS /items/1 HTTP/1.1\r\nHost: app.localhost\r\nOrigin: https://evil.test\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: {commas}\r\n\r\n"
    );
    for _ in 0..50 {
        let reply = server.raw().await.ask(&request).await;
        assert!(matches!(reply.status, 400 | 431), "{}", reply.head);
    }
    let fits = request.replace(&commas, &",a".repeat(6 << 10));
    let mut kept = server.raw().await;
    let mut resident = Vec::new();
    for number in 0..4_000 {
        let reply = kept.ask(&fits).await;
        assert!(matches!(reply.status, 400..=431), "{}", reply.head);
        if number % 2_000 == 1_999 {
            resident.push(server.resident());
        }
    }
    assert!(resident[1] < resident[0] + (1 << 20), "grew from {} to {} bytes", resident[0], resident[1]);
    assert_eq!(app.count(), 0);
}
