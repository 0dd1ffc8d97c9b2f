//! Configurations that others publish for gateways, with our address in place of theirs, and what those do not say.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::aliases::{TOLD, signed_in, site};
use crate::decisions::gateways::{caddy_with, nginx_with};
use crate::headers::EVIL;
use crate::support::site::PASSWORD;
use crate::support::{Client, RecordingUpstream, Vestibule, within};

/// Authelia's for nginx: where to sign in is what the answer says. Our pages live at the host that is asked for.
fn authelia_nginx(server: SocketAddr, app: SocketAddr) -> String {
    format!(
        "server {{ listen 80;\n\
         location /.auth/ {{ proxy_pass http://{server}; proxy_set_header Host $http_host; }}\n\
         location /internal/authelia/authz {{ internal; proxy_pass http://{server}/api/authz/auth-request;\n\
           proxy_set_header X-Original-Method $request_method;\n\
           proxy_set_header X-Original-URL $scheme://$http_host$request_uri;\n\
           proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Content-Length \"\";\n\
           proxy_set_header Connection \"\"; proxy_pass_request_body off; proxy_http_version 1.1; }}\n\
         location / {{ auth_request /internal/authelia/authz;\n\
           auth_request_set $user $upstream_http_remote_user; proxy_set_header Remote-User $user;\n\
           auth_request_set $groups $upstream_http_remote_groups; proxy_set_header Remote-Groups $groups;\n\
           auth_request_set $email $upstream_http_remote_email; proxy_set_header Remote-Email $email;\n\
           auth_request_set $name $upstream_http_remote_name; proxy_set_header Remote-Name $name;\n\
           auth_request_set $redirection_url $upstream_http_location; error_page 401 =302 $redirection_url;\n\
           proxy_pass http://{app}; }} }}\n"
    )
}

/// Authelia's for Caddy.
fn authelia_caddy(server: SocketAddr, app: SocketAddr) -> String {
    format!(
        "http://blog.example.com {{\n\thandle /.auth/* {{\n\t\treverse_proxy {server}\n\t}}\n\
         \thandle {{\n\t\tforward_auth {server} {{\n\t\t\turi /api/authz/forward-auth\n\
         \t\t\tcopy_headers Remote-User Remote-Groups Remote-Email Remote-Name\n\t\t}}\n\
         \t\treverse_proxy {app}\n\t}}\n}}\n"
    )
}

/// What the nginx of a Kubernetes ingress is told by `auth-url`, `auth-signin` and `auth-response-headers`.
fn ingress(server: SocketAddr, app: SocketAddr) -> String {
    format!(
        "server {{ listen 80;\n\
         location /oauth2 {{ proxy_pass http://{server}; proxy_set_header Host $http_host;\n\
           proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; }}\n\
         location = /_external-auth {{ internal; proxy_pass http://{server}/oauth2/auth; proxy_http_version 1.1;\n\
           proxy_pass_request_body off; proxy_set_header Content-Length \"\";\n\
           proxy_set_header X-Forwarded-Proto \"\"; proxy_set_header Host $http_host;\n\
           proxy_set_header X-Original-URL $scheme://$http_host$request_uri;\n\
           proxy_set_header X-Original-Method $request_method; proxy_set_header X-Real-IP $remote_addr;\n\
           proxy_set_header X-Sent-From nginx-ingress-controller; proxy_set_header X-Forwarded-For $remote_addr;\n\
           proxy_set_header X-Auth-Request-Redirect $request_uri; }}\n\
         location / {{ auth_request /_external-auth; auth_request_set $auth_cookie $upstream_http_set_cookie;\n\
           add_header Set-Cookie $auth_cookie;\n\
           auth_request_set $authHeader0 $upstream_http_x_auth_request_email;\n\
           proxy_set_header X-Auth-Request-Email $authHeader0; error_page 401 = @signin;\n\
           proxy_set_header Host $http_host; proxy_pass http://{app}; }}\n\
         location @signin {{ internal; add_header Set-Cookie $auth_cookie;\n\
           return 302 http://$http_host/oauth2/start?rd=$request_uri; }} }}\n"
    )
}

