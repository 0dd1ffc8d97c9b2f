use std::time::Duration;

use super::Error;
use super::tests::{ANN, House, OTHER, PASSWORD, over, refused, secret, token_of};
use crate::account::User;
use crate::account::one_time::Purpose;
use crate::session::Device;

const NEW: &str = "a bell beside the gate";
const BOB: &str = "bob@example.com";

async fn works(house: &House, email: &str, password: &str) -> bool {
    house.door().sign_in(email, &secret(password)).await.is_ok()
}

async fn reset_token(house: &House, email: &str) -> String {
    house.door().request_reset(email).await.unwrap();
    assert_eq!(house.last().kind, "reset");
    house.token()
}

#[tokio::test]
async fn a_reset_mail_leads_to_a_new_password_once() {
    let house = House::open().await;
    house.account(ANN, PASSWORD).await;
    let token = reset_token(&house, "ANN@example.com").await;
    assert_eq!(house.last().to, ANN);
    house.door().reset(&token, &secret(NEW)).await.unwrap();
    assert!(works(&house, ANN, NEW).await && !works(&house, ANN, PASSWORD).await);
    assert_eq!(house.last().kind, "password_changed");
    assert!(house.last().text.contains("https://blog.example.com/.auth/reset"));
    assert!(over(house.door().reset(&token, &secret(OTHER)).await));
}

#[tokio::test]
async fn a_reset_code_does_the_same_and_a_wrong_one_nothing() {
    let house = House::open().await;
    house.account(ANN, PASSWORD).await;
    house.account(BOB, PASSWORD).await;
    reset_token(&house, ANN).await;
    let code = house.code();
    assert!(over(house.door().reset_code(BOB, &code, &secret(NEW)).await));
    assert!(over(house.door().reset_code(ANN, "AAAA-AAAA", &secret(NEW)).await));
    house.door().reset_code(ANN, &code, &secret(NEW)).await.unwrap();
    assert!(works(&house, ANN, NEW).await && works(&house, BOB, PASSWORD).await);
    assert!(over(house.door().reset_code(ANN, &code, &secret(OTHER)).await));
}

/// SEC-PWD-01
#[tokio::test]
async fn sec_pwd_01_asking_for_a_reset_tells_nothing_but_by_mail() {
    let house = House::open().await;
    let mut off = house.account("off@example.com", PASSWORD).await;
    off.disabled = true;
    house.store.save_user(&off).await.unwrap();
    let before = house.kinds().len();
    for email in ["off@example.com", "nobody@example.com"] {
        house.door().request_reset(email).await.unwrap();
        // The same deeds in the store as for a known address.
        assert_eq!(house.store.one_times(Purpose::Reset, email, house.clock.now()).await.unwrap().len(), 1);
    }
    assert_eq!(house.kinds().len(), before);
    assert!(matches!(house.door().request_reset("nobody").await, Err(Error::BadEmail)));
}

/// SEC-PWD-06
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_pwd_06_of_twenty_uses_at_once_exactly_one_succeeds() {
    let house = House::open().await;
    house.account(ANN, PASSWORD).await;
    let token = reset_token(&house, ANN).await;
    let mut tries = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (door, token) = (house.door().clone(), token.clone());
        tries.spawn(async move { door.reset(&token, &secret(&format!("{NEW} {n}"))).await });
    }
    let answers = tries.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(answers.into_iter().filter(Result::is_err).all(over));
}

/// SEC-PWD-06
#[tokio::test]
async fn sec_pwd_06_a_link_ends_and_is_its_own_users_and_purposes_alone() {
    let house = House::open().await;
    let ann = house.account(ANN, PASSWORD).await;
    house.account(BOB, PASSWORD).await;
    let token = reset_token(&house, ANN).await;
    let swapped: String = token.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c }).collect();
    assert!(over(house.door().reset(&swapped, &secret(NEW)).await));
    assert!(over(house.door().confirm(&token).await));
    assert!(over(house.door().confirm_email_change(ann.id, &token).await));
    assert!(over(house.door().accept_invitation(&token, Some(ANN), &secret(NEW)).await));
    house.clock.advance(Duration::from_mins(29));
    house.door().reset(&token, &secret(NEW)).await.unwrap();
    assert!(works(&house, BOB, PASSWORD).await);
    let token = reset_token(&house, ANN).await;
    house.clock.advance(Duration::from_mins(30));
    assert!(over(house.door().reset(&token, &secret(OTHER)).await));
}

