//! What people can do to their own account, and nobody else to it.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::tests::{ANN, Browser, House, MAX, OTHER, PASSWORD, post_json};

async fn has_session(browser: &mut Browser<'_>) -> bool {
    browser.open("me").await.status == StatusCode::OK
}

#[tokio::test]
async fn a_stranger_is_asked_to_sign_in_and_comes_back() {
    let house = House::open().await;
    assert_eq!(house.browser().open("account").await.location(), "/.auth/login?rd=%2F.auth%2Faccount");
    for deed in ["password", "email", "keys", "delete", "sessions/end-others"] {
        let reply = house.browser().submit(&format!("account/{deed}"), &[]).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{deed}");
    }
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_the_other_sessions() {
    let house = House::open().await;
    house.account(ANN).await;
    let (mut here, mut there) = (house.signed_in(ANN).await, house.signed_in(ANN).await);
    let wrong = [("current_password", "wrong"), ("new_password", OTHER)];
    let reply = here.submit("account/password", &wrong).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.text.contains("This is not your password.") && has_session(&mut there).await);
    let right = [("current_password", PASSWORD), ("new_password", OTHER)];
    assert_eq!(here.submit("account/password", &right).await.location(), "/.auth/account?note=password");
    assert!(has_session(&mut here).await && !has_session(&mut there).await);
}

