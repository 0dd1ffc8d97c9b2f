//! What a token says, once its signature is good.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::signer::Signer;
use super::tests::{NOW, changed, claims, clock, rules, verified, verifier_of};
use super::{Algorithm, Audience, Bad, Key, KeySource, Matching, Rules, Types, Unverified, Verifier};

#[tokio::test]
async fn sec_jwt_07_times_are_numbers_in_their_bounds() {
    let ec = Signer::ec("k");
    for exp in [
        json!((NOW + 300).to_string()),
        json!([NOW + 300]),
        json!(true),
        json!({}),
        json!(1e300),
        json!(-1),
        json!(9_223_372_036_854_775_808_u64),
        json!(u64::MAX),
    ] {
        assert_eq!(verified(&ec, &ec.sign(&changed("exp", exp.clone()))).await, Err(Bad::Claim("exp")), "{exp}");
    }
    let text = claims().to_string();
    let with_null = text.replace(&format!("{}", NOW + 300), "null");
    assert_eq!(verified(&ec, &ec.sign_text(&ec.header().to_string(), &with_null)).await, Err(Bad::Claim("exp")));
    assert_eq!(verified(&ec, &ec.sign(&changed("exp", Value::Null))).await, Err(Bad::Missing("exp")));
    assert_eq!(verified(&ec, &ec.sign(&changed("exp", json!(1.5)))).await, Err(Bad::Expired));
    assert!(verified(&ec, &ec.sign(&changed("exp", json!(NOW as f64 + 0.5)))).await.is_ok());
    for (name, value) in [("nbf", json!("soon")), ("nbf", json!(NOW.to_string())), ("iat", json!([]))] {
        assert!(matches!(verified(&ec, &ec.sign(&changed(name, value))).await, Err(Bad::Claim(_))));
    }
}

#[tokio::test]
async fn sec_jwt_07_clocks_differ_by_a_minute_at_most() {
    let ec = Signer::ec("k");
    for (name, at, counts) in [
        ("exp", NOW - 59, Ok(())),
        ("exp", NOW - 60, Err(Bad::Expired)),
        ("nbf", NOW + 60, Ok(())),
        ("nbf", NOW + 61, Err(Bad::NotYet)),
        ("iat", NOW + 60, Ok(())),
        ("iat", NOW + 600, Err(Bad::NotYet)),
    ] {
        assert_eq!(verified(&ec, &ec.sign(&changed(name, json!(at)))).await.map(|_| ()), counts, "{name} {at}");
    }
    let key = || Key::from_pem(None, &ec.pem(), &[Algorithm::ES256]).unwrap();
    let loose = Rules { leeway: Duration::from_secs(61), ..rules(&[Algorithm::ES256]) };
    assert!(Verifier::new(KeySource::Keys(vec![key()]), loose, clock()).is_err());
}

#[tokio::test]
async fn sec_jwt_07_no_name_stands_twice_and_nothing_is_deep() {
    let ec = Signer::ec("k");
    let header = ec.header().to_string();
    let text = claims().to_string();
    let twice = text.replacen('{', r#"{"sub":"1","#, 1);
    assert_eq!(verified(&ec, &ec.sign_text(&header, &twice)).await, Err(Bad::Payload));
    let inside = text.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1);
    assert_eq!(verified(&ec, &ec.sign_text(&header, &inside)).await, Err(Bad::Payload));
    let deep = text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(10_000), "]".repeat(10_000)), 1);
    assert_eq!(verified(&ec, &ec.sign_text(&header, &deep)).await, Err(Bad::Payload));
    let algorithm_twice = header.replacen('{', r#"{"alg":"none","#, 1);
    assert_eq!(verified(&ec, &ec.sign_text(&algorithm_twice, &text)).await, Err(Bad::Form));
    for other in ["[]", "null", "\"x\"", "", "{"] {
        assert!(verified(&ec, &ec.sign_text(&header, other)).await.is_err(), "{other}");
    }
    assert!(verified(&ec, &ec.sign_text(&header, &text)).await.is_ok());
}

