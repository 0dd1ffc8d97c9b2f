//! The endpoint names of oauth2-proxy and Authelia: the same decisions, told in their words.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::headers::{EVIL, RULES};
use crate::support::site::PASSWORD;
use crate::support::tools::{self, Program};
use crate::support::traefik::{Middleware, Traefik};
use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule};

const TRUSTING: &str = "[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n";

pub const TOLD: [&str; 10] = [
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "remote-user",
    "remote-email",
    "remote-groups",
    "remote-name",
    "x-envoy-auth-headers-to-remove",
    "location",
];

pub async fn site(app: &RecordingUpstream, first: &str) -> Vestibule {
    let site = Site::new(app, &format!("{first}\n{RULES}\n{TRUSTING}"));
    site.user("ann@example.com", &["journalist", "admin"]).user("max@example.com", &[]).start().await
}

/// A page without the escapes of its slashes.
fn plain(page: &Reply) -> String {
    page.text().replace("&#x2f;", "/")
}

pub async fn signed_in(server: &Vestibule, prefix: &str, email: &str) -> Client {
    let client = server.client().expecting(&TOLD);
    let form = [("email", email), ("password", PASSWORD)];
    client.post(&format!("{prefix}/login/local-userpass")).submit(&form).await.is(303);
    client
}

#[tokio::test]
async fn oauth2_proxys_question_is_answered_202_or_401_and_never_by_a_redirect() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\"]").await;
    let stranger = server.client().expecting(&TOLD);
    let ask = async |client: &Client, target: &str| {
        client.get("/oauth2/auth").navigate().header("x-forwarded-uri", target).await
    };
    ask(&stranger, "/page").await.is(401);
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    let reply = ask(&ann, "/page").await;
    reply.is(202);
    assert_eq!(reply.header("x-auth-request-user"), server.user_id("ann@example.com"));
    assert_eq!(reply.header("x-auth-request-email"), "ann@example.com");
    assert_eq!(reply.header("x-auth-request-groups"), "admin,journalist");
    let max = signed_in(&server, "/.auth", "max@example.com").await;
    ask(&max, "/admin/x").await.is(403);
    let reply = ask(&max, "/page").await;
    reply.is(202);
    assert!(reply.headers.contains_key("x-auth-request-groups"), "the whole set is always there");
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn authelias_questions_are_answered_with_its_headers() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"authelia\"]").await;
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    let stranger = ann.stranger();
    for path in ["/api/authz/forward-auth", "/api/verify"] {
        let ask = |client: &Client| {
            let call = client.get(path).script().header("x-forwarded-method", "GET").header("remote-user", EVIL);
            call.header("x-forwarded-uri", "/admin/x")
        };
        ask(&stranger).await.is(401);
        let reply = ask(&ann).await;
        reply.is(200);
        assert_eq!(
            (reply.header("remote-email"), reply.header("remote-groups")),
            ("ann@example.com", "admin,journalist")
        );
        assert_eq!(reply.header("remote-user"), server.user_id("ann@example.com"), "{path}");
    }
    let ask = |client: &Client| {
        let call = client.get("/api/authz/auth-request").navigate().header("x-original-method", "GET");
        call.header("x-original-url", "http://app.localhost/admin/x")
    };
    ask(&stranger).await.is(401);
    ask(&ann).await.is(200);
    // As Authelia has it, Envoy's `path_prefix` ends in a slash.
    let reply = ann.get("/api/authz/ext-authz//admin/x").script().await;
    assert_eq!((reply.status.as_u16(), reply.header("remote-email")), (200, "ann@example.com"));
    for path in ["/api/authz/ext-authz/admin/x", "/api/authz/ext-authz///admin/x"] {
        ann.get(path).script().await.is(403);
    }
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn sec_fwd_01_an_alias_trusts_nobody_more_and_is_off_unless_named() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\", \"authelia\"]").await;
    for path in ["/oauth2/auth", "/api/verify", "/api/authz/forward-auth", "/api/authz/ext-authz//public/x"] {
        let stranger = server.client().from("127.0.0.9");
        let reply = stranger.get(path).script().header("x-forwarded-uri", "/public/x").await;
        reply.is(403);
        assert_eq!(reply.code(), "forward_auth.untrusted_peer", "{path}");
    }
    assert_eq!(app.count(), 0);
    let plain = site(&app, "").await;
    for path in ["/oauth2/auth", "/api/verify", "/oauth2/userinfo"] {
        plain.client().get(path).script().await.is(401);
        signed_in(&plain, "/.auth", "ann@example.com").await.get(path).script().await.is(200);
    }
    assert_eq!(app.count(), 3, "these paths are the app's");
}

