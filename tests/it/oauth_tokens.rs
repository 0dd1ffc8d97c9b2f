//! id_tokens that are not what they seem (SEC-JWT-08 to 11), and who an account is (SEC-LINK).

use serde_json::{Value, json};

use crate::support::idp::{json_answer, now};
use crate::support::site::PUBLIC_URL;
use crate::support::trip::{back, callback, consent, oidc, out, sign_in, site};
use crate::support::{Client, FakeIdp, RecordingUpstream, Signer, Vestibule};

struct House {
    _app: RecordingUpstream,
    idp: FakeIdp,
    server: Vestibule,
}

impl House {
    async fn with(more: &str) -> Self {
        let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
        let limits = "roles = [\"editor\"]\n[limits]\nsign_in = { per_account = \"off\", per_address = \"off\" }\n";
        let server = site(&app, &format!("{limits}{}", oidc("corp", &idp, more))).start().await;
        Self { _app: app, idp, server }
    }

    /// A sign-in whose id_token differs from a good one in this; null takes a claim away.
    async fn tries(&self, signer: &Signer, change: &Value) -> u16 {
        let client = self.server.client();
        let location = out(&client, "corp", "/").await;
        let asked = crate::support::trip::parameters(&location);
        let mut claims = self.idp.claims(&json!({ "aud": "app", "nonce": asked["nonce"] }));
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let body = json!({ "access_token": "access-1", "token_type": "Bearer", "id_token": signer.sign(&claims) });
        self.idp.replace("/token", move |_| json_answer(200, &body));
        let reply = back(&client, &callback(consent(&location).await.location())).await;
        self.idp.restore("/token");
        let signed_in = client.get("/.auth/me").await.status == 200;
        assert_eq!(signed_in, reply.status == 303, "{}", reply.describe());
        reply.status.as_u16()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_jwt_08_an_id_token_is_for_us_alone_or_issued_to_us() {
    let house = House::with("").await;
    let signer = house.idp.signer();
    for bad in [
        json!({ "aud": null }),
        json!({ "aud": [] }),
        json!({ "aud": "other" }),
        json!({ "aud": "app2" }),
        json!({ "aud": "ap" }),
        json!({ "aud": 7 }),
        json!({ "aud": ["app", "other"] }),
        json!({ "aud": ["app", "other"], "azp": "other" }),
        json!({ "aud": "app", "azp": "other" }),
        json!({ "aud": ["app", 7], "azp": "app" }),
    ] {
        assert_eq!(house.tries(&signer, &bad).await, 502, "{bad}");
    }
    for good in [json!({}), json!({ "aud": ["app"] }), json!({ "aud": ["app", "other"], "azp": "app" })] {
        assert_eq!(house.tries(&signer, &good).await, 303, "{good}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_of_the_issuer_in_its_time_and_by_its_key() {
    let house = House::with("").await;
    let signer = house.idp.signer();
    for bad in [
        json!({ "iss": null }),
        json!({ "iss": "https://evil.test" }),
        json!({ "iss": format!("{}/", house.idp.issuer()) }),
        json!({ "exp": null }),
        json!({ "exp": now() - 61 }),
        json!({ "iat": null }),
        json!({ "iat": now() + 600 }),
        json!({ "nbf": now() + 600 }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
    ] {
        assert_eq!(house.tries(&signer, &bad).await, 502, "{bad}");
    }
    assert_eq!(house.tries(&Signer::ec("stranger"), &json!({})).await, 502);
    assert_eq!(house.tries(&Signer::ec("first"), &json!({})).await, 502, "the name of a good key, and another key");
    assert_eq!(house.tries(&signer, &json!({})).await, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_jwt_10_a_token_for_another_purpose_signs_nobody_in() {
    let house = House::with("").await;
    let signer = house.idp.signer();
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    assert_eq!(house.tries(&signer, &json!({ "events": event, "jti": "1" })).await, 502);
    assert_eq!(house.tries(&signer, &json!({ "jti": "1" })).await, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_jwt_11_an_id_token_answers_this_attempt_and_belongs_to_this_access_token() {
    let house = House::with("").await;
    let signer = house.idp.signer();
    for bad in [
        json!({ "nonce": null }),
        json!({ "nonce": "" }),
        json!({ "nonce": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }),
        json!({ "nonce": ["x"] }),
        json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }),
        json!({ "at_hash": 7 }),
    ] {
        assert_eq!(house.tries(&signer, &bad).await, 502, "{bad}");
    }
    // The nonce of an earlier attempt, and this one's with a blank.
    let client = house.server.client();
    let earlier = crate::support::trip::parameters(&out(&client, "corp", "/").await)["nonce"].clone();
    assert_eq!(house.tries(&signer, &json!({ "nonce": earlier })).await, 502);
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"access-1");
    let half = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &hash.as_ref()[..16]);
    assert_eq!(house.tries(&signer, &json!({ "at_hash": half })).await, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_without_a_failed_sign_in() {
    let house = House::with("").await;
    let (first, second) = (house.idp.signer(), Signer::ec("second"));
    house.idp.publish(&[first.jwk(), second.jwk()]);
    sign_in(&house.server.client(), "corp", "/").await.is(303);
    house.idp.rotate(second);
    sign_in(&house.server.client(), "corp", "/").await.is(303);
    assert_eq!(house.idp.count("/jwks"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_link_06_07_an_address_is_no_account_and_counts_only_if_it_was_verified() {
    let house = House::with("allow_domains = [\"example.com\"]").await;
    let person = |sub: &str, more: &Value| {
        let mut person = json!({ "sub": sub, "email": "ann@example.com", "email_verified": true });
        more.as_object().unwrap().iter().for_each(|(name, value)| person[name] = value.clone());
        house.idp.person(&person);
    };
    let user = async |client: &Client| client.get("/.auth/me").await.json()["user_id"].clone();
    let (ann, other) = (house.server.client(), house.server.client());
    person("ann-7", &json!({}));
    sign_in(&ann, "corp", "/").await.is(303);
    person("ann-8", &json!({}));
    sign_in(&other, "corp", "/").await.is(303);
    assert_ne!(user(&ann).await, user(&other).await, "the same address, somebody else");
    for verified in [json!("true"), json!(1), json!(null), json!({}), json!(false), json!("false")] {
        person("ann-9", &json!({ "email_verified": verified }));
        let refused = sign_in(&house.server.client(), "corp", "/").await;
        refused.is(403);
        assert!(refused.text().contains("This account may not sign in here"));
    }
    person("ann-9", &json!({ "email": "ann@example.com.evil.test" }));
    sign_in(&house.server.client(), "corp", "/").await.is(403);
    // An id_token with the address alone: userinfo says whether it was verified.
    house.idp.person(&json!({ "sub": "ann-9", "email": "ann@example.com" }));
    for (verified, status) in [(json!(true), 303), (json!("true"), 403)] {
        let told = json!({ "sub": "ann-9", "email": "ann@example.com", "email_verified": verified });
        house.idp.replace("/userinfo", move |_| json_answer(200, &told));
        sign_in(&house.server.client(), "corp", "/").await.is(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_become_the_roles_that_are_written_down_for_as_long_as_the_provider_tells_them() {
    let house = House::with("roles_from = \"org.groups\"\nrole_map = { \"Eds\" = \"editor\" }").await;
    let roles = async |groups: Value| {
        house.idp.person(&json!({ "sub": "ann-7", "org": { "groups": groups } }));
        let client = house.server.client();
        sign_in(&client, "corp", "/").await.is(303);
        client.get("/.auth/me").await.json()["roles"].clone()
    };
    assert_eq!(roles(json!(["Eds", "admin", "editor"])).await, json!(["editor"]));
    assert_eq!(roles(json!(["admin"])).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_field_keeps_out_who_lacks_it() {
    let house = House::with("metadata = [{ path = \"profile.given\", field = \"first_name\", required = true }]").await;
    sign_in(&house.server.client(), "corp", "/").await.is(403);
    house.idp.person(&json!({ "sub": "ann-7", "profile": { "given": "Ann" } }));
    let client = house.server.client();
    sign_in(&client, "corp", "/").await.is(303);
    assert_eq!(client.get("/.auth/me").await.json()["data"], json!({ "first_name": "Ann" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_here_goes_on_to_the_provider() {
    let house = House::with("").await;
    let client = house.server.client();
    sign_in(&client, "corp", "/").await.is(303);
    let page = client.get("/.auth/logout").navigate().await;
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains(&format!("form-action 'self' {}", house.idp.issuer())), "{policy}");
    let old = client.cookie();
    let reply = client.post("/.auth/logout").submit(&[("rd", "/drafts")]).await;
    reply.is(303);
    assert!(reply.location().starts_with(&house.idp.url("/end_session?")), "{}", reply.location());
    let asked = crate::support::trip::parameters(reply.location());
    assert_eq!(asked["post_logout_redirect_uri"], format!("{PUBLIC_URL}/.auth/logout"));
    assert_eq!((asked["client_id"].as_str(), asked["state"].as_str()), ("app", "/drafts"));
    assert_eq!(asked["id_token_hint"].split('.').count(), 3);
    house.server.client().get("/.auth/me").header("cookie", old).await.is(401);
    let back = client.get("/.auth/logout?state=%2Fdrafts").navigate().await;
    assert_eq!((back.status.as_u16(), back.location()), (303, "/drafts"));
    client.get("/.auth/logout?state=https%3A%2F%2Fevil.test").navigate().await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_jwt_10_the_provider_ends_our_sessions_by_a_logout_token_once() {
    let house = House::with("").await;
    let (ann, max) = (house.server.client(), house.server.client());
    sign_in(&ann, "corp", "/").await.is(303);
    house.idp.person(&json!({ "sub": "max-8" }));
    sign_in(&max, "corp", "/").await.is(303);
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let token = |change: Value| {
        let mut claims = json!({ "aud": "app", "jti": "j1", "events": event, "sub": "ann-7" });
        change.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
        house.idp.token(&claims)
    };
    let post = async |token: &str| {
        let call = house.server.client().post("/.auth/backchannel/corp").form(&[("logout_token", token)]);
        call.await.status.as_u16()
    };
    for bad in [
        json!({ "iat": null }),
        json!({ "exp": null }),
        json!({ "exp": now() - 100 }),
        json!({ "jti": null }),
        json!({ "events": null }),
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": "x" } }),
        json!({ "nonce": "n" }),
        json!({ "aud": "other" }),
        json!({ "iss": "https://evil.test" }),
        json!({ "sub": null }),
    ] {
        assert_eq!(post(&token(bad.clone())).await, 400, "{bad}");
    }
    assert_eq!(post("x").await, 400);
    ann.get("/.auth/me").await.is(200);
    let good = token(json!({}));
    assert_eq!(post(&good).await, 200);
    ann.get("/.auth/me").await.is(401);
    max.get("/.auth/me").await.is(200);
    assert_eq!(post(&good).await, 400, "told once");
    sign_in(&ann, "corp", "/").await.is(303);
    let sid = "nobodys";
    assert_eq!(post(&token(json!({ "jti": "j2", "sub": null, "sid": sid }))).await, 200);
    max.get("/.auth/me").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_for_one_session_there_ends_what_is_of_it_here_and_what_may_be() {
    let house = House::with("").await;
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    for (kept, sub, ends) in [
        (json!("one"), "ann-7", true),
        (json!("two"), "ann-7", false),
        // The provider did not say which of its sessions it was.
        (json!(null), "ann-7", true),
        (json!(null), "max-8", false),
    ] {
        let client = house.server.client();
        house.idp.person(&json!({ "sub": sub, "sid": kept }));
        sign_in(&client, "corp", "/").await.is(303);
        let jti = format!("{kept}{sub}");
        let token =
            house.idp.token(&json!({ "aud": "app", "jti": jti, "events": event, "sub": "ann-7", "sid": "one" }));
        house.server.client().post("/.auth/backchannel/corp").form(&[("logout_token", &token)]).await.is(200);
        client.get("/.auth/me").await.is(if ends { 401 } else { 200 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_gets_the_providers_token_by_name_and_no_other_does() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let toml = format!(
        "{}[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n\
         \"/api/**\" = {{ all = \"signed_in\", provider_token = \"X-Provider-Token\" }}\n",
        oidc("corp", &idp, "")
    );
    let server = site(&app, &toml).start().await;
    let client = server.client();
    sign_in(&client, "corp", "/").await.is(303);
    let seen = async |target: &str| {
        client.get(target).header("x-provider-token", "forged").await.is(200);
        app.requests().pop().unwrap().header("x-provider-token").to_owned()
    };
    let token = seen("/api/x").await;
    assert!(token.starts_with("access-"), "{token}");
    assert_eq!(seen("/other").await, "", "only where a route asks for it, and never what a client sent");
    assert_eq!(idp.count("/token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_ends_by_one_request_for_all_and_left_out_if_it_cannot_be() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let toml = format!(
        "{}[routes]\n\"/**\" = {{ all = \"signed_in\", provider_token = \"X-Provider-Token\" }}\n",
        oidc("corp", &idp, "")
    );
    let server = site(&app, &toml).start().await;
    let issuer = idp.issuer();
    let signer = idp.signer();
    // The first lasts for half a minute, less than a request may take; the next as long as usual.
    idp.replace("/token", move |request| {
        let sent = crate::support::idp::fields(std::str::from_utf8(&request.body).unwrap());
        match sent["grant_type"].as_str() {
            "refresh_token" if sent["refresh_token"] == "refresh-1" => json_answer(
                200,
                &json!({ "access_token": "renewed", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r2" }),
            ),
            "refresh_token" => json_answer(400, &json!({ "error": "invalid_grant" })),
            _ => {
                let (nonce, refresh_token) = sent["code"].split_once('.').unwrap();
                let claims = json!({
                    "iss": issuer, "aud": "app", "sub": "ann-7", "nonce": nonce, "iat": now(), "exp": now() + 60,
                });
                let lasts = if refresh_token == "refresh-1" { 30 } else { 0 };
                json_answer(200, &json!({
                    "access_token": "access-first", "token_type": "Bearer", "expires_in": lasts,
                    "refresh_token": refresh_token, "id_token": signer.sign(&claims),
                }))
            }
        }
    });
    let comes = async |refresh_token: &str| {
        let client = server.client();
        let asked = crate::support::trip::parameters(&out(&client, "corp", "/").await);
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &format!("{}.{refresh_token}", asked["nonce"]))
            .append_pair("state", &asked["state"])
            .append_pair("iss", &idp.issuer())
            .finish();
        back(&client, &format!("/.auth/callback/corp?{query}")).await.is(303);
        client
    };
    let client = comes("refresh-1").await;
    let before = idp.count("/token");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/x").await.is(200).clone() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(idp.count("/token"), before + 1);
    assert!(app.requests().iter().all(|seen| seen.header("x-provider-token") == "renewed"));
    let other = comes("refresh-9").await;
    other.get("/y").await.is(200);
    assert_eq!(app.requests().pop().unwrap().header("x-provider-token"), "", "a stale one is worse than none");
}
