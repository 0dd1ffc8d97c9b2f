//! Tokens that somebody else signed, from the wire to the app.

use serde_json::{Value, json};

use crate::support::idp::{json_answer, now};
use crate::support::site::PASSWORD;
use crate::support::{Answer, FakeIdp, RecordingUpstream, Signer, Site, Vestibule};

const ROUTES: &str = r#"
[session]
cache = "1ms"
[providers.local-userpass]
[providers.api-key]
[routes]
"/**" = { all = "signed_in" }
"/api/**" = { all = "provider:custom-token" }
"/public/**" = { all = "anyone" }
[providers.custom-token]
algorithms = ["ES256"]
audience = "app"
metadata = ["email", { path = "profile.given_name", field = "first_name" }, { path = 'https://x\.test/plan', field = "plan" }]
"#;

async fn site(app: &RecordingUpstream, idp: &FakeIdp) -> Vestibule {
    let (issuer, jwks) = (idp.issuer(), idp.url("/jwks"));
    let toml = format!("{ROUTES}issuer = \"{issuer}\"\njwks_uri = \"{jwks}\"\n");
    Site::new(app, &toml).user("ann@example.com", &[]).start().await
}

fn good(idp: &FakeIdp) -> String {
    idp.token(&json!({
        "aud": "app", "email": "ann@example.com", "profile": { "given_name": "Änn" }, "https://x.test/plan": "pro",
    }))
}

#[tokio::test]
async fn a_token_is_its_subject_on_any_request_and_does_not_reach_the_app() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    let token = good(&idp);
    for path in ["/a", "/api/a", "/public/a", "/a"] {
        server.client().get(path).bearer(&token).await.is(200);
        let seen = app.last();
        assert_eq!(seen.header("x-auth-kind"), "user");
        assert_eq!(seen.header("x-auth-provider"), "custom-token");
        assert_eq!(seen.header("x-auth-email"), "ann@example.com");
        assert_eq!(seen.header("x-auth-meta-first-name"), "%C3%84nn");
        assert_eq!(seen.header("x-auth-meta-plan"), "pro");
        assert_eq!(seen.header("authorization"), "");
    }
    let ids: std::collections::BTreeSet<_> = app.requests().iter().map(|seen| seen.header("x-auth-user")).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(idp.count("/jwks"), 1);
    let me = server.client().get("/.auth/me").bearer(&token).await.json();
    assert_eq!((me["provider"].as_str(), me["data"]["plan"].as_str()), (Some("custom-token"), Some("pro")));
}

#[tokio::test]
async fn it_signs_in_to_a_session_of_the_same_user() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    let token = good(&idp);
    let client = server.client();
    let login = "/.auth/login/custom-token";
    let tokens = client.post(login).json(&json!({ "token": token })).await.is(200).json();
    client.get("/api/a").bearer(tokens["access_token"].as_str().unwrap()).await.is(200);
    let by_session = app.last().header("x-auth-user");
    client.get("/a").bearer(&token).await.is(200);
    assert_eq!(app.last().header("x-auth-user"), by_session);
    for bad in [json!({}), json!({ "token": "x" }), json!({ "token": idp.token(&json!({ "aud": "other" })) })] {
        client.post(login).json(&bad).await.is(401);
    }
}

