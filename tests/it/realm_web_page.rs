//! The example app in Chromium, on an origin of its own: CORS, a sign-in in a popup, and a link in a popup.

use std::path::Path;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::json;

use crate::realm_web::{APP, modules};
use crate::support::idp::fields;
use crate::support::site::PASSWORD;
use crate::support::trip::{back, callback, consent, with};
use crate::support::{Answer, Browser, Client, FakeIdp, RecordingUpstream, Reply, Signer, Site, Vestibule, tools};

/// Serves the folder of the example, with the package's bundle beside it.
fn pages(base: &'static str) -> RecordingUpstream {
    let bundle = std::fs::read_to_string(modules().join("realm-web/dist/bundle.iife.js")).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/realm-web");
    RecordingUpstream::scripted(move |request| {
        let name = request.target.split(['?', '#']).next().unwrap().trim_start_matches('/').to_owned();
        let (kind, text) = match name.as_str() {
            "realm-web.js" => ("text/javascript", bundle.clone()),
            "app.js" => ("text/javascript", std::fs::read_to_string(folder.join("app.js")).unwrap()),
            name => {
                let Ok(text) = std::fs::read_to_string(folder.join(name)) else { return Answer::status(404, "") };
                ("text/html", text.replace("data-base=\"\"", &format!("data-base=\"{base}\"")))
            }
        };
        let mut response = Response::new(Bytes::from(text));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Answer::Full(response)
    })
}

/// Google signs by RS256.
fn google() -> FakeIdp {
    FakeIdp::signing_with(Signer::rsa())
}

