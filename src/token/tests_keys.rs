//! Key sets that are fetched: SEC-JWT-06, and which keys of a set count.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::signer::Signer;
use super::{Algorithm, Bad, Claims, JWKS, KeySource, Refused, Rules, Types, Verifier};
use crate::clock::{Clock, Timestamp};
use crate::fetch::Fetch;
use crate::fetch::scripted::Scripted;
use crate::session::meeting_place::MeetingPlace;
use crate::session::{Sessions, Settings, Shelf};
use crate::store;

const NOW: i64 = 1_795_363_200;

struct Site {
    issuer: Scripted,
    verifier: Verifier,
    clock: Clock,
}

impl Site {
    async fn new(keys: &[Value]) -> Self {
        Self::with(keys, &[Algorithm::ES256, Algorithm::RS256]).await
    }

    async fn with(keys: &[Value], algorithms: &[Algorithm]) -> Self {
        let issuer = Scripted::json(&json!({ "keys": keys })).await;
        Self::at(issuer, Clock::manual(Timestamp::from_seconds(NOW)), algorithms, None)
    }

    /// One of several instances.
    fn at(issuer: Scripted, clock: Clock, algorithms: &[Algorithm], shelf: Option<Shelf>) -> Self {
        let fetch = Fetch::new(&Default::default()).unwrap();
        let source = KeySource::Jwks { uri: issuer.url("/jwks").parse().unwrap(), fetch, most: 3, shelf };
        let rules = Rules {
            algorithms: algorithms.to_vec(),
            issuers: vec![],
            audience: None,
            types: Types::Bearer,
            subject: true,
            leeway: Duration::ZERO,
        };
        Self { issuer, verifier: Verifier::new(source, rules, clock.clone()).unwrap(), clock }
    }

    async fn verify(&self, signer: &Signer) -> Result<Claims, Refused> {
        self.verifier.verify(&token(signer)).await
    }

    async fn takes(&self, signer: &Signer) -> bool {
        self.verify(signer).await.is_ok()
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn token(signer: &Signer) -> String {
    signer.sign(&json!({ "sub": "7", "exp": NOW + 1_000_000 }))
}

fn cannot_tell<T>(outcome: &Result<T, Refused>) -> bool {
    matches!(outcome, Err(Refused::CannotTell(_)))
}

#[tokio::test]
async fn sec_jwt_06_a_new_key_counts_after_one_fetch() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let site = Site::new(&[old.jwk()]).await;
    assert!(site.takes(&old).await && site.takes(&old).await);
    assert_eq!(site.issuer.count(), 1);
    site.issuer.say_json(&json!({ "keys": [new.jwk()] }));
    site.advance(30);
    assert!(site.takes(&new).await);
    assert_eq!(site.issuer.count(), 2);
    // What the issuer withdrew is gone.
    assert_eq!(site.verify(&old).await, Err(Bad::UnknownKey.into()));
}

#[tokio::test]
async fn sec_jwt_06_made_up_keys_cost_one_fetch_in_half_a_minute() {
    let good = Signer::ec("good");
    let site = Site::new(&[good.jwk()]).await;
    assert!(site.takes(&good).await);
    let stranger = Signer::ec("x");
    for number in 0..5000 {
        let header = json!({ "alg": "ES256", "kid": format!("k{number}") }).to_string();
        let token = stranger.sign_text(&header, "{}");
        assert_eq!(site.verifier.verify(&token).await, Err(Bad::UnknownKey.into()));
        if number % 500 == 0 {
            site.advance(1);
        }
    }
    assert_eq!(site.issuer.count(), 1);
    site.advance(20);
    assert!(!site.takes(&stranger).await && site.takes(&good).await);
    assert_eq!(site.issuer.count(), 2);
}

#[tokio::test]
async fn sec_jwt_06_many_requests_wait_for_one_fetch() {
    let good = Signer::ec("good");
    let site = Arc::new(Site::new(&[good.jwk()]).await);
    site.issuer.hold();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (site, good) = (site.clone(), good.clone());
            tokio::spawn(async move { site.takes(&good).await })
        })
        .collect();
    while site.issuer.count() == 0 {
        tokio::task::yield_now().await;
    }
    // Whoever began the fetch going away does not end it.
    waiting[0].abort();
    site.issuer.release();
    for request in waiting.into_iter().skip(1) {
        assert!(request.await.unwrap());
    }
    assert_eq!(site.issuer.count(), 1);
}

