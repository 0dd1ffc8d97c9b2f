//! The signed assertion: verifiable by the app with what `/.auth/jwks.json` says, and good for nothing else.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
roles = ["journalist"]
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/shop/**" = { all = "signed_in", audience = "shop" }
"#;

async fn keys(server: &Vestibule) -> JwkSet {
    let reply = server.client().get("/.auth/jwks.json").await;
    reply.is(200);
    assert!(reply.header("content-type").starts_with("application/"), "{}", reply.describe());
    let text = reply.text();
    for private in ["\"d\"", "\"k\"", "\"p\"", "\"q\""] {
        assert!(!text.contains(private), "a private part in {text}");
    }
    serde_json::from_str(&text).unwrap()
}

/// Verifies as an app would, and answers with the claims.
fn verify(keys: &JwkSet, token: &str, audience: &str) -> Result<Value, String> {
    let head = decode_header(token).map_err(|error| error.to_string())?;
    let key = head.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or("unknown key")?;
    let mut validation = Validation::new(head.alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&["http://app.localhost"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let key = DecodingKey::from_jwk(key).map_err(|error| error.to_string())?;
    decode::<Value>(token, &key, &validation).map(|token| token.claims).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_app_verifies_who_it_is_and_for_whom_it_was_written() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).user("ann@example.com", &["journalist"]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/page").await.is(200);
    let keys = keys(&server).await;
    let assertion = app.last().header("x-auth-assertion");
    let claims = verify(&keys, &assertion, "http://app.localhost").unwrap();
    assert_eq!(claims["sub"], server.user_id("ann@example.com").as_str());
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((1..=300).contains(&life), "{claims}");
    let text = claims.to_string();
    assert!(text.contains("ann@example.com") && text.contains("journalist"), "{claims}");
    assert!(verify(&keys, &assertion, "shop").is_err());
    client.get("/shop/a").await.is(200);
    let for_shop = app.last().header("x-auth-assertion");
    assert!(verify(&keys, &for_shop, "shop").is_ok());
    assert!(verify(&keys, &for_shop, "http://app.localhost").is_err(), "each route has an audience of its own");
}

#[tokio::test]
async fn a_changed_assertion_is_not_believed_and_a_second_request_is_not_signed_again() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/page").await.is(200);
    let first = app.last().header("x-auth-assertion");
    client.get("/page").await.is(200);
    let second = app.last().header("x-auth-assertion");
    let keys = keys(&server).await;
    let (mut parts, other) = (first.split('.').collect::<Vec<_>>(), "eyJzdWIiOiJhZG1pbiJ9");
    parts[1] = other;
    assert!(verify(&keys, &parts.join("."), "http://app.localhost").is_err());
    let iat = |token: &str| verify(&keys, token, "http://app.localhost").unwrap()["iat"].as_i64().unwrap();
    assert!(first == second || iat(&second) - iat(&first) >= 30, "signed once a minute");
}

#[tokio::test]
async fn sec_jwt_10_an_assertion_or_a_refresh_token_is_no_bearer_token() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).user("ann@example.com", &[]).start().await;
    let tokens = server.client().tokens("ann@example.com").await;
    server.client().get("/page").bearer(tokens["access_token"].as_str().unwrap()).await.is(200);
    let assertion = app.last().header("x-auth-assertion");
    for token in [assertion.as_str(), tokens["refresh_token"].as_str().unwrap()] {
        server.client().get("/page").bearer(token).await.is(401);
    }
    let access = serde_json::json!({ "refresh_token": tokens["access_token"] });
    let reply = server.client().post("/.auth/token/refresh").json(&access).await;
    assert!(matches!(reply.status.as_u16(), 400 | 401), "{}", reply.describe());
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/page").await.is(200);
    let assertion = app.last().header("x-auth-assertion");
    let tokens = server.client().tokens("ann@example.com").await;
    let server = server.kill_and_restart().await;
    assert!(verify(&keys(&server).await, &assertion, "http://app.localhost").is_ok());
    server.client().get("/page").bearer(tokens["access_token"].as_str().unwrap()).await.is(200);
    let again = server.client();
    again.keep(&client.session_name(), &client.session());
    again.get("/page").await.is(200);
}