/// SEC-PWD-06
#[tokio::test]
async fn sec_pwd_06_any_change_of_a_credential_voids_the_links_before_it() {
    let house = House::open().await;
    let ann = house.account(ANN, PASSWORD).await;
    let (first, second) = (reset_token(&house, ANN).await, reset_token(&house, ANN).await);
    house.door().change_password(ann.id, &secret(PASSWORD), &secret(OTHER), None).await.unwrap();
    assert!(over(house.door().reset(&first, &secret(NEW)).await));
    assert!(over(house.door().reset(&second, &secret(NEW)).await));

    house.door().request_email_change(ann.id, &secret(OTHER), "ann@new.example").await.unwrap();
    let change = house.token();
    let third = reset_token(&house, ANN).await;
    house.door().confirm_email_change(ann.id, &change).await.unwrap();
    assert!(over(house.door().reset(&third, &secret(NEW)).await));
    assert!(works(&house, "ann@new.example", OTHER).await);
}

#[tokio::test]
async fn a_link_that_nobody_voided_is_void_once_the_credential_is_another() {
    let house = House::open().await;
    let mut ann = house.account(ANN, PASSWORD).await;
    let token = reset_token(&house, ANN).await;
    ann.password.as_mut().unwrap().changed_at = house.clock.now();
    house.store.save_user(&ann).await.unwrap();
    assert!(over(house.door().reset(&token, &secret(NEW)).await));
}

/// SEC-PWD-08
#[tokio::test]
async fn sec_pwd_08_links_lead_to_the_public_address_or_the_apps_own_page() {
    let house = House::with(|settings| {
        settings.confirm_url = Some("https://app.example.com/confirm?lang=en#/start".to_owned());
    })
    .await;
    house.account(ANN, PASSWORD).await;
    let text = house.mailer.sent()[0].text.clone();
    assert!(text.contains("https://app.example.com/confirm?lang=en&token="), "{text}");
    assert!(text.contains("#/start\n"), "{text}");
    house.door().request_reset(ANN).await.unwrap();
    assert!(house.last().text.contains("\nhttps://blog.example.com/.auth/reset?token="));
    assert_eq!(house.last().to, ANN);
    for email in ["ann@example.com\r\nBcc: eve@example.com", "ann@example.com,eve@example.com"] {
        assert!(matches!(house.door().request_reset(email).await, Err(Error::BadEmail)));
    }
}

/// SEC-PWD-09
#[tokio::test]
async fn sec_pwd_09_a_reset_ends_cookies_tokens_and_a_pending_change_of_address() {
    let house = House::open().await;
    let ann = house.account(ANN, PASSWORD).await;
    let cookie = house.cookie(&ann).await;
    let tokens = house.sessions.start_tokens(&ann, super::LOCAL_USERPASS, Device::default()).await.unwrap();
    assert!(house.sessions.by_cookie(&cookie).await.unwrap().is_some());
    assert!(house.sessions.by_bearer(tokens.access_token.expose()).await.unwrap().is_some());
    house.door().request_email_change(ann.id, &secret(PASSWORD), "eve@example.com").await.unwrap();
    let change = house.token();
    let token = reset_token(&house, ANN).await;
    house.door().reset(&token, &secret(NEW)).await.unwrap();
    assert!(house.sessions.cached(&cookie).is_none());
    assert!(house.sessions.by_cookie(&cookie).await.unwrap().is_none());
    assert!(house.sessions.by_bearer(tokens.access_token.expose()).await.unwrap().is_none());
    assert!(house.sessions.refresh(tokens.refresh_token.expose()).await.unwrap().is_none());
    assert!(over(house.door().confirm_email_change(ann.id, &change).await));
}

#[tokio::test]
async fn changing_the_password_needs_it_and_keeps_the_present_session_alone() {
    let house = House::open().await;
    let ann = house.account(ANN, PASSWORD).await;
    let (here, there) = (house.cookie(&ann).await, house.cookie(&ann).await);
    let session = house.sessions.by_cookie(&here).await.unwrap().unwrap().session;
    assert!(refused(house.door().change_password(ann.id, &secret(OTHER), &secret(NEW), session).await));
    let weak = house.door().change_password(ann.id, &secret(PASSWORD), &secret("password1"), session).await;
    assert!(matches!(weak, Err(Error::WeakPassword(_))));
    assert!(house.sessions.by_cookie(&there).await.unwrap().is_some());
    house.door().change_password(ann.id, &secret(PASSWORD), &secret(NEW), session).await.unwrap();
    assert!(house.sessions.by_cookie(&here).await.unwrap().is_some());
    assert!(house.sessions.by_cookie(&there).await.unwrap().is_none());
    assert_eq!(house.last().kind, "password_changed");
    assert!(works(&house, ANN, NEW).await);
}

