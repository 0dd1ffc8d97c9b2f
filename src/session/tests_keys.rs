//! The keys that sign: made once, shared, and replaced without a token failing.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::session::keyring::{KeyRing, Lives, Purpose};
use crate::session::watched::{House, Watched, instance};
use crate::session::{Sessions, Settings};
use crate::store::{Error, SigningKey, Store};

const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const LIFE: Lives = Lives { token: Duration::from_secs(1800), session: Duration::ZERO };

async fn ring(store: &Arc<Watched>, now: Timestamp) -> KeyRing {
    KeyRing::open(store.clone(), LIFE, now).await.unwrap()
}

fn kids(ring: &KeyRing, now: Timestamp) -> Vec<String> {
    let jwks = ring.jwks(now);
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn signed(ring: &KeyRing, now: Timestamp) -> Secret {
    ring.sign(Purpose::Access, &json!({ "sub": "ann" }), now).unwrap()
}

fn verifies(ring: &KeyRing, token: &Secret, now: Timestamp) -> bool {
    ring.verify::<Value>(Purpose::Access, token.expose(), now).is_ok()
}

fn kid(token: &Secret) -> String {
    jsonwebtoken::decode_header(token.expose()).unwrap().kid.unwrap()
}

#[tokio::test]
async fn instances_that_start_at_once_make_one_key() {
    let store = Arc::new(Watched::default());
    let start = |store: Arc<Watched>| tokio::spawn(async move { ring(&store, START).await });
    let rings = [start(store.clone()), start(store.clone()), start(store.clone())];
    let mut published = Vec::new();
    for ring in rings {
        published.extend(kids(&ring.await.unwrap(), START));
    }
    published.dedup();
    assert_eq!(published.len(), 1);
    assert_eq!(store.signing_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_loses_the_race_for_the_first_key_takes_the_winners() {
    let store = Arc::new(Watched::default());
    let winner = ring(&store, START).await;
    let key = store.signing_keys().await.unwrap().remove(0);
    assert!(!store.add_signing_key(&SigningKey { kid: "late".to_owned(), ..key }, None).await.unwrap());
    let late = ring(&store, START + HOUR).await;
    assert!(verifies(&late, &signed(&winner, START), START));
    assert!(verifies(&winner, &signed(&late, START), START));
}

/// Two instances, looked after once an hour and never at the same time, for half a year.
#[tokio::test]
async fn every_token_verifies_everywhere_until_it_ends() {
    let store = Arc::new(Watched::default());
    let (one, two) = (ring(&store, START).await, ring(&store, START).await);
    let mut signers = Vec::new();
    let mut earlier: Option<(Secret, Vec<String>)> = None;
    for step in 0..180 * 48 {
        let now = START + step * HOUR / 2;
        if let Some((token, published)) = &earlier {
            assert!(verifies(&one, token, now) && verifies(&two, token, now), "signed before step {step}");
            assert!(published.contains(&kid(token)));
        }
        let (maintained, other) = if step % 2 == 0 { (&one, &two) } else { (&two, &one) };
        maintained.rotate(now).await.unwrap();
        let token = signed(maintained, now);
        assert!(verifies(other, &token, now), "signed at step {step}");
        // Who fetched the keys half an hour ago knows it already.
        if let Some((_, published)) = &earlier {
            assert!(published.contains(&kid(&token)), "published before step {step}");
        }
        assert!(kids(&one, now).len() <= 3);
        signers.push(kid(&token));
        earlier = Some((token, kids(other, now)));
    }
    signers.dedup();
    assert_eq!(signers.len(), 6);
}

#[tokio::test]
async fn after_a_long_sleep_a_new_key_signs_at_once() {
    let store = Arc::new(Watched::default());
    let old = signed(&ring(&store, START).await, START);
    let late = START + 90 * 24 * HOUR;
    let ring = ring(&store, late).await;
    assert_ne!(kid(&signed(&ring, late)), kid(&old));
    assert!(!verifies(&ring, &old, late));
    assert_eq!(store.signing_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_overdue_by_days_goes_on_until_the_next_is_known() {
    let store = Arc::new(Watched::default());
    let old = kid(&signed(&ring(&store, START).await, START));
    let late = START + 33 * 24 * HOUR;
    let ring = ring(&store, late).await;
    assert_eq!(kids(&ring, late).len(), 2);
    assert_eq!(kid(&signed(&ring, late)), old);
    assert_ne!(kid(&signed(&ring, late + HOUR)), old);
}

#[tokio::test]
async fn a_longer_life_of_tokens_gets_a_key_that_lasts() {
    let store = Arc::new(Watched::default());
    ring(&store, START).await;
    let life = 60 * 24 * HOUR;
    let long = KeyRing::open(store.clone(), Lives { token: life, ..LIFE }, START + HOUR).await.unwrap();
    let token = signed(&long, START + HOUR);
    assert!(verifies(&long, &token, START + life));
}

#[tokio::test]
async fn a_clock_turned_back_still_signs() {
    let store = Arc::new(Watched::default());
    let ring = ring(&store, START).await;
    let token = signed(&ring, START - 10 * HOUR);
    assert!(verifies(&ring, &token, START - 10 * HOUR));
}

#[tokio::test]
async fn a_key_of_another_instance_is_looked_for_when_a_token_names_it() {
    let house = House::new().await;
    let user = house.user().await;
    for key in house.store.signing_keys().await.unwrap() {
        house.store.sweep_signing_keys(key.retires_at).await.unwrap();
    }
    let neighbour = house.neighbour().await;
    let tokens = neighbour.start_tokens(&user, "local-userpass", Default::default()).await.unwrap();
    assert!(house.sessions.by_bearer(tokens.access_token.expose()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_that_is_none_keeps_the_house_shut() {
    for private in ["", "!", &STANDARD.encode("no key")] {
        let store = Arc::new(Watched::default());
        let key = SigningKey {
            kid: "odd".to_owned(),
            private: Secret::new(private),
            created_at: START,
            signs_from: START,
            retires_at: START + HOUR * 1000,
        };
        assert!(store.add_signing_key(&key, None).await.unwrap());
        assert!(matches!(KeyRing::open(store, LIFE, START).await, Err(Error::Corrupt(_))));
    }
}

#[tokio::test]
async fn what_is_published_is_public() {
    let house = House::new().await;
    let jwks = house.sessions.jwks();
    let key = jwks["keys"][0].as_object().unwrap();
    let mut names: Vec<_> = key.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    let read: jsonwebtoken::jwk::JwkSet = serde_json::from_value(jwks.clone()).unwrap();
    let thumbprint = read.keys[0].thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256);
    assert_eq!(thumbprint.unwrap(), key["kid"].as_str().unwrap());
}

#[tokio::test]
async fn no_secret_prints() {
    let house = House::new().await;
    let user = house.user().await;
    let tokens = house.sessions.start_tokens(&user, "local-userpass", Default::default()).await.unwrap();
    let private = house.store.signing_keys().await.unwrap().remove(0).private;
    let (sessions, inner): (&Sessions, _) = (&house.sessions, &house.sessions.0);
    let caller = sessions.by_bearer(tokens.access_token.expose()).await.unwrap().unwrap();
    let assertion = sessions.assertion(&caller, &"app".into()).unwrap();
    let printed = format!("{sessions:?} {:?} {:?} {tokens:?} {caller:?}", inner.ring, inner.cache);
    for secret in [private.expose(), tokens.access_token.expose(), tokens.refresh_token.expose()] {
        assert!(!printed.contains(secret));
    }
    assert!(!printed.contains(assertion.to_str().unwrap()));
}

#[tokio::test]
async fn maintenance_removes_what_is_over() {
    let house = House::new().await;
    let (user, _) = house.signed_in().await;
    house.advance(12 * 3600);
    house.sessions.maintain().await.unwrap();
    assert!(house.store.sessions_of(user.id).await.unwrap().is_empty());
    house.advance(98 * 24 * 3600);
    instance(&house.store, &house.clock, Settings::default()).await.maintain().await.unwrap();
    assert_eq!(house.store.signing_keys().await.unwrap().len(), 1);
}
