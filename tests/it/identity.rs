//! What the app learns of a visitor: the whole set, by the names it knows, and none of our own credentials.

use super::headers::{EVIL, RULES, site};
use crate::support::{RecordingUpstream, Site};

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
async fn a_trusted_proxy_names_the_request_and_nobody_else_does() {
    let app = RecordingUpstream::start();
    let rules = "[trusted_proxies]\naddresses = [\"127.0.0.2\"]\n[routes]\n\"/**\" = { all = \"anyone\" }\n\
                 \"/closed/**\" = { all = \"nobody\" }\n";
    let server = Site::new(&app, rules).start().await;
    let (proxy, stranger) = (server.client().from("127.0.0.2"), server.client());
    let name = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";
    proxy.get("/a").header("x-request-id", name).await.is(200);
    assert_eq!(app.last().header("x-request-id"), name);
    assert!(server.log().line(name).await.contains("status=200"));
    let refused = proxy.get("/closed/a").header("x-request-id", name).await;
    assert_eq!(refused.header("x-request-id"), name);
    let long = "x".repeat(65);
    for bad in ["two words", "quote\"d", "{\"level\":\"info\"}", "\u{e4}", &long] {
        proxy.get("/a").header("x-request-id", bad).await.is(200);
        assert_eq!(app.last().header("x-request-id").len(), 16, "{bad}");
    }
    proxy.get("/a").header("x-request-id", name).header("x-request-id", "other").await.is(200);
    assert_eq!(app.last().header("x-request-id").len(), 16);
    stranger.get("/a").header("x-request-id", name).await.is(200);
    assert_eq!(app.last().header("x-request-id").len(), 16);
}
