//! `realm-web` with the credentials that Google, Facebook, Apple, somebody else's tokens and a function stand for: lines
//! 15 to 24, 28 and 35 to 37 of the checklist once more, each provider played on loopback.

use serde_json::{Value, json};

use crate::realm_web::{AUTOMATIC, group, site};
use crate::support::idp::{fields, json_answer, now};
use crate::support::{FakeIdp, RecordingUpstream, Signer, Vestibule};

const FUNCTION: &str = "exports = async ({ member, card, options }) => {
    if (options !== undefined) throw new Error('options belong to the client API');
    if (card.$numberInt !== undefined || card !== 4711) throw new Error('no such card');
    return { id: member, name: 'Member ' + member };
};";

/// Every provider that is somebody else's, at this one.
fn providers(idp: &FakeIdp) -> String {
    let at = idp.issuer();
    let endpoints = format!(
        "authorization_endpoint = \"{at}/authorize\"\ntoken_endpoint = \"{at}/token\"\njwks_uri = \"{at}/jwks\"\n"
    );
    format!(
        r#"{AUTOMATIC}
[providers.oauth2-google]
{endpoints}client_id = "blog.apps.googleusercontent.com"
client_secret = {{ file = "secret" }}
metadata = ["email", "name", "first_name", "last_name", "picture"]
allow_domains = ["example.com"]
[providers.oauth2-facebook]
{endpoints}client_id = "138483919580948"
client_secret = {{ file = "secret" }}
graph_url = "{at}/graph"
metadata = ["name", "picture", "min_age"]
[providers.oauth2-apple]
{endpoints}services_id = "com.example.blog.web"
bundle_ids = ["com.example.blog"]
team_id = "DEF123GHIJ"
key_id = "ABC123DEFG"
private_key = {{ file = "AuthKey.p8" }}
metadata = ["email"]
[providers.custom-token]
algorithms = ["RS256"]
issuer = "https://tokens.example.com"
audience = "blog"
jwks_uri = "{at}/jwks"
metadata = ["name", {{ path = "profile.picture", field = "picture" }}]
"#
    )
}

async fn server(idp: &FakeIdp, test: &str) -> Option<Vestibule> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    let files = [("functions/auth.js", FUNCTION), ("AuthKey.p8", &key), ("secret", "a long way to the lighthouse")];
    Some(site(&RecordingUpstream::start(), &providers(idp), &files, test)?.start().await)
}

