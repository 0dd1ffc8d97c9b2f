//! Vestibule inside a program: axum apps behind it, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::routing::{get, post};
use axum::{Router, serve};
use tokio::net::TcpListener;
use tower::{Layer as _, Service as _};
use vestibule::test::{Person, SignedIn, TestVestibule};
use vestibule::{Identity, Vestibule, identity};

use crate::support::Client;

pub const ORIGIN: &str = "http://app.localhost";

pub const RULES: &str = r#"
public_url = "http://app.localhost"
roles = ["editor"]
[providers.local-userpass]
sign_up = "open"
[providers.anon-user]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"/guests/**" = { all = "guest" }
"/editors/**" = { all = "role:editor" }
"#;

pub async fn kit(toml: &str) -> TestVestibule {
    TestVestibule::new(toml).await.unwrap()
}

/// What says whom the app was told of.
async fn told(who: Option<Identity>, request: Request) -> String {
    assert_eq!(identity(&request).map(Identity::id), who.as_ref().map(Identity::id));
    let header = |name: &str| request.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let who = who.map_or("nobody".to_owned(), |who| format!("{} {}", who.kind().as_str(), who.email().unwrap_or("-")));
    format!("{who} | {} {} {}", header("x-auth-kind"), header("x-auth-email"), header("cookie"))
}

pub fn app() -> Router {
    Router::new()
        .route("/", get(told))
        .route("/mine", get(async |who: Identity| who.id().to_string()))
        .route("/post", post(async |who: Identity, body: String| format!("{} {body}", who.kind().as_str())))
        .route("/public/x", get(told))
        .route("/public/mine", get(async |who: Identity| who.id().to_string()))
        .route("/editors/x", get(told))
        .route("/guests/x", get(told))
}

/// Serves the app behind its gate.
pub async fn protected(gate: &Vestibule, app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = gate.protect(app).into_make_service();
    tokio::spawn(async move { serve(listener, app).await.unwrap() });
    address
}

/// Serves the router as it is.
pub async fn served(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { serve(listener, app).await.unwrap() });
    address
}

pub fn client(address: SocketAddr) -> Client {
    Client::new(address, ORIGIN)
}

/// The same signed in.
pub fn signed_in(client: &Client, who: &SignedIn) -> Client {
    let client = client.stranger();
    let cookie = who.cookie();
    let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
    client.keep(name, value);
    client
}

#[tokio::test]
async fn an_app_inside_knows_who_asks_and_strangers_do_not_arrive() {
    let kit = kit(RULES).await;
    let client = client(protected(kit.gate(), app()).await);
    client.get("/").script().await.is(401);
    assert!(client.get("/").navigate().await.leads_to_login());
    let ann = signed_in(&client, &kit.sign_in("ann@example.com").await.unwrap());
    assert_eq!(ann.get("/").script().await.is(200).text(), "user ann@example.com | user ann@example.com -");
    ann.get("/editors/x").script().await.is(403);
}

#[tokio::test]
async fn people_sign_in_on_pages_that_the_gate_serves_itself() {
    let kit = kit(RULES).await;
    let client = client(protected(kit.gate(), app()).await);
    let page = client.get("/.auth/login").navigate().await.is(200).text();
    assert!(page.contains("<form"), "{page}");
    client.post("/.auth/register").submit(&[("email", "max@example.com"), ("password", "copper-lantern-47")]).await;
    let mails = kit.outbox();
    let mail = mails.iter().find(|mail| mail.to == "max@example.com").unwrap();
    let link = mail.text.split_whitespace().find(|word| word.starts_with(ORIGIN)).unwrap();
    let token = link.split("token=").nth(1).unwrap().split('&').next().unwrap();
    client.post("/.auth/confirm").submit(&[("token", token)]).await;
    client
        .post("/.auth/login/local-userpass")
        .submit(&[("email", "max@example.com"), ("password", "copper-lantern-47")])
        .await;
    assert!(client.get("/").script().await.is(200).text().starts_with("user max@example.com"));
    client.post("/.auth/logout").submit(&[]).await;
    client.get("/").script().await.is(401);
}

