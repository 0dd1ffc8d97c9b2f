//! Access and refresh tokens, and what is no token of ours.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::account::User;
use crate::session::keyring::Purpose;
use crate::session::watched::House;
use crate::session::{Device, Sessions, Tokens};
use crate::store::Store as _;

async fn tokens(house: &House) -> (User, Tokens) {
    let user = house.user().await;
    let tokens = house.sessions.start_tokens(&user, "local-userpass", Device::default()).await.unwrap();
    (user, tokens)
}

async fn admits(house: &House, bearer: &str) -> bool {
    house.sessions.by_bearer(bearer).await.unwrap().is_some()
}

async fn refresh(house: &House, tokens: &Tokens) -> Option<Tokens> {
    house.sessions.refresh(tokens.refresh_token.expose()).await.unwrap()
}

fn part(token: &str, index: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn an_access_token_says_who_and_which_session_and_until_when() {
    let house = House::new().await;
    let (user, tokens) = tokens(&house).await;
    let caller = house.sessions.by_bearer(tokens.access_token.expose()).await.unwrap().unwrap();
    assert_eq!(caller.user.id, user.id);
    let (header, claims) = (part(tokens.access_token.expose(), 0), part(tokens.access_token.expose(), 1));
    assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("at+jwt"), Some("ES256")));
    assert_eq!(claims["iss"], "https://blog.example.com");
    assert_eq!(claims["sub"], user.id.to_string());
    assert_eq!(claims["sid"], caller.session.unwrap().to_string());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1800);
    assert_eq!(tokens.expires_in, Duration::from_secs(1800));
}

#[tokio::test]
async fn a_known_access_token_costs_no_read_and_ends_to_the_second() {
    let house = House::new().await;
    let (_, tokens) = tokens(&house).await;
    for _ in 0..10 {
        assert!(admits(&house, tokens.access_token.expose()).await);
    }
    assert_eq!(house.store.reads(), 1);
    house.advance(1799);
    assert!(admits(&house, tokens.access_token.expose()).await);
    house.advance(1);
    assert!(!admits(&house, tokens.access_token.expose()).await);
}