#[tokio::test]
async fn oauth2_proxys_pages_are_ours() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\"]").await;
    let client = server.client();
    for path in ["/oauth2/sign_in?rd=%2Fpage", "/oauth2/start?rd=%2Fpage"] {
        let page = client.get(path).navigate().await;
        page.is(200);
        assert!(plain(&page).contains("/.auth/login/local-userpass"), "{path}");
        assert!(plain(&page).contains("value=\"/page\""), "{path}: {}", page.text());
    }
    client.get("/oauth2/userinfo").script().await.is(401);
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    let info = ann.get("/oauth2/userinfo").script().await.json();
    assert_eq!((&info["email"], &info["groups"][0]), (&"ann@example.com".into(), &"admin".into()));
    let page = ann.get("/oauth2/sign_out").navigate().await;
    page.is(200);
    assert!(page.text().contains("<button"), "a page that asks, and ends nothing");
    ann.get("/.auth/me").script().await.is(200);
}

/// The middlewares that oauth2-proxy documents for Traefik: `forwardAuth` at its address, `errors` with its page.
#[tokio::test]
async fn the_published_traefik_configuration_of_oauth2_proxy_works_with_our_address() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\"]\nprefix = \"/oauth2\"").await;
    let middleware = Middleware {
        server: server.address(),
        path: "/oauth2/auth",
        removes: &[],
        copies: |name| name.starts_with("x-auth-request-"),
        pages: "/oauth2/",
        on_refusal: Some("/oauth2/sign_in?rd={url}"),
    };
    let traefik = Traefik::start(middleware, app.address());
    let client = Client::new(traefik.address(), server.client().origin());
    let page = client.get("/page?a=b").navigate().await;
    page.is(401);
    assert!(plain(&page).contains("/oauth2/login/local-userpass"), "{}", page.text());
    assert!(plain(&page).contains("value=\"/page?a=b\""), "{}", page.text());
    assert_eq!(app.count(), 0);
    let form = [("email", "ann@example.com"), ("password", PASSWORD)];
    client.post("/oauth2/login/local-userpass?rd=%2Fpage").submit(&form).await.is(303);
    client.get("/page?a=b").navigate().header("x-auth-request-email", EVIL).await.is(200);
    assert_eq!(app.last().header("x-auth-request-email"), "ann@example.com");
    assert_eq!(app.last().header("x-auth-request-groups"), "admin,journalist");
}

/// The other one: `forwardAuth` alone, which hands the redirect on; another router asks where a redirect is of no use.
#[tokio::test]
async fn the_published_traefik_configuration_that_redirects_works_with_our_address() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\"]\nprefix = \"/oauth2\"").await;
    let copies: fn(&str) -> bool = |name| ["x-auth-request-access-token", "authorization"].contains(&name);
    let asking = |path| {
        let server = server.address();
        Traefik::start(
            Middleware { server, path, removes: &[], copies, pages: "/oauth2/", on_refusal: None },
            app.address(),
        )
    };
    let (redirecting, plain) = (asking("/oauth2/check"), asking("/oauth2/auth"));
    let client = Client::new(redirecting.address(), server.client().origin()).expecting(&["location"]);
    let reply = client.get("/page?a=b").navigate().await;
    assert_eq!(reply.is(303).location(), "http://app.localhost/oauth2/login?rd=%2Fpage%3Fa%3Db");
    let without = client.stranger().at(plain.address());
    without.get("/page").navigate().await.is(401);
    assert_eq!(app.count(), 0);
    let form = [("email", "ann@example.com"), ("password", PASSWORD)];
    client.post("/oauth2/login/local-userpass?rd=%2Fpage").submit(&form).await.is(303);
    client.get("/page?a=b").navigate().header("authorization", EVIL).await;
    client.get("/page?a=b").navigate().await.is(200);
    client.at(plain.address()).get("/page").script().await.is(200);
}

