//! What the demo's identity providers hand out: codes that work once, and tokens signed with a key of this run.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use serde_json::{Value, json};

use crate::cli::demo_idp::Brand;
use crate::cli::demo_people::Person;
use crate::clock::{Clock, Timestamp};
use crate::secret::{self, Digest, Secret};
use crate::token::OwnKey;

/// The parameters of a request.
pub(super) type Fields = BTreeMap<String, String>;

/// Keys, secrets, and what was handed out and not taken back.
pub(super) struct Tokens {
    key: OwnKey,
    jwk: Value,
    /// Of all of them but Apple, whose clients have a key.
    secret: Secret,
    apple_key: Secret,
    apple_public: Vec<u8>,
    codes: Mutex<HashMap<String, Code>>,
    /// Access tokens, and whose they are.
    given: Mutex<HashMap<String, &'static Person>>,
}

struct Code {
    brand: Brand,
    person: &'static Person,
    asked: Fields,
    until: Timestamp,
}

/// Why a request of the demo is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The client did not prove who it is.
    Client,
    /// The code is unknown, over, used, or somebody else's; or the verifier does not fit.
    Grant,
    /// Something is missing.
    Request,
}

impl Refused {
    /// RFC 6749 §5.2.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "invalid_client",
            Self::Grant => "invalid_grant",
            Self::Request => "invalid_request",
        }
    }
}

impl Tokens {
    /// With keys and a secret made now; `None` when there can be none.
    pub(super) fn new() -> Option<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
        let key = OwnKey::from_pem(&pem(pair.as_der().ok()?.as_ref()), Some(KID)).ok()?;
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID,
            "n": encoded(n.big_endian_without_leading_zero()), "e": encoded(e.big_endian_without_leading_zero()),
        });
        let apple = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        Some(Self {
            key,
            jwk,
            secret: secret::token(),
            apple_key: pem(apple.to_pkcs8v1().ok()?.as_ref()),
            apple_public: apple.public_key().as_ref().to_vec(),
            codes: Mutex::default(),
            given: Mutex::default(),
        })
    }

    /// What the file of the demo refers to.
    pub(super) fn secrets(&self) -> [(&'static str, &Secret); 6] {
        let shared = &self.secret;
        [
            ("GOOGLE_SECRET", shared),
            ("FACEBOOK_SECRET", shared),
            ("GITHUB_SECRET", shared),
            ("MICROSOFT_SECRET", shared),
            ("CORP_SECRET", shared),
            ("APPLE_KEY", &self.apple_key),
        ]
    }

    /// The key set.
    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }

    /// A code for somebody who consented to this request; for a minute.
    pub(super) fn code(&self, brand: Brand, person: &'static Person, asked: Fields) -> String {
        let (code, now) = (secret::token().expose().to_owned(), Clock::system().now());
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, code| now < code.until);
        codes.insert(code.clone(), Code { brand, person, asked, until: now + std::time::Duration::from_mins(1) });
        code
    }

    /// Exchanges a code, once.
    pub(super) fn exchange(
        &self,
        brand: Brand,
        issuer: &str,
        authorization: Option<&HeaderValue>,
        form: &[u8],
    ) -> Result<Value, Refused> {
        let sent = fields(form);
        let text = |name: &str| sent.get(name).map(String::as_str).ok_or(Refused::Request);
        let client = self.client(brand, issuer, authorization, &sent).ok_or(Refused::Client)?;
        if text("grant_type")? != "authorization_code" {
            return Err(Refused::Request);
        }
        let code = self.codes.lock().unwrap_or_else(PoisonError::into_inner).remove(text("code")?);
        let code =
            code.filter(|code| code.brand == brand && Clock::system().now() < code.until).ok_or(Refused::Grant)?;
        let asked = |name: &str| code.asked.get(name).map(String::as_str);
        // RFC 7636 §4.6.
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(text("code_verifier")?).as_bytes());
        let same = asked("redirect_uri") == Some(text("redirect_uri")?) && asked("client_id") == Some(&client);
        if !same || asked("code_challenge") != Some(&challenge) || asked("code_challenge_method") != Some("S256") {
            return Err(Refused::Grant);
        }
        let access_token = secret::token().expose().to_owned();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.len() >= MOST_GIVEN {
            given.clear();
        }
        given.insert(access_token.clone(), code.person);
        drop(given);
        let mut told = json!({ "token_type": "Bearer", "access_token": access_token, "expires_in": 300 });
        if brand.is_openid() {
            let claims = claims(brand, code.person, (issuer, &client), (asked("nonce"), &access_token));
            // Exposed to the client it is about.
            told["id_token"] = self.key.sign(&claims).ok_or(Refused::Request)?.expose().into();
        }
        Ok(told)
    }

    /// The client that proves who it is: by its secret, in the body or as Basic, or for Apple by a token it signed.
    fn client(&self, brand: Brand, issuer: &str, header: Option<&HeaderValue>, sent: &Fields) -> Option<String> {
        let basic = || {
            let text = STANDARD.decode(header?.to_str().ok()?.strip_prefix("Basic ")?).ok()?;
            let (id, secret) = std::str::from_utf8(&text).ok()?.split_once(':')?;
            Some((id.to_owned(), secret.to_owned()))
        };
        let in_body = || Some((sent.get("client_id")?.clone(), sent.get("client_secret")?.clone()));
        let (id, shown) = basic().or_else(in_body)?;
        let good = match brand {
            Brand::Apple => self.is_signed_by_client(&shown, issuer),
            // Compared by digest: it is the demo's own.
            _ => Digest::of(shown).matches(&Digest::of(self.secret.expose())),
        };
        good.then_some(id)
    }

    /// Sign in with Apple, "Creating a client secret".
    fn is_signed_by_client(&self, token: &str, issuer: &str) -> bool {
        let Some((signed, signature)) = token.rsplit_once('.') else { return false };
        let (Ok(signature), Some(payload)) = (URL_SAFE_NO_PAD.decode(signature), signed.split('.').nth(1)) else {
            return false;
        };
        let claims: Option<Value> =
            URL_SAFE_NO_PAD.decode(payload).ok().and_then(|payload| serde_json::from_slice(&payload).ok());
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.apple_public);
        key.verify(signed.as_bytes(), &signature).is_ok() && claims.is_some_and(|claims| claims["aud"] == issuer)
    }

    /// Graph API, "Access Token Debugging".
    pub(super) fn debug(&self, token: Option<&String>) -> Value {
        match token.and_then(|token| self.person(token)) {
            Some(person) => {
                json!({ "data": { "app_id": CLIENT, "type": "USER", "is_valid": true, "user_id": person.id } })
            }
            None => json!({ "data": { "is_valid": false } }),
        }
    }

    /// Graph API, "User"; asked with the proof that the app's secret makes of the token.
    pub(super) fn profile(&self, asked: &Fields) -> Result<Value, Refused> {
        let token = asked.get("access_token").ok_or(Refused::Request)?;
        let person = self.person(token).ok_or(Refused::Grant)?;
        // Exposed to be compared: HMAC-SHA256 of the token under the secret, in hexadecimal digits.
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.expose().as_bytes());
        let proof: String =
            hmac::sign(&key, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if asked.get("appsecret_proof") != Some(&proof) {
            return Err(Refused::Client);
        }
        Ok(json!({ "id": person.id, "name": person.name }))
    }

    /// Whose access token this is.
    pub(super) fn bearer(&self, header: Option<&HeaderValue>) -> Option<&'static Person> {
        self.person(header?.to_str().ok()?.strip_prefix("Bearer ")?)
    }

    /// REST API endpoints for users, "Get the authenticated user": a number is who it is.
    pub(super) fn user(person: &'static Person) -> Value {
        let (login, number) = person.id.split_once('-').unwrap_or((person.id, "1"));
        json!({ "id": number.parse::<u64>().unwrap_or(1), "login": login, "name": person.name })
    }

    /// REST API endpoints for emails.
    pub(super) fn emails(person: &'static Person) -> Value {
        json!([{ "email": person.email, "primary": true, "verified": true }])
    }

    fn person(&self, token: &str) -> Option<&'static Person> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).get(token).copied()
    }
}

