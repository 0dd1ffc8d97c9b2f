//! Keys and signatures.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::signer::Signer;
use super::{Algorithm, Audience, Bad, Claims, Key, KeySource, Matching, Refused, Rules, Types, Verifier};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;

pub(super) const NOW: i64 = 1_795_363_200;

pub(super) fn rules(algorithms: &[Algorithm]) -> Rules {
    Rules {
        algorithms: algorithms.to_vec(),
        issuers: vec!["https://id.example.com".to_owned()],
        audience: Some(Audience { names: vec!["app".to_owned()], matching: Matching::All }),
        types: Types::Identity,
        subject: true,
        leeway: Duration::from_secs(60),
    }
}

pub(super) fn verifier_of(signer: &Signer, rules: Rules) -> Verifier {
    let key = Key::from_pem(None, &signer.pem(), &rules.algorithms).unwrap();
    Verifier::new(KeySource::Keys(vec![key]), rules, clock()).unwrap()
}

pub(super) fn clock() -> Clock {
    Clock::manual(Timestamp::from_seconds(NOW))
}

pub(super) fn claims() -> Value {
    json!({ "iss": "https://id.example.com", "aud": "app", "sub": "7", "exp": NOW + 300, "iat": NOW })
}

pub(super) fn changed(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

pub(super) fn algorithm(signer: &Signer) -> Algorithm {
    Algorithm::parse(signer.alg).unwrap()
}

/// What a verifier for this key makes of the token.
pub(super) async fn verified(signer: &Signer, token: &str) -> Result<Claims, Bad> {
    match verifier_of(signer, rules(&[algorithm(signer)])).verify(token).await {
        Ok(claims) => Ok(claims),
        Err(Refused::Bad(bad)) => Err(bad),
        Err(Refused::CannotTell(why)) => panic!("{why}"),
    }
}

#[tokio::test]
async fn every_algorithm_verifies_what_it_signed_and_nothing_else() {
    let secret = Signer::secret(&[7; 64]);
    let secret_key = |rules: &Rules| {
        Key::from_secret(None, &Secret::new(String::from_utf8(vec![7; 64]).unwrap()), &rules.algorithms).unwrap()
    };
    for algorithm in Algorithm::ALL {
        let signer = match algorithm {
            Algorithm::ES256 => Signer::ec("k"),
            Algorithm::ES384 => Signer::ec384("k"),
            Algorithm::EdDSA => Signer::ed("k"),
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => secret.with(algorithm.name()),
            rsa => Signer::rsa().with(rsa.name()),
        };
        let rules = rules(&[algorithm]);
        let verifier = match signer.spki() {
            [] => Verifier::new(KeySource::Keys(vec![secret_key(&rules)]), rules, clock()).unwrap(),
            _ => verifier_of(&signer, rules),
        };
        let token = signer.sign(&claims());
        assert_eq!(verifier.verify(&token).await.unwrap().subject(), Ok("7"), "{algorithm}");
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let forged = format!("{rest}.{}", URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(verifier.verify(&forged).await, Err(Bad::Signature.into()), "{algorithm}");
    }
}

#[tokio::test]
async fn sec_jwt_02_a_public_key_is_no_secret() {
    let rsa = Signer::rsa();
    let der = rsa.spki().to_vec();
    let jwk = rsa.jwk().to_string().into_bytes();
    let pem = rsa.pem().into_bytes();
    let trimmed = rsa.pem().trim().as_bytes().to_vec();
    // RFC 8017 A.1.1: the key within the key of RFC 5280, behind 24 bytes that say what it is; both spelled as PEM.
    let inner = der[24..].to_vec();
    assert_eq!(inner[..2], [0x30, 0x82], "a sequence");
    let text = STANDARD.encode(&inner);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pkcs1 = format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", lines.join("\n"));
    let spellings = [pkcs1.clone(), pkcs1.trim().to_owned(), pkcs1.replace('\n', "\r\n")].map(String::into_bytes);
    for secret in
        spellings.into_iter().chain([inner, pem, trimmed, der.clone(), STANDARD.encode(&der).into(), jwk, vec![]])
    {
        let forged = Signer::secret(&secret).sign(&claims());
        assert_eq!(verified(&rsa, &forged).await, Err(Bad::Algorithm));
    }
    assert!(verified(&rsa, &rsa.sign(&claims())).await.is_ok());
}

#[test]
fn sec_jwt_02_shared_secrets_and_key_pairs_are_never_mixed() {
    let key = |algorithms: &[Algorithm]| Key::from_pem(None, &Signer::rsa().pem(), algorithms);
    let pair = key(&[Algorithm::RS256]).unwrap();
    let mixed = rules(&[Algorithm::RS256, Algorithm::HS256]);
    assert!(Verifier::new(KeySource::Keys(vec![pair.clone()]), mixed, clock()).is_err());
    assert!(Verifier::new(KeySource::Keys(vec![pair]), rules(&[Algorithm::RS256]), clock()).is_ok());
    assert!(key(&[Algorithm::HS256]).is_err());
    assert!(key(&[Algorithm::ES256]).is_err());
    let fetch = crate::fetch::Fetch::new(&Default::default()).unwrap();
    let set = |fetch| KeySource::Jwks { uri: "http://127.0.0.1/".parse().unwrap(), fetch, most: 3, shelf: None };
    assert!(Verifier::new(set(fetch.clone()), rules(&[Algorithm::HS256]), clock()).is_err());
    assert!(Verifier::new(set(fetch), rules(&[Algorithm::RS256]), clock()).is_ok());
}

#[tokio::test]
async fn sec_jwt_03_only_the_configured_algorithm_counts() {
    let rsa = Signer::rsa();
    for other in [rsa.with("PS256"), rsa.with("RS384"), Signer::ec("rsa"), Signer::ed("rsa")] {
        assert_eq!(verified(&rsa, &other.sign(&claims())).await, Err(Bad::Algorithm), "{}", other.alg);
    }
    for name in ["none", "None", "NONE", "nOnE", "RS1", "rs256", "RS256 ", "ES256K", ""] {
        let token = rsa.sign_text(&json!({ "alg": name, "kid": "rsa" }).to_string(), &claims().to_string());
        assert_eq!(verified(&rsa, &token).await, Err(Bad::Algorithm), "{name}");
        let (rest, _) = token.rsplit_once('.').unwrap();
        assert_eq!(verified(&rsa, &format!("{rest}.")).await, Err(Bad::Form), "{name}");
    }
    assert!(verified(&rsa, &rsa.sign(&claims())).await.is_ok());
}

#[tokio::test]
async fn sec_jwt_03_only_the_compact_form_counts() {
    let rsa = Signer::rsa();
    let token = rsa.sign(&claims());
    let parts: Vec<_> = token.split('.').collect();
    let flat =
        json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2], "header": { "alg": "none" } });
    assert_eq!(verified(&rsa, &flat.to_string()).await, Err(Bad::Form));
    let general = json!({ "payload": parts[1], "signatures": [{ "protected": parts[0], "signature": parts[2] }] });
    assert_eq!(verified(&rsa, &general.to_string()).await, Err(Bad::Form));
    assert!(verified(&rsa, &token).await.is_ok());
}