#[tokio::test]
async fn sec_jwt_08_the_audience_is_ours_exactly() {
    let ec = Signer::ec("k");
    for (aud, outcome) in [
        (json!("app"), Ok(())),
        (json!(["other", "app"]), Ok(())),
        (Value::Null, Err(Bad::Missing("aud"))),
        (json!([]), Err(Bad::Claim("aud"))),
        (json!("other"), Err(Bad::Audience)),
        (json!("app2"), Err(Bad::Audience)),
        (json!("ap"), Err(Bad::Audience)),
        (json!("APP"), Err(Bad::Audience)),
        (json!(7), Err(Bad::Claim("aud"))),
        (json!(["app", 7]), Err(Bad::Claim("aud"))),
        (json!({ "app": true }), Err(Bad::Claim("aud"))),
    ] {
        assert_eq!(verified(&ec, &ec.sign(&changed("aud", aud.clone()))).await.map(|_| ()), outcome, "{aud}");
    }
    let key = || Key::from_pem(None, &ec.pem(), &[Algorithm::ES256]).unwrap();
    for names in [vec![], vec![String::new()]] {
        let audience = Some(Audience { names, matching: Matching::Any });
        let empty = Rules { audience, ..rules(&[Algorithm::ES256]) };
        assert!(Verifier::new(KeySource::Keys(vec![key()]), empty, clock()).is_err());
    }
}

#[tokio::test]
async fn all_audiences_or_any_of_them() {
    let ec = Signer::ec("k");
    let names = || vec!["one".to_owned(), "two".to_owned()];
    for (matching, aud, counts) in [
        (Matching::All, json!(["two", "one", "three"]), true),
        (Matching::All, json!(["one"]), false),
        (Matching::Any, json!(["three", "two"]), true),
        (Matching::Any, json!("three"), false),
    ] {
        let audience = Some(Audience { names: names(), matching });
        let verifier = verifier_of(&ec, Rules { audience, ..rules(&[Algorithm::ES256]) });
        assert_eq!(verifier.verify(&ec.sign(&changed("aud", aud))).await.is_ok(), counts, "{matching:?}");
    }
}

#[tokio::test]
async fn sec_jwt_08_a_token_for_several_names_its_party() {
    let ec = Signer::ec("k");
    for (aud, azp, fine) in [
        (json!("app"), Value::Null, true),
        (json!(["app"]), json!("app"), true),
        (json!(["app", "other"]), json!("app"), true),
        (json!(["app", "other"]), Value::Null, false),
        (json!(["app", "other"]), json!("other"), false),
        (json!("app"), json!("other"), false),
        (json!("app"), json!(7), false),
    ] {
        let mut claims = changed("aud", aud);
        if !azp.is_null() {
            claims["azp"] = azp;
        }
        let verified = verified(&ec, &ec.sign(&claims)).await.unwrap();
        assert_eq!(verified.check_authorized_party(&["app"]).is_ok(), fine, "{claims}");
    }
}

#[tokio::test]
async fn issuer_and_subject_are_text_and_exact() {
    let ec = Signer::ec("k");
    for (name, value, bad) in [
        ("iss", Value::Null, Bad::Missing("iss")),
        ("iss", json!("https://id.example.com/"), Bad::Issuer),
        ("iss", json!("https://ID.example.com"), Bad::Issuer),
        ("iss", json!(["https://id.example.com"]), Bad::Claim("iss")),
        ("sub", Value::Null, Bad::Missing("sub")),
        ("sub", json!(""), Bad::Claim("sub")),
        ("sub", json!(7), Bad::Claim("sub")),
    ] {
        assert_eq!(verified(&ec, &ec.sign(&changed(name, value))).await, Err(bad));
    }
}

#[tokio::test]
async fn sec_jwt_10_a_token_for_another_purpose_is_refused() {
    let ec = Signer::ec("k");
    for (types, taken) in [
        (Types::Identity, ["", "JWT", "jwt", "application/jwt"].as_slice()),
        (Types::Bearer, &["", "JWT", "at+jwt", "application/at+JWT"]),
        (Types::Logout, &["", "JWT", "logout+jwt"]),
    ] {
        let verifier = verifier_of(&ec, Rules { types, ..rules(&[Algorithm::ES256]) });
        for typ in
            ["", "JWT", "jwt", "application/jwt", "at+jwt", "application/at+JWT", "logout+jwt", "dpop+jwt", "JOSE"]
        {
            let mut header = ec.header();
            header["typ"] = json!(typ);
            let outcome = verifier.verify(&ec.sign_text(&header.to_string(), &claims().to_string())).await;
            let lower = typ.to_lowercase();
            let fine = taken.iter().any(|one| {
                one.to_lowercase().trim_start_matches("application/") == lower.trim_start_matches("application/")
            });
            assert_eq!(outcome.is_ok(), fine, "{types:?} {typ}");
        }
    }
}

