//! Attacks on our own pages, named by their cases in the security catalogue.

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{Method, Request, StatusCode};

use super::tests::{ANN, Browser, House, MAX, OTHER, PASSWORD, Reply, post_json};
use crate::body::Body;
use crate::secret::Digest;

const NASTY: [&str; 7] = [
    "\"><svg onload=1>",
    "</script><script>alert(1)</script>",
    "' onfocus='alert(1)",
    "`${77777*77777}`",
    "{{77777*77777}}",
    "{% raw %}%s%n",
    "javascript:alert(1)",
];

fn harmless(reply: &Reply, what: &str) {
    assert_ne!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{what}");
    for sign in ["<svg", "<script>", "onfocus='", "href=\"javascript", "6049261729"] {
        assert!(!reply.text.contains(sign), "{what}: {sign} in {}", reply.text);
    }
    let policy = reply.header("content-security-policy");
    if reply.header("content-type").starts_with("text/html") {
        for part in ["default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{what}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{what}");
}

fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

#[tokio::test]
async fn sec_xss_01_what_is_reflected_is_text() {
    let house = House::open().await;
    let mut browser = house.browser();
    for nasty in NASTY {
        let value = encoded(nasty);
        for name in ["rd", "note", "error", "error_description", "login_hint", "token", "email", "x"] {
            for page in ["login", "register", "reset", "confirm", "confirm/send", "logout", "account", "none"] {
                let reply = browser.open(&format!("{page}?{name}={value}")).await;
                harmless(&reply, &format!("{page}?{name}={nasty}"));
            }
        }
        for name in ["email", "password", "rd", "token", "code", "key", nasty] {
            for page in
                ["login/local-userpass", "login/api-key", "register", "reset", "reset/send", "confirm", "confirm/send"]
            {
                // Enough time that no limit gets in the way.
                house.clock.advance(std::time::Duration::from_hours(1));
                let good = [("email", ANN), ("password", PASSWORD), ("code", "x"), ("key", "x")];
                let others = good.into_iter().filter(|(other, _)| *other != name);
                let fields: Vec<_> = others.chain([(name, nasty)]).collect();
                harmless(&browser.submit(page, &fields).await, &format!("{page} {name}={nasty}"));
            }
        }
    }
}

#[tokio::test]
async fn sec_xss_01_headers_and_paths_are_not_reflected() {
    let house = House::open().await;
    for nasty in ["\"><svg onload=1>", "javascript:alert(1)"] {
        for name in ["referer", "host", "user-agent", "x-forwarded-host"] {
            let request = Request::builder().uri("/.auth/nowhere").header(ACCEPT, "text/html").header(name, nasty);
            harmless(&house.send(request.body(Body::empty()).unwrap()).await, name);
        }
    }
    let request = Request::builder().uri("/.auth/%22%3E%3Csvg%20onload=1%3E").header(ACCEPT, "text/html");
    harmless(&house.send(request.body(Body::empty()).unwrap()).await, "path");
}

#[tokio::test]
async fn sec_xss_02_what_is_stored_is_text() {
    let house = House::open().await;
    let mut user = house.account(ANN).await;
    let mut ann = house.signed_in(ANN).await;
    for nasty in NASTY {
        for field in ["name", "picture", "email", "first_name"] {
            user.data.insert(field.into(), nasty.into());
        }
        user.roles = [nasty.to_owned()].into();
        let stored = house.store.user(user.id).await.unwrap().unwrap();
        user.version = stored.version;
        house.store.save_user(&user).await.unwrap();
        house.sessions.forget_user(user.id);
        for page in ["account", "login", "logout"] {
            harmless(&ann.open(page).await, nasty);
        }
        harmless(&ann.submit("account/keys", &[("name", nasty), ("days", "7")]).await, nasty);
        harmless(&ann.open("account").await, nasty);
    }
    let me = ann.open("me").await;
    assert_eq!(me.header("content-type"), "application/json");
    assert_eq!(me.header("x-content-type-options"), "nosniff");
}

fn login_form(fields: &[(&'static str, &'static str)]) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri("/.auth/login/local-userpass");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let form = format!("email={}&password={}", encoded(ANN), encoded(PASSWORD));
    request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(Body::from(form)).unwrap()
}

