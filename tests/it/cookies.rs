//! The session cookie: what it is, what is taken for it, and what is not.

use std::net::SocketAddr;

use crate::support::reply::SetCookie;
use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &[]).user("max@example.com", &[]).start().await
}

fn is_guarded(cookie: &SetCookie) {
    assert!(cookie.has("httponly") && cookie.has("path=/"), "{cookie:?}");
    assert!(cookie.has("samesite=lax") || cookie.has("samesite=strict"), "{cookie:?}");
    assert!(!cookie.attributes.iter().any(|attribute| attribute.starts_with("domain")), "{cookie:?}");
    assert!(cookie.name.len() + cookie.value.len() <= 4096);
}

#[tokio::test]
async fn sec_cook_01_on_localhost_the_cookie_is_guarded_and_carries_256_bits() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    let reply = client.sign_in("ann@example.com").await;
    reply.cookies().iter().for_each(is_guarded);
    assert!(!client.session_name().starts_with("__Host-"), "no browser takes the prefix over http");
    assert!(client.session().len() >= 43, "256 bits are 43 characters");
    let other = server.client();
    other.sign_in("ann@example.com").await;
    assert_ne!(client.session(), other.session());
}

#[tokio::test]
async fn sec_cook_01_for_https_the_cookie_is_secure_and_bound_to_the_host() {
    let app = RecordingUpstream::start();
    let rules = format!("public_url = \"https://app.test\"\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n{RULES}");
    let server = Site::new(&app, &rules).user("ann@example.com", &[]).start().await;
    let client = server.client().calling("https://app.test");
    let form = [("email", "ann@example.com"), ("password", "copper-lantern-47")];
    let call = client.post("/.auth/login/local-userpass").submit(&form).header("x-forwarded-proto", "https");
    let reply = call.await;
    reply.is(303).cookies().iter().for_each(is_guarded);
    assert!(
        reply.cookies().iter().all(|cookie| cookie.name.starts_with("__Host-") && cookie.has("secure")),
        "{}",
        reply.describe()
    );
    client.get("/").script().header("x-forwarded-proto", "https").await.is(200);
    let out = client.post("/.auth/logout").submit(&[]).header("x-forwarded-proto", "https").await;
    let cleared = out.is(303).cookies();
    assert!(
        cleared.iter().any(|cookie| cookie.clears() && cookie.has("secure") && cookie.has("path=/")),
        "sec_cook_06: {}",
        out.describe()
    );
}

#[tokio::test]
async fn sec_cook_01_what_a_proxy_says_came_in_the_clear_gets_no_cookie_but_the_way_to_tls() {
    let app = RecordingUpstream::start();
    let rules = "public_url = \"https://app.test\"\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n\
        [providers.anon-user]\n[providers.local-userpass]\n[routes]\n\"/**\" = { read = \"guest\" }\n";
    let server = Site::new(&app, rules).user("ann@example.com", &[]).start().await;
    let client = server.client().calling("https://app.test");
    for path in ["/posts?a=b", "/.auth/login"] {
        // In the clear browsers do not say how they fetch.
        let page = |scheme| client.get(path).header("accept", "text/html").header("x-forwarded-proto", scheme);
        let plain = page("http").await;
        assert_eq!(plain.is(307).location(), format!("https://app.test{path}"));
        assert!(plain.cookies().is_empty());
        page("https").await.is(200);
        // What came over TLS whatever the proxy says is not sent round in circles.
        client.get(path).navigate().header("x-forwarded-proto", "http").await.is(200);
    }
    server.log().line("a trusted proxy says X-Forwarded-Proto: http").await;
    let me = client.get("/.auth/me").header("accept", "*/*").header("x-forwarded-proto", "http").await;
    assert_eq!(me.is(421).code(), "scheme.plain");
    let form = [("email", "ann@example.com"), ("password", "copper-lantern-47")];
    let sign_in = |scheme| {
        let call = client.post("/.auth/login/local-userpass").form(&form).header("origin", "https://app.test");
        call.header("accept", "text/html").header("x-forwarded-proto", scheme)
    };
    assert!(sign_in("http").await.is(421).cookies().is_empty());
    assert_eq!(sign_in("https").await.is(303).cookies().len(), 2);
    // A proxy that does not say is believed to know what it does.
    client.get("/posts").navigate().await.is(200);
}

/// What a page in the clear sends is of another origin than the site.
#[tokio::test]
async fn sec_cook_01_nobody_signs_in_from_a_page_in_the_clear() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, &format!("public_url = \"https://app.test\"\n{RULES}"));
    let server = server.user("ann@example.com", &[]).start().await;
    let form = [("email", "ann@example.com"), ("password", "copper-lantern-47")];
    for (origin, status) in [("http://app.test", 403), ("https://app.test", 303)] {
        let call = server.client().calling("https://app.test").post("/.auth/login/local-userpass").form(&form);
        let reply = call.without("origin").without("sec-fetch-site").header("origin", origin).await;
        assert_eq!(reply.is(status).cookies().is_empty(), status == 403, "{}", reply.describe());
    }
}

