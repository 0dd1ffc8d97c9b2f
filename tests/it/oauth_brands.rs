//! Google, Facebook, Apple, GitHub and Microsoft, each answering in the shapes of its public documentation.

use serde_json::{Value, json};

use crate::support::idp::{fields, json_answer, now};
use crate::support::trip::{back, out, parameters, site};
use crate::support::{Client, FakeIdp, RecordingUpstream, Signer, Vestibule};

const LIMITS: &str = "[limits]\nsign_in = { per_account = \"off\", per_address = \"off\" }\n";

/// A brand whose endpoints are all played by one server.
struct Brand {
    _app: RecordingUpstream,
    idp: FakeIdp,
    signer: Signer,
    server: Vestibule,
    name: &'static str,
}

impl Brand {
    /// `issuer` is what it calls itself; `{idp}` in `toml` is where it is played.
    async fn open(name: &'static str, toml: &str) -> Self {
        let (app, signer) = (RecordingUpstream::start(), Signer::rsa());
        let idp = FakeIdp::signing_with(signer.clone());
        let at = idp.issuer();
        let endpoints = format!(
            "authorization_endpoint = \"{at}/authorize\"\ntoken_endpoint = \"{at}/token\"\n{}",
            if name == "github" { String::new() } else { format!("jwks_uri = \"{at}/jwks\"\n") }
        );
        let toml = format!("{LIMITS}[providers.{name}]\n{endpoints}{}", toml.replace("{idp}", &at));
        let server = site(&app, &toml).start().await;
        Self { _app: app, idp, signer, server, name }
    }

    /// Signs in by redirect; the token endpoint answers with these claims, and with the nonce.
    async fn redirect(&self, claims: &Value, more: &[(&str, &str)]) -> (Client, crate::support::Reply) {
        let client = self.server.client();
        let location = out(&client, self.name, "/").await;
        let asked = parameters(&location);
        let mut claims = claims.clone();
        claims["nonce"] = json!(asked.get("nonce"));
        let body = json!({
            "access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer", "scope": "openid",
            "id_token": self.signer.sign(&claims),
        });
        self.idp.replace("/token", move |_| json_answer(200, &body));
        let mut form = vec![("code", "c"), ("state", asked["state"].as_str())];
        form.extend(more);
        let reply = match self.name {
            "oauth2-apple" => {
                let call = client.post("/.auth/callback/oauth2-apple").navigate();
                call.fetch("navigate", "document", "cross-site")
                    .header("origin", "https://appleid.apple.com")
                    .form(&form)
                    .await
            }
            name => {
                let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
                back(&client, &format!("/.auth/callback/{name}?{query}")).await
            }
        };
        (client, reply)
    }

    async fn data(&self, claims: &Value, more: &[(&str, &str)]) -> Value {
        let (client, reply) = self.redirect(claims, more).await;
        reply.is(303);
        client.get("/.auth/me").await.json()["data"].clone()
    }

    async fn native(&self, credentials: &Value) -> crate::support::Reply {
        self.server.client().post(&format!("/.auth/login/{}", self.name)).json(credentials).await
    }
}

/// Google Identity, "OpenID Connect", table "An ID token's payload".
fn google(sub: &str) -> Value {
    json!({
        "iss": "https://accounts.google.com", "azp": "1234987819200.apps.googleusercontent.com",
        "aud": "1234987819200.apps.googleusercontent.com", "sub": sub, "hd": "example.com",
        "email": "jsmith@example.com", "email_verified": true, "name": "Jane Smith", "given_name": "Jane",
        "family_name": "Smith", "picture": "https://lh3.example.com/photo.jpg", "locale": "en",
        "iat": now(), "exp": now() + 3600,
    })
}