#[tokio::test]
async fn sec_csrf_01_another_site_signs_nobody_in() {
    let house = House::open().await;
    house.account(ANN).await;
    for fields in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
        &[("origin", "http://blog.example.com")],
        &[("origin", "https://blog.example.com.evil.test")],
        &[("origin", "https://app.example.com")],
        &[("referer", "http://blog.example.com/.auth/login")],
        &[("cookie", "__Host-vestibule=x")],
    ] {
        let reply = house.send(login_form(fields)).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{fields:?}");
        assert!(!reply.headers.contains_key(SET_COOKIE), "{fields:?}");
    }
    for fields in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://blog.example.com"), ("cookie", "__Host-vestibule=x")],
        &[],
    ] {
        let reply = house.send(login_form(fields)).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{fields:?}");
        assert!(reply.headers.contains_key(SET_COOKIE), "{fields:?}");
    }
}

#[tokio::test]
async fn sec_csrf_02_an_address_alone_ends_and_changes_nothing() {
    let house = House::open().await;
    let user = house.account(ANN).await;
    let mut ann = house.signed_in(ANN).await;
    house.providers.local_userpass().unwrap().request_reset(ANN).await.unwrap();
    let token = house.mailed_token();
    for page in ["logout", &format!("reset?token={token}"), &format!("confirm?token={token}"), "account"] {
        let cookie = ann.cookie.clone().unwrap();
        let request = Request::builder().uri(format!("/.auth/{page}")).header(COOKIE, &cookie);
        let request = request.header("sec-fetch-site", "cross-site").header(ACCEPT, "image/avif,*/*");
        let reply = house.send(request.body(Body::empty()).unwrap()).await;
        assert!(!reply.headers.contains_key(SET_COOKIE), "{page}");
    }
    assert_eq!(ann.open("me").await.status, StatusCode::OK);
    assert_eq!(house.store.sessions_of(user.id).await.unwrap().len(), 1);
    let fields = [("token", token.as_str()), ("password", OTHER)];
    assert_eq!(house.browser().submit("reset", &fields).await.location(), "/.auth/login?note=reset");
}

