//! What the app receives: the whole set, ours, once, and nothing a client chose.

use http::{HeaderMap, HeaderValue, Response};
use percent_encoding::percent_decode_str;

use crate::support::{Answer, RawUpstream, RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
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
const EVIL: &str = "evil-identity";

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &["journalist", "admin"]).start().await
}

#[tokio::test]
async fn a_signed_in_visitor_reaches_the_app_with_the_whole_set() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/page?x=1").navigate().await.is(200);
    let seen = app.last();
    assert_eq!(seen.target, "/page?x=1");
    assert_eq!(seen.header("x-auth-user"), server.user_id("ann@example.com"));
    assert_eq!(seen.header("x-auth-kind"), "user");
    assert_eq!(seen.header("x-auth-provider"), "local-userpass");
    assert_eq!(seen.header("x-auth-email"), "ann@example.com");
    assert_eq!(seen.header("x-auth-roles"), "admin,journalist");
    assert!(!seen.header("x-auth-assertion").is_empty());
    assert!(!seen.headers.contains_key("x-auth-name"), "an absent value is an absent header");
}

#[tokio::test]
async fn a_guest_is_a_guest_and_a_stranger_is_nobody_to_the_app() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let guest = server.client();
    guest.get("/guests/a").navigate().await;
    guest.get("/guests/a").navigate().await.is(200);
    let seen = app.last();
    assert_eq!((seen.header("x-auth-kind").as_str(), seen.header("x-auth-provider").as_str()), ("guest", "anon-user"));
    assert_eq!(seen.header("x-auth-user").len(), 24);
    server.client().get("/public/a").await.is(200);
    assert_eq!(app.last().family("x-auth"), []);
    guest.get("/public/a").await.is(200);
    assert_eq!(app.last().header("x-auth-kind"), "guest", "a good credential is forwarded although none is asked for");
}

#[tokio::test]
async fn a_server_key_is_a_service_and_a_users_key_is_the_user() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES).user("ann@example.com", &["admin"]);
    let service = site.key(&["backup"]);
    let own = site.key(&["phone", "--user", &site.user_id("ann@example.com")]);
    let server = site.start().await;
    server.client().get("/machines/a").header("x-api-key", &service).await.is(200);
    let seen = app.last();
    assert_eq!((seen.header("x-auth-kind").as_str(), seen.header("x-auth-name").as_str()), ("service", "backup"));
    assert_eq!(seen.header("x-auth-provider"), "api-key");
    server.client().get("/admin/a").header("x-api-key", &own).await.is(200);
    let seen = app.last();
    assert_eq!((seen.header("x-auth-kind").as_str(), seen.header("x-auth-roles").as_str()), ("user", "admin"));
    assert_eq!(seen.header("x-auth-user"), server.user_id("ann@example.com"));
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
async fn each_preset_uses_the_names_of_its_kind_alone() {
    for (preset, user, email, groups) in [
        ("x-auth-request", "x-auth-request-user", "x-auth-request-email", "x-auth-request-groups"),
        ("remote", "remote-user", "remote-email", "remote-groups"),
    ] {
        let app = RecordingUpstream::start();
        let rules = format!("{RULES}\n[identity_headers]\npreset = \"{preset}\"\n");
        let server = Site::new(&app, &rules).user("ann@example.com", &["admin", "journalist"]).start().await;
        let client = server.client();
        client.sign_in("ann@example.com").await;
        client.get("/page").header(user, EVIL).header(groups, EVIL).await.is(200);
        let seen = app.last();
        assert!(![EVIL, ""].contains(&seen.header(user).as_str()), "{}", seen.head);
        assert_eq!(
            (seen.header(email).as_str(), seen.header(groups).as_str()),
            ("ann@example.com", "admin,journalist")
        );
        assert_eq!(seen.header("x-auth-user"), "", "{preset}");
        server.client().get("/public/a").header(user, EVIL).await.is(200);
        assert_eq!(app.last().header(user), "");
    }
}

#[tokio::test]
async fn the_preset_none_tells_the_app_only_what_the_operator_sets() {
    let app = RecordingUpstream::start();
    let rules = format!("{RULES}\n[identity_headers]\npreset = \"none\"\nset = {{ \"X-Mail\" = \"data.email\" }}\n");
    let server = Site::new(&app, &rules).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/page").header("x-mail", EVIL).await.is(200);
    assert_eq!(app.last().header("x-mail"), "ann@example.com");
    assert_eq!((app.last().family("x-auth"), app.last().family("remote")), (vec![], vec![]));
}

#[tokio::test]
async fn our_cookie_stays_here_and_the_others_arrive_byte_for_byte() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let cookies = format!("a=1; {}; b=\"2 %\"; =c; d=é", client.cookie());
    client.get("/page").without_cookies().header("cookie", cookies).await.is(200);
    let seen = app.last();
    assert_eq!(seen.header("cookie"), "a=1; b=\"2 %\"; =c; d=é");
    client.get("/page").await.is(200);
    assert!(!app.last().headers.contains_key("cookie"), "nothing left is no header");
    assert!(!String::from_utf8_lossy(&app.bytes()).contains(&client.session()));
}

#[tokio::test]
async fn keys_and_tokens_of_ours_stay_here() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES).user("ann@example.com", &[]);
    let key = site.key(&["backup"]);
    let server = site.start().await;
    let tokens = server.client().tokens("ann@example.com").await;
    let access = tokens["access_token"].as_str().unwrap();
    server.client().get("/page").bearer(access).await.is(200);
    server.client().get("/machines/a").header("x-api-key", &key).await.is(200);
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("any:{key}"));
    server.client().get("/machines/a").header("authorization", format!("Basic {basic}")).await.is(200);
    assert_eq!(app.count(), 3);
    for secret in [access, &key, &basic] {
        assert!(!String::from_utf8_lossy(&app.bytes()).contains(secret));
    }
}

#[tokio::test]
async fn the_apps_own_authorization_goes_on_when_it_did_not_decide() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/page").header("authorization", "Basic YXBwOm93bg==").await.is(200);
    assert_eq!(app.last().header("authorization"), "Basic YXBwOm93bg==");
    server.client().get("/public/a").header("authorization", "Bearer of-the-app").await.is(200);
    assert_eq!(app.last().header("authorization"), "Bearer of-the-app");
}

#[tokio::test]
async fn forwarding_headers_are_ours_and_the_host_is_the_clients() {
    let app = RecordingUpstream::start();
    let rules = format!("{RULES}\n[trusted_proxies]\naddresses = [\"127.0.0.2\"]\n");
    let server = Site::new(&app, &rules).start().await;
    let forge = |client: crate::support::Client| {
        let call =
            client.get("/public/a").header("x-forwarded-for", "198.51.100.7").header("x-forwarded-proto", "https");
        call.header("x-forwarded-host", "blog.example.com").header("forwarded", "for=198.51.100.7;proto=https")
    };
    forge(server.client()).await.is(200);
    let seen = app.last();
    assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(
        (seen.header("x-forwarded-proto").as_str(), seen.header("x-forwarded-host").as_str()),
        ("http", "app.localhost")
    );
    assert_eq!(seen.header("host"), "app.localhost");
    assert!(!seen.head.contains("198.51.100.7"), "{}", seen.head);
    forge(server.client().from("127.0.0.2")).await.is(200);
    let seen = app.last();
    assert_eq!(
        (seen.header("x-forwarded-for").as_str(), seen.header("x-forwarded-proto").as_str()),
        ("198.51.100.7, 127.0.0.2", "https")
    );
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
