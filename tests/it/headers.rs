//! What the app receives: the whole set, ours, once, and nothing a client chose.

use http::{HeaderMap, HeaderValue, Response};
use percent_encoding::percent_decode_str;

use crate::support::{Answer, RawUpstream, RecordingUpstream, Site, Vestibule};

/// Rules with every kind of who.
pub const RULES: &str = r#"
roles = ["admin", "journalist"]
[providers.anon-user]
[providers.local-userpass]
[providers.api-key]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"/guests/**" = { all = "guest" }
"/machines/**" = { all = "service" }
"/admin/**" = { all = "role:admin" }
"#;

/// What no app may ever see.
pub const EVIL: &str = "evil-identity";

/// A site by these rules, with one account.
pub async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &["journalist", "admin"]).start().await
}

#[tokio::test]
async fn sec_hdr_01_a_clients_identity_reaches_no_app_on_any_way() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let ways = [
        ("GET", "/public/a"),
        ("OPTIONS", "/public/a"),
        ("POST", "/public/a.css"),
        ("GET", "/page"),
        ("OPTIONS", "/page"),
    ];
    for (method, target) in ways {
        let call = client.method(method, target).script();
        let call = call.header("x-auth-user", EVIL).header("X-Auth-Roles", EVIL).header("x-auth-meta-plan", EVIL);
        call.header("x-auth-assertion", EVIL).header("x-auth-anything", EVIL).await.is(200);
        assert_eq!(app.last().header("x-auth-email"), "ann@example.com", "{method} {target}");
    }
    let upgrade = client.get("/public/live").header("x-auth-user", EVIL).header("origin", client.origin());
    let upgrade = upgrade.header("connection", "upgrade").header("upgrade", "websocket");
    let upgrade = upgrade.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(upgrade.open().await.status(), 101);
    server.client().get("/public/a").header("x-auth-user", EVIL).await.is(200);
    assert_eq!(app.last().family("x-auth"), []);
    assert_eq!(app.count(), ways.len() + 2);
    assert!(!String::from_utf8_lossy(&app.bytes()).contains(EVIL));
}

#[tokio::test]
async fn sec_hdr_02_alias_spellings_are_stripped() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for name in [
        "X_Auth_User",
        "X-Auth_User",
        "x_AUTH-user",
        "X.Auth.User",
        "X--Auth--User",
        "X_Forwarded_Proto",
        "X~Auth!Roles",
    ] {
        let mut raw = server.raw().await;
        let reply = raw.ask(format!("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n{name}: {EVIL}\r\n\r\n")).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.head);
    }
    let seen = String::from_utf8_lossy(&app.bytes()).into_owned();
    assert!(!seen.contains(EVIL), "{seen}");
    let reached = app.count();
    let mut raw = server.raw().await;
    let reply = raw.ask(format!("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\nX-Auth-User : {EVIL}\r\n\r\n")).await;
    assert_eq!(reply.status, 400, "a space before the colon");
    assert_eq!(app.count(), reached);
}

#[tokio::test]
async fn headers_with_underscores_are_dropped_unless_the_operator_keeps_them() {
    for (rule, expected) in [("", ""), ("underscore_headers = \"keep\"", "kept")] {
        let app = RecordingUpstream::start();
        let server = Site::new(&app, &format!("{rule}\n{RULES}")).start().await;
        let call = server.client().get("/public/a").header("x_custom", "kept").header("x_auth_user", EVIL);
        call.await.is(200);
        assert_eq!(app.last().header("x_custom"), expected, "{rule}");
        assert_eq!(app.last().family("x-auth"), [], "{rule}");
    }
}

#[tokio::test]
async fn sec_hdr_03_ours_replaces_and_is_never_added_to() {
    let app = RecordingUpstream::start();
    let rules = format!("{RULES}\n[identity_headers]\nset = {{ \"x-tenant-ID\" = \"data.email\" }}\n");
    let server = Site::new(&app, &rules).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let call = client.get("/a").header("x-auth-user", EVIL).header("x-auth-user", EVIL).header("x-auth-user", "a, b");
    call.header("X-Tenant-Id", EVIL).header("x-tenant-id", EVIL).await.is(200);
    let seen = app.last();
    assert_eq!(seen.header("x-auth-user"), server.user_id("ann@example.com"));
    assert_eq!(seen.header("x-tenant-id"), "ann@example.com");
    server.client().get("/public/a").header("x-tenant-id", EVIL).await.is(200);
    assert_eq!(app.last().header("x-tenant-id"), "");
}