/// A request with this `Cookie` field, byte for byte.
async fn with_cookie(address: SocketAddr, target: &str, cookie: &[u8]) -> u16 {
    let mut bytes = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n").into_bytes();
    bytes.extend_from_slice(b"Cookie: ");
    bytes.extend_from_slice(cookie);
    bytes.extend_from_slice(b"\r\n\r\n");
    crate::support::RawClient::connect(address).await.ask(bytes).await.status
}

#[tokio::test]
async fn sec_cook_02_a_name_that_is_almost_ours_is_not_ours() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let (name, value) = (client.session_name(), client.session());
    assert_eq!(with_cookie(server.address(), "/", format!("a=1; {name}={value}; b=2").as_bytes()).await, 200);
    let almost: [Vec<u8>; 9] = [
        [b"\xe2\x80\x80", name.as_bytes(), b"=", value.as_bytes()].concat(),
        format!("$Version=1,{name}={value}").into_bytes(),
        format!("{name} ={value}").into_bytes(),
        format!("{}={value}", swap_case(&name)).into_bytes(),
        format!("a=\"x; {name}={value}\"").replace("; ", ";\t").into_bytes(),
        format!("a=1, {name}={value}").into_bytes(),
        format!("{name}= {value}").into_bytes(),
        format!("{name}=\"{value}\"").into_bytes(),
        format!("={name}={value}").into_bytes(),
    ];
    for cookie in almost {
        let status = with_cookie(server.address(), "/", &cookie).await;
        assert_eq!(status, 401, "{}", String::from_utf8_lossy(&cookie).replace(&value, "…"));
    }
}

fn swap_case(name: &str) -> String {
    let swap = |c: char| if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
    name.chars().map(swap).collect()
}

#[tokio::test]
async fn sec_cook_03_two_of_our_cookies_are_none() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let (ann, max) = (server.client(), server.client());
    ann.sign_in("ann@example.com").await;
    max.sign_in("max@example.com").await;
    let (ours, theirs) = (ann.cookie(), max.cookie());
    for cookie in [
        format!("{ours}; {theirs}"),
        format!("{theirs}; {ours}"),
        format!("{ours}; {ours}"),
        format!("{}=; {ours}", ann.session_name()),
    ] {
        assert_eq!(with_cookie(server.address(), "/", cookie.as_bytes()).await, 401);
    }
    let lines = ann.get("/").script().without_cookies().header("cookie", &ours).header("cookie", &theirs).await;
    lines.is(401);
    let crumbs = ann.http2().get("/").script().without_cookies().header("cookie", "a=1").header("cookie", &ours);
    crumbs.header("cookie", "b=2").await.is(200);
    assert_eq!(app.last().header("cookie"), "a=1; b=2", "crumbs are joined (RFC 9113 §8.2.3)");
    let both = ann.http2().get("/").script().without_cookies().header("cookie", &ours).header("cookie", &theirs).await;
    both.is(401);
    server.log().line("cookie.duplicate").await;
}

#[tokio::test]
async fn sec_cook_03_other_cookies_reach_the_app_although_ours_are_two() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let cookie = format!("a=1; {0}; b=2; {0}", client.cookie());
    assert_eq!(with_cookie(server.address(), "/public/a", cookie.as_bytes()).await, 200);
    assert_eq!(app.last().header("cookie"), "a=1; b=2");
    assert_eq!(app.last().family("x-auth"), []);
}

#[tokio::test]
async fn sec_cook_06_whoever_signs_in_over_another_account_replaces_it() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let old = client.session();
    let page = client.get("/.auth/login").navigate().await;
    assert!(page.is(200).text().contains("ann@example.com"), "the page says as whom");
    client.get("/").script().await.is(200);
    client.sign_in("max@example.com").await;
    client.get("/").script().await.is(200);
    assert_eq!(app.last().header("x-auth-email"), "max@example.com");
    let replay = server.client();
    replay.keep(&client.session_name(), &old);
    replay.get("/").script().await.is(401);
}

#[tokio::test]
async fn sec_sess_07_a_session_that_was_altered_or_moved_is_nobodys() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    let (name, value) = (client.session_name(), client.session());
    let tokens = server.client().tokens("ann@example.com").await;
    let mut bad: Vec<String> = (0..value.len())
        .map(|at| {
            let other = if value.as_bytes()[at] == b'A' { 'B' } else { 'A' };
            format!("{name}={}{other}{}", &value[..at], &value[at + 1..])
        })
        .collect();
    bad.extend([
        format!("{name}2={value}"),
        format!("__Host-{name}={value}"),
        format!("__Secure-{name}={value}"),
        format!("{name}={value}{value}"),
        format!("{name}={}", &value[1..]),
        format!("{name}={{\"user_id\":\"{}\"}}", server.user_id("ann@example.com")),
        format!("{name}={}", server.user_id("ann@example.com")),
        format!("{name}={}", tokens["refresh_token"].as_str().unwrap()),
        format!("{name}={}", tokens["access_token"].as_str().unwrap()),
    ]);
    for cookie in bad {
        let status = with_cookie(server.address(), "/", cookie.as_bytes()).await;
        assert_eq!(status, 401, "{}", cookie.replace(&value, "…"));
    }
    server.client().get("/").bearer(tokens["refresh_token"].as_str().unwrap()).await.is(401);
    assert_eq!(app.count(), 0);
    assert_eq!(with_cookie(server.address(), "/", format!("{name}={value}").as_bytes()).await, 200);
}
