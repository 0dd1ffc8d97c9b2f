//! What two instances must not do at once: renew a provider's token, which the provider gives for each refresh token
//! once.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::idp::{fields, json_answer, now};
use crate::support::redis::Server;
use crate::support::trip::{back, oidc, out, parameters, site};
use crate::support::{FakeIdp, RecordingUpstream, postgres};

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