#[tokio::test]
async fn sec_jwt_06_an_issuer_that_is_down_at_first_cannot_be_told_and_comes_back() {
    let good = Signer::ec("good");
    let site = Site::new(&[good.jwk()]).await;
    site.issuer.say("HTTP/1.1 500 X\r\n\r\n");
    assert!(cannot_tell(&site.verify(&good).await));
    site.issuer.say_json(&json!({ "keys": [good.jwk()] }));
    assert!(cannot_tell(&site.verify(&good).await));
    assert_eq!(site.issuer.count(), 1);
    site.advance(30);
    assert!(site.takes(&good).await);
}

#[tokio::test]
async fn sec_jwt_06_old_keys_count_for_an_hour_while_the_issuer_is_down() {
    for broken in [
        "HTTP/1.1 500 X\r\ncontent-type: application/json\r\n\r\n{\"keys\":[]}".to_owned(),
        "HTTP/1.1 204 X\r\n\r\n".to_owned(),
        "HTTP/1.1 302 X\r\nlocation: /other\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n{\"keys\":[]}".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\nnot json".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"keys\":[]}".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[]".to_owned(),
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{{\"x\":\"{}\"}}", "x".repeat(512 << 10)),
        String::new(),
    ] {
        let good = Signer::ec("good");
        let site = Site::new(&[good.jwk()]).await;
        assert!(site.takes(&good).await);
        site.issuer.say(broken.clone());
        site.advance(3599);
        assert!(site.takes(&good).await);
        assert_eq!(site.issuer.count(), 1, "kept for an hour");
        site.advance(1);
        assert!(site.takes(&good).await, "{broken:.60}");
        assert_eq!(site.issuer.count(), 2);
        // An unknown key is refused at once, known ones count on.
        assert_eq!(site.verify(&Signer::ec("x")).await, Err(Bad::UnknownKey.into()));
        site.advance(3599);
        assert!(site.takes(&good).await);
        site.advance(1);
        assert!(cannot_tell(&site.verify(&good).await), "{broken:.60}");
        site.issuer.say_json(&json!({ "keys": [good.jwk()] }));
        site.advance(30);
        assert!(site.takes(&good).await);
    }
}

#[tokio::test]
async fn sec_jwt_06_a_clock_turned_back_does_not_keep_old_keys() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let site = Site::new(&[old.jwk()]).await;
    assert!(site.takes(&old).await);
    site.clock.rewind(Duration::from_secs(7200));
    assert!(site.takes(&old).await);
    site.issuer.say_json(&json!({ "keys": [new.jwk()] }));
    site.advance(3600);
    assert!(!site.takes(&old).await && site.takes(&new).await);
}