/// Tokens that are not good, each but for one thing.
fn bad_tokens(idp: &FakeIdp) -> Vec<(&'static str, String)> {
    let signer = idp.signer();
    let with = |name: &str, value: Value| idp.token(&json!({ "aud": "app", name: value }));
    let headed =
        |header: Value| signer.sign_text(&header.to_string(), &idp.claims(&json!({ "aud": "app" })).to_string());
    let good = good(idp);
    let (body, signature) = good.rsplit_once('.').unwrap();
    let twice = idp.claims(&json!({ "aud": "app" })).to_string().replacen('{', "{\"sub\":\"bob\",", 1);
    vec![
        (
            "sec_jwt_02 a public key as secret",
            Signer::secret(signer.spki()).sign(&idp.claims(&json!({ "aud": "app" }))),
        ),
        ("sec_jwt_02 an empty secret", Signer::secret(&[]).sign(&idp.claims(&json!({ "aud": "app" })))),
        ("sec_jwt_03 another algorithm", Signer::ed("first").sign(&idp.claims(&json!({ "aud": "app" })))),
        ("sec_jwt_03 none", format!("{}.", headed(json!({ "alg": "none" })).rsplit_once('.').unwrap().0)),
        ("sec_jwt_04 a stranger's key", Signer::ec("first").sign(&idp.claims(&json!({ "aud": "app" })))),
        ("sec_jwt_04 no signature", format!("{body}.")),
        ("sec_jwt_04 half a signature", format!("{body}.{}", &signature[..43])),
        ("sec_jwt_04 a part more", format!("{good}.x")),
        ("sec_jwt_06 an unknown key", Signer::ec("x").sign(&idp.claims(&json!({ "aud": "app" })))),
        ("sec_jwt_07 over", with("exp", json!(now() - 61))),
        ("sec_jwt_07 no end", with("exp", Value::Null)),
        ("sec_jwt_07 an end as text", with("exp", json!("2099-01-01"))),
        ("sec_jwt_07 an end beyond all years", with("exp", json!(1e300))),
        ("sec_jwt_07 not yet", with("nbf", json!(now() + 600))),
        ("sec_jwt_07 made tomorrow", with("iat", json!(now() + 86_400))),
        ("sec_jwt_07 two subjects", signer.sign_text(&signer.header().to_string(), &twice)),
        ("sec_jwt_08 for another app", with("aud", json!("app2"))),
        ("sec_jwt_08 for nobody", with("aud", json!([]))),
        ("sec_jwt_08 for a number", with("aud", json!(7))),
        ("sec_jwt_10 a logout token", headed(json!({ "alg": "ES256", "kid": "first", "typ": "logout+jwt" }))),
        ("no subject", with("sub", Value::Null)),
        ("critical", headed(json!({ "alg": "ES256", "kid": "first", "crit": ["x"] }))),
    ]
}

#[tokio::test]
async fn sec_jwt_a_bad_token_is_401_and_gives_no_identity_where_none_is_asked_for() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    let client = server.client();
    for (case, token) in bad_tokens(&idp) {
        let reply = client.get("/a").bearer(&token).await;
        assert_eq!(reply.status, 401, "{case}: {}", reply.describe());
        assert!(reply.header("www-authenticate").starts_with("Bearer"), "{case}");
        assert_eq!(app.count(), 0, "{case}");
        assert!(!server.log().text().contains(&token), "{case}");
    }
    for (case, token) in bad_tokens(&idp) {
        client.get("/public/a").bearer(&token).await.is(200);
        assert_eq!(app.last().family("x-auth-"), [], "{case}");
    }
    client.get("/a").bearer(&good(&idp)).await.is(200);
}

#[tokio::test]
async fn a_refused_token_of_the_issuer_stays_here_and_a_strangers_goes_on() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    let client = server.client();
    client.get("/public/a").bearer(&idp.token(&json!({ "aud": "other" }))).await.is(200);
    assert_eq!(app.last().header("authorization"), "");
    for own in ["opaque".to_owned(), Signer::ec("x").sign(&json!({ "iss": "https://elsewhere.test", "sub": "7" }))] {
        client.get("/public/a").bearer(&own).await.is(200);
        assert_eq!(app.last().header("authorization"), format!("Bearer {own}"));
        client.get("/a").bearer(&own).await.is(401);
    }
    // Beside a session it did not decide, and is the app's own.
    client.sign_in("ann@example.com").await;
    let elsewhere = Signer::ec("x").sign(&json!({ "iss": "https://elsewhere.test", "sub": "7" }));
    client.get("/a").bearer(&elsewhere).await.is(200);
    assert_eq!(app.last().header("authorization"), format!("Bearer {elsewhere}"));
}

#[tokio::test]
async fn sec_jwt_06_keys_rotate_without_a_refusal() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    // The new key is published before the first look.
    let old = good(&idp);
    idp.rotate(Signer::ec("second"));
    server.client().get("/a").bearer(&old).await.is(200);
    server.client().get("/a").bearer(&good(&idp)).await.is(200);
    assert_eq!(idp.count("/jwks"), 1);
}

