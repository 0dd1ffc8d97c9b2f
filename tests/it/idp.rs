//! The stand-in provider keeps its own word: what tests rely on when they blame somebody else.

use serde_json::json;

use crate::support::idp::{fields, json_answer};
use crate::support::{Answer, Client, FakeIdp, Gate, Signer};

fn client(idp: &FakeIdp) -> Client {
    Client::new(idp.app().address(), &idp.issuer()).expecting(&["location", "content-type", "date", "content-length"])
}

#[tokio::test]
async fn a_code_is_good_once_and_for_whoever_can_prove_it_was_his() {
    let idp = FakeIdp::start();
    let client = client(&idp);
    // RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let back = "http://127.0.0.1/back";
    let ask = |challenge: &str| {
        format!("/authorize?client_id=app&redirect_uri={back}&state=s&nonce=n&code_challenge={challenge}")
    };
    let mut outcomes = Vec::new();
    for (challenge, again) in [(challenge, true), ("other", false)] {
        let reply = client.get(&ask(challenge)).await;
        let location = reply.is(302).header("location").to_owned();
        let sent = fields(location.split_once('?').unwrap().1);
        assert_eq!((sent["state"].as_str(), sent["iss"].as_str()), ("s", idp.issuer().as_str()));
        let exchange = || {
            client.post("/token").form(&[
                ("grant_type", "authorization_code"),
                ("code", &sent["code"]),
                ("redirect_uri", back),
                ("client_id", "app"),
                ("code_verifier", verifier),
            ])
        };
        outcomes.push(exchange().await.status.as_u16());
        if again {
            outcomes.push(exchange().await.status.as_u16());
        }
    }
    assert_eq!(outcomes, [200, 400, 400]);
    assert_eq!(idp.count("/token"), 3);
}

#[tokio::test]
async fn an_endpoint_answers_as_it_is_told_and_then_as_usual() {
    let idp = FakeIdp::start();
    let client = client(&idp);
    let gate = Gate::closed();
    let held = gate.clone();
    idp.replace("/jwks", move |_| json_answer(500, &json!({})).held(&held));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.get("/jwks").await.status }
    });
    idp.app().reached(1).await;
    gate.open();
    assert_eq!(waiting.await.unwrap(), 500);
    idp.replace("/jwks", |_| Answer::text("x".repeat(10 << 20)));
    assert_eq!(client.get("/jwks").await.is(200).body.len(), 10 << 20);
    idp.restore("/jwks");
    idp.rotate(Signer::ed("second"));
    assert_eq!(client.get("/jwks").await.json()["keys"][1]["kid"], "second");
    idp.replace("/userinfo", |_| json_answer(200, &json!({ "sub": "bob" })));
    let userinfo = async || client.get("/userinfo").bearer("access-1").await.json()["sub"].clone();
    assert_eq!(userinfo().await, "bob");
    idp.restore("/userinfo");
    idp.person(&json!({ "sub": "eve" }));
    assert_eq!(userinfo().await, "eve");
    idp.publish(&[]);
    assert_eq!(client.get("/jwks").await.json(), json!({ "keys": [] }));
}