#[test]
fn sec_jwt_03_weak_keys_are_refused_at_the_start() {
    let secret = |bytes: usize, algorithms: &[Algorithm]| {
        Key::from_secret(None, &Secret::new("s".repeat(bytes)), algorithms).is_ok()
    };
    assert!(secret(32, &[Algorithm::HS256]) && !secret(31, &[Algorithm::HS256]) && !secret(0, &[Algorithm::HS256]));
    assert!(secret(48, &[Algorithm::HS384]) && !secret(47, &[Algorithm::HS384]));
    assert!(secret(64, &[Algorithm::HS512]) && !secret(63, &[Algorithm::HS512]));
    // 1024 bits, made by openssl.
    let weak = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC9QjftTDwKHfOjPh1TqQs7NO50\n\
        axbOQzdzUaOpDtz8i2LFr8jsHh1KHuxyZUiyOGl2wtNbUDPHiwR6uel3cyd0f80H\n\
        qL76iUxlw83XusitG6dCDL33p1n7GoKm2a8tqv5+ZWbB5EMsxJ+uLhihXTaQgC4f\n\
        IBYxrIqlFVYRzVTvEQIDAQAB\n\
        -----END PUBLIC KEY-----\n";
    let error = Key::from_pem(None, weak, &[Algorithm::RS256]).unwrap_err();
    assert!(error.to_string().contains("1024 bits"), "{error}");
    assert!(Key::from_pem(None, &Signer::rsa().pem(), &[Algorithm::RS256]).is_ok());
    for other in
        ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"]
    {
        assert!(Key::from_pem(None, other, &[Algorithm::RS256]).is_err(), "{other}");
    }
}