/// SEC-SESS-03
#[tokio::test]
async fn sec_sess_03_revoking_ends_the_tokens_at_once() {
    let house = House::new().await;
    let (_, tokens) = tokens(&house).await;
    assert!(admits(&house, tokens.access_token.expose()).await);
    assert!(house.sessions.revoke(tokens.refresh_token.expose()).await.unwrap());
    assert!(!admits(&house, tokens.access_token.expose()).await);
    assert!(refresh(&house, &tokens).await.is_none());
    assert!(!house.sessions.revoke(tokens.refresh_token.expose()).await.unwrap());
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_successor_again() {
    let house = House::new().await;
    let (user, first) = tokens(&house).await;
    let second = refresh(&house, &first).await.unwrap();
    assert_ne!(first.refresh_token.expose(), second.refresh_token.expose());
    assert_eq!(second.user_id, user.id);
    assert!(admits(&house, second.access_token.expose()).await);
    house.advance(60);
    assert!(refresh(&house, &second).await.is_some());
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_for_thirty_seconds() {
    let house = House::new().await;
    let (_, first) = tokens(&house).await;
    let lost = refresh(&house, &first).await.unwrap();
    house.advance(29);
    let found = refresh(&house, &first).await.unwrap();
    assert_eq!(lost.refresh_token.expose(), found.refresh_token.expose());
    assert!(admits(&house, found.access_token.expose()).await);
}

#[tokio::test]
async fn a_refresh_token_that_two_have_ends_the_session() {
    let house = House::new().await;
    let (_, first) = tokens(&house).await;
    let second = refresh(&house, &first).await.unwrap();
    assert!(admits(&house, second.access_token.expose()).await);
    house.advance(30);
    assert!(refresh(&house, &first).await.is_none());
    assert!(!admits(&house, second.access_token.expose()).await);
    assert!(refresh(&house, &second).await.is_none());
}

#[tokio::test]
async fn two_that_refresh_at_once_get_the_same_token() {
    let house = House::new().await;
    let neighbour = house.neighbour().await;
    let (_, first) = tokens(&house).await;
    let ask = |sessions: Sessions| {
        let token = first.refresh_token.clone();
        tokio::spawn(async move { sessions.refresh(token.expose()).await.unwrap().unwrap() })
    };
    let (one, two) = (ask(house.sessions.clone()), ask(neighbour));
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_eq!(one.refresh_token.expose(), two.refresh_token.expose());
    house.advance(60);
    assert!(refresh(&house, &two).await.is_some());
}

#[tokio::test]
async fn a_refresh_token_ends_when_it_is_not_used() {
    for (days, good) in [(59, true), (60, false)] {
        let house = House::new().await;
        let (_, tokens) = tokens(&house).await;
        house.advance(days * 24 * 3600);
        assert_eq!(refresh(&house, &tokens).await.is_some(), good, "after {days} days");
    }
}

#[tokio::test]
async fn made_up_refresh_tokens_are_refused() {
    let house = House::new().await;
    let (_, tokens) = tokens(&house).await;
    let token = tokens.refresh_token.expose();
    for odd in ["", &token[..42], &format!("{token}a"), &"a".repeat(100_000), tokens.access_token.expose()] {
        assert!(house.sessions.refresh(odd).await.unwrap().is_none());
    }
    assert!(refresh(&house, &tokens).await.is_some());
}

/// SEC-JWT-02, SEC-JWT-03, SEC-JWT-04
#[tokio::test]
async fn sec_jwt_04_what_we_did_not_sign_is_refused() {
    let house = House::new().await;
    let (_, tokens) = tokens(&house).await;
    let token = tokens.access_token.expose();
    let (header, claims) = (part(token, 0), part(token, 1));
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        encoded(&header)
    };
    let mut other = claims.clone();
    other["sub"] = json!("6553f1000000000000000000");
    let mut flipped = signature.as_bytes().to_vec();
    flipped[0] = if flipped[0] == b'A' { b'B' } else { b'A' };
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let forged = [
        format!("{}.{body}.", with("alg", json!("none"))),
        format!("{}.{body}.{signature}", with("alg", json!("none"))),
        format!("{}.{body}.{signature}", with("alg", json!("HS256"))),
        format!("{}.{body}.{signature}", with("alg", json!("ES384"))),
        format!("{}.{body}.{signature}", with("kid", json!("unknown"))),
        format!("{}.{body}.{signature}", with("jwk", house.sessions.jwks()["keys"][0].clone())),
        format!("{}.{body}.{signature}", with("crit", json!(["exp"]))),
        format!("{head}.{}.{signature}", encoded(&other)),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{head}.{body}.{zeros}"),
        format!("{head}.{body}.{}", String::from_utf8(flipped).unwrap()),
        format!("{head}.{body}.{signature}.x"),
        format!("{head}.{body}.{signature}="),
        format!(" {token}"),
        format!("{head}={body}.{signature}"),
        ".".repeat(8 << 10),
        ".".repeat(1 << 20),
        "..".to_owned(),
    ];
    for forged in forged {
        assert!(!admits(&house, &forged).await, "{}", &forged[..forged.len().min(100)]);
    }
    assert!(admits(&house, token).await);
}

/// SEC-JWT-02
#[tokio::test]
async fn sec_jwt_02_the_public_key_is_no_secret_and_no_foreign_key_signs() {
    let house = House::new().await;
    let (_, tokens) = tokens(&house).await;
    let token = tokens.access_token.expose();
    let (kid, claims) = (part(token, 0)["kid"].as_str().unwrap().to_owned(), part(token, 1));
    let x = house.sessions.jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
    let sign = |algorithm, key: &EncodingKey| {
        let mut header = Header::new(algorithm);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(kid.clone());
        jsonwebtoken::encode(&header, &claims, key).unwrap()
    };
    for secret in [x.as_bytes(), &URL_SAFE_NO_PAD.decode(&x).unwrap(), b""] {
        assert!(!admits(&house, &sign(Algorithm::HS256, &EncodingKey::from_secret(secret))).await);
    }
    let foreign = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    assert!(!admits(&house, &sign(Algorithm::ES256, &EncodingKey::from_ec_der(&foreign.serialize_der()))).await);
    let own = house.store.signing_keys().await.unwrap().remove(0).private;
    let own = base64::engine::general_purpose::STANDARD.decode(own.expose()).unwrap();
    assert!(admits(&house, &sign(Algorithm::ES256, &EncodingKey::from_ec_der(&own))).await);
}

/// SEC-JWT-07, SEC-JWT-10
#[tokio::test]
async fn sec_jwt_10_our_key_alone_does_not_make_an_access_token() {
    let house = House::new().await;
    let (_, tokens) = tokens(&house).await;
    let good = part(tokens.access_token.expose(), 1);
    let now = house.clock.now();
    let sign = |purpose, claims: &Value| house.sessions.0.ring.sign(purpose, claims, now).unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    assert!(admits(&house, sign(Purpose::Access, &good).expose()).await);
    assert!(!admits(&house, sign(Purpose::Assertion, &good).expose()).await);
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("exp", json!(null)),
        ("exp", json!("99999999999")),
        ("exp", json!(1e300)),
        ("exp", json!([])),
        ("exp", json!(true)),
        ("exp", json!(-1)),
        ("exp", json!(now.seconds())),
        ("sid", json!("6553f1000000000000000000")),
        ("sub", json!("6553f1000000000000000000")),
        ("sub", json!(1)),
    ] {
        assert!(!admits(&house, sign(Purpose::Access, &with(name, value)).expose()).await, "{name}");
    }
}