#[tokio::test]
async fn keys_without_names_are_tried_and_looked_for_again() {
    let nameless = |signer: &Signer| {
        let mut jwk = signer.jwk();
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    let sign = |signer: &Signer| {
        signer.sign_text(r#"{"alg":"ES256"}"#, &json!({ "sub": "7", "exp": NOW + 1_000_000 }).to_string())
    };
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let site = Site::new(&[nameless(&old)]).await;
    assert!(site.verifier.verify(&sign(&old)).await.is_ok());
    site.issuer.say_json(&json!({ "keys": [nameless(&new)] }));
    site.advance(30);
    assert!(site.verifier.verify(&sign(&new)).await.is_ok());
    assert_eq!(site.verifier.verify(&sign(&old)).await, Err(Bad::Signature.into()));
}

#[tokio::test]
async fn a_set_with_too_many_keys_is_not_taken() {
    let keys: Vec<_> = ["1", "2", "3", "4"].map(Signer::ec).to_vec();
    let jwks = |count: usize| keys[..count].iter().map(Signer::jwk).collect::<Vec<_>>();
    assert!(Site::new(&jwks(3)).await.takes(&keys[0]).await);
    assert!(cannot_tell(&Site::new(&jwks(4)).await.verify(&keys[0]).await));
    // Keys that are not for signatures do not count.
    let mut set = jwks(4);
    set[3]["use"] = json!("enc");
    assert!(Site::new(&set).await.takes(&keys[0]).await);
}

#[tokio::test]
async fn a_single_key_is_a_set_of_one() {
    let (signer, other) = (Signer::ec("a"), Signer::ec("b"));
    let site = Site::new(&[other.jwk()]).await;
    site.issuer.say_json(&signer.jwk());
    assert!(site.takes(&signer).await && !site.takes(&other).await);
    for odd in [json!({}), json!({ "keys": signer.jwk() }), json!({ "keys": null, "kty": "EC" }), json!([signer.jwk()])]
    {
        let site = Site::new(&[]).await;
        site.issuer.say_json(&odd);
        assert!(cannot_tell(&site.verify(&signer).await), "{odd}");
    }
}

#[tokio::test]
async fn sec_jwt_02_keys_count_for_what_they_are_made_for() {
    let (ec, rsa, other) = (Signer::ec("k"), Signer::rsa(), Signer::ec("other"));
    let changed = |signer: &Signer, name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        jwk
    };
    for (jwk, counts) in [
        (ec.jwk(), true),
        (changed(&ec, "use", json!("sig")), true),
        (changed(&ec, "use", json!("enc")), false),
        (changed(&ec, "key_ops", json!(["verify"])), true),
        (changed(&ec, "key_ops", json!(["sign"])), false),
        (changed(&ec, "key_ops", json!("verify")), false),
        (changed(&ec, "alg", json!("ES256")), true),
        (changed(&ec, "alg", json!("RS256")), false),
        (changed(&ec, "alg", json!("HS256")), false),
        (changed(&ec, "alg", json!(7)), false),
        (changed(&ec, "crv", json!("P-384")), false),
        (changed(&ec, "crv", json!("secp256k1")), false),
        (changed(&ec, "kty", json!("RSA")), false),
        (changed(&ec, "kty", json!("oct")), false),
        (changed(&ec, "kid", json!(7)), false),
        (changed(&ec, "x", json!("AA")), false),
        (changed(&ec, "x", other.jwk()["x"].clone()), false),
    ] {
        let site = Site::new(&[jwk.clone(), other.jwk()]).await;
        assert_eq!(site.takes(&ec).await, counts, "{jwk}");
    }
    // An EC key is none for RS256, an Ed25519 key none for ES256.
    let mixed = rsa.sign_text(r#"{"alg":"RS256","kid":"k"}"#, "{}");
    assert_eq!(Site::new(&[ec.jwk()]).await.verifier.verify(&mixed).await, Err(Bad::UnknownKey.into()));
    let mixed = ec.sign_text(r#"{"alg":"ES256","kid":"k"}"#, "{}");
    let site = Site::with(&[Signer::ed("k").jwk()], &[Algorithm::ES256, Algorithm::EdDSA]).await;
    assert_eq!(site.verifier.verify(&mixed).await, Err(Bad::UnknownKey.into()));
}

#[tokio::test]
async fn sec_jwt_03_weak_keys_of_a_set_are_ignored() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (rsa, ec) = (Signer::rsa(), Signer::ec("ec"));
    let with = |name: &str, bytes: &[u8]| {
        let mut jwk = rsa.jwk();
        jwk[name] = json!(URL_SAFE_NO_PAD.encode(bytes));
        jwk
    };
    for weak in [with("n", &[0xff; 128]), with("n", &[0xff; 255]), with("n", &[0xff; 1025]), with("e", &[1])] {
        let site = Site::new(&[weak, ec.jwk()]).await;
        assert_eq!(site.verify(&rsa).await, Err(Bad::UnknownKey.into()));
    }
    assert!(Site::new(&[rsa.jwk(), ec.jwk()]).await.takes(&rsa).await);
}

/// Two instances on one store, which meet.
async fn two(keys: &[Value]) -> (Site, Site, MeetingPlace) {
    let issuer = Scripted::json(&json!({ "keys": keys })).await;
    let store = store::open(&store::Address::Memory).unwrap();
    let (clock, place) = (Clock::manual(Timestamp::from_seconds(NOW)), MeetingPlace::default());
    let home = "https://blog.example.com".parse().unwrap();
    let mut sites = Vec::new();
    for _ in 0..2 {
        let sessions = Sessions::open(store.clone(), clock.clone(), Settings::default(), &home).await.unwrap();
        sessions.announce_to(Arc::new(place.clone()));
        let shelf = sessions.shelf(JWKS, "corp");
        sites.push(Site::at(issuer.clone(), clock.clone(), &[Algorithm::ES256], shelf));
    }
    let (other, one) = (sites.pop().unwrap(), sites.pop().unwrap());
    (one, other, place)
}

#[tokio::test]
async fn sec_jwt_06_of_two_instances_one_fetches_and_both_know() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let (one, other, _) = two(&[old.jwk()]).await;
    one.issuer.hold();
    let both = async { tokio::join!(one.takes(&old), other.takes(&old)) };
    let asked = async {
        while one.issuer.count() == 0 {
            tokio::task::yield_now().await;
        }
        one.issuer.release();
    };
    assert_eq!(tokio::join!(both, asked).0, (true, true));
    assert_eq!(one.issuer.count(), 1);
    // A key that neither knows costs one fetch, and the old one is gone for both.
    one.issuer.say_json(&json!({ "keys": [new.jwk()] }));
    one.advance(30);
    assert!(one.takes(&new).await && other.takes(&new).await);
    assert_eq!(one.issuer.count(), 2);
    assert_eq!(other.verify(&old).await, Err(Bad::UnknownKey.into()));
    assert_eq!(one.verify(&old).await, Err(Bad::UnknownKey.into()));
    assert_eq!(one.issuer.count(), 2);
}

#[tokio::test]
async fn sec_jwt_06_made_up_keys_cost_all_instances_one_fetch_in_half_a_minute() {
    let good = Signer::ec("good");
    let (one, other, _) = two(&[good.jwk()]).await;
    assert!(one.takes(&good).await && other.takes(&good).await);
    let stranger = Signer::ec("x");
    for second in 0..120 {
        for site in [&one, &other] {
            assert_eq!(site.verify(&stranger).await, Err(Bad::UnknownKey.into()));
        }
        assert_eq!(one.issuer.count(), 1 + second / 30);
        one.advance(1);
    }
}

#[tokio::test]
async fn sec_jwt_06_a_set_left_by_another_instance_is_renewed_for_a_key_that_is_newer() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let (one, other, _) = two(&[old.jwk()]).await;
    assert!(one.takes(&old).await);
    one.advance(3000);
    one.issuer.say_json(&json!({ "keys": [new.jwk()] }));
    // What lies there is young enough, and does not have it.
    assert!(other.takes(&new).await);
    assert_eq!(one.issuer.count(), 2);
}

