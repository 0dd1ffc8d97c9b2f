//! A refusal speaks to who asks: a page for people, a status for programs, never a redirect for a machine.

use crate::support::client::Call;
use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
roles = ["editor"]
[providers.anon-user]
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/guests/**" = { all = "guest" }
"/public/**" = { all = "anyone" }
"/admin/**" = { all = "role:editor" }
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &[]).start().await
}

#[tokio::test]
async fn a_navigation_is_led_to_the_login_page_and_back() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    let reply = client.get("/posts/7?draft=a%26b&x").navigate().await;
    assert!(reply.leads_to_login(), "{}", reply.describe());
    assert_eq!((reply.header("cache-control"), reply.header("vary").is_empty()), ("no-store", false));
    let login = reply.location().strip_prefix(client.origin()).unwrap_or(reply.location()).to_owned();
    let page = client.get(&login).navigate().await;
    assert!(page.is(200).header("content-type").starts_with("text/html"));
    let (_, query) = login.split_once('?').unwrap();
    let rd = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "rd").unwrap().1.into_owned();
    assert_eq!(rd.strip_prefix(client.origin()).unwrap_or(&rd), "/posts/7?draft=a%26b&x");
    let form = [("email", "ann@example.com"), ("password", "copper-lantern-47"), ("rd", rd.as_str())];
    let back = client.post("/.auth/login/local-userpass").submit(&form).await;
    let back = back.is(303).location();
    assert_eq!(back.strip_prefix(client.origin()).unwrap_or(back), "/posts/7?draft=a%26b&x");
    client.get("/posts/7?draft=a%26b&x").navigate().await.is(200);
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn an_old_browser_is_known_by_what_it_accepts() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let reply = server.client().get("/").header("accept", "text/html,*/*").await;
    assert!(reply.leads_to_login(), "{}", reply.describe());
    let head = server.client().method("HEAD", "/").navigate().await;
    assert!(head.leads_to_login(), "{}", head.describe());
    let form = server.client().post("/form").submit(&[("a", "b")]).await;
    assert!(form.leads_to_login(), "{}", form.describe());
}

#[tokio::test]
async fn everything_else_gets_a_status_and_a_problem() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let get = || server.client().get("/");
    let upgrade = |call: Call| {
        call.header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let asked: [(&str, Call); 8] = [
        ("a program", get()),
        ("a script", get().script()),
        ("a script that accepts pages", get().script().without("accept").header("accept", "text/html")),
        ("an image", get().fetch("no-cors", "image", "same-origin")),
        ("a preflight", preflight(&server)),
        ("an upgrade", upgrade(get())),
        ("an upgrade that navigates", upgrade(get().navigate())),
        ("an event stream", get().header("accept", "text/event-stream")),
    ];
    for (who, call) in asked {
        let reply = call.await;
        assert_eq!(reply.status, 401, "{who}: {}", reply.describe());
        assert!(reply.header("www-authenticate").starts_with("Bearer"), "{who}: {}", reply.describe());
        assert_eq!((reply.code().as_str(), reply.header("cache-control")), ("authn.needed", "no-store"), "{who}");
        assert!(reply.cookies().is_empty(), "{who}");
    }
    assert_eq!(app.count(), 0);
}

fn preflight(server: &Vestibule) -> Call {
    let call = server.client().method("OPTIONS", "/").header("origin", "https://other.test");
    call.header("access-control-request-method", "PUT").fetch("cors", "empty", "cross-site")
}

#[tokio::test]
async fn a_refused_account_is_told_so_and_not_sent_in_circles() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let page = client.get("/admin/x").navigate().await;
    assert!(page.is(403).header("content-type").starts_with("text/html"), "{}", page.describe());
    assert!(page.header("content-security-policy").contains("default-src 'none'"), "{}", page.describe());
    assert_eq!(client.get("/admin/x").script().await.is(403).code(), "authz.denied");
    assert_eq!(client.get("/admin/x").await.is(403).code(), "authz.denied");
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn a_refused_guest_is_asked_to_sign_in_like_a_stranger() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let guest = server.client();
    guest.post("/.auth/login/anon-user").submit(&[]).await.is(303);
    guest.get("/guests/a").script().await.is(200);
    assert!(guest.get("/admin/x").navigate().await.leads_to_login());
    guest.get("/admin/x").script().await.is(401);
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn an_unknown_session_cookie_counts_as_none_and_is_cleared() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let stale = server.client();
    stale.keep(&client.session_name(), &"A".repeat(client.session().len()));
    let reply = stale.get("/").navigate().await;
    assert!(reply.leads_to_login(), "{}", reply.describe());
    assert!(
        reply.cookies().iter().any(|cookie| cookie.clears() && cookie.name == client.session_name()),
        "{}",
        reply.describe()
    );
    assert!(stale.cookie().is_empty());
    let stale = server.client();
    stale.keep(&client.session_name(), "not a token");
    stale.get("/public/a").await.is(200);
    assert_eq!(app.last().family("x-auth"), []);
    stale.get("/").script().await.is(401);
}

#[tokio::test]
async fn a_bad_credential_is_refused_and_never_taken_for_a_guest() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    for (name, value) in [
        ("authorization", "Bearer nonsense"),
        ("x-api-key", "vk_nonsense"),
        ("authorization", "Bearer"),
        ("authorization", "Bearer a b"),
    ] {
        let page = server.client().get("/guests/a").navigate().header(name, value).await;
        assert!(matches!(page.status.as_u16(), 400 | 401), "{name}: {value}: {}", page.describe());
        assert!(page.cookies().is_empty(), "no guest is made: {}", page.describe());
        assert!(page.header("www-authenticate").starts_with("Bearer"), "{}", page.describe());
    }
    assert_eq!(app.count(), 0);
    server.client().get("/public/a").bearer("nonsense").await.is(200);
    assert_eq!(app.last().family("x-auth"), []);
}

#[tokio::test]
async fn the_first_credential_that_is_present_decides() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/").header("x-api-key", "vk_nonsense").await.is(200);
    let tokens = server.client().tokens("ann@example.com").await;
    let good = tokens["access_token"].as_str().unwrap();
    server.client().get("/").bearer(good).header("x-api-key", "vk_nonsense").await.is(200);
    server.client().get("/").bearer("nonsense").header("x-api-key", good).await.is(401);
}