#[tokio::test]
async fn sec_jwt_04_a_signature_is_that_of_the_key_over_these_bytes() {
    for signer in [Signer::rsa(), Signer::ec("k"), Signer::ed("k")] {
        let token = signer.sign(&claims());
        let parts: Vec<_> = token.split('.').collect();
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let foreign = match signer.alg {
            "RS256" => Signer::new_rsa("rsa"),
            "ES256" => Signer::ec("k"),
            _ => Signer::ed("k"),
        };
        let other_claims = URL_SAFE_NO_PAD.encode(changed("sub", json!("8")).to_string());
        let with = |signature: &[u8]| format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode(signature));
        for forged in [
            foreign.sign(&claims()),
            with(&vec![0; signature.len()]),
            with(&signature[..signature.len() - 1]),
            with(&[signature.as_slice(), &[0]].concat()),
            format!("{}.{other_claims}.{}", parts[0], parts[2]),
        ] {
            assert_eq!(verified(&signer, &forged).await, Err(Bad::Signature), "{forged}");
        }
        assert!(verified(&signer, &token).await.is_ok());
    }
}

#[tokio::test]
async fn sec_jwt_04_parts_are_three_and_in_one_spelling() {
    let ec = Signer::ec("k");
    let token = ec.sign(&claims());
    let parts: Vec<_> = token.split('.').collect();
    let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(parts[2]).unwrap());
    // 64 bytes leave four bits of the last character unused.
    let last = parts[2].chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let loose = format!("{}{next}", &parts[2][..parts[2].len() - 1]);
    for odd in [
        format!("{token}.x"),
        format!("{token}."),
        format!(".{token}"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!(".{}.{}", parts[1], parts[2]),
        format!("{}.{}.{padded}", parts[0], parts[1]),
        format!("{}.{}.{loose}", parts[0], parts[1]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!(" {token}"),
        format!("{token}\n"),
        "...".to_owned(),
        String::new(),
    ] {
        assert!(verified(&ec, &odd).await.is_err(), "{odd}");
    }
    assert!(verified(&ec, &token).await.is_ok());
}

#[tokio::test]
async fn a_header_that_asks_for_more_is_refused() {
    let ec = Signer::ec("k");
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("b64", json!(false)),
        ("kid", json!(7)),
        ("typ", json!(["JWT"])),
    ] {
        let mut header = ec.header();
        header[name] = value;
        assert_eq!(verified(&ec, &ec.sign_text(&header.to_string(), &claims().to_string())).await, Err(Bad::Form));
    }
    // Where a key is to be found is for the configuration to say (SEC-SSRF-01).
    let mut header = ec.header();
    header["jku"] = json!("http://169.254.169.254/");
    header["jwk"] = Signer::ec("k").jwk();
    assert!(verified(&ec, &ec.sign_text(&header.to_string(), &claims().to_string())).await.is_ok());
}