#[tokio::test]
async fn sec_jwt_06_a_set_counts_from_when_it_was_fetched_whoever_has_it() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let (one, other, _) = two(&[old.jwk()]).await;
    assert!(one.takes(&old).await);
    one.advance(3599);
    assert!(other.takes(&old).await);
    assert_eq!(one.issuer.count(), 1);
    one.issuer.say_json(&json!({ "keys": [new.jwk()] }));
    one.advance(1);
    assert_eq!(other.verify(&old).await, Err(Bad::UnknownKey.into()));
    assert_eq!(one.issuer.count(), 2);
}

#[tokio::test]
async fn sec_jwt_06_an_issuer_that_is_down_is_asked_once_for_all() {
    let good = Signer::ec("good");
    let (one, other, _) = two(&[good.jwk()]).await;
    one.issuer.say("HTTP/1.1 500 X\r\n\r\n");
    assert!(cannot_tell(&one.verify(&good).await) && cannot_tell(&other.verify(&good).await));
    assert_eq!(one.issuer.count(), 1);
    one.issuer.say_json(&json!({ "keys": [good.jwk()] }));
    one.advance(30);
    assert!(one.takes(&good).await && other.takes(&good).await);
    assert_eq!(one.issuer.count(), 2);
}

#[tokio::test]
async fn sec_jwt_06_keys_that_a_stranger_puts_there_admit_nobody_and_keep_nobody_out() {
    let (good, thief) = (Signer::ec("good"), Signer::ec("thief"));
    let (one, other, place) = two(&[good.jwk()]).await;
    assert!(one.takes(&good).await);
    for value in place.held().values_mut() {
        let mut forged = value[..41].to_vec();
        forged.extend(json!({ "keys": [thief.jwk()] }).to_string().bytes());
        *value = forged;
    }
    assert_eq!(other.verify(&thief).await, Err(Bad::UnknownKey.into()));
    assert!(other.takes(&good).await);
    assert_eq!(one.issuer.count(), 2, "it has fetched by itself");
}