/// A visitor is led to the sign-in, comes back, and the app learns who that is from this header, and from nobody else.
async fn leads_in_and_back(server: &Vestibule, at: SocketAddr, app: &RecordingUpstream, told: &str) -> Client {
    within("a gateway", async {
        while TcpStream::connect(at).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let client = Client::new(at, server.client().origin()).expecting(&["server", "connection", "location"]);
    let reply = client.get("/page?a=b").navigate().await;
    assert!(reply.status.is_redirection(), "{}", reply.describe());
    let path = reply.location().strip_prefix("http://app.localhost").unwrap_or_else(|| panic!("{}", reply.describe()));
    let page = client.get(path).navigate().await;
    let text = page.is(200).text().replace("&#x2f;", "/");
    let action = text.split("action=\"").find_map(|rest| rest.split('"').next().filter(|to| to.contains("userpass")));
    let form = [("email", "ann@example.com"), ("password", PASSWORD), ("rd", "/page?a=b")];
    assert!(text.contains("value=\"/page?a=b\""), "{text}");
    let reply = client.post(action.unwrap()).submit(&form).await;
    assert_eq!(reply.is(303).location(), "/page?a=b");
    assert_eq!(app.count(), 0);
    client.get("/page?a=b").navigate().header(told, EVIL).await.is(200);
    assert_eq!(app.last().header(told), "ann@example.com");
    client.get("/public/x").script().header(told, EVIL).await.is(200);
    let stranger = client.stranger();
    stranger.get("/public/x").script().header(told, EVIL).await.is(200);
    assert_eq!(app.last().header(told), "");
    client
}

#[tokio::test]
async fn what_authelia_publishes_for_nginx_works_with_our_address() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"authelia\"]").await;
    let Some((_nginx, at)) = nginx_with(&authelia_nginx(server.address(), app.address())) else { return };
    leads_in_and_back(&server, at, &app, "remote-email").await;
}

#[tokio::test]
async fn what_authelia_publishes_for_caddy_works_with_our_address() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"authelia\"]").await;
    let Some((_caddy, at)) = caddy_with(&authelia_caddy(server.address(), app.address())) else { return };
    leads_in_and_back(&server, at, &app, "remote-email").await;
}

#[tokio::test]
async fn the_annotations_of_an_ingress_work_with_our_address() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\"]\nprefix = \"/oauth2\"").await;
    let Some((_nginx, at)) = nginx_with(&ingress(server.address(), app.address())) else { return };
    let client = leads_in_and_back(&server, at, &app, "x-auth-request-email").await;
    // `rd` of the sign-out is where one is after it.
    let page = client.get("/oauth2/sign_out?rd=%2Fpublic%2Fbye").navigate().await;
    assert!(page.is(200).text().replace("&#x2f;", "/").contains("value=\"/public/bye\""), "{}", page.text());
    let reply = client.post("/oauth2/logout").submit(&[("rd", "/public/bye")]).await;
    assert_eq!(reply.is(303).location(), "/public/bye");
    assert!(client.get("/page").navigate().await.location().contains("/oauth2/start"));
}

/// An ingress says the scheme nowhere else, and an origin is compared with it.
#[tokio::test]
async fn the_scheme_of_a_request_is_that_of_its_whole_address() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\"]").await;
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    for (url, origin, status) in [
        ("https://app.localhost/page", "https://app.localhost", 202),
        ("https://app.localhost/page", "http://app.localhost", 403),
        ("http://app.localhost/page", "http://app.localhost", 202),
        ("http://app.localhost/page", "https://app.localhost", 403),
        ("/page", "http://app.localhost", 202),
    ] {
        let call = ann.get("/oauth2/auth").header("x-original-url", url).header("x-original-method", "POST");
        assert_eq!(call.header("origin", origin).await.status, status, "{url} {origin}");
    }
}

/// SEC-CSRF: oauth2-proxy's nginx does not say the method; what a browser sends along with a POST tells.
#[tokio::test]
async fn what_another_site_posts_is_refused_also_where_the_method_is_not_said() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\"]").await;
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    let ask = async |lines: &[(&str, &str)]| {
        let call = ann.get("/oauth2/auth").header("x-forwarded-uri", "/page");
        lines.iter().fold(call, |call, (name, value)| call.header(name, value)).await.status
    };
    assert_eq!(ask(&[("origin", "http://evil.test")]).await, 403);
    assert_eq!(ask(&[("origin", "null"), ("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(ask(&[("origin", "http://app.localhost")]).await, 202);
    // A link on another site leads here.
    assert_eq!(ask(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]).await, 202);
    assert_eq!(ask(&[("origin", "http://evil.test"), ("x-forwarded-method", "GET")]).await, 202);
}

/// oauth2-proxy's nginx says of each page at which address it was asked for, also of those that are no place to return to.
#[tokio::test]
async fn a_sign_in_page_is_no_place_to_return_to() {
    let app = RecordingUpstream::start();
    let server = site(&app, "aliases = [\"oauth2-proxy\"]").await;
    let client = server.client().expecting(&TOLD);
    for (said, rd) in [("/oauth2/sign_in", "/"), ("http://app.localhost/oauth2/start", "/"), ("/page", "/page")] {
        let page = client.get("/oauth2/sign_in").navigate().header("x-auth-request-redirect", said).await;
        let text = page.is(200).text().replace("&#x2f;", "/");
        assert!(text.contains(&format!("name=\"rd\" value=\"{rd}\"")), "{said}: {text}");
    }
}