#[tokio::test]
async fn sec_hdr_04_connection_cannot_take_our_headers_away() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for value in ["close, X-Auth-User", "x-auth-user", "X-Forwarded-For", "Host", "x-auth-roles, keep-alive"] {
        let reply = client.get("/page").header("connection", value).await;
        assert_eq!(reply.status, 400, "Connection: {value}: {}", reply.describe());
    }
    let two = client.get("/page").header("connection", "keep-alive").header("connection", "x-auth-user").await;
    two.is(400);
    assert_eq!(app.count(), 0);
    client.get("/page").header("connection", "close, x-custom").header("x-custom", "hop").await.is(200);
    assert!(!app.last().headers.contains_key("x-custom"), "what Connection names goes no further");
}

#[tokio::test]
async fn sec_hdr_04_hop_by_hop_headers_end_here() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let call =
        server.client().get("/public/a").header("keep-alive", "timeout=5").header("proxy-authorization", "Basic eA==");
    let call = call.header("proxy-connection", "keep-alive").header("te", "gzip").header("x-end-to-end", "stays");
    call.await.is(200);
    let seen = app.last();
    for name in ["keep-alive", "proxy-authorization", "proxy-connection", "upgrade"] {
        assert_eq!(seen.header(name), "", "{name}");
    }
    assert_ne!(seen.header("te"), "gzip");
    assert_eq!(seen.header("x-end-to-end"), "stays");
}

#[tokio::test]
async fn sec_hdr_05_original_url_headers_choose_no_rule_and_go_no_further() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let names = [
        "x-original-url",
        "x-rewrite-url",
        "x-original-method",
        "x-forwarded-uri",
        "x-forwarded-method",
        "x-envoy-original-path",
        "x-replaced-path",
        "x-forwarded-prefix",
        "x-original-uri",
    ];
    for name in names {
        server.client().get("/admin/keys").header(name, "/public/x").await.is(401);
        assert_eq!(app.count(), 0, "{name}");
    }
    for name in names {
        server.client().get("/public/x").header(name, "/admin/keys").await.is(200);
        assert!(!app.last().headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn sec_hdr_07_an_unreadable_client_address_denies() {
    let app = RecordingUpstream::start();
    let rules = "[trusted_proxies]\naddresses = [\"127.0.0.2\"]\n[routes]\n\"/**\" = { all = \"anyone\" }\n\
                 \"/office/**\" = { all = \"anyone\", from = [\"10.0.0.0/8\"] }\n";
    let server = Site::new(&app, rules).start().await;
    let (proxy, direct) = (server.client().from("127.0.0.2"), server.client());
    proxy.get("/office/a").header("x-forwarded-for", "10.1.2.3").await.is(200);
    let long = "10.1.2.3, ".repeat(400) + "x";
    for value in ["a", "", "1.2.3.4, ,5", "[::1", "unknown", long.as_str(), "10.1.2.3, 203.0.113.9", "10.1.2.3, junk"] {
        let reply = proxy.get("/office/a").header("x-forwarded-for", value).await;
        assert_eq!(reply.status, 403, "{value:.40}: {}", reply.describe());
    }
    let two = proxy.get("/office/a").header("x-forwarded-for", "10.1.2.3").header("x-forwarded-for", "203.0.113.9");
    two.await.is(403);
    proxy.get("/office/a").await.is(403);
    direct.get("/office/a").header("x-forwarded-for", "10.1.2.3").await.is(403);
    assert_eq!(app.count(), 1);
}

/// SEC-RATE-02: an address is the same for a rule in every form.
#[tokio::test]
async fn sec_rate_02_a_rule_by_address_knows_its_mapped_form_and_no_zone() {
    let app = RecordingUpstream::start();
    let rules = "[trusted_proxies]\naddresses = [\"127.0.0.2\"]\n[routes]\n\"/**\" = { all = \"anyone\" }\n\
                 \"/office/**\" = { all = \"anyone\", from = [\"10.0.0.0/8\", \"2001:db8::/32\", \"fe80::/10\"] }\n";
    let server = Site::new(&app, rules).start().await;
    let status = async |address: &str| {
        let call = server.client().from("127.0.0.2").get("/office/a").header("x-forwarded-for", address);
        call.await.status.as_u16()
    };
    for inside in ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:0A01:0203", "[::ffff:10.1.2.3]:443", "2001:DB8::A", "fe80::1"]
    {
        assert_eq!(status(inside).await, 200, "{inside}");
    }
    for outside in ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:11.1.2.3", "2001:db9::a", "fe80::1%eth0", "10.1.2.3%1"] {
        assert_eq!(status(outside).await, 403, "{outside}");
    }
}

#[tokio::test]
async fn sec_hdr_08_a_name_becomes_one_readable_header_or_none() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES);
    let names = ["Bücher 100%", "smile 😀", "plain name"];
    let keys: Vec<_> = names.iter().map(|name| site.key(&[name])).collect();
    let forged = site.cli(&["keys", "create", "x\r\nX-Auth-Roles: admin"]);
    let server = site.start().await;
    for (name, key) in names.iter().zip(&keys) {
        server.client().get("/machines/a").header("x-api-key", key).await.is(200);
        let value = app.last().header("x-auth-name");
        assert!(value.is_ascii(), "{value}");
        assert_eq!(percent_decode_str(&value).decode_utf8().unwrap(), *name);
    }
    assert_eq!(app.last().header("x-auth-name"), "plain name", "printable ASCII without a percent sign stays");
    if forged.code == 0 {
        let key = forged.stdout.split_whitespace().find(|word| word.starts_with("vk_")).unwrap().to_owned();
        server.client().get("/machines/a").header("x-api-key", key).await.is(200);
        assert_eq!(app.last().header("x-auth-roles"), "");
    }
    assert!(!String::from_utf8_lossy(&app.bytes()).contains("\nX-Auth-Roles: admin"));
}

