//! Signing in at a provider by redirect, and what an attacker could make of it (SEC-OAUTH).

use std::collections::BTreeSet;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::idp::json_answer;
use crate::support::site::PUBLIC_URL;
use crate::support::trip::{back, callback, consent, oidc, out, parameters, sign_in, site, with};
use crate::support::{Answer, Client, FakeIdp, RecordingUpstream, Vestibule};

const RULES: &str = "[limits]\nsign_in = { per_account = \"off\", per_address = \"off\" }\n";

struct House {
    app: RecordingUpstream,
    idp: FakeIdp,
    server: Vestibule,
}

impl House {
    async fn open() -> Self {
        Self::with("").await
    }

    async fn with(more: &str) -> Self {
        let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
        let toml = format!("{RULES}[providers.anon-user]\n{}", oidc("corp", &idp, more));
        let server = site(&app, &toml).start().await;
        Self { app, idp, server }
    }

    fn client(&self) -> Client {
        self.server.client()
    }

    fn exchanges(&self) -> usize {
        self.idp.count("/token")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_comes_back_to_where_he_was_going_with_what_the_provider_tells() {
    let house = House::open().await;
    let client = house.client();
    let reply = sign_in(&client, "corp", "/drafts?a=1&b=%20x%26y").await;
    reply.is(303);
    assert_eq!(reply.location(), "/drafts?a=1&b=%20x%26y");
    client.get("/drafts").await.is(200);
    let seen = house.app.requests().pop().unwrap();
    let headers = ["x-auth-email", "x-auth-name", "x-auth-provider", "x-auth-kind"].map(|name| seen.header(name));
    assert_eq!(headers, ["ann@example.com", "Ann", "corp", "user"]);
    assert_eq!(seen.header("cookie"), "");
    let again = house.client();
    sign_in(&again, "corp", "/").await.is(303);
    let user = |client: &Client| client.get("/.auth/me");
    assert_eq!(user(&client).await.json()["user_id"], user(&again).await.json()["user_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_in_that_a_browser_used_last_is_marked_for_it_alone() {
    let house = House::open().await;
    let client = house.client();
    assert!(!client.get("/.auth/login").await.text().contains("(last used)"));
    sign_in(&client, "corp", "/").await.is(303);
    client.get("/drafts").await.is(200);
    assert_eq!(house.app.requests().pop().unwrap().header("cookie"), "");
    client.post("/.auth/logout").submit(&[]).await;
    let page = client.get("/.auth/login").await.text();
    assert!(page.contains("(last used)"), "{page}");
    assert!(!house.client().get("/.auth/login").await.text().contains("(last used)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_one_browser_both_finish() {
    let house = House::open().await;
    let client = house.client();
    let (one, two) = (out(&client, "corp", "/one").await, out(&client, "corp", "/two").await);
    let second = back(&client, &callback(consent(&two).await.location())).await;
    let first = back(&client, &callback(consent(&one).await.location())).await;
    assert_eq!((first.location(), second.location()), ("/one", "/two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_no_more_than_eight_attempts() {
    let house = House::open().await;
    let client = house.client();
    for _ in 0..12 {
        out(&client, "corp", "/").await;
    }
    assert_eq!(client.cookie().matches("vestibule-oauth-").count(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_signs_in_keeps_the_user_id() {
    let house = House::open().await;
    let client = house.client();
    client.post("/.auth/login/anon-user").submit(&[]).await.is(303);
    let guest = client.get("/.auth/me").await.json()["user_id"].clone();
    let planted = client.session();
    sign_in(&client, "corp", "/").await.is(303);
    let me = client.get("/.auth/me").await.json();
    assert_eq!((&me["user_id"], &me["kind"]), (&guest, &json!("user")));
    assert_ne!(client.session(), planted);
    let name = client.session_name();
    let old = house.client();
    old.keep(&name, &planted);
    old.get("/.auth/me").await.is(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_01_an_attempt_that_is_not_this_browsers_is_refused_without_a_question_to_the_provider() {
    let house = House::open().await;
    let client = house.client();
    let fresh = async || callback(consent(&out(&client, "corp", "/").await).await.location());
    for odd in [None, Some(""), Some("x"), Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] {
        let reply = back(&client, &with(&fresh().await, "state", odd)).await;
        reply.is(400);
        assert!(reply.text().contains(".auth/login?"), "a way back: {}", reply.text());
    }
    // Another browser: without the cookie, and with one of its own.
    back(&house.client(), &fresh().await).await.is(400);
    let other = house.client();
    out(&other, "corp", "/").await;
    back(&other, &fresh().await).await.is(400);
    assert_eq!(house.exchanges(), 0);
    let target = fresh().await;
    back(&client, &target).await.is(303);
    back(&client, &target).await.is(400);
    assert_eq!(house.exchanges(), 1);
    let program = client.get(&target).await;
    assert_eq!((program.status.as_u16(), program.code().as_str()), (400, "oauth.state"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_01_of_twenty_callbacks_at_once_one_signs_in() {
    let house = House::open().await;
    let client = house.client();
    let target = callback(consent(&out(&client, "corp", "/").await).await.location());
    let cookie = client.cookie();
    let tries: Vec<_> = (0..20)
        .map(|_| {
            let call = house.client().get(&target).navigate().header("cookie", &cookie).without_cookies();
            tokio::spawn(async move { call.await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for one in tries {
        statuses.push(one.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 19, "{statuses:?}");
    assert_eq!(house.exchanges(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_03_an_answer_must_say_that_it_is_from_whom_it_was_asked_of() {
    let house = House::open().await;
    let client = house.client();
    let fresh = async || callback(consent(&out(&client, "corp", "/").await).await.location());
    for odd in [None, Some("https://evil.test"), Some(""), Some(&*format!("{}/", house.idp.issuer()))] {
        back(&client, &with(&fresh().await, "iss", odd)).await.is(400);
    }
    let twice = format!("{}&iss=https%3A%2F%2Fevil.test", fresh().await);
    back(&client, &twice).await.is(400);
    assert_eq!(house.exchanges(), 0);
    back(&client, &fresh().await).await.is(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_03_a_provider_cannot_be_mixed_up_with_another() {
    let (app, honest, evil) = (RecordingUpstream::start(), FakeIdp::start(), FakeIdp::start());
    let mut document = json!({
        "issuer": evil.issuer(),
        "authorization_endpoint": evil.url("/authorize"),
        "token_endpoint": honest.url("/token"),
        "jwks_uri": evil.url("/jwks"),
    });
    let told = document.clone();
    evil.replace("/.well-known/openid-configuration", move |_| json_answer(200, &told));
    let toml = format!("{}{}", oidc("honest", &honest, ""), oidc("evil", &evil, ""));
    let server = site(&app, &toml).start().await;
    let client = server.client();
    // A document that leads to another provider's endpoints is none.
    client.get("/.auth/login/evil").navigate().await.is(502);
    // What began at one callback does not end at another's.
    let target = callback(consent(&out(&client, "honest", "/").await).await.location());
    back(&client, &target.replace("callback/honest", "callback/evil")).await.is(400);
    assert_eq!((honest.count("/token"), evil.count("/token")), (0, 0));
    assert_ne!(
        parameters(&out(&client, "honest", "/").await)["redirect_uri"],
        format!("{PUBLIC_URL}/.auth/callback/evil")
    );
    document["issuer"] = json!("https://another.test");
    let name = document.clone();
    evil.replace("/.well-known/openid-configuration", move |_| json_answer(200, &name));
    client.get("/.auth/login/evil").navigate().await.is(502);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_04_parameters_are_taken_once_and_none_of_the_visitors_reaches_the_provider() {
    let house = House::open().await;
    let client = house.client();
    let fresh = async || callback(consent(&out(&client, "corp", "/").await).await.location());
    let one = fresh().await;
    let state = parameters(&one)["state"].clone();
    for odd in [
        format!("{one}&code=b"),
        format!("{one}&state={state}"),
        format!("{one}&id_token=x"),
        format!("{one}&access_token=x"),
        format!("{one}&error=access_denied"),
    ] {
        back(&client, &odd).await.is(400);
    }
    assert_eq!(house.exchanges(), 0);
    back(&client, &one).await.is(303);
    let start = "/.auth/login/corp?scope=admin&redirect_uri=https%3A%2F%2Fevil.test&response_type=token&prompt=none\
                 &client_id=x&state=mine&nonce=mine&login_hint=ann%40example.com";
    let asked = parameters(client.get(start).navigate().await.location());
    assert_eq!(asked["redirect_uri"], format!("{PUBLIC_URL}/.auth/callback/corp"));
    assert_eq!((asked["scope"].as_str(), asked["response_type"].as_str()), ("openid email profile", "code"));
    assert_eq!((asked["client_id"].as_str(), asked["login_hint"].as_str()), ("app", "ann@example.com"));
    assert!(asked["state"] != "mine" && asked["nonce"] != "mine" && !asked.contains_key("prompt"));
    let asked = parameters(client.get("/.auth/login/corp?prompt=select_account").navigate().await.location());
    assert_eq!(asked["prompt"], "select_account");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_and_where_is_as_the_operator_and_the_document_say() {
    let more = "scopes = [\"openid\", \"groups\"]\nlabel = \"With <us>\"\nparameters = { prompt = \"consent\", odd = \"a&b\" }";
    let house = House::with(more).await;
    assert!(house.client().get("/.auth/login").await.text().contains("With &lt;us&gt;"));
    let asked = parameters(&out(&house.client(), "corp", "/").await);
    assert_eq!((asked["scope"].as_str(), asked["odd"].as_str()), ("openid groups", "a&b"));
    // What the operator says goes before what the visitor's address says.
    let asked = house.client().get("/.auth/login/corp?prompt=login").navigate().await;
    assert_eq!(asked.location().matches("prompt=").count(), 1);
    assert_eq!(parameters(asked.location())["prompt"], "consent");
    // An endpoint may have a query of its own (RFC 6749 §3.1).
    let endpoint = house.idp.url("/authorize?realm=a%26b");
    let toml = oidc("corp", &house.idp, &format!("authorization_endpoint = \"{endpoint}\"\n"));
    let server = site(&house.app, &toml).start().await;
    let location = out(&server.client(), "corp", "/").await;
    assert!(location.starts_with(&format!("{endpoint}&")), "{location}");
    assert_eq!(parameters(&location)["realm"], "a&b");
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_05_every_attempt_has_a_challenge_of_its_own_and_the_verifier_stays_here() {
    let house = House::open().await;
    let mut challenges = BTreeSet::new();
    for _ in 0..200 {
        let reply = house.client().get("/.auth/login/corp").navigate().await;
        let asked = parameters(reply.location());
        assert_eq!((asked["code_challenge_method"].as_str(), asked["code_challenge"].len()), ("S256", 43));
        assert_eq!((asked["state"].len(), asked["nonce"].len()), (43, 43));
        challenges.insert(asked["code_challenge"].clone());
        let cookie = reply.cookies().pop().unwrap();
        assert_eq!(cookie.value.len(), 43, "a binding, and nothing sealed in it");
        assert!(cookie.has("httponly") && cookie.has("samesite=lax") && cookie.has("path=/"), "{cookie:?}");
    }
    assert_eq!(challenges.len(), 200);
    let client = house.client();
    sign_in(&client, "corp", "/").await.is(303);
    let body = String::from_utf8(house.idp.requests("/token").pop().unwrap().body.to_vec()).unwrap();
    assert!(body.contains("code_verifier="), "{body}");
    let target = callback(consent(&out(&client, "corp", "/").await).await.location());
    let (name, value) = client
        .cookie()
        .split("; ")
        .find_map(|one| {
            let (name, value) = one.split_once('=')?;
            name.contains("-oauth-").then(|| (name.to_owned(), value.to_owned()))
        })
        .unwrap();
    let mut tampered = value.into_bytes();
    tampered[0] ^= 1;
    client.keep(&name, std::str::from_utf8(&tampered).unwrap());
    back(&client, &target).await.is(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_07_the_address_to_come_back_to_is_the_configured_one() {
    let house = House::open().await;
    let client = house.client();
    for (name, value) in [("host", "evil.test"), ("x-forwarded-host", "evil.test"), ("x-forwarded-proto", "https")] {
        let call = client.get("/.auth/login/corp").navigate();
        let call = if name == "host" {
            client.calling("http://evil.test").get("/.auth/login/corp").navigate()
        } else {
            call.header(name, value)
        };
        let asked = parameters(call.await.location());
        assert_eq!(asked["redirect_uri"], format!("{PUBLIC_URL}/.auth/callback/corp"), "{name}");
    }
    sign_in(&client, "corp", "/").await.is(303);
    let exchange = house.idp.requests("/token").pop().unwrap();
    let sent = crate::support::idp::fields(std::str::from_utf8(&exchange.body).unwrap());
    assert_eq!(sent["redirect_uri"], format!("{PUBLIC_URL}/.auth/callback/corp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_08_two_hundred_sign_ins_at_once_never_mix() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    // Who it is travels in the code, and from there into both answers.
    let signer = idp.signer();
    let issuer = idp.issuer();
    idp.replace("/token", move |request| {
        let sent = crate::support::idp::fields(std::str::from_utf8(&request.body).unwrap());
        let (who, nonce) = sent["code"].split_once('.').unwrap();
        let now = crate::support::idp::now();
        let id_token = signer.sign(&json!({
            "iss": issuer, "aud": "app", "sub": who, "nonce": nonce, "iat": now, "exp": now + 60,
        }));
        json_answer(200, &json!({ "access_token": who, "token_type": "Bearer", "id_token": id_token }))
    });
    idp.replace("/userinfo", |request| {
        let who = request.header("authorization").trim_start_matches("Bearer ").to_owned();
        json_answer(200, &json!({ "sub": who, "name": who }))
    });
    let server = site(&app, &format!("{RULES}{}", oidc("corp", &idp, ""))).start().await;
    let trips: Vec<_> = (0..200)
        .map(|number| {
            let (client, issuer) = (server.client(), idp.issuer());
            tokio::spawn(async move {
                let asked = parameters(&out(&client, "corp", "/").await);
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("code", &format!("user-{number}.{}", asked["nonce"]))
                    .append_pair("state", &asked["state"])
                    .append_pair("iss", &issuer)
                    .finish();
                back(&client, &format!("/.auth/callback/corp?{query}")).await.is(303);
                let me = client.get("/.auth/me").await.json();
                assert_eq!(me["data"]["name"], format!("user-{number}"));
                assert_eq!(
                    me["identities"][0]["id"].as_str().or(me["identities"][0]["subject"].as_str()),
                    Some(&*format!("user-{number}")),
                    "{me}"
                );
            })
        })
        .collect();
    for trip in trips {
        trip.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_09_what_speaks_of_somebody_else_signs_nobody_in() {
    let house = House::open().await;
    let client = house.client();
    let try_with = async |path: &'static str, answer: fn() -> Answer| {
        house.idp.replace(path, move |_| answer());
        let reply = sign_in(&client, "corp", "/").await;
        house.idp.restore(path);
        reply.is(502);
        assert!(reply.text().contains(".auth/login/corp?"), "every other way, and this one again");
        client.get("/.auth/me").await.is(401);
    };
    try_with("/userinfo", || json_answer(200, &json!({ "sub": "somebody-else", "email": "a@b.test" }))).await;
    try_with("/userinfo", || json_answer(200, &json!(["ann-7"]))).await;
    try_with("/userinfo", || json_answer(200, &json!("ann-7"))).await;
    try_with("/userinfo", || Answer::status(200, "{\"sub\":\"ann-7\"}")).await;
    try_with("/userinfo", || json_answer(500, &json!({}))).await;
    try_with("/userinfo", || Answer::status(200, "x".repeat(10 << 20))).await;
    try_with("/token", || json_answer(200, &json!({ "error": "invalid_grant" }))).await;
    try_with("/token", || json_answer(400, &json!({ "error": "invalid_grant" }))).await;
    try_with("/token", || json_answer(503, &json!({ "error": "invalid_grant" }))).await;
    try_with("/token", || Answer::status(404, "no such page")).await;
    try_with("/token", || json_answer(200, &json!({ "access_token": "a", "token_type": "Bearer" }))).await;
    try_with("/token", || Answer::status(200, "access_token=a&token_type=bearer")).await;
    try_with("/token", || Answer::status(302, "")).await;
    sign_in(&client, "corp", "/").await.is(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_no_is_told_in_our_words_and_leads_back_to_where_he_was_going() {
    let house = House::open().await;
    let client = house.client();
    for (error, status, words) in [
        ("access_denied", 401, "Sign-in was cancelled"),
        ("user_cancelled_authorize", 401, "Sign-in was cancelled"),
        ("interaction_required", 403, "This account may not sign in here"),
        ("server_error", 502, "This way to sign in does not work right now"),
        ("<script>alert(1)</script>", 502, "This way to sign in does not work right now"),
    ] {
        let target = with(&callback(consent(&out(&client, "corp", "/drafts").await).await.location()), "code", None);
        let reply =
            back(&client, &with(&with(&target, "error", Some(error)), "error_description", Some("their words"))).await;
        reply.is(status);
        let text = reply.text();
        assert!(text.contains(words) && text.contains("rd=%2Fdrafts"), "{text}");
        assert!(!text.contains("their words") && !text.contains("<script>alert"), "{text}");
        assert!(reply.cookies().iter().all(|cookie| cookie.clears()), "the attempt is over");
    }
    assert_eq!(house.exchanges(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_come_as_a_form_of_the_providers_page() {
    let house = House::with("response_mode = \"form_post\"").await;
    let client = house.client();
    let reply = client.get("/.auth/login/corp?rd=%2Fdrafts").navigate().await;
    let cookie = reply.cookies().pop().unwrap();
    assert!(cookie.has("samesite=none") && cookie.has("secure") && cookie.has("httponly"), "{cookie:?}");
    let page = consent(reply.location()).await.text();
    let value = |name: &str| {
        let at = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        at.split('"').next().unwrap().to_owned()
    };
    let form = [("code", value("code")), ("state", value("state")), ("iss", value("iss"))];
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let post = |client: &Client| {
        let call = client.post("/.auth/callback/corp").navigate().fetch("navigate", "document", "cross-site");
        call.header("origin", house.idp.issuer()).form(&form)
    };
    post(&house.client()).await.is(400);
    let reply = client.get("/.auth/login/corp?rd=%2Fdrafts").navigate().await;
    let page = consent(reply.location()).await.text();
    let value = |name: &str| {
        page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let form = [("code", value("code")), ("state", value("state")), ("iss", value("iss"))];
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let call = client.post("/.auth/callback/corp").navigate().fetch("navigate", "document", "cross-site");
    let reply = call.header("origin", house.idp.issuer()).form(&form).await;
    reply.is(303);
    assert_eq!(reply.location(), "/drafts");
    client.get("/.auth/me").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_place_of_a_secret_proves_who_asks() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut names = BTreeSet::new();
    for (more, audience) in [
        ("", idp.issuer()),
        ("assertion_audience = \"issuer\"\n", idp.issuer()),
        ("assertion_audience = \"token_endpoint\"\n", idp.url("/token")),
    ] {
        let toml = format!(
            "[providers.corp]\ntype = \"oidc\"\nissuer = \"{}\"\nclient_id = \"app\"\n\
             private_key = {{ env = \"CORP_SECRET\" }}\nkey_id = \"k1\"\n{more}",
            idp.issuer()
        );
        let server = crate::support::Site::new(&app, &toml).env("CORP_SECRET", &key.serialize_pem()).start().await;
        sign_in(&server.client(), "corp", "/").await.is(303);
        let exchange = idp.requests("/token").pop().unwrap();
        let sent = crate::support::idp::fields(std::str::from_utf8(&exchange.body).unwrap());
        assert_eq!(sent["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert!(!sent.contains_key("client_secret") && exchange.header("authorization").is_empty());
        let (header, claims) = assertion(&sent["client_assertion"], &key);
        assert_eq!(header, json!({ "typ": "JWT", "alg": "ES256", "kid": "k1" }));
        assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!("app"), &json!("app"), &json!(audience)));
        assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 60, "{claims}");
        names.insert(claims["jti"].to_string());
    }
    assert_eq!(names.len(), 3, "each is a name of its own");
}

/// Header and claims of what this key has signed.
fn assertion(token: &str, key: &rcgen::KeyPair) -> (Value, Value) {
    use rcgen::PublicKeyData as _;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.der_bytes());
    public.verify(signed.as_bytes(), &part(signature)).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |text: &str| serde_json::from_slice(&part(text)).unwrap();
    (read(header), read(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_provider_has_no_address() {
    let house = House::open().await;
    let client = house.client();
    for path in ["login/nobody", "callback/nobody?code=a&state=b", "callback/anon-user?code=a&state=b", "login/corp/x"]
    {
        client.get(&format!("/.auth/{path}")).navigate().await.is(404);
    }
    client.post("/.auth/backchannel/nobody").form(&[("logout_token", "x")]).await.is(404);
    client.get("/.auth/backchannel/corp").await.is(405);
    client.post("/.auth/login/corp").json(&json!({ "id_token": "x" })).await.is(401);
    // A look at where a sign-in begins begins none, and is told how one does.
    let looked = client.method("HEAD", "/.auth/login/corp").await;
    assert_eq!(looked.is(405).header("allow"), "GET, POST");
    assert!(looked.cookies().is_empty());
}