/// The fields of a form or a query.
pub(super) fn fields(bytes: &[u8]) -> Fields {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}

fn claims(
    brand: Brand,
    person: &Person,
    (issuer, client): (&str, &str),
    (nonce, access_token): (Option<&str>, &str),
) -> Value {
    let now = Clock::system().now().seconds();
    let mut claims = json!({
        "iss": issuer, "aud": client, "sub": person.id, "iat": now, "exp": now + 300,
        "at_hash": URL_SAFE_NO_PAD.encode(&Digest::of(access_token).as_bytes()[..16]),
        "email": person.email, "email_verified": true,
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    // Apple says the name beside the token.
    if brand != Brand::Apple {
        claims["name"] = person.name.into();
    }
    if brand == Brand::Corp {
        claims["groups"] = json!(person.groups);
    }
    claims
}

fn pem(der: &[u8]) -> Secret {
    Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der)))
}

/// What the demo is called there.
const CLIENT: &str = "demo";
const KID: &str = "demo";
/// Access tokens that are remembered.
const MOST_GIVEN: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo_people::PEOPLE;

    fn asked(verifier: &str) -> Fields {
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(verifier).as_bytes());
        let pairs = [
            ("client_id", CLIENT),
            ("redirect_uri", "http://localhost/back"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn form(tokens: &Tokens, code: &str, verifier: &str, secret: &str) -> Result<Value, Refused> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", "http://localhost/back"),
            ("code_verifier", verifier),
            ("client_id", CLIENT),
            ("client_secret", secret),
        ];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        tokens.exchange(Brand::Corp, "http://idp/corp", None, form.as_bytes())
    }

    #[test]
    fn a_code_is_good_once_and_for_the_client_that_asked() {
        let tokens = Tokens::new().unwrap();
        let secret = tokens.secret.expose();
        let code = || tokens.code(Brand::Corp, &PEOPLE[0], asked("v"));
        assert_eq!(form(&tokens, &code(), "v", "another").unwrap_err(), Refused::Client);
        assert_eq!(form(&tokens, &code(), "w", secret).unwrap_err(), Refused::Grant);
        assert_eq!(form(&tokens, "nonsense", "v", secret).unwrap_err(), Refused::Grant);
        let good = code();
        assert!(form(&tokens, &good, "v", secret).unwrap()["id_token"].is_string());
        assert_eq!(form(&tokens, &good, "v", secret).unwrap_err(), Refused::Grant);
    }
}