#[tokio::test]
async fn sec_hdr_09_request_trailers_carry_no_identity() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let mut raw = server.raw().await;
    let reply = raw
        .ask(format!(
            "POST /public/a HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: x-auth-user, x-sum\r\n\r\n\
             3\r\nabc\r\n0\r\nX-Auth-User: {EVIL}\r\nX_Auth_Roles: {EVIL}\r\nAuthorization: Bearer {EVIL}\r\nContent-Length: 0\r\nx-sum: 9\r\n\r\n"
        ))
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(&app.last().body[..], b"abc");
    assert!(!String::from_utf8_lossy(&app.bytes()).contains(EVIL), "{:?}", app.last());
    assert_eq!(app.last().headers.get("x-sum"), None, "trailers are never merged into the head");
}

#[tokio::test]
async fn sec_hdr_09_answer_trailers_set_no_cookie() {
    let app = RecordingUpstream::scripted(|_| {
        let mut trailers = HeaderMap::new();
        trailers.insert("set-cookie", HeaderValue::from_static("__Host-sess=evil; Path=/"));
        trailers.insert("x-up-sum", HeaderValue::from_static("9"));
        Answer::Trailers(Response::builder().header("trailer", "x-up-sum").body("abc".into()).unwrap(), trailers)
    });
    let server = site(&app).await;
    let reply = server.client().get("/public/a").header("te", "trailers").await;
    let trailers = reply.trailers.clone().unwrap_or_default();
    assert!(!trailers.contains_key("set-cookie"), "{trailers:?}");
    assert_eq!(reply.text(), "abc");
}

#[tokio::test]
async fn an_app_that_answers_with_our_cookie_name_is_not_believed() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let ours = format!("{}=evil; Path=/; HttpOnly", client.session_name());
    app.script(move |_| Answer::text("").header("set-cookie", &ours).header("set-cookie", "app=1; Path=/"));
    let reply = client.get("/page").await;
    let names: Vec<_> = reply.cookies().into_iter().map(|cookie| cookie.name).collect();
    assert_eq!(names, ["app"], "sec_cook_07");
}

#[tokio::test]
async fn an_app_is_not_asked_for_its_version() {
    let app = RawUpstream::start("HTTP/1.1 200 OK\r\nServer: app/1\r\nContent-Length: 2\r\n\r\nok").await;
    let server = Site::before(&app.url(), RULES).start().await;
    let reply = server.client().expecting(&["server"]).get("/public/a").await;
    assert_eq!(reply.text(), "ok");
    assert_ne!(reply.header("server"), "vestibule");
    let refusal = server.client().get("/admin/a").await;
    assert_eq!(refusal.header("server"), "", "our own answers name no program");
}