#[tokio::test]
async fn sec_jwt_06_while_the_issuer_is_silent_nobody_is_let_in_and_known_tokens_go_on() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    for broken in ["not json".to_owned(), "x".repeat(10 << 20)] {
        idp.replace("/jwks", move |_| Answer::text(broken.clone()));
    }
    let reply = server.client().get("/a").bearer(&good(&idp)).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "5"));
    server.client().get("/public/a").bearer(&good(&idp)).await.is(200);
    assert_eq!(app.last().family("x-auth-"), []);
    assert_eq!(app.last().header("authorization"), "");
    assert_eq!(idp.count("/jwks"), 1, "not asked again for each request");

    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    let known = good(&idp);
    server.client().get("/a").bearer(&known).await.is(200);
    idp.replace("/jwks", |_| json_answer(500, &json!({})));
    server.client().get("/a").bearer(&known).await.is(200);
    server.client().get("/a").bearer(&idp.token(&json!({ "aud": "app", "sub": "bob" }))).await.is(200);
}

#[tokio::test]
async fn a_disabled_user_is_out_although_the_token_is_good() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    let token = good(&idp);
    server.client().get("/a").bearer(&token).await.is(200);
    let id = app.last().header("x-auth-user");
    server.cli(&["users", "disable", &id]).success();
    server.client().get("/a").bearer(&token).await.is(401);
    server.cli(&["users", "enable", &id]).success();
    server.client().get("/a").bearer(&token).await.is(200);
}

#[tokio::test]
async fn sec_jwt_12_a_long_token_is_refused_by_its_length() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    let client = server.client();
    client.get("/a").bearer(&idp.token(&json!({ "aud": "app", "x": "x".repeat(5 << 10) }))).await.is(200);
    client.get("/a").bearer(&idp.token(&json!({ "aud": "app", "x": "x".repeat(7 << 10) }))).await.is(401);
    client.get("/a").bearer(&".".repeat(8 << 10)).await.is(401);
    client.get("/a").bearer(&".".repeat(31 << 10)).await.is(401);
    let bomb =
        format!("GET /a HTTP/1.1\r\nHost: app.localhost\r\nAuthorization: Bearer {}\r\n\r\n", ".".repeat(1 << 20));
    let mut raw = server.raw().await;
    raw.send(bomb).await;
    assert_eq!(raw.maybe_reply().await.map(|reply| reply.status), Some(431));
    assert_eq!(app.count(), 1);
}

/// SEC-JWT-13: the cookie decides, always, and of the other nobody hears.
#[tokio::test]
async fn sec_jwt_13_of_a_cookie_and_a_token_of_different_users_the_cookie_counts_alone() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    server.cli_with(&["users", "add", "bob@example.com", "--password-stdin"], PASSWORD).success();
    let (ann, bob) = (server.user_id("ann@example.com"), server.user_id("bob@example.com"));
    let key = server.key(&["machine", "--user", &bob]);
    let bobs = server.client().tokens("bob@example.com").await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for (name, value) in [
        ("authorization", format!("Bearer {}", bobs["access_token"].as_str().unwrap())),
        ("authorization", format!("Bearer {key}")),
        ("x-api-key", key.clone()),
        ("authorization", format!("Bearer {}", good(&idp))),
    ] {
        // Alone it would count, before and after.
        server.client().get("/a").header(name, &value).await.is(200);
        assert_ne!(app.last().header("x-auth-user"), ann, "{name}");
        client.get("/a").script().header(name, &value).await.is(200);
        let seen = app.last();
        assert_eq!(
            (seen.header("x-auth-user"), seen.header("x-auth-email").as_str()),
            (ann.clone(), "ann@example.com")
        );
        assert!(!seen.head.contains(&bob) && seen.headers.get_all("x-auth-user").iter().count() == 1, "{}", seen.head);
        let me = client.get("/.auth/me").header(name, &value).await.json();
        assert_eq!(me["user_id"], ann.as_str(), "{name}");
    }
    // Of the cookie of a session that is over nothing is left: then the token is the only one.
    client.post("/.auth/logout").submit(&[]).await.is(303);
    server.client().get("/a").header("cookie", client.cookie()).header("x-api-key", &key).await.is(200);
    assert_eq!(app.last().header("x-auth-user"), bob);
}

