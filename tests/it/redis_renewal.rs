//! What one instance does for all: renew a provider's token, which the provider gives for each refresh token once, and
//! fetch the keys of an issuer.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::idp::{fields, json_answer, now};
use crate::support::redis::Server;
use crate::support::trip::{back, oidc, out, parameters, site};
use crate::support::{Client, FakeIdp, RecordingUpstream, Signer, Site, Vestibule, postgres};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_instances_one_renews_a_token_and_both_use_it() {
    let (Some(postgres), Some(redis)) = (postgres::shared(), Server::start(&[])) else { return };
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let toml = format!(
        "[store]\nurl = \"{}\"\n[cluster]\nredis = \"{}\"\n{}[routes]\n\"/**\" = {{ all = \"signed_in\", \
         provider_token = \"X-Provider-Token\" }}\n",
        postgres.url(),
        redis.url(),
        oidc("corp", &idp, "")
    );
    let (one, other) = (site(&app, &toml).start().await, site(&app, &toml).start().await);
    let (issuer, signer, used) = (idp.issuer(), idp.signer(), AtomicBool::new(false));
    idp.replace("/token", move |request| {
        let sent = fields(std::str::from_utf8(&request.body).unwrap());
        if sent["grant_type"] == "refresh_token" {
            // RFC 9700 §4.14.2: one that comes twice was stolen.
            return match sent["refresh_token"] == "refresh-1" && !used.swap(true, Ordering::SeqCst) {
                true => json_answer(200, &json!({
                    "access_token": "renewed", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "refresh-2",
                })),
                false => json_answer(400, &json!({ "error": "invalid_grant" })),
            };
        }
        let claims = json!({
            "iss": issuer, "aud": "app", "sub": "ann-7", "nonce": sent["code"], "iat": now(), "exp": now() + 60,
        });
        // Shorter than a request may take.
        json_answer(200, &json!({
            "access_token": "access-first", "token_type": "Bearer", "expires_in": 30, "refresh_token": "refresh-1",
            "id_token": signer.sign(&claims),
        }))
    });
    let here = one.client();
    let asked = parameters(&out(&here, "corp", "/").await);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &asked["nonce"])
        .append_pair("state", &asked["state"])
        .append_pair("iss", &idp.issuer())
        .finish();
    // A sign-in that began at one instance comes back to the other.
    let there = other.client();
    for cookie in here.cookie().split("; ") {
        let (name, value) = cookie.split_once('=').unwrap();
        there.keep(name, value);
    }
    back(&there, &format!("/.auth/callback/corp?{query}")).await.is(303);
    let cookie = there.cookie();
    let before = idp.count("/token");
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let client = if number % 2 == 0 { one.client() } else { other.client() };
            let cookie = cookie.clone();
            tokio::spawn(async move { client.get("/x").header("cookie", &cookie).await.is(200).clone() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(idp.count("/token"), before + 1);
    assert!(app.requests().iter().all(|seen| seen.header("x-provider-token") == "renewed"), "{:?}", app.requests());
}

/// Two sites that take the tokens of this issuer, not started yet.
fn takers(app: &RecordingUpstream, idp: &FakeIdp, store: &str, redis: &str) -> [Site; 2] {
    let toml = format!(
        "listen = [\"127.0.0.1:0\"]\n[store]\nurl = \"{store}\"\n[cluster]\nredis = \"{redis}\"\n[admin]\nlisten = \
         \"127.0.0.1:0\"\ntoken = {{ env = \"ADMIN_TOKEN\" }}\n[providers.custom-token]\nalgorithms = [\"ES256\"]\n\
         audience = \"app\"\njwks_uri = \"{}\"\n[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n",
        idp.url("/jwks")
    );
    [(); 2].map(|()| Site::new(app, &toml).env("ADMIN_TOKEN", ADMIN))
}

const ADMIN: &str = "velvet-harbour-12-velvet-harbour-12";

#[tokio::test(flavor = "multi_thread")]
async fn sec_jwt_06_of_two_instances_one_fetches_a_key_set_and_both_use_it() {
    let (Some(postgres), Some(redis)) = (postgres::shared(), Server::start(&[])) else { return };
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let [one, other] = takers(&app, &idp, &postgres.url(), &redis.url());
    let (one, other) = (one.start_listeners(2).await, other.start_listeners(2).await);
    let token = idp.token(&json!({ "aud": "app" }));
    let calls: Vec<_> = (0..20)
        .map(|number| {
            let client = if number % 2 == 0 { one.client() } else { other.client() };
            let token = token.clone();
            tokio::spawn(async move { client.get("/x").bearer(&token).await.is(200).clone() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(idp.count("/jwks"), 1);
    // Names of keys are free to make up: within half a minute none of them costs another look.
    let strange = Signer::ec("made-up").sign(&idp.claims(&json!({ "aud": "app" })));
    for server in [&one, &other, &one, &other] {
        server.client().get("/x").bearer(&strange).await.is(401);
    }
    assert_eq!(idp.count("/jwks"), 1);
    let figures = async |server: &Vestibule| {
        let operator = Client::new(server.addresses()[1], "http://127.0.0.1");
        operator.get("/metrics").bearer(ADMIN).await.text()
    };
    let (here, there) = (figures(&one).await, figures(&other).await);
    let [taken, left] =
        ["taken", "left"].map(|outcome| format!("vestibule_cluster_documents_total{{outcome=\"{outcome}\"}} 1"));
    assert!(here.contains(&taken) && there.contains(&left) || here.contains(&left) && there.contains(&taken));
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_jwt_06_a_key_set_that_somebody_else_wrote_into_redis_is_not_taken() {
    let (Some(postgres), Some(redis)) = (postgres::shared(), Server::start(&[])) else { return };
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let [one, other] = takers(&app, &idp, &postgres.url(), &redis.url());
    let one = one.start_listeners(2).await;
    let token = idp.token(&json!({ "aud": "app" }));
    one.client().get("/x").bearer(&token).await.is(200);
    // Whoever has Redis in his hands keeps the head, and puts his key behind it.
    let keys = redis.cli(&["KEYS", "vestibule:shelf:*"]);
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let thief = Signer::ec("thief");
    let forged = json!({ "keys": [thief.jwk()] }).to_string();
    redis.cli(&["SETRANGE", &keys, "41", &format!("{forged:<2000}")]);
    let other = other.start_listeners(2).await;
    let stolen = thief.sign(&idp.claims(&json!({ "aud": "app" })));
    other.client().get("/x").bearer(&stolen).await.is(401);
    other.client().get("/x").bearer(&token).await.is(200);
    assert_eq!(idp.count("/jwks"), 2, "it has looked by itself");
    assert!(other.log().text().contains("of none of the instances"), "{}", other.log().text());
    let operator = Client::new(other.addresses()[1], "http://127.0.0.1");
    let figures = operator.get("/metrics").bearer(ADMIN).await.text();
    assert!(figures.contains("vestibule_cluster_documents_total{outcome=\"refused\"} "), "{figures}");
    assert!(!figures.contains("vestibule_cluster_documents_total{outcome=\"refused\"} 0"), "{figures}");
}