const GOOGLE: &str = "client_id = \"1234987819200.apps.googleusercontent.com\"\n\
    native_client_ids = [\"1234-ios.apps.googleusercontent.com\"]\nclient_secret = { env = \"CORP_SECRET\" }\n\
    metadata = [\"email\", \"name\", \"first_name\", \"last_name\", \"picture\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn google_by_redirect_one_tap_app_and_server_auth_code_is_one_account() {
    let brand = Brand::open("oauth2-google", GOOGLE).await;
    let data = brand.data(&google("110169484474386276334"), &[]).await;
    assert_eq!(
        data,
        json!({
            "email": "jsmith@example.com", "name": "Jane Smith", "first_name": "Jane", "last_name": "Smith",
            "picture": "https://lh3.example.com/photo.jpg",
        })
    );
    let (client, _) = brand.redirect(&google("110169484474386276334"), &[]).await;
    let user = client.get("/.auth/me").await.json()["user_id"].clone();
    let mut native = google("110169484474386276334");
    // "Verify the Google ID token on your server side": either spelling of the issuer.
    native["iss"] = json!("accounts.google.com");
    for (aud, azp) in [
        ("1234-ios.apps.googleusercontent.com", "1234-ios.apps.googleusercontent.com"),
        ("1234987819200.apps.googleusercontent.com", "1234-ios.apps.googleusercontent.com"),
    ] {
        (native["aud"], native["azp"]) = (json!(aud), json!(azp));
        let reply = brand.native(&json!({ "id_token": brand.signer.sign(&native) })).await;
        assert_eq!(reply.is(200).json()["user_id"], user);
    }
    let body = json!({ "access_token": "a", "token_type": "Bearer", "id_token": brand.signer.sign(&google("110169484474386276334")) });
    brand.idp.replace("/token", move |request| {
        let sent = fields(std::str::from_utf8(&request.body).unwrap());
        match (sent["code"].as_str(), sent["redirect_uri"].as_str()) {
            ("4/P7q7W91a-oMsCeLvIaQm6bTrgtp7", "" | "postmessage") => json_answer(200, &body),
            _ => json_answer(400, &json!({ "error": "invalid_grant" })),
        }
    });
    let code = "4/P7q7W91a-oMsCeLvIaQm6bTrgtp7";
    for good in [json!({ "code": code }), json!({ "code": code, "redirect_uri": "postmessage" })] {
        assert_eq!(brand.native(&good).await.is(200).json()["user_id"], user);
    }
    brand.native(&json!({ "code": code, "redirect_uri": "https://evil.test" })).await.is(401);
    brand.native(&json!({ "code": "other" })).await.is(401);
    brand.native(&json!({})).await.is(401);
    for (status, ours) in [(400, 401), (429, 503), (503, 503)] {
        brand.idp.replace("/token", move |_| json_answer(status, &json!({ "error": "invalid_grant" })));
        brand.native(&json!({ "code": code })).await.is(ours);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_jwt_08_a_good_google_token_for_another_app_signs_nobody_in() {
    let brand = Brand::open("oauth2-google", GOOGLE).await;
    for (name, value) in [
        ("aud", json!("evil.apps.googleusercontent.com")),
        ("azp", json!("evil.apps.googleusercontent.com")),
        ("iss", json!("https://accounts.google.com.evil.test")),
        ("exp", json!(now() - 120)),
    ] {
        let mut claims = google("7");
        claims[name] = value;
        brand.native(&json!({ "id_token": brand.signer.sign(&claims) })).await.is(401);
    }
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let mut logout = google("7");
    logout["events"] = event;
    brand.native(&json!({ "id_token": brand.signer.sign(&logout) })).await.is(401);
    // A nonce that an app sends along must be in the token.
    let mut claims = google("7");
    claims["nonce"] = json!("n-0S6_WzA2Mj");
    let token = brand.signer.sign(&claims);
    brand.native(&json!({ "id_token": token, "nonce": "another" })).await.is(401);
    brand.native(&json!({ "id_token": token, "nonce": "n-0S6_WzA2Mj" })).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_link_07_a_google_domain_is_what_google_says_it_is() {
    let brand = Brand::open("oauth2-google", &format!("{GOOGLE}allow_domains = [\"example.com\"]\n")).await;
    let status = async |change: Value| {
        let mut claims = google("7");
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        brand.redirect(&claims, &[]).await.1.status.as_u16()
    };
    assert_eq!(status(json!({})).await, 303);
    assert_eq!(status(json!({ "hd": null })).await, 403, "a private account with an address of the domain");
    assert_eq!(status(json!({ "hd": "example.com.evil.test" })).await, 403);
    assert_eq!(status(json!({ "email": "jsmith@evil.test" })).await, 303, "hd decides");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_google_does_not_call_verified_is_not() {
    let rules = format!("{GOOGLE}[routes]\n\"/**\" = {{ all = \"email:*@example.com\" }}\n");
    let brand = Brand::open("oauth2-google", &rules).await;
    for (verified, status) in [(json!(true), 200), (json!("true"), 200), (Value::Null, 403), (json!(1), 403)] {
        let mut claims = google("7");
        claims["email_verified"] = verified.clone();
        let (client, _) = brand.redirect(&claims, &[]).await;
        assert_eq!(client.get("/").await.status.as_u16(), status, "{verified}");
    }
    let mut claims = google("7");
    claims.as_object_mut().unwrap().remove("email_verified");
    let (client, _) = brand.redirect(&claims, &[]).await;
    client.get("/").await.is(403);
}

/// "Authenticating users with Sign in with Apple", the payload of the identity token.
fn apple(aud: &str) -> Value {
    json!({
        "iss": "https://appleid.apple.com", "aud": aud, "sub": "001451.3dc436155xxxxxxxxxxxxxxxxxxxx59f.0447",
        "email": "dpdcnf87nu@privaterelay.appleid.com", "email_verified": "true", "is_private_email": "true",
        "auth_time": now(), "nonce_supported": true, "iat": now(), "exp": now() + 600,
    })
}

fn apple_toml() -> (String, String) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    let toml = "services_id = \"com.example.blog.web\"\nbundle_ids = [\"com.example.blog\"]\nteam_id = \"DEF123GHIJ\"\n\
        key_id = \"ABC123DEFG\"\nprivate_key = { file = \"AuthKey.p8\" }\n\
        metadata = [\"email\", \"name\", \"first_name\", { path = \"last_name\", required = true }]\n";
    (toml.to_owned(), key)
}

#[tokio::test(flavor = "multi_thread")]
async fn apples_name_comes_once_and_is_kept_and_its_secret_is_signed_by_us() {
    let (toml, key) = apple_toml();
    let (app, signer) = (RecordingUpstream::start(), Signer::rsa());
    let idp = FakeIdp::signing_with(signer.clone());
    let at = idp.issuer();
    let toml = format!(
        "{LIMITS}[providers.oauth2-apple]\nauthorization_endpoint = \"{at}/authorize\"\n\
         token_endpoint = \"{at}/token\"\njwks_uri = \"{at}/jwks\"\n{toml}"
    );
    let site = site(&app, &toml);
    std::fs::write(site.path("AuthKey.p8"), &key).unwrap();
    std::fs::set_permissions(site.path("AuthKey.p8"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let brand = Brand { _app: app, idp, signer, server: site.start().await, name: "oauth2-apple" };
    let user =
        json!({ "name": { "firstName": "Ann", "lastName": "Example" }, "email": "evil@example.com" }).to_string();
    let data = brand.data(&apple("com.example.blog.web"), &[("user", &user)]).await;
    let all = json!({
        "email": "dpdcnf87nu@privaterelay.appleid.com", "name": "Ann Example", "first_name": "Ann", "last_name": "Example",
    });
    assert_eq!(data, all);
    // At the second sign-in Apple says nothing of the name.
    assert_eq!(brand.data(&apple("com.example.blog.web"), &[]).await, all);
    let sent = brand.idp.requests("/token").pop().unwrap();
    let sent = fields(std::str::from_utf8(&sent.body).unwrap());
    let secret = jsonwebtoken::decode_header(&sent["client_secret"]).unwrap();
    assert_eq!((secret.alg, secret.kid.as_deref()), (jsonwebtoken::Algorithm::ES256, Some("ABC123DEFG")));
    assert_eq!(sent["client_id"], "com.example.blog.web");
    let asked = parameters(&out(&brand.server.client(), "oauth2-apple", "/").await);
    assert_eq!((asked["response_mode"].as_str(), asked["response_type"].as_str()), ("form_post", "code"));
    // An app signs in by its bundle id, as the same account.
    let token = brand.signer.sign(&apple("com.example.blog"));
    brand.native(&json!({ "id_token": token })).await.is(200);
    brand.native(&json!({ "id_token": brand.signer.sign(&apple("com.example.other")) })).await.is(401);
}

const FACEBOOK: &str = "client_id = \"138483919580948\"\nclient_secret = { env = \"CORP_SECRET\" }\ngraph_url = \"{idp}/graph\"\n\
    metadata = [\"name\", \"first_name\", \"email\", \"picture\", \"min_age\"]\n";

/// "Access Token Debugging" and "User", Graph API reference.
fn graph(idp: &FakeIdp, app: &'static str, id: &'static str, email: Option<&'static str>) {
    idp.replace("/graph/debug_token", move |request| {
        let asked = fields(request.target.split_once('?').unwrap().1);
        let good = asked["access_token"] == "138483919580948|a long way to the lighthouse";
        json_answer(
            200,
            &json!({ "data": {
                "app_id": app, "type": "USER", "application": "Social Cafe", "expires_at": now() + 5000,
                "is_valid": good && !asked["input_token"].is_empty(), "issued_at": now(), "scopes": ["email"],
                "user_id": "1207059",
            } }),
        )
    });
    idp.replace("/graph/me", move |request| {
        let asked = fields(request.target.split_once('?').unwrap().1);
        assert_eq!(asked["appsecret_proof"].len(), 64);
        let mut me = json!({
            "id": id, "name": "Ann Example", "first_name": "Ann", "age_range": { "min": 21 },
            "picture": { "data": { "height": 200, "is_silhouette": false, "url": "https://p.example.com/1.jpg", "width": 200 } },
        });
        if let Some(email) = email {
            me["email"] = json!(email);
        }
        json_answer(200, &me)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn facebook_by_redirect_and_by_an_apps_token_with_and_without_an_address() {
    let brand = Brand::open("oauth2-facebook", FACEBOOK).await;
    graph(&brand.idp, "138483919580948", "1207059", None);
    let data = brand.data(&json!({}), &[]).await;
    assert_eq!(
        data,
        json!({ "name": "Ann Example", "first_name": "Ann", "min_age": 21, "picture": "https://p.example.com/1.jpg" })
    );
    let asked = parameters(&out(&brand.server.client(), "oauth2-facebook", "/").await);
    assert_eq!(asked["scope"], "public_profile email user_age_range");
    graph(&brand.idp, "138483919580948", "1207059", Some("ann@example.com"));
    brand.native(&json!({ "access_token": "EAAB" })).await.is(200);
    // Limited Login: the documented claims of its id_token.
    let claims = json!({
        "iss": "https://limited.facebook.com", "aud": "138483919580948", "sub": "1207059", "iat": now(),
        "exp": now() + 3600, "jti": "x.y", "nonce": "n", "given_name": "Ann", "family_name": "Example",
        "name": "Ann Example", "picture": "https://p.example.com/1.jpg",
    });
    let token = |claims: &Value| json!({ "id_token": brand.signer.sign(claims) });
    let tokens = brand.native(&token(&claims)).await.is(200).json();
    let (client, _) = brand.redirect(&json!({}), &[]).await;
    assert_eq!(client.get("/.auth/me").await.json()["user_id"], tokens["user_id"]);
    let mut other = claims.clone();
    other["aud"] = json!("999");
    brand.native(&token(&other)).await.is(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_oauth_09_a_facebook_token_of_another_app_or_account_signs_nobody_in() {
    let brand = Brand::open("oauth2-facebook", FACEBOOK).await;
    graph(&brand.idp, "666", "1207059", None);
    brand.native(&json!({ "access_token": "EAAB" })).await.is(401);
    assert_eq!(brand.idp.count("/graph/me"), 0);
    brand.redirect(&json!({}), &[]).await.1.is(502);
    graph(&brand.idp, "138483919580948", "7777777", None);
    brand.native(&json!({ "access_token": "EAAB" })).await.is(503);
    graph(&brand.idp, "138483919580948", "1207059", None);
    brand.native(&json!({ "access_token": "" })).await.is(401);
    brand.native(&json!({ "access_token": "EAAB" })).await.is(200);
    // Whoever is asked too often, or is out of order, says nothing about the token.
    for (status, ours) in [(400, 401), (429, 503), (500, 503)] {
        brand.idp.replace("/graph/debug_token", move |_| json_answer(status, &json!({ "error": { "code": 4 } })));
        brand.native(&json!({ "access_token": "EAAB" })).await.is(ours);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn githubs_address_is_the_primary_one_if_it_is_verified() {
    let toml = "client_id = \"Iv1\"\nclient_secret = { env = \"CORP_SECRET\" }\napi_url = \"{idp}/api\"\n\
                metadata = [\"email\", \"name\", \"login\", \"picture\"]\n[routes]\n\"/**\" = { all = \"email:*@github.com\" }\n";
    let brand = Brand::open("github", toml).await;
    // REST API, "Get the authenticated user".
    brand.idp.replace("/api/user", |request| match request.header("authorization").as_str() {
        "Bearer ya29.token" => json_answer(200, &json!({
            "login": "octocat", "id": 583231, "node_id": "MDQ6VXNlcjE=", "avatar_url": "https://a.example.com/u/583231",
            "type": "User", "site_admin": false, "name": null, "company": "GitHub", "email": "shown@example.com",
        })),
        _ => json_answer(401, &json!({ "message": "Requires authentication" })),
    });
    // REST API, "List email addresses for the authenticated user".
    let emails = |verified: bool| {
        move |_: &crate::support::upstream::Recorded| {
            json_answer(
                200,
                &json!([
                    { "email": "octocat@example.com", "verified": true, "primary": false, "visibility": null },
                    { "email": "octocat@github.com", "verified": verified, "primary": true, "visibility": "public" },
                ]),
            )
        }
    };
    brand.idp.replace("/api/user/emails", emails(true));
    let (client, reply) = brand.redirect(&json!({}), &[]).await;
    reply.is(303);
    let me = client.get("/.auth/me").await.json();
    assert_eq!(
        me["data"],
        json!({ "email": "octocat@github.com", "login": "octocat", "picture": "https://a.example.com/u/583231" })
    );
    client.get("/").await.is(200);
    brand.idp.replace("/api/user/emails", emails(false));
    let (client, reply) = brand.redirect(&json!({}), &[]).await;
    reply.is(303);
    client.get("/").await.is(403);
    brand.idp.replace("/api/user/emails", |_| json_answer(404, &json!({ "message": "Not Found" })));
    brand.redirect(&json!({}), &[]).await.1.is(303);
    // "Troubleshooting OAuth app access token request errors": a no with status 200.
    let client = brand.server.client();
    let asked = parameters(&out(&client, "github", "/").await);
    brand.idp.replace("/token", |_| {
        json_answer(200, &json!({ "error": "bad_verification_code", "error_description": "x", "error_uri": "y" }))
    });
    let query = format!("code=c&state={}", asked["state"]);
    back(&client, &format!("/.auth/callback/github?{query}")).await.is(502);
}

/// "ID token claims reference", Microsoft identity platform.
fn microsoft(at: &str, tenant: &str) -> Value {
    json!({
        "ver": "2.0", "iss": format!("{at}/{tenant}/v2.0"), "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "aud": "6cb04018-a3f5-46a7-b995-940c78f5aef3", "tid": tenant, "oid": "00000000-0000-0000-66f3-3332eca7ea81",
        "name": "Abe Lincoln", "preferred_username": "AbeLi@microsoft.com", "email": "abe@example.com",
        "iat": now(), "nbf": now(), "exp": now() + 3600,
    })
}

const TENANT: &str = "9122040d-6c67-4c5b-b112-36a304b66dad";
const OTHER: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

#[tokio::test(flavor = "multi_thread")]
async fn sec_link_07_microsofts_tenant_is_part_of_the_account_and_its_addresses_are_nobodys() {
    let toml = format!(
        "client_id = \"6cb04018-a3f5-46a7-b995-940c78f5aef3\"\nclient_secret = {{ env = \"CORP_SECRET\" }}\n\
         issuer = \"{{idp}}/{{tenantid}}/v2.0\"\nallow_tenants = [\"{TENANT}\"]\nmetadata = [\"email\", \"name\", \"oid\"]\n\
         [routes]\n\"/**\" = {{ all = \"email:*@example.com\" }}\n"
    );
    let brand = Brand::open("microsoft", &toml).await;
    let at = brand.idp.issuer();
    let (client, reply) = brand.redirect(&microsoft(&at, TENANT), &[]).await;
    reply.is(303);
    assert_eq!(client.get("/.auth/me").await.json()["data"]["email"], "abe@example.com");
    client.get("/").await.is(403);
    let mut vouched = microsoft(&at, TENANT);
    vouched["xms_edov"] = json!(true);
    let (client, _) = brand.redirect(&vouched, &[]).await;
    client.get("/").await.is(200);
    brand.redirect(&microsoft(&at, OTHER), &[]).await.1.is(403);
    let mut mixed = microsoft(&at, OTHER);
    mixed["tid"] = json!(TENANT);
    brand.redirect(&mixed, &[]).await.1.is(502);
    for issuer in
        [format!("{at}/{{tenantid}}/v2.0"), format!("{at}/common/v2.0"), format!("https://evil.test/{TENANT}/v2.0")]
    {
        let mut claims = microsoft(&at, TENANT);
        claims["iss"] = json!(issuer);
        brand.redirect(&claims, &[]).await.1.is(502);
    }
}
