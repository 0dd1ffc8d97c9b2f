//! A provider that lies, leads away, floods and dawdles: nobody is signed in by it, and nothing else suffers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::idp::json_answer;
use crate::support::trip::{back, callback, consent, oidc, out, parameters, sign_in, site};
use crate::support::{Answer, FakeIdp, Gate, RecordingUpstream, Reply, Signer, Vestibule};

const LIMITS: &str = "[limits]\nsign_in = { per_account = \"off\", per_address = \"off\" }\n";

struct House {
    _app: RecordingUpstream,
    idp: FakeIdp,
    /// Another provider of the same site, which is honest.
    _honest: FakeIdp,
    server: Vestibule,
}

impl House {
    async fn open() -> Self {
        Self::with(|_| ()).await
    }

    /// With a provider that was made ready for it: the server asks it as soon as it starts.
    async fn with(ready: impl FnOnce(&FakeIdp)) -> Self {
        let (app, idp, honest) = (RecordingUpstream::start(), FakeIdp::signing_with(Signer::rsa()), FakeIdp::start());
        ready(&idp);
        let toml = format!("{LIMITS}{}{}", oidc("corp", &idp, ""), oidc("honest", &honest, ""));
        let server = site(&app, &toml).start().await;
        Self { _app: app, idp, _honest: honest, server }
    }

    /// A sign-in whose id_token is made of good claims by this.
    async fn tries(&self, sign: impl Fn(&Value) -> String) -> u16 {
        let client = self.server.client();
        let location = out(&client, "corp", "/").await;
        let claims = self.idp.claims(&json!({ "aud": "app", "nonce": parameters(&location)["nonce"] }));
        let body = json!({ "access_token": "access-1", "token_type": "Bearer", "id_token": sign(&claims) });
        self.idp.replace("/token", move |_| json_answer(200, &body));
        let reply = back(&client, &callback(consent(&location).await.location())).await;
        self.idp.restore("/token");
        assert_eq!(client.get("/.auth/me").await.status == 200, reply.status == 303, "{}", reply.describe());
        reply.status.as_u16()
    }

    async fn sign_in(&self, provider: &str) -> Reply {
        sign_in(&self.server.client(), provider, "/").await
    }
}

/// SEC-JWT-02
#[tokio::test(flavor = "multi_thread")]
async fn sec_jwt_02_an_id_token_signed_with_nothing_or_with_what_is_public_signs_nobody_in() {
    let house = House::open().await;
    let signer = house.idp.signer();
    assert_eq!(house.tries(|claims| signer.sign(claims)).await, 303);
    for alg in ["none", "None", "nOnE", ""] {
        let header = json!({ "alg": alg, "kid": signer.header()["kid"], "typ": "JWT" });
        let parts = |claims: &Value| [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        for signature in ["", "AAAA"] {
            assert_eq!(house.tries(|claims| format!("{}.{signature}", parts(claims))).await, 502, "{alg} {signature}");
        }
    }
    let modulus = signer.jwk()["n"].as_str().unwrap().to_owned();
    let pem = signer.pem();
    for public in [pem.as_bytes(), pem.trim_end().as_bytes(), signer.spki(), modulus.as_bytes(), b""] {
        let header = json!({ "alg": "HS256", "kid": signer.header()["kid"], "typ": "JWT" }).to_string();
        let secret = Signer::secret(public);
        assert_eq!(house.tries(|claims| secret.sign_text(&header, &claims.to_string())).await, 502);
    }
}

/// SEC-SSRF-03
#[tokio::test(flavor = "multi_thread")]
async fn sec_ssrf_03_an_endpoint_that_leads_elsewhere_has_nothing_sent_there() {
    let house = House::open().await;
    let elsewhere = RecordingUpstream::start();
    house.sign_in("corp").await.is(303);
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/token", elsewhere.url());
        house.idp.replace("/token", move |_| {
            let response = http::Response::builder().status(status).header("location", &location);
            Answer::Full(response.body(Default::default()).unwrap())
        });
        house.sign_in("corp").await.is(502);
    }
    assert_eq!(elsewhere.count(), 0);
    house.idp.restore("/token");
    house.sign_in("corp").await.is(303);
}