#[tokio::test]
async fn sec_csrf_04_json_in_other_clothes_is_refused() {
    let house = House::open().await;
    house.account(ANN).await;
    let ann = house.signed_in(ANN).await;
    let body = format!("{{\"email\":\"{ANN}\",\"password\":\"{PASSWORD}\"}}");
    let cookie = ann.cookie.clone().unwrap();
    let send = |path: &str, content_type: Option<&str>, site: Option<&str>| {
        let mut request = Request::builder().method(Method::POST).uri(format!("/.auth/{path}")).header(COOKIE, &cookie);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        house.send(request.body(Body::from(body.clone())).unwrap())
    };
    for path in ["login/local-userpass", "register", "token/refresh", "token/revoke", "account/password", "logout"] {
        for content_type in [Some("text/plain"), Some("multipart/form-data; boundary=x"), None] {
            let reply = send(path, content_type, Some("same-origin")).await;
            assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path} {content_type:?}");
        }
        let cross = send(path, Some("application/json"), Some("cross-site")).await;
        assert_eq!((cross.status, cross.json()["code"].as_str()), (StatusCode::FORBIDDEN, Some("csrf.rejected")));
        assert_eq!(send(path, Some("application/json"), None).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let good = send("login/local-userpass", Some("application/json"), Some("same-origin")).await;
    assert_eq!(good.status, StatusCode::OK);
}

#[tokio::test]
async fn sec_err_02_no_answer_of_ours_is_kept() {
    let house = House::open().await;
    house.account(ANN).await;
    let mut ann = house.signed_in(ANN).await;
    let mut replies = Vec::new();
    for page in ["login", "register", "reset", "confirm", "account", "logout", "me", "jwks.json", "none", "me/x.css"] {
        replies.push(ann.open(page).await);
        replies.push(house.browser().open(page).await);
    }
    replies.push(ann.submit("login/local-userpass", &[("email", ANN), ("password", PASSWORD)]).await);
    replies.push(house.send(post_json("token/refresh", "{}")).await);
    for reply in &replies {
        assert_eq!(reply.header("cache-control"), "no-store", "{}", reply.text);
        assert_eq!(reply.header("vary"), "Cookie, Authorization");
    }
    for page in ["me/x.css", "me/", "account/x.css", "login/x"] {
        assert_eq!(ann.open(page).await.status, StatusCode::NOT_FOUND, "{page}");
    }
}

async fn is_live(house: &House, cookie: &str) -> bool {
    let (_, token) = cookie.split_once('=').unwrap();
    house.sessions.by_cookie(&Digest::of(token)).await.unwrap().is_some()
}

#[tokio::test]
async fn sec_cook_06_signing_in_as_another_ends_the_first_session() {
    let house = House::open().await;
    house.account(ANN).await;
    house.account(MAX).await;
    let mut browser: Browser<'_> = house.signed_in(ANN).await;
    let first = browser.cookie.clone().unwrap();
    let page = browser.open("login").await;
    assert!(page.text.contains(ANN), "the page says who is signed in");
    assert!(is_live(&house, &first).await, "looking at the page ends nothing");
    let reply = browser.submit("login/local-userpass", &[("email", MAX), ("password", PASSWORD)]).await;
    let set = reply.header("set-cookie");
    for part in ["__Host-vestibule=", "Secure", "HttpOnly", "Path=/", "SameSite=Lax"] {
        assert!(set.contains(part), "{set}");
    }
    assert_ne!(browser.cookie.as_ref(), Some(&first));
    assert!(!is_live(&house, &first).await, "the record is gone, too");
    assert!(browser.open("account").await.text.contains(MAX));
}

#[tokio::test]
async fn sec_cook_06_signing_out_ends_the_record_and_clears_the_cookie() {
    let house = House::open().await;
    house.account(ANN).await;
    let mut browser = house.signed_in(ANN).await;
    let cookie = browser.cookie.clone().unwrap();
    let fields = [("rd", "/.auth/login?rd=%2Fdrafts%2F7")];
    let reply = browser.submit("logout", &fields).await;
    assert_eq!(reply.location(), "/.auth/login?rd=%2Fdrafts%2F7");
    let set = reply.header("set-cookie");
    for part in ["__Host-vestibule=;", "Max-Age=0", "Secure", "HttpOnly", "Path=/", "SameSite=Lax"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!is_live(&house, &cookie).await);
    assert_eq!(browser.open("logout").await.status, StatusCode::OK);
    assert!(browser.open("logout").await.text.contains("You are signed out"));
}

#[tokio::test]
async fn sec_redir_the_whole_way_stays_here() {
    let house = House::open().await;
    house.account(ANN).await;
    for rd in ["//evil.test", "/\\evil.test", "https://evil.test/", "javascript:alert(1)", "/%09/evil.test"] {
        let page = house.browser().open(&format!("login?rd={}", encoded(rd))).await;
        assert!(!page.text.contains("evil.test") && !page.text.contains("alert(1)"), "{rd}");
        let fields = [("email", ANN), ("password", PASSWORD), ("rd", rd)];
        assert_eq!(house.browser().submit("login/local-userpass", &fields).await.location(), "/", "{rd}");
        house.clock.advance(std::time::Duration::from_mins(5));
    }
    let fields = [("email", ANN), ("password", PASSWORD), ("rd", "https://app.example.com/x")];
    let reply = house.browser().submit("login/local-userpass", &fields).await;
    assert_eq!(reply.location(), "https://app.example.com/x");
    let policy = house.browser().open("login").await;
    assert!(policy.header("content-security-policy").contains("form-action 'self' https://app.example.com:443"));
}

#[tokio::test]
async fn every_page_carries_the_fields_that_lock_it() {
    let house = House::open().await;
    let page = house.browser().open("login").await;
    for (name, value) in [
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("strict-transport-security", "max-age=31536000"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    assert!(page.header("permissions-policy").contains("camera=()"));
    let style = page.text.split("assets&#x2f;").nth(1).unwrap().split('"').next().unwrap();
    let style = house.browser().open(&format!("assets/{style}")).await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(style.header("cache-control").contains("immutable") && style.header("vary").is_empty());
}