/// SEC-JWT-10
#[tokio::test]
async fn sec_jwt_10_an_assertion_is_no_credential() {
    let house = House::new().await;
    let (_, tokens) = tokens(&house).await;
    let caller = house.sessions.by_bearer(tokens.access_token.expose()).await.unwrap().unwrap();
    let assertion = house.sessions.assertion(&caller, &"https://app.example.com".into()).unwrap();
    assert!(!admits(&house, assertion.to_str().unwrap()).await);
}

#[tokio::test]
async fn an_assertion_tells_one_app_who_is_calling() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    house
        .change(user.id, |user| {
            user.roles = BTreeSet::from(["editor".to_owned(), "journalist".to_owned()]);
            user.data.insert("name".to_owned(), json!("Ann"));
            user.data.insert("aud".to_owned(), json!("https://evil.example"));
        })
        .await;
    let caller = house.sessions.by_cookie(&cookie).await.unwrap().unwrap();
    let assertion = house.sessions.assertion(&caller, &"https://app.example.com".into()).unwrap();
    assert!(assertion.is_sensitive());
    let token = assertion.to_str().unwrap();
    assert_eq!(part(token, 0)["typ"], "assertion+jwt");
    let mut claims = part(token, 1);
    let (iat, exp) = (claims["iat"].take(), claims["exp"].take());
    assert_eq!(exp.as_i64().unwrap() - iat.as_i64().unwrap(), 300);
    let expected = json!({
        "iss": "https://blog.example.com",
        "aud": "https://app.example.com",
        "sub": user.id,
        "iat": null,
        "exp": null,
        "kind": "user",
        "provider": "local-userpass",
        "roles": ["editor", "journalist"],
        "data": { "name": "Ann", "aud": "https://evil.example" },
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn an_assertion_is_signed_once_a_minute_for_each_app() {
    let house = House::new().await;
    let (_, cookie) = house.signed_in().await;
    let assertion = async |audience: &str| {
        let caller = house.sessions.by_cookie(&cookie).await.unwrap().unwrap();
        house.sessions.assertion(&caller, &audience.into()).unwrap()
    };
    let first = assertion("a").await;
    assert_ne!(assertion("b").await, first);
    house.advance(59);
    assert_eq!(assertion("a").await, first);
    house.advance(1);
    assert_ne!(assertion("a").await, first);
}

#[tokio::test]
async fn assertions_kept_are_bounded() {
    let house = House::new().await;
    let (_, cookie) = house.signed_in().await;
    let caller = house.sessions.by_cookie(&cookie).await.unwrap().unwrap();
    let first = house.sessions.assertion(&caller, &"0".into()).unwrap();
    for audience in 1..17 {
        house.sessions.assertion(&caller, &audience.to_string().into()).unwrap();
    }
    assert_ne!(house.sessions.assertion(&Arc::clone(&caller), &"0".into()).unwrap(), first);
}
