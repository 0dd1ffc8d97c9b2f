//! Refresh tokens that were replaced: whoever has one was robbed, or robs.

use crate::session::watched::House;
use crate::session::{Device, Tokens};
use crate::store::Store as _;

async fn tokens(house: &House) -> Tokens {
    let user = house.user().await;
    house.sessions.start_tokens(&user, "local-userpass", Device::default()).await.unwrap()
}

async fn refresh(house: &House, token: &str) -> Option<Tokens> {
    house.sessions.refresh(token).await.unwrap()
}

/// The first token and the last of so many that followed, one a minute.
async fn chain(house: &House, length: usize) -> (Tokens, Tokens) {
    let first = tokens(house).await;
    let mut last = first.clone();
    for _ in 0..length {
        house.advance(60);
        last = refresh(house, last.refresh_token.expose()).await.unwrap();
    }
    (first, last)
}

async fn admits(house: &House, tokens: &Tokens) -> bool {
    house.sessions.by_bearer(tokens.access_token.expose()).await.unwrap().is_some()
}

#[tokio::test]
async fn a_token_of_any_age_ends_the_session_when_it_comes_again() {
    for length in [2, 3, 10] {
        let house = House::new().await;
        let (first, last) = chain(&house, length).await;
        assert!(admits(&house, &last).await);
        assert!(refresh(&house, first.refresh_token.expose()).await.is_none());
        assert!(!admits(&house, &last).await, "after {length}");
        assert!(refresh(&house, last.refresh_token.expose()).await.is_none());
    }
}

#[tokio::test]
async fn a_token_replaced_twice_has_no_grace() {
    let house = House::new().await;
    let first = tokens(&house).await;
    let second = refresh(&house, first.refresh_token.expose()).await.unwrap();
    let third = refresh(&house, second.refresh_token.expose()).await.unwrap();
    assert!(refresh(&house, first.refresh_token.expose()).await.is_none());
    assert!(!admits(&house, &third).await);
}

#[tokio::test]
async fn a_made_up_token_of_a_known_session_ends_nothing() {
    let house = House::new().await;
    let (first, last) = chain(&house, 2).await;
    let foreign = House::new().await;
    let foreign = tokens(&foreign).await.refresh_token;
    let (session, own) = first.refresh_token.expose().split_once('.').unwrap();
    let (other, foreign) = foreign.expose().split_once('.').unwrap();
    let flipped = format!("{}{}", if own.starts_with('A') { 'B' } else { 'A' }, &own[1..]);
    let zeros = "A".repeat(43);
    for made_up in [&flipped, foreign, &zeros, ""] {
        let made_up = format!("{session}.{made_up}");
        assert!(refresh(&house, &made_up).await.is_none());
        assert!(!house.sessions.revoke(&made_up).await.unwrap());
    }
    assert!(refresh(&house, &format!("{other}.{own}")).await.is_none());
    assert!(admits(&house, &last).await);
    assert!(refresh(&house, last.refresh_token.expose()).await.is_some());
}

#[tokio::test]
async fn a_replaced_token_of_one_session_leaves_the_others() {
    let house = House::new().await;
    let (first, _) = chain(&house, 2).await;
    let other = tokens(&house).await;
    assert!(refresh(&house, first.refresh_token.expose()).await.is_none());
    assert!(admits(&house, &other).await);
}

#[tokio::test]
async fn a_token_is_recognised_when_its_key_signs_and_verifies_no_more() {
    let house = House::new().await;
    let (first, mut last) = chain(&house, 2).await;
    let kids = |house: &House| house.sessions.jwks()["keys"].as_array().unwrap().len();
    for _ in 0..58 {
        house.advance(24 * 3600);
        house.sessions.maintain().await.unwrap();
        last = refresh(&house, last.refresh_token.expose()).await.unwrap();
    }
    assert_eq!((house.store.signing_keys().await.unwrap().len(), kids(&house)), (2, 1));
    assert!(refresh(&house, first.refresh_token.expose()).await.is_none());
    assert!(!admits(&house, &last).await);
}

#[tokio::test]
async fn a_token_that_another_instance_replaced_is_recognised_here() {
    let house = House::new().await;
    let user = house.user().await;
    for key in house.store.signing_keys().await.unwrap() {
        house.store.sweep_signing_keys(key.retires_at).await.unwrap();
    }
    let neighbour = house.neighbour().await;
    let first = neighbour.start_tokens(&user, "local-userpass", Device::default()).await.unwrap();
    let second = neighbour.refresh(first.refresh_token.expose()).await.unwrap().unwrap();
    let third = neighbour.refresh(second.refresh_token.expose()).await.unwrap().unwrap();
    assert!(refresh(&house, first.refresh_token.expose()).await.is_none());
    assert!(!admits(&house, &third).await);
}

#[tokio::test]
async fn revoking_with_a_replaced_token_ends_the_session() {
    for length in [1, 2] {
        let house = House::new().await;
        let (first, last) = chain(&house, length).await;
        assert!(house.sessions.revoke(first.refresh_token.expose()).await.unwrap());
        assert!(!admits(&house, &last).await);
    }
}