#[tokio::test]
async fn sec_hdr_01_what_a_client_says_of_itself_does_not_reach_the_app() {
    let kit = kit(RULES).await;
    let client = client(protected(kit.gate(), app()).await);
    for name in ["x-auth-kind", "X-Auth_Kind", "x_auth_kind", "x-auth--kind", "x-auth-email"] {
        let answer = client.get("/public/x").script().header(name, "admin@evil.example").await.is(200).text();
        assert_eq!(answer, "nobody | - - -", "{name}");
    }
}

#[tokio::test]
async fn a_guest_is_made_on_the_way_and_told_to_the_app() {
    let kit = kit(RULES).await;
    let client = client(protected(kit.gate(), app()).await);
    client.get("/guests/x").script().await.is(401);
    let first = client.get("/guests/x").navigate().await.is(200).text();
    assert_eq!(first, "guest - | guest - -");
    client.get("/guests/x").script().await.is(200);
    client.get("/").script().await.is(401);
}

#[tokio::test]
async fn a_handler_that_wants_somebody_refuses_nobody_where_the_rules_let_him_in() {
    let kit = kit(RULES).await;
    let client = client(protected(kit.gate(), app()).await);
    client.get("/public/mine").script().await.is(401);
    assert!(client.get("/public/mine").navigate().await.is(303).location().ends_with("%2Fpublic%2Fmine"));
    let max = kit.sign_in("max@example.com").await.unwrap();
    let text = signed_in(&client, &max).get("/public/mine").script().await.is(200).text();
    assert_eq!(text, max.id().to_string());
}

#[tokio::test]
async fn sec_csrf_01_another_site_cannot_make_a_browser_post() {
    let kit = kit(RULES).await;
    let ann = signed_in(&client(protected(kit.gate(), app()).await), &kit.sign_in("ann@example.com").await.unwrap());
    let post = || ann.post("/post").script().body("hello");
    post().without("origin").without("sec-fetch-site").header("origin", "https://evil.example").await.is(403);
    assert_eq!(post().await.is(200).text(), "user hello");
}

#[tokio::test]
async fn the_clock_of_a_test_ends_sessions() {
    let kit = kit(RULES).await;
    let ann = signed_in(&client(protected(kit.gate(), app()).await), &kit.sign_in("ann@example.com").await.unwrap());
    ann.get("/").script().await.is(200);
    kit.advance(Duration::from_hours(11));
    ann.get("/").script().await.is(200);
    kit.advance(Duration::from_hours(13));
    ann.get("/").script().await.is(401);
}

/// Services may be called outside of the runtime on which their answer is awaited, whatever there is to be looked up.
#[test]
fn a_call_needs_no_runtime_only_its_answer_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (kit, cookie) = runtime.block_on(async {
        let kit = kit(RULES).await;
        let cookie = kit.sign_in(Person::new("ann@example.com")).await.unwrap().cookie();
        (kit, cookie)
    });
    let mut app = kit.gate().layer().layer(app());
    for (credential, status) in [(Some(&cookie), 200), (Some(&cookie), 200), (None, 401)] {
        let mut request = Request::new(axum::body::Body::empty());
        *request.uri_mut() = "/mine".parse().unwrap();
        request.headers_mut().insert("host", "app.localhost".parse().unwrap());
        credential.map(|cookie| request.headers_mut().insert("cookie", cookie.clone()));
        let answer = app.call(request);
        assert_eq!(runtime.block_on(answer).unwrap().status(), status);
    }
}

#[tokio::test]
async fn two_gates_in_one_process_know_nothing_of_each_other() {
    let (one, two) = (kit(RULES).await, kit(RULES).await);
    let (here, there) = (protected(one.gate(), app()).await, protected(two.gate(), app()).await);
    let ann = one.sign_in(Person::new("ann@example.com").role("editor")).await.unwrap();
    signed_in(&client(here), &ann).get("/editors/x").script().await.is(200);
    signed_in(&client(there), &ann).get("/editors/x").script().await.is(401);
    two.advance(Duration::from_hours(24 * 40));
    signed_in(&client(here), &ann).get("/editors/x").script().await.is(200);
}