/// SEC-DOS-06
#[tokio::test(flavor = "multi_thread")]
async fn sec_dos_06_an_answer_of_ten_mebibytes_is_none() {
    for endpoint in ["/token", "/jwks", "/.well-known/openid-configuration"] {
        // Grammar is no help: it begins as it should, and goes on.
        let padding = " ".repeat(10 << 20);
        let flood = move |idp: &FakeIdp| idp.replace(endpoint, move |_| Answer::text(format!("{{{padding}}}")));
        let house = House::with(flood).await;
        let client = house.server.client();
        let begun = client.get("/.auth/login/corp").navigate().await;
        match begun.status.as_u16() {
            303 => {
                let consented = consent(begun.location()).await;
                back(&client, &callback(consented.location())).await.is(502);
            }
            _ => {
                begun.is(502);
            }
        }
        house.sign_in("honest").await.is(303);
        assert!(house.server.resident() < 200 << 20, "{endpoint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_dawdles_holds_up_nobody_else() {
    let house = House::open().await;
    let gate = Gate::closed();
    let held = gate.clone();
    house.idp.replace("/token", move |_| json_answer(200, &json!({})).held(&held));
    let slow = tokio::spawn({
        let client = house.server.client();
        async move { sign_in(&client, "corp", "/").await }
    });
    house.idp.app().arrived("POST /token").await;
    house.sign_in("honest").await.is(303);
    assert!(!slow.is_finished());
    slow.await.unwrap().is(502);
    gate.open();
}

/// SEC-OAUTH-05: whichever byte of the binding is wrong, the answer is the same; and whole it is good.
#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_05_a_binding_that_is_wrong_in_any_byte_is_refused_alike() {
    let house = House::open().await;
    let mut answers = std::collections::BTreeSet::new();
    for index in 0..43 {
        // One try ends the attempt, so each byte gets an attempt of its own.
        let client = house.server.client();
        let target = callback(consent(&out(&client, "corp", "/").await).await.location());
        let cookie = client.cookie();
        let (name, value) = cookie.split("; ").find_map(|one| one.split_once('=')).unwrap();
        assert!(name.contains("-oauth-") && value.len() == 43, "{cookie}");
        let mut tampered = value.as_bytes().to_vec();
        tampered[index] = if tampered[index] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        let reply = client.stranger().get(&target).header("cookie", format!("{name}={tampered}")).await;
        answers.insert((reply.status.as_u16(), reply.code(), reply.headers.len()));
        back(&client, &target).await.is(400);
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers.first().map(|answer| (answer.0, answer.1.as_str())), Some((400, "oauth.state")));
    assert_eq!(house.idp.count("/token"), 0);
    assert_eq!(house.sign_in("corp").await.status, 303);
    assert_eq!(house.idp.count("/token"), 1);
}

/// SEC-OAUTH-05: of a thousand sign-ins none shares a challenge, a state or a nonce with another.
#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_05_a_thousand_attempts_share_nothing() {
    let house = House::open().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let asked = parameters(&out(&house.server.client(), "corp", "/").await);
        assert_eq!(asked["code_challenge_method"], "S256");
        for name in ["code_challenge", "state", "nonce"] {
            assert_eq!(URL_SAFE_NO_PAD.decode(&asked[name]).unwrap().len(), 32, "{name}");
            seen.insert(asked[name].clone());
        }
    }
    assert_eq!(seen.len(), 3_000);
}

/// SEC-OAUTH-07: where hosts are named, no other host begins a sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_07_an_unknown_host_begins_nothing() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let toml = format!("hosts = [\"app.localhost\"]\n{LIMITS}{}", oidc("corp", &idp, ""));
    let server = site(&app, &toml).start().await;
    for host in ["evil.test", "sub.app.localhost", "app.localhost.evil.test", "xapp.localhost"] {
        let client = server.client().calling(&format!("http://{host}"));
        let reply = client.get("/.auth/login/corp").navigate().await;
        assert_eq!(reply.status, 421, "{host}: {}", reply.describe());
        assert!(reply.cookies().is_empty() && reply.location().is_empty(), "{}", reply.describe());
    }
    assert_eq!(sign_in(&server.client(), "corp", "/").await.status, 303);
}

/// SEC-SESS-09: what cannot be looked up is not the first of its kind: no code is redeemed, nobody is signed in.
#[tokio::test(flavor = "multi_thread")]
async fn sec_sess_09_without_the_store_no_attempt_begins_and_none_is_finished() {
    let house = House::open().await;
    assert_eq!(house.sign_in("corp").await.status, 303);
    let client = house.server.client();
    let target = callback(consent(&out(&client, "corp", "/").await).await.location());
    super::outage::break_store(&house.server);
    for _ in 0..2 {
        let reply = back(&client, &target).await;
        assert_eq!(reply.status, 503, "{}", reply.describe());
        assert!(!reply.header("retry-after").is_empty(), "{}", reply.describe());
    }
    assert_eq!(house.idp.count("/token"), 1, "that of the one before");
    let begin = house.server.client().get("/.auth/login/corp").navigate().await;
    assert_eq!((begin.status.as_u16(), begin.location()), (503, ""), "{}", begin.describe());
}