async fn server(pages: &RecordingUpstream, idp: &FakeIdp) -> Vestibule {
    let redirect = format!("redirect_uris = [\"{}/redirect.html\"]\n", pages.url());
    let app = APP.replace("functions = \"functions\"\n", &redirect).replace("[providers.custom-function]\n", "");
    let app = app.replace("javascript = \"functions/auth.js\"\n", "");
    let google = format!(
        "[providers.oauth2-google]\nissuer = \"{}\"\nclient_id = \"app\"\nclient_secret = {{ env = \"CORP_SECRET\" }}\n",
        idp.issuer()
    );
    let local = "[providers.local-userpass]\nsign_up = \"open\"\nconfirm = \"automatic\"\n";
    let site = Site::new(pages, &format!("{app}\n{local}{google}"));
    site.env("CORP_SECRET", "a long way to the lighthouse").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn app_11_and_45_to_49_a_page_of_another_origin_signs_in_and_links_by_popup() {
    a_visit(THIRD_PARTY_COOKIES_KEPT, "realm-web in Chromium").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_49_a_popup_links_where_browsers_keep_no_cookies_for_pages_of_other_sites() {
    a_visit(THIRD_PARTY_COOKIES_BLOCKED, "realm-web in Chromium without cookies of other sites").await;
}

/// The setting of Chromium; which of the two is its default differs from build to build.
const THIRD_PARTY_COOKIES_KEPT: u8 = 0;
const THIRD_PARTY_COOKIES_BLOCKED: u8 = 1;

async fn a_visit(cookies: u8, test: &str) {
    if !tools::have(&[&modules().join("realm-web")], test) {
        return;
    }
    let (pages, idp) = (pages("http://app.localhost"), google());
    let server = server(&pages, &idp).await;
    let preferences = json!({ "profile": { "cookie_controls_mode": cookies } });
    let Some(browser) = Browser::with(server.address(), test, preferences).await else { return };
    browser.go(&format!("{}/index.html", pages.url())).await;

    browser.click("#guest").await;
    browser.says("#told", "Welcome, guest.").await;
    browser.says("#who", "A guest").await;
    let id = user_id(&browser).await;

    browser.fill("input[name=email]", "ann@example.com").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.click("button[value=upgrade]").await;
    browser.says("#told", "Your account is ready.").await;
    browser.says("#who", &format!("ann@example.com ({id}): anon-user, local-userpass")).await;

    browser.click("#key").await;
    browser.says("#told", "shown this once: vk_").await;

    browser.click("#link").await;
    browser.says("#told", "Your Google account is added.").await;
    browser.says("#who", "local-userpass, oauth2-google").await;
    assert_eq!(user_id(&browser).await, id);

    browser.click("#out").await;
    browser.says("#who", "Nobody is signed in.").await;
    browser.click("#google").await;
    browser.says("#told", "Welcome.").await;
    browser.says("#who", &id).await;

    browser.fill("input[name=password]", "wrong-lantern-1").await;
    browser.click("button[value=login]").await;
    // The words of the error: a page that may not read them would see a network failure.
    browser.says("#told", "invalid username/password").await;

    browser.click("#out").await;
    browser.says("#who", "Nobody is signed in.").await;
    browser.fill("input[name=email]", "bob@example.com").await;
    browser.fill("input[name=password]", PASSWORD).await;
    browser.click("button[value=register]").await;
    browser.says("#told", "You can sign in now.").await;
    browser.click("button[value=login]").await;
    browser.says("#who", "bob@example.com").await;
    assert_ne!(user_id(&browser).await, id);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn app_48_a_popup_returns_to_named_addresses_alone() {
    let (upstream, idp) = (RecordingUpstream::start(), google());
    let server = server(&upstream, &idp).await;
    let good = format!("{}/redirect.html", upstream.url());
    let login = |redirect: &str| {
        format!(
            "/api/client/v2.0/app/blog-abcde/auth/providers/oauth2-google/login?state=abc&redirect={}",
            redirect.replace(':', "%3A").replace('/', "%2F")
        )
    };
    let visitor = || of_api(&server);
    let client = visitor();
    let sent = client.get(&login(&good)).navigate().await;
    sent.is(302);
    assert!(sent.location().starts_with(&idp.issuer()), "{}", sent.location());
    for odd in [format!("{good}/"), format!("{good}?x=1"), good.replace("http:", "https:"), String::new()] {
        let refused = visitor().get(&login(&odd)).navigate().await;
        refused.is(400);
        assert_eq!(refused.header("content-type"), "application/json");
    }
    // A callback in another browser, and one without an attempt, lead nowhere.
    let state = sent.location().split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    for state in [state.as_str(), "nonsense"] {
        let target = format!("/api/client/v2.0/auth/callback?code=x&state={state}");
        visitor().get(&target).navigate().await.is(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn app_45_to_47_a_popup_comes_back_with_its_state_and_four_parts_or_an_error() {
    let (upstream, idp) = (RecordingUpstream::start(), google());
    let server = server(&upstream, &idp).await;
    let redirect = format!("{}/redirect.html", upstream.url()).replace(':', "%3A").replace('/', "%2F");
    let device = "eyJwbGF0Zm9ybSI6Im5vZGUiLCJkZXZpY2VJZCI6IjVmMWEyYjNjNGQ1ZTZmN2E4YjljMGQxZSJ9";
    let target = format!("{APP_ROOT}/oauth2-google/login?state=abc&redirect={redirect}&device={device}");
    for error in [None, Some("access_denied"), Some("server_error")] {
        let browser = of_api(&server);
        let sent = browser.get(&target).navigate().await;
        let back_to = callback(consent(sent.is(302).location()).await.location());
        let back_to = error.map_or(back_to.clone(), |error| with(&with(&back_to, "code", None), "error", Some(error)));
        let reply = back(&browser, &back_to).await;
        let (page, fragment) = reply.is(302).location().split_once('#').unwrap();
        assert_eq!(page, format!("{}/redirect.html", upstream.url()));
        let said = fields(fragment);
        assert_eq!((said["_baas_state"].as_str(), said["_stitch_state"].as_str()), ("abc", "abc"));
        assert_eq!(said["_baas_client_app_id"], "blog-abcde");
        assert_eq!(
            (said.contains_key("_baas_error"), said.contains_key("_baas_ua")),
            (error.is_some(), error.is_none())
        );
        if let Some(ua) = said.get("_baas_ua") {
            let parts: Vec<&str> = ua.split('$').collect();
            assert_eq!((parts.len(), parts[3]), (4, "5f1a2b3c4d5e6f7a8b9c0d1e"), "{ua}");
            let profile = of_api(&server).get("/api/client/v2.0/auth/profile").bearer(parts[0]).await.is(200).json();
            assert_eq!(profile["user_id"], parts[2]);
            of_api(&server).post("/api/client/v2.0/auth/session").bearer(parts[1]).await.is(201);
        }
    }
}

/// A guest who wants to link, and the session's tokens.
struct Guest<'s> {
    server: &'s Vestibule,
    access: String,
    refresh: String,
}

impl<'s> Guest<'s> {
    async fn of(server: &'s Vestibule) -> Self {
        let login = format!("{APP_ROOT}/anon-user/login");
        let tokens = of_api(server).post(&login).json(&json!({})).await.is(200).json();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self { server, access: token("access_token"), refresh: token("refresh_token") }
    }

    /// Asks for a link as the SDK does, and consents at the provider: the target of the callback.
    async fn asks(&self, client: &Client, redirect: &str) -> String {
        let query = "link=true&state=abc&providerRedirectHeader=true&redirect";
        let origin = redirect.strip_suffix("/redirect.html").unwrap();
        let redirect = redirect.replace(':', "%3A").replace('/', "%2F");
        let login = client.get(&format!("{APP_ROOT}/oauth2-google/login?{query}={redirect}"));
        let reply = login.bearer(&self.access).header("origin", origin).await;
        assert_eq!(reply.is(200).header("access-control-allow-credentials"), "true");
        assert!(reply.header("access-control-expose-headers").contains("x-baas-location"));
        let cookie = reply.cookies().remove(0);
        assert!(cookie.has("samesite=none") && cookie.has("secure") && cookie.has("httponly"), "{cookie:?}");
        callback(consent(reply.header("x-baas-location")).await.location())
    }

    /// The ways to sign in that a token of the session shows.
    async fn ways(&self, token: &str) -> Vec<String> {
        let profile = of_api(self.server).get("/api/client/v2.0/auth/profile").bearer(token).await.is(200).json();
        let ways = profile["identities"].as_array().unwrap().iter();
        ways.map(|identity| identity["provider_type"].as_str().unwrap().to_owned()).collect()
    }

    /// Another access token of the session.
    async fn refreshed(&self) -> String {
        let reply = of_api(self.server).post("/api/client/v2.0/auth/session").bearer(&self.refresh).await;
        reply.is(201).json()["access_token"].as_str().unwrap().to_owned()
    }
}

/// The access token in the fragment that a popup comes back with.
fn handed(reply: &Reply) -> String {
    reply.is(302);
    let (page, fragment) = reply.location().split_once('#').unwrap();
    assert!(page.ends_with("/redirect.html"), "{page}");
    let fragment = fields(fragment);
    assert_eq!((fragment["_baas_state"].as_str(), fragment["_baas_link"].as_str()), ("abc", "ok"), "{fragment:?}");
    let parts: Vec<&str> = fragment["_baas_ua"].split('$').collect();
    assert_eq!(parts.len(), 4, "{parts:?}");
    parts[0].to_owned()
}

/// SEC-OAUTH-01: an attacker who began gets nothing from somebody else's consent.
#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_01_a_link_that_no_cookie_binds_is_finished_by_whom_the_consent_came_back_to() {
    let (upstream, idp) = (RecordingUpstream::start(), google());
    let server = server(&upstream, &idp).await;
    let redirect = format!("{}/redirect.html", upstream.url());
    let guest = Guest::of(&server).await;
    let target = guest.asks(&of_api(&server), &redirect).await;
    let token = handed(&back(&of_api(&server), &target).await);
    assert_eq!(idp.count("/token"), 0, "nothing is done yet");
    back(&of_api(&server), &target).await.is(400);

    assert_eq!(guest.ways(&guest.access).await, ["anon-user"]);
    assert_eq!(guest.ways(&guest.refreshed().await).await, ["anon-user"]);
    assert_eq!(guest.ways(&token).await, ["anon-user", "oauth2-google"]);
    assert_eq!(guest.ways(&guest.access).await, ["anon-user", "oauth2-google"]);

    // Whose account it is by now is said to the page that asks.
    let second = Guest::of(&server).await;
    let target = second.asks(&of_api(&server), &redirect).await;
    let token = handed(&back(&of_api(&server), &target).await);
    let profile = || of_api(&server).get("/api/client/v2.0/auth/profile").bearer(&token);
    assert_eq!(profile().await.is(409).json()["error"], "this identity belongs to another user");
    assert_eq!(second.ways(&token).await, ["anon-user"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn app_49_a_link_that_a_cookie_binds_is_done_when_the_popup_comes_back() {
    let (upstream, idp) = (RecordingUpstream::start(), google());
    let server = server(&upstream, &idp).await;
    let (guest, browser) = (Guest::of(&server).await, of_api(&server));
    let target = guest.asks(&browser, &format!("{}/redirect.html", upstream.url())).await;
    handed(&back(&browser, &target).await);
    assert_eq!(guest.ways(&guest.access).await, ["anon-user", "oauth2-google"]);
}

const APP_ROOT: &str = "/api/client/v2.0/app/blog-abcde/auth/providers";

/// A client that knows what the client API adds to its answers.
fn of_api(server: &Vestibule) -> Client {
    server.client().expecting(&[
        "x-appservices-request-id",
        "x-baas-location",
        "x-stitch-location",
        "access-control-expose-headers",
        "access-control-allow-credentials",
        "access-control-allow-origin",
        "vary",
    ])
}

async fn user_id(browser: &Browser) -> String {
    let text = browser.text("#who").await;
    text.split(['(', ')']).nth(1).unwrap_or_default().to_owned()
}