#[tokio::test]
async fn a_new_address_needs_the_password_and_a_mail_that_its_owner_answers() {
    let house = House::open().await;
    house.account(ANN).await;
    house.account(MAX).await;
    let mut ann = house.signed_in(ANN).await;
    let wrong = [("new_email", "new@example.com"), ("password", "wrong")];
    assert_eq!(ann.submit("account/email", &wrong).await.status, StatusCode::UNAUTHORIZED);
    let right = [("new_email", "new@example.com"), ("password", PASSWORD)];
    assert_eq!(ann.submit("account/email", &right).await.location(), "/.auth/account?note=email-sent");
    let token = house.mailed_token();
    let path = format!("confirm?token={token}");
    assert!(house.browser().open(&path).await.location().starts_with("/.auth/login?rd=%2F.auth%2Fconfirm%3Ftoken"));
    let mut max = house.signed_in(MAX).await;
    assert_eq!(max.submit("confirm", &[("token", &token)]).await.status, StatusCode::GONE, "it is Ann's link");
    assert!(ann.open(&path).await.text.contains("new@example.com"));
    assert_eq!(ann.submit("confirm", &[("token", &token)]).await.location(), "/.auth/account?note=email");
    assert!(ann.open("account").await.text.contains("new@example.com"));
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_turned_off_or_deleted() {
    let house = House::open().await;
    house.account(ANN).await;
    let mut ann = house.signed_in(ANN).await;
    let made = ann.submit("account/keys", &[("name", "backup"), ("days", "90")]).await;
    let key = made.text.split("vk_").nth(1).unwrap().split('<').next().unwrap();
    let body = json!({ "key": format!("vk_{key}") }).to_string();
    assert!(!ann.open("account").await.text.contains(key));
    let tokens = house.send(post_json("login/api-key", &body)).await.json();
    let page = ann.open("account").await.text;
    let id = page.split("keys&#x2f;").nth(1).or(page.split("account/keys/").nth(1)).unwrap();
    let id = &id[..24];
    assert_eq!(ann.submit(&format!("account/keys/{id}/disable"), &[]).await.location(), "/.auth/account?note=key");
    assert_eq!(house.send(post_json("login/api-key", &body)).await.status, StatusCode::UNAUTHORIZED);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] }).to_string();
    assert_eq!(house.send(post_json("token/refresh", &refresh)).await.status, StatusCode::UNAUTHORIZED);
    ann.submit(&format!("account/keys/{id}/enable"), &[]).await;
    assert_eq!(house.send(post_json("login/api-key", &body)).await.status, StatusCode::OK);
    assert_eq!(ann.submit(&format!("account/keys/{id}/delete"), &[]).await.location(), "/.auth/account?note=key-gone");
    assert_eq!(house.send(post_json("login/api-key", &body)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_opened_with_a_key_manages_nothing() {
    let house = House::open().await;
    house.account(ANN).await;
    let mut ann = house.signed_in(ANN).await;
    let made = ann.submit("account/keys", &[("name", "backup"), ("days", "7")]).await;
    let key = format!("vk_{}", made.text.split("vk_").nth(1).unwrap().split('<').next().unwrap());
    let mut thief = house.browser();
    assert_eq!(thief.submit("login/api-key", &[("key", &key)]).await.status, StatusCode::SEE_OTHER);
    let more = thief.submit("account/keys", &[("name", "more"), ("days", "0")]).await;
    assert_eq!(more.status, StatusCode::FORBIDDEN);
    assert_eq!(thief.submit("account/delete", &[("password", PASSWORD)]).await.status, StatusCode::FORBIDDEN);
    assert!(has_session(&mut ann).await);
}

#[tokio::test]
async fn only_the_own_keys_and_sessions_are_within_reach() {
    let house = House::open().await;
    let user = house.account(ANN).await;
    house.account(MAX).await;
    let (mut ann, mut max) = (house.signed_in(ANN).await, house.signed_in(MAX).await);
    ann.submit("account/keys", &[("name", "backup"), ("days", "7")]).await;
    let key = house.store.keys(Some(user.id)).await.unwrap().remove(0).id;
    let session = house.store.sessions_of(user.id).await.unwrap().remove(0).id;
    for path in [format!("keys/{key}/delete"), format!("keys/{key}/disable"), format!("sessions/{session}/end")] {
        assert_eq!(max.submit(&format!("account/{path}"), &[]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(has_session(&mut ann).await && !house.store.keys(Some(user.id)).await.unwrap()[0].disabled);
    let own = ann.submit(&format!("account/sessions/{session}/end"), &[]).await;
    assert_eq!(own.location(), "/.auth/logout");
    assert!(ann.cookie.is_none() && !has_session(&mut ann).await);
}

#[tokio::test]
async fn all_other_sessions_end_at_a_press() {
    let house = House::open().await;
    house.account(ANN).await;
    let (mut here, mut there) = (house.signed_in(ANN).await, house.signed_in(ANN).await);
    assert_eq!(here.submit("account/sessions/end-others", &[]).await.location(), "/.auth/account?note=sessions");
    assert!(has_session(&mut here).await && !has_session(&mut there).await);
}

#[tokio::test]
async fn an_account_is_deleted_with_its_password_alone() {
    let house = House::open().await;
    let user = house.account(ANN).await;
    let (mut here, mut there) = (house.signed_in(ANN).await, house.signed_in(ANN).await);
    for fields in [&[][..], &[("password", "wrong")]] {
        let reply = here.submit("account/delete", fields).await;
        assert!(reply.status.is_client_error() && house.store.user(user.id).await.unwrap().is_some());
    }
    let reply = here.submit("account/delete", &[("password", PASSWORD)]).await;
    assert_eq!(reply.location(), "/.auth/logout?note=deleted");
    assert!(house.store.user(user.id).await.unwrap().is_none());
    assert!(here.cookie.is_none() && !has_session(&mut here).await && !has_session(&mut there).await);
    assert!(here.open("logout?note=deleted").await.text.contains("Your account is deleted."));
}

#[tokio::test]
async fn a_guest_keeps_its_id_when_it_makes_an_account() {
    let house = House::open().await;
    let mut browser = house.browser();
    assert_eq!(browser.submit("login/anon-user", &[("rd", "/posts")]).await.location(), "/posts");
    let guest = browser.open("me").await.json();
    assert_eq!(guest["kind"], "guest");
    assert_eq!(browser.submit("account/delete", &[]).await.status, StatusCode::FORBIDDEN);
    browser.submit("register", &[("email", ANN), ("password", PASSWORD)]).await;
    browser.submit("confirm", &[("token", &house.mailed_token())]).await;
    house.clock.advance(Duration::from_secs(60));
    let me = house.signed_in(ANN).await.open("me").await.json();
    assert_eq!((&me["user_id"], &me["kind"]), (&guest["user_id"], &json!("user")));
}