fn signed(signer: &Signer, iss: &str, aud: &str, more: &Value) -> String {
    let mut claims = json!({ "iss": iss, "aud": aud, "iat": now(), "exp": now() + 600 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    signer.sign(&claims)
}

fn google(signer: &Signer, sub: &str, hd: &str) -> String {
    let claims = json!({
        "sub": sub, "hd": hd, "email": format!("{sub}@{hd}"), "email_verified": true, "name": "Jane Smith",
        "given_name": "Jane", "family_name": "Smith", "picture": "https://img.example.com/j.png",
    });
    signed(signer, "https://accounts.google.com", "blog.apps.googleusercontent.com", &claims)
}

fn apple(signer: &Signer, sub: &str, aud: &str) -> String {
    let claims = json!({ "sub": sub, "email": format!("{sub}@privaterelay.appleid.com"), "email_verified": "true" });
    signed(signer, "https://appleid.apple.com", aud, &claims)
}

fn token(signer: &Signer, sub: &str, aud: &str) -> String {
    let claims = json!({ "sub": sub, "name": "Jay", "profile": { "picture": "https://img.example.com/t.png" } });
    signed(signer, "https://tokens.example.com", aud, &claims)
}

/// Codes `code-SUBJECT` are Google's, access tokens `EAAB-ACCOUNT` Facebook's.
fn play(idp: &FakeIdp) {
    let signer = idp.signer();
    idp.replace("/token", move |request| {
        let sent = fields(std::str::from_utf8(&request.body).unwrap());
        match sent["code"].strip_prefix("code-") {
            Some(sub) => json_answer(
                200,
                &json!({
                    "access_token": "ya29.a", "token_type": "Bearer", "expires_in": 3599,
                    "id_token": google(&signer, sub, "example.com"),
                }),
            ),
            None => json_answer(400, &json!({ "error": "invalid_grant" })),
        }
    });
    let account = |token: &str| token.strip_prefix("EAAB-").map(str::to_owned);
    let asked = |target: &str| fields(target.split_once('?').unwrap().1);
    idp.replace("/graph/debug_token", move |request| {
        let user = account(&asked(&request.target)["input_token"]);
        json_answer(
            200,
            &json!({ "data": {
            "app_id": "138483919580948", "type": "USER", "is_valid": user.is_some(), "user_id": user,
        } }),
        )
    });
    idp.replace("/graph/me", move |request| {
        let id = account(&asked(&request.target)["access_token"]);
        let picture = json!({ "data": { "url": "https://img.example.com/f.png" } });
        json_answer(200, &json!({ "id": id, "name": "Fay", "age_range": { "min": 21 }, "picture": picture }))
    });
}

/// What the script is told: for each way a body that is good, another account's, and one that is not good.
fn ways(signer: &Signer) -> Value {
    let way = |provider: &str, name: &str, values: [Value; 3], data: Value| {
        let [good, other, bad] = values.map(|value| json!({ name: value }));
        json!({ "provider": provider, "good": good, "other": other, "bad": bad, "data": data })
    };
    let jane = json!({ "name": "Jane Smith", "firstName": "Jane", "lastName": "Smith",
        "pictureUrl": "https://img.example.com/j.png", "email": "g-1@example.com" });
    let ids = |make: &dyn Fn(&str) -> String, sub: &str, other: &str| [json!(make(sub)), json!(make(other))];
    let [g1, g2] = ids(&|sub| google(signer, sub, "example.com"), "g-1", "g-2");
    let [a1, a2] = ids(&|sub| apple(signer, sub, "com.example.blog"), "a-1", "a-2");
    let [t1, t2] = ids(&|sub| token(signer, sub, "blog"), "t-1", "t-2");
    let forged = google(&Signer::new_rsa("rsa"), "g-1", "example.com");
    json!([
        way("oauth2-google", "id_token", [g1, g2, json!(forged)], jane.clone()),
        way("oauth2-google", "authCode", [json!("code-g-1"), json!("code-g-3"), json!("nonsense")], jane),
        way("oauth2-facebook", "accessToken", [json!("EAAB-f1"), json!("EAAB-f2"), json!("nonsense")],
            json!({ "name": "Fay", "minAge": 21, "pictureUrl": "https://img.example.com/f.png" })),
        way("oauth2-apple", "id_token", [a1, a2, json!(apple(signer, "a-1", "com.example.other"))],
            json!({ "email": "a-1@privaterelay.appleid.com" })),
        way("custom-token", "token", [t1, t2, json!(token(signer, "t-1", "another"))],
            json!({ "name": "Jay", "pictureUrl": "https://img.example.com/t.png" })),
        { "provider": "custom-function", "good": { "member": "m-1", "card": 4711 }, "other": { "member": "m-2", "card": 4711 },
          "bad": { "member": "m-1", "card": 1 }, "data": { "name": "Member m-1" } },
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn app_15_to_24_and_35_to_37_people_sign_in_and_link_with_accounts_elsewhere() {
    let idp = FakeIdp::signing_with(Signer::rsa());
    play(&idp);
    let Some(server) = server(&idp, "realm-web: providers").await else { return };
    let ways = ways(&idp.signer()).to_string();
    let stranger = google(&idp.signer(), "g-9", "elsewhere.test");
    let lines = [15, 16, 17, 18, 19, 20, 21, 23, 24, 28, 35, 36, 37];
    group(&server, "providers", lines, &[("WAYS", &ways), ("STRANGER", &stranger)]).await;

    // What cannot be known is no refusal of a credential.
    idp.replace("/graph/debug_token", |_| json_answer(500, &json!({})));
    let login = "/api/client/v2.0/app/blog-abcde/auth/providers/oauth2-facebook/login";
    let client = server.client().expecting(&["x-appservices-request-id", "access-control-expose-headers"]);
    let reply = client.post(login).json(&json!({ "accessToken": "EAAB-f1" })).await;
    assert_eq!(reply.is(503).json()["error_code"], "InternalServerError");
}