/// The `auth_request` configuration that oauth2-proxy documents, but for the addresses.
fn nginx(server: SocketAddr, app: SocketAddr) -> (Program, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let program = Program::start(Path::new("nginx"), |command, folder| {
        let config = folder.join("nginx.conf");
        let text = format!(
            "daemon off; worker_processes 1; pid {folder}/pid; error_log stderr info; events {{}}\n\
             http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
             server {{ listen {free};\n\
             location /oauth2/ {{ proxy_pass http://{server}; proxy_set_header Host $host;\n\
               proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Auth-Request-Redirect $request_uri; }}\n\
             location = /oauth2/auth {{ proxy_pass http://{server}; proxy_set_header Host $host;\n\
               proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-Uri $request_uri;\n\
               proxy_set_header Content-Length \"\"; proxy_pass_request_body off; }}\n\
             location / {{ auth_request /oauth2/auth; error_page 401 = @oauth2_signin;\n\
               auth_request_set $user $upstream_http_x_auth_request_user;\n\
               auth_request_set $email $upstream_http_x_auth_request_email;\n\
               proxy_set_header X-User $user; proxy_set_header X-Email $email;\n\
               auth_request_set $token $upstream_http_x_auth_request_access_token;\n\
               proxy_set_header X-Access-Token $token;\n\
               auth_request_set $auth_cookie $upstream_http_set_cookie; add_header Set-Cookie $auth_cookie;\n\
               auth_request_set $auth_cookie_upstream_1 $upstream_cookie__oauth2_proxy_1;\n\
               if ($auth_cookie ~* \"(; .*)\") {{ set $auth_cookie_0 $auth_cookie;\n\
                 set $auth_cookie_1 \"_oauth2_proxy_1=$auth_cookie_upstream_1$1\"; }}\n\
               if ($auth_cookie_upstream_1) {{ add_header Set-Cookie $auth_cookie_0;\n\
                 add_header Set-Cookie $auth_cookie_1; }}\n\
               proxy_pass http://{app}/; }}\n\
             location /api/ {{ auth_request /oauth2/auth; proxy_pass http://{app}; }}\n\
             location @oauth2_signin {{ return 302 /oauth2/sign_in?rd=$scheme://$host$request_uri; }}\n\
             }} }}\n",
            folder = folder.display(),
        );
        std::fs::write(&config, text).unwrap();
        command.arg("-p").arg(folder).arg("-c").arg(&config);
    });
    (program, free)
}

#[tokio::test]
async fn the_published_nginx_configuration_of_oauth2_proxy_works_with_our_address() {
    if !tools::have(&[Path::new("nginx")], "the_published_nginx_configuration_of_oauth2_proxy_works_with_our_address") {
        return;
    }
    let app = RecordingUpstream::start();
    // It hands on nothing but /oauth2/, so our pages live there.
    let server = site(&app, "aliases = [\"oauth2-proxy\"]\nprefix = \"/oauth2\"").await;
    let (nginx, address) = nginx(server.address(), app.address());
    nginx.said("start worker process").await;
    let client = Client::new(address, server.client().origin()).expecting(&["server", "connection", "location"]);
    let reply = client.get("/page?a=b").navigate().await;
    reply.is(302);
    let to = reply.location().to_owned();
    let path = &to[to.find("/oauth2/").unwrap()..];
    let page = client.get(path).navigate().await;
    page.is(200);
    assert!(plain(&page).contains("/oauth2/login/local-userpass"), "{}", page.text());
    client.get("/api/x").script().await.is(401);
    assert_eq!(app.count(), 0);
    let form = [("email", "ann@example.com"), ("password", PASSWORD)];
    let query = path.split_once('?').unwrap().1;
    let reply = client.post(&format!("/oauth2/login/local-userpass?{query}")).submit(&form).await;
    reply.is(303);
    client.get("/page?a=b").navigate().header("x-email", EVIL).header("x-auth-request-email", EVIL).await.is(200);
    assert_eq!(app.last().header("x-email"), "ann@example.com");
    assert_eq!(app.last().header("x-user"), server.user_id("ann@example.com"));
    client.get("/api/x").script().await.is(200);
    // What the decision says to the browser gets there: a cookie that is over goes.
    let over = client.stranger();
    over.keep(&client.session_name(), &format!("{}x", &client.session()[1..]));
    let reply = over.get("/public/x").navigate().await;
    let gone = reply.is(200).cookies().into_iter().find(|cookie| cookie.name == client.session_name());
    assert!(gone.is_some_and(|cookie| cookie.value.is_empty()), "{}", reply.describe());
}