/// SEC-LINK-03
#[tokio::test]
async fn sec_link_03_whoever_proves_the_address_ends_what_was_prepared_before() {
    let house = House::with(|settings| settings.confirm = super::Confirm::Automatic).await;
    house.door().register(ANN, &secret(OTHER), None).await.unwrap();
    let intruder = house.door().sign_in(ANN, &secret(OTHER)).await.unwrap();
    let cookie = house.cookie(&intruder).await;
    let tokens = house.sessions.start_tokens(&intruder, super::LOCAL_USERPASS, Device::default()).await.unwrap();
    let more = |_| (Default::default(), Default::default());
    let of_an_app =
        house.sessions.start_static(&intruder, super::LOCAL_USERPASS, Device::default(), more).await.unwrap();
    let of_an_app = of_an_app.refresh_token;
    assert!(house.sessions.by_static_refresh(of_an_app.expose()).await.unwrap().is_some());
    let keys = house.providers.api_key().unwrap();
    let (_, key) = keys.create(intruder.id, "left behind", None).await.unwrap();
    assert!(house.sessions.by_key(key.expose()).await.unwrap().is_some());

    let token = reset_token(&house, ANN).await;
    let owner = house.door().reset(&token, &secret(NEW)).await.unwrap();
    assert_eq!((owner.id, owner.verified_email()), (intruder.id, Some(ANN)));
    assert!(house.sessions.by_cookie(&cookie).await.unwrap().is_none());
    assert!(house.sessions.refresh(tokens.refresh_token.expose()).await.unwrap().is_none());
    assert!(house.sessions.by_static_refresh(of_an_app.expose()).await.unwrap().is_none());
    assert!(house.sessions.by_key(key.expose()).await.unwrap().is_none());
    assert!(keys.list(owner.id).await.unwrap()[0].disabled);
    assert!(!works(&house, ANN, OTHER).await);
}

/// SEC-LINK-05
#[tokio::test]
async fn sec_link_05_a_change_of_address_is_void_after_a_change_of_owner_and_for_everybody_else() {
    let house = House::open().await;
    let (ann, bob) = (house.account(ANN, PASSWORD).await, house.account(BOB, PASSWORD).await);
    let ask = async |user: &User| {
        house.door().request_email_change(user.id, &secret(PASSWORD), "eve@example.com").await.unwrap();
        token_of(&house.last())
    };
    let change = ask(&ann).await;
    assert!(over(house.door().confirm_email_change(bob.id, &change).await));
    let token = reset_token(&house, ANN).await;
    house.door().reset(&token, &secret(NEW)).await.unwrap();
    assert!(over(house.door().confirm_email_change(ann.id, &change).await));
    // Its twin, without the reset.
    let change = ask(&bob).await;
    assert!(house.door().confirm_email_change(bob.id, &change).await.is_ok());
}

#[tokio::test]
async fn an_address_changes_when_the_new_one_answers_and_the_old_one_is_told() {
    let house = House::open().await;
    let ann = house.account(ANN, PASSWORD).await;
    let new = "Ann@new.example";
    assert!(refused(house.door().request_email_change(ann.id, &secret(OTHER), new).await));
    house.door().request_email_change(ann.id, &secret(PASSWORD), new).await.unwrap();
    assert_eq!((house.last().kind, house.last().to.as_str()), ("change_email", new));
    assert!(works(&house, ANN, PASSWORD).await);
    let changed = house.door().confirm_email_change(ann.id, &house.token()).await.unwrap();
    assert_eq!((changed.email(), changed.verified_email()), (Some(new), Some(new)));
    assert_eq!((house.last().kind, house.last().to.as_str()), ("email_changed", ANN));
    assert!(works(&house, new, PASSWORD).await && !works(&house, ANN, PASSWORD).await);
}

/// SEC-PWD-01
#[tokio::test]
async fn sec_pwd_01_asking_for_somebody_elses_address_tells_nothing() {
    let house = House::open().await;
    let (ann, bob) = (house.account(ANN, PASSWORD).await, house.account(BOB, PASSWORD).await);
    let before = house.kinds().len();
    house.door().request_email_change(ann.id, &secret(PASSWORD), BOB).await.unwrap();
    assert_eq!(house.kinds().len(), before);
    assert_eq!(house.store.user_by_email(BOB).await.unwrap().unwrap().id, bob.id);
}

#[tokio::test]
async fn an_address_that_became_somebody_elses_is_not_taken_over() {
    let house = House::open().await;
    let ann = house.account(ANN, PASSWORD).await;
    house.door().request_email_change(ann.id, &secret(PASSWORD), BOB).await.unwrap();
    let change = house.token();
    // Straight into the store: an account made by this house would have voided the link.
    let mut bob = house.account("bob@other.example", PASSWORD).await;
    bob.password.as_mut().unwrap().email = crate::account::email::Email::parse(BOB).unwrap();
    house.store.save_user(&bob).await.unwrap();
    let answer = house.door().confirm_email_change(ann.id, &change).await;
    assert!(matches!(answer, Err(Error::Conflict("email.taken"))));
    assert!(works(&house, ANN, PASSWORD).await);
}
