//! Which pages of other origins may call the client API of App Services, and which of them with cookies.

use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule};

const RULES: &str =
    "[app_services]\napp_id = \"blog-abcde\"\n{more}[providers.local-userpass]\n[providers.anon-user]\n";
const LOCATION: &str = "/api/client/v2.0/app/blog-abcde/location";
const LOGIN: &str = "/api/client/v2.0/app/blog-abcde/auth/providers/anon-user/login";
const ROWS: [&str; 16] = [
    "null",
    "https://app.test.evil.test",
    "https://evil-app.test",
    "https://evilapp.test",
    "https://app.tes",
    "https://app.testx",
    "http://app.test",
    "https://APP.test",
    "HTTPS://app.test",
    "https://app.test:443",
    "https://app.test:8443",
    "https://app.test.",
    "https://app.test/",
    "https://app.test@evil.test",
    "https://app.test https://evil.test",
    "*",
];

async fn server(app: &RecordingUpstream, more: &str) -> Vestibule {
    Site::new(app, &RULES.replace("{more}", more)).start().await
}

fn of_api(server: &Vestibule) -> Client {
    server.client().expecting(&[
        "x-appservices-request-id",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-expose-headers",
    ])
}

/// The answer to a request and the one to its preflight.
async fn asked(server: &Vestibule, target: &str, origins: &[&str]) -> [Reply; 2] {
    let method = if target == LOGIN { "POST" } else { "GET" };
    let client = of_api(server);
    let preflight = client.method("OPTIONS", target).header("access-control-request-method", method);
    let request = client.method(method, target).header("content-type", "application/json").body("{}");
    let with =
        |call| origins.iter().fold(call, |call: crate::support::client::Call, origin| call.header("origin", origin));
    [with(request).await, with(preflight).await]
}

fn field<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.header(&format!("access-control-allow-{name}"))
}

#[tokio::test]
async fn sec_cors_02_of_listed_origins_only_the_very_same_may_read() {
    let app = RecordingUpstream::start();
    let server = server(&app, "allowed_origins = [\"https://app.test\", \"https://port.test:8443\"]\n").await;
    for target in [LOCATION, LOGIN] {
        for origin in ROWS {
            let [reply, preflight] = asked(&server, target, &[origin]).await;
            assert_eq!(reply.status, 403, "{origin}: {}", reply.describe());
            for reply in [reply, preflight] {
                assert_eq!((field(&reply, "origin"), field(&reply, "credentials")), ("", ""), "{origin} {target}");
                assert!(reply.header("vary").to_ascii_lowercase().contains("origin"), "{}", reply.describe());
            }
        }
        for origin in ["https://port.test", "https://port.test:443", "https://port.test:84430"] {
            let [reply, _] = asked(&server, target, &[origin]).await;
            assert_eq!(field(&reply, "origin"), "", "{origin}");
        }
        for two in [["https://app.test", "https://evil.test"], ["https://evil.test", "https://app.test"]] {
            let [reply, preflight] = asked(&server, target, &two).await;
            assert_eq!((reply.status.as_u16(), field(&reply, "origin")), (403, ""), "{}", reply.describe());
            assert_eq!(field(&preflight, "origin"), "", "{}", preflight.describe());
        }
        for origin in ["https://app.test", "https://port.test:8443", server.client().origin()] {
            for reply in asked(&server, target, &[origin]).await {
                assert!(reply.status.is_success(), "{origin}: {}", reply.describe());
                assert_eq!(field(&reply, "origin"), origin);
                assert_eq!(field(&reply, "credentials") == "true", target == LOGIN, "{origin} {target}");
                assert!(reply.header("vary").to_ascii_lowercase().contains("origin"), "{}", reply.describe());
            }
        }
    }
}

#[tokio::test]
async fn sec_cors_02_where_every_origin_may_call_none_but_a_named_one_may_with_cookies() {
    let app = RecordingUpstream::start();
    let server = server(&app, "redirect_uris = [\"https://app.test/redirect.html\"]\n").await;
    for target in [LOCATION, LOGIN] {
        for origin in ROWS {
            for reply in asked(&server, target, &[origin]).await {
                assert!(reply.status.is_success(), "{origin}: {}", reply.describe());
                assert_eq!((field(&reply, "origin"), field(&reply, "credentials")), (origin, ""), "{target}");
            }
        }
        for origin in ["https://app.test", server.client().origin()] {
            for reply in asked(&server, target, &[origin]).await {
                assert_eq!(field(&reply, "origin"), origin);
                assert_eq!(field(&reply, "credentials") == "true", target == LOGIN, "{origin} {target}");
            }
        }
        let [two, _] = asked(&server, target, &["https://app.test", "https://evil.test"]).await;
        assert_eq!(field(&two, "origin"), "", "{}", two.describe());
    }
}
