//! Whole ways through the pages and endpoints.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_LENGTH, SET_COOKIE};
use http::{Method, Request, StatusCode};
use serde_json::json;

use super::tests::{ANN, House, MAX, OTHER, PASSWORD, Reply, post_json};
use crate::body::Body;
use crate::provider::{Confirm, Delivery, Invitee, SignUp};

async fn get(house: &House, path: &str) -> Reply {
    house.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await
}

fn without_ids(reply: &Reply) -> (StatusCode, String, bool) {
    (reply.status, reply.text.clone(), reply.headers.contains_key(SET_COOKIE))
}

#[tokio::test]
async fn a_form_goes_on_and_a_program_gets_tokens() {
    let house = House::open().await;
    let user = house.account(ANN).await;
    let fields = [("email", " ANN@example.com"), ("password", PASSWORD), ("rd", "/drafts/7")];
    let reply = house.browser().submit("login/local-userpass", &fields).await;
    assert_eq!((reply.status, reply.location()), (StatusCode::SEE_OTHER, "/drafts/7"));
    let body = json!({ "email": ANN, "password": PASSWORD }).to_string();
    let reply = house.send(post_json("login/local-userpass", &body)).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, "application/json"));
    let tokens = reply.json();
    assert_eq!((tokens["user_id"].as_str(), tokens["expires_in"].as_u64()), (Some(&*user.id.to_string()), Some(1800)));
    assert!(!reply.headers.contains_key(SET_COOKIE));
    let body = json!({ "refresh_token": tokens["refresh_token"] }).to_string();
    let next = house.send(post_json("token/refresh", &body)).await.json();
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    let body = json!({ "refresh_token": next["refresh_token"] }).to_string();
    assert_eq!(house.send(post_json("token/revoke", &body)).await.status, StatusCode::NO_CONTENT);
    let over = house.send(post_json("token/refresh", &body)).await;
    assert_eq!((over.status, over.json()["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("authn.denied")));
    assert!(over.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_wrong_password_an_unknown_address_and_a_disabled_account_look_the_same() {
    let house = House::open().await;
    house.account(ANN).await;
    let mut user = house.account(MAX).await;
    user.disabled = true;
    user.version = house.store.user(user.id).await.unwrap().unwrap().version;
    house.store.save_user(&user).await.unwrap();
    let tries = [(ANN, "wrong"), ("bob@example.com", "wrong"), (MAX, PASSWORD)];
    let mut pages = Vec::new();
    for (email, password) in tries {
        let reply = house.browser().submit("login/local-userpass", &[("email", email), ("password", password)]).await;
        let (status, text, cookie) = without_ids(&reply);
        pages.push((status, text.replace(email, "X"), cookie));
        let body = json!({ "email": email, "password": password }).to_string();
        let reply = house.send(post_json("login/local-userpass", &body)).await;
        assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::UNAUTHORIZED, &json!("authn.refused")));
    }
    assert_eq!(pages[0].0, StatusCode::UNAUTHORIZED);
    assert!(pages.iter().all(|page| *page == pages[0]));
}

#[tokio::test]
async fn nobody_learns_from_the_answers_who_has_an_account() {
    let house = House::open().await;
    house.account(ANN).await;
    for (path, fields) in
        [("register", json!({ "password": OTHER })), ("confirm/send", json!({})), ("reset/send", json!({}))]
    {
        let mut answers = Vec::new();
        for email in [ANN, "bob@example.com"] {
            let mut body = fields.clone();
            body["email"] = email.into();
            let reply = house.send(post_json(path, &body.to_string())).await;
            assert_eq!((reply.status, reply.text.as_str()), (StatusCode::ACCEPTED, ""), "{path}");
            let form = [("email", email), ("password", OTHER)];
            let (status, text, cookie) = without_ids(&house.browser().submit(path, &form).await);
            answers.push((status, text.replace(email, "X"), cookie));
        }
        assert_eq!(answers[0], answers[1], "{path}");
        assert_eq!(answers[0].0, StatusCode::OK, "{path}");
        house.clock.advance(Duration::from_hours(2));
    }
}

#[tokio::test]
async fn a_new_account_is_confirmed_by_its_code_and_signs_in() {
    let house = House::open().await;
    let mut browser = house.browser();
    let sent = browser.submit("register", &[("email", ANN), ("password", PASSWORD), ("rd", "/drafts/7")]).await;
    assert!(sent.text.contains("Check your mail"));
    let refused = browser.submit("login/local-userpass", &[("email", ANN), ("password", PASSWORD)]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "not confirmed yet");
    let mail = house.mailer.sent().pop().unwrap();
    let code = mail.text.split_whitespace().find(|word| word.len() == 9 && word.as_bytes()[4] == b'-').unwrap();
    let done = browser.submit("confirm", &[("email", ANN), ("code", &code.to_lowercase().replace('-', " "))]).await;
    assert_eq!(done.location(), "/.auth/login?note=confirmed");
    assert!(browser.open("login?note=confirmed").await.text.contains("Your address is confirmed."));
    let reply = browser.submit("login/local-userpass", &[("email", ANN), ("password", PASSWORD)]).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn opening_a_link_uses_nothing_up() {
    let house = House::open().await;
    let mut browser = house.browser();
    browser.submit("register", &[("email", ANN), ("password", PASSWORD)]).await;
    let token = house.mailed_token();
    for _ in 0..3 {
        let page = browser.open(&format!("confirm?token={token}&tokenId=x")).await;
        assert_eq!((page.status, page.header("referrer-policy")), (StatusCode::OK, "no-referrer"));
        assert!(page.text.contains(ANN) && page.text.contains(&token));
    }
    assert_eq!(browser.submit("confirm", &[("token", &token)]).await.location(), "/.auth/login?note=confirmed");
    let over = browser.submit("confirm", &[("token", &token)]).await;
    assert_eq!(over.status, StatusCode::GONE);
    let program = house.send(post_json("confirm", &json!({ "token": token }).to_string())).await;
    assert_eq!((program.status, &program.json()["code"]), (StatusCode::CONFLICT, &json!("link.over")));
}

#[tokio::test]
async fn a_lost_password_is_replaced_and_every_session_ends() {
    let house = House::open().await;
    house.account(ANN).await;
    let mut old = house.signed_in(ANN).await;
    let mut browser = house.browser();
    browser.submit("reset/send", &[("email", ANN)]).await;
    let token = house.mailed_token();
    let weak = browser.submit("reset", &[("token", &token), ("password", "short")]).await;
    assert_eq!(weak.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(weak.text.contains("use at least 8 characters"), "the link is still good: {}", weak.text);
    let done = browser.submit("reset", &[("token", &token), ("password", OTHER)]).await;
    assert_eq!(done.location(), "/.auth/login?note=reset");
    assert_eq!(old.open("me").await.status, StatusCode::UNAUTHORIZED);
    let reply = browser.submit("login/local-userpass", &[("email", ANN), ("password", OTHER)]).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_invitation_makes_the_account_even_where_sign_up_is_closed() {
    let close = |settings: &mut crate::provider::LocalUserpass| settings.sign_up = SignUp::Closed;
    let house = House::with(|_, kinds| kinds.local_userpass.as_mut().map(close).unwrap()).await;
    assert_eq!(house.browser().open("register").await.status, StatusCode::NOT_FOUND);
    assert!(!house.browser().open("login").await.text.contains("Make an account"));
    let local = house.providers.local_userpass().unwrap();
    let link = local.invite(Invitee::Anybody, Default::default(), Delivery::Hand).await.unwrap();
    let path = link.expose().split_once("/.auth/").unwrap().1.to_owned();
    let mut browser = house.browser();
    let mut page = browser.open(&path).await;
    if page.status == StatusCode::SEE_OTHER {
        page = browser.open(page.location().split_once("/.auth/").unwrap().1).await;
    }
    assert!(page.text.contains("You were invited"), "{}", page.text);
    let token = path.split("token=").nth(1).unwrap().split('&').next().unwrap();
    let bad = browser.submit("reset", &[("token", token), ("email", "nobody"), ("password", PASSWORD)]).await;
    assert!(bad.text.contains("value=\"nobody\""), "the address is kept");
    let done = browser.submit("reset", &[("token", token), ("email", ANN), ("password", PASSWORD)]).await;
    assert_eq!(done.location(), "/.auth/login?note=welcome");
    house.signed_in(ANN).await;
}

#[tokio::test]
async fn automatic_sign_up_tells_the_same_and_signs_in_next() {
    let automatic = |settings: &mut crate::provider::LocalUserpass| settings.confirm = Confirm::Automatic;
    let house = House::with(|_, kinds| kinds.local_userpass.as_mut().map(automatic).unwrap()).await;
    for password in [PASSWORD, OTHER] {
        let reply = house.browser().submit("register", &[("email", ANN), ("password", password)]).await;
        assert_eq!(reply.location(), "/.auth/login?note=registered&rd=%2F");
        assert!(!reply.headers.contains_key(SET_COOKIE));
    }
    house.signed_in(ANN).await;
}

#[tokio::test]
async fn too_many_tries_are_told_when_to_come_back_in_every_spelling_of_the_address() {
    let house = House::open().await;
    house.account(ANN).await;
    for number in 0..10 {
        let email = if number % 2 == 0 { ANN } else { "ANN@EXAMPLE.COM" };
        house.browser().submit("login/local-userpass", &[("email", email), ("password", "wrong")]).await;
    }
    let reply = house.browser().submit("login/local-userpass", &[("email", ANN), ("password", PASSWORD)]).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(reply.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(
        reply.text.contains("Try again at <time datetime=") && reply.text.contains(" UTC</time>"),
        "{}",
        reply.text
    );
    let body = json!({ "email": ANN, "password": PASSWORD }).to_string();
    let reply = house.send(post_json("login/local-userpass", &body)).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("rate.limited")));
    house.clock.advance(Duration::from_mins(15));
    house.signed_in(ANN).await;
}

#[tokio::test]
async fn methods_are_told_and_head_is_get_without_a_body() {
    let house = House::open().await;
    let reply = get(&house, "/.auth/token/refresh").await;
    assert_eq!((reply.status, reply.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    let delete = Request::builder().method(Method::DELETE).uri("/.auth/logout").body(Body::empty()).unwrap();
    let reply = house.send(delete).await;
    assert_eq!((reply.status, reply.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, POST"));
    let page = get(&house, "/.auth/login").await;
    let head = Request::builder().method(Method::HEAD).uri("/.auth/login").body(Body::empty()).unwrap();
    let head = house.send(head).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.headers[CONTENT_LENGTH], page.text.len().to_string());
    let typed = Request::builder().uri("/.auth/login/local-userpass").header(ACCEPT, "text/html");
    assert_eq!(house.send(typed.body(Body::empty()).unwrap()).await.location(), "/.auth/login");
    assert_eq!(get(&house, "/.well-known/change-password").await.location(), "/.auth/account#password");
}

#[tokio::test]
async fn programs_are_told_who_they_are_or_that_they_are_nobody() {
    let house = House::open().await;
    let user = house.account(ANN).await;
    let nobody = get(&house, "/.auth/me").await;
    assert_eq!((nobody.status, nobody.header("content-type")), (StatusCode::UNAUTHORIZED, "application/problem+json"));
    assert!(nobody.headers.contains_key("www-authenticate"));
    let me = house.signed_in(ANN).await.open("me").await.json();
    assert_eq!((&me["user_id"], &me["kind"]), (&json!(user.id.to_string()), &json!("user")));
    assert_eq!((&me["provider"], &me["data"]["email"]), (&json!("local-userpass"), &json!(ANN)));
    assert!(me["session"]["id"].is_string() && me["identities"].is_array() && me["roles"].is_array());
    assert!(get(&house, "/.auth/jwks.json").await.json()["keys"][0]["kid"].is_string());
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named() {
    let house = House::open().await;
    let reply = house.send(post_json("login/local-userpass", "{\"email\":7}")).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.json()["detail"], "email: must be text");
    let reply = house.send(post_json("login/local-userpass", "{\"email\":")).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::BAD_REQUEST, &json!("json.syntax")));
}

#[tokio::test]
async fn an_answer_may_be_awaited_on_any_thread() {
    let house = std::sync::Arc::new(House::open().await);
    let other = std::sync::Arc::clone(&house);
    let reply = tokio::spawn(async move { get(&other, "/.auth/login").await }).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
}