#[tokio::test]
async fn sec_jwt_11_nonce_and_hashes_are_compared_whole() {
    let ec = Signer::ec("k");
    let half = |hash, of: &str| {
        let whole = digest(hash, of.as_bytes());
        URL_SAFE_NO_PAD.encode(&whole.as_ref()[..whole.as_ref().len() / 2])
    };
    let mut claims = changed("nonce", json!("n-0S6_WzA2Mj"));
    claims["at_hash"] = json!(half(&SHA256, "token"));
    let said = verified(&ec, &ec.sign(&claims)).await.unwrap();
    assert!(said.check_nonce("n-0S6_WzA2Mj").is_ok() && said.check_at_hash("token").is_ok());
    for other in ["n-0S6_WzA2M", "n-0S6_WzA2Mj ", "n-0S6_WzA2Mj\0", ""] {
        assert_eq!(said.check_nonce(other), Err(Bad::Claim("nonce")));
    }
    for other in ["other", "token\0", ""] {
        assert_eq!(said.check_at_hash(other), Err(Bad::Claim("at_hash")));
    }
    let bare = verified(&ec, &ec.sign(&self::claims())).await.unwrap();
    assert_eq!(bare.check_nonce("n"), Err(Bad::Missing("nonce")));
    assert!(bare.check_at_hash("token").is_ok() && bare.check_c_hash("code").is_ok());
    // The hash goes with the token's own algorithm.
    let ed = Signer::ed("k");
    let said = verified(&ed, &ed.sign(&changed("c_hash", json!(half(&SHA512, "code"))))).await.unwrap();
    assert!(said.check_c_hash("code").is_ok());
    let said = verified(&ed, &ed.sign(&changed("c_hash", json!(half(&SHA256, "code"))))).await.unwrap();
    assert!(said.check_c_hash("code").is_err());
}

#[tokio::test]
async fn sec_jwt_12_bombs_are_refused_before_they_are_opened() {
    let ec = Signer::ec("k");
    let long = ec.sign(&changed("x", json!("x".repeat(64 << 10))));
    assert_eq!(verified(&ec, &long).await, Err(Bad::TooLong));
    assert_eq!(verified(&ec, &".".repeat(1 << 20)).await, Err(Bad::TooLong));
    assert_eq!(verified(&ec, &".".repeat(1 << 10)).await, Err(Bad::Form));
    // Encrypted tokens have five parts, and are not for us whatever they ask for.
    for header in [
        json!({ "alg": "dir", "enc": "A256GCM", "zip": "DEF" }),
        json!({ "alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 4_294_967_295_u32 }),
        json!({ "alg": "RSA-OAEP", "enc": "A256GCM" }),
    ] {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        assert_eq!(verified(&ec, &format!("{header}..x.x.x")).await, Err(Bad::Form));
        assert_eq!(verified(&ec, &format!("{header}.x.x.x.x")).await, Err(Bad::Form));
        // The same said by a token of three parts.
        assert!(verified(&ec, &format!("{header}..")).await.is_err());
    }
    let header = json!({ "alg": "ES256", "x": "x".repeat(8 << 20) }).to_string();
    assert_eq!(verified(&ec, &ec.sign_text(&header, &claims().to_string())).await, Err(Bad::TooLong));
    // What is packed is not unpacked, although the signature is good (RFC 7516 §4.1.3 is of encrypted tokens alone).
    let header = json!({ "alg": "ES256", "kid": "k", "zip": "DEF", "crit": ["zip"] }).to_string();
    assert!(verified(&ec, &ec.sign_text(&header, &claims().to_string())).await.is_err());
}

#[test]
fn a_token_tells_whose_it_could_be() {
    let ec = Signer::ec("k");
    let read = Unverified::read(&ec.sign(&claims())).unwrap();
    assert_eq!((read.kid.as_deref(), read.issuer.as_deref()), (Some("k"), Some("https://id.example.com")));
    let verifier = verifier_of(&ec, rules(&[Algorithm::ES256]));
    assert!(verifier.may_take(&read));
    let other = Unverified::read(&ec.sign(&changed("iss", json!("https://other.example.com")))).unwrap();
    assert!(!verifier.may_take(&other));
    let key = Key::from_pem(Some("k1".into()), &ec.pem(), &[Algorithm::ES256]).unwrap();
    let any = Rules { issuers: vec![], ..rules(&[Algorithm::ES256]) };
    let by_name = Verifier::new(KeySource::Keys(vec![key]), any, clock()).unwrap();
    assert!(!by_name.may_take(&read) && by_name.may_take(&Unverified { kid: Some("k1".into()), ..read.clone() }));
    assert_eq!(Unverified::read("x.y.z"), None);
}

#[tokio::test]
async fn of_a_token_nothing_is_shown() {
    let ec = Signer::ec("k");
    let said = verified(&ec, &ec.sign(&changed("secret", json!("canary")))).await.unwrap();
    assert!(!format!("{said:?}").contains("canary"));
}