#[tokio::test]
async fn sec_jwt_13_a_malformed_field_is_nobodys_and_a_token_in_the_address_is_none() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let server = site(&app, &idp).await;
    let (client, token) = (server.client(), good(&idp));
    for odd in ["Bearer", "Bearer ", "Bearer  ", "bearer x y", "Basic eA==", "Bearer \u{e9}", "Bearer a,b"] {
        let reply = client.get("/a").header("authorization", odd.as_bytes()).await;
        assert_eq!(reply.status, 401, "{odd}: {}", reply.describe());
    }
    let twice = client.get("/a").header("authorization", format!("Bearer {token}"));
    twice.header("authorization", format!("Bearer {token}")).await.is(401);
    client.get(&format!("/a?access_token={token}")).await.is(401);
    client.post("/a").form(&[("access_token", &token)]).await.is(401);
    assert_eq!(app.count(), 0);
    client.get("/a").header("authorization", format!("bEARER {token}")).await.is(200);
}

/// SEC-HDR-08, SEC-CONF-06: what a claim says is data, and one header or none.
#[tokio::test]
async fn sec_hdr_08_and_conf_06_a_claim_is_one_header_and_nothing_in_it_is_expanded() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let (issuer, jwks) = (idp.issuer(), idp.url("/jwks"));
    let site = Site::new(&app, &format!("{ROUTES}issuer = \"{issuer}\"\njwks_uri = \"{jwks}\"\n"));
    let server = site.env("CANARY", "canary-4711").start().await;
    let header = "x-auth-meta-plan";
    for (plan, seen) in [
        (json!("x\r\nX-Auth-Roles: admin"), "x%0D%0AX-Auth-Roles:%20admin"),
        (json!("x\rX-Auth-Roles: admin"), "x%0DX-Auth-Roles:%20admin"),
        (json!("a\u{0}b"), "a%00b"),
        (json!("\u{1f600}"), "%F0%9F%98%80"),
        (json!("one,two"), "one,two"),
        (json!("{env.CANARY} ${CANARY} {{ CANARY }} $CANARY"), "{env.CANARY} ${CANARY} {{ CANARY }} $CANARY"),
        (json!("`) || Host(`x`)"), "`) || Host(`x`)"),
    ] {
        let token = idp.token(&json!({ "aud": "app", "https://x.test/plan": plan }));
        let echoed = server.client().get("/a").bearer(&token).header("x-note", "{env.CANARY} ${CANARY}");
        echoed.await.is(200);
        let request = app.last();
        assert_eq!(request.header(header), seen, "{plan}");
        assert_eq!(
            (request.header("x-auth-roles"), request.header("x-note").as_str()),
            (String::new(), "{env.CANARY} ${CANARY}")
        );
        assert_eq!(request.headers.get_all(header).iter().count(), 1);
    }
    // An array with commas inside its values, an object, and what is too long for a field.
    let token = idp.token(&json!({ "aud": "app", "https://x.test/plan": ["a,b", "c"] }));
    server.client().get("/a").bearer(&token).await.is(200);
    let value = app.last().header(header);
    assert!(value.is_ascii() && value != "a,b,c" && app.last().headers.get_all(header).iter().count() <= 1, "{value}");
    assert!(!String::from_utf8_lossy(&app.bytes()).contains("canary-4711"));
    assert!(!String::from_utf8_lossy(&app.bytes()).contains("\nX-Auth-Roles: admin"));
}

#[tokio::test]
async fn sec_ssrf_01_an_issuer_in_the_clear_on_another_machine_is_a_fault_at_the_start() {
    let app = RecordingUpstream::start();
    let toml = |uri: &str, more: &str| {
        format!("{more}[providers.custom-token]\nalgorithms = [\"ES256\"]\naudience = \"app\"\njwks_uri = \"{uri}\"\n")
    };
    let site = Site::new(&app, &toml("http://idp.internal/jwks", ""));
    for command in ["run", "check"] {
        let refused = site.cli(&[command]);
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(refused.text().contains("[outgoing] allow_http = [\"idp.internal\"]"), "{refused:?}");
    }
    Site::new(&app, &toml("http://idp.internal/jwks", "[outgoing]\nallow_http = [\"idp.internal\"]\n")).start().await;
    Site::new(&app, &toml("http://127.0.0.1:1/jwks", "")).start().await;
}
