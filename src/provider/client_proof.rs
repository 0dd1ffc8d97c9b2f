//! How we prove to a token endpoint who we are: a secret, an assertion signed by a key (RFC 7523 §2.2), or Apple's
//! secret, which is such an assertion by another name.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::discovery::Endpoints;
use super::oauth2::Error;
use super::{AssertionAudience, OAuth, OAuthKind, Proof, Setup};
use crate::clock::Timestamp;
use crate::secret::{self, Secret};
use crate::token::{self, KeyError, OwnKey};

/// Proves it.
#[derive(Clone, Debug)]
pub(super) enum ClientProof {
    /// A public client.
    Nothing,
    /// A secret we share with the provider.
    Secret { secret: Secret, in_body: bool },
    /// An assertion for each request.
    Key(OwnKey, AssertionAudience),
    /// A secret that is signed now and then.
    Apple { key: OwnKey, team_id: String, minted: Arc<Mutex<Option<(Secret, Timestamp)>>> },
}

/// The parts of a request that prove it.
pub(super) struct Shown {
    pub(super) secret: Option<Secret>,
    /// Whether the secret travels in the body and not as Basic.
    pub(super) in_body: bool,
    pub(super) assertion: Assertion,
}

/// Parameters of an assertion.
pub(super) type Assertion = Vec<(&'static str, String)>;

impl ClientProof {
    /// For the provider of this name.
    ///
    /// # Errors
    /// What is wrong with the private key, naming it.
    pub(super) fn of(name: &str, settings: &OAuth) -> Result<Self, Setup> {
        Self::new(settings).map_err(|error| Setup(format!("providers.{name}.private_key: {error}")))
    }

    /// # Errors
    /// What is wrong with the private key.
    pub(super) fn new(settings: &OAuth) -> Result<Self, token::Setup> {
        let unusable = |error: KeyError| token::Setup(error.to_string());
        // They document nothing else.
        let in_body = matches!(settings.kind, OAuthKind::Facebook | OAuthKind::Github | OAuthKind::Apple);
        Ok(match &settings.proof {
            Proof::None => Self::Nothing,
            Proof::Secret(secret) => Self::Secret { secret: secret.clone(), in_body },
            Proof::Key { private_key, key_id, audience } => {
                Self::Key(OwnKey::from_pem(private_key, key_id.as_deref()).map_err(unusable)?, *audience)
            }
            Proof::Apple { team_id, key_id, private_key } => {
                let key = OwnKey::from_pem(private_key, Some(key_id)).map_err(unusable)?;
                if !key.is_es256() {
                    return Err(token::Setup("Apple's keys are of P-256".to_owned()));
                }
                Self::Apple { key, team_id: team_id.clone(), minted: Arc::default() }
            }
        })
    }

    /// What a request to this token endpoint carries.
    pub(super) fn show(&self, client_id: &str, endpoints: &Endpoints, now: Timestamp) -> Result<Shown, Error> {
        let mut shown = Shown { secret: None, in_body: true, assertion: Vec::new() };
        match self {
            Self::Nothing => {}
            Self::Secret { secret, in_body } => {
                // OpenID Connect Discovery 1.0 §3: without the list it is Basic.
                let basic = |proofs: &Vec<String>| proofs.iter().any(|proof| proof == "client_secret_basic");
                shown.in_body = *in_body || !endpoints.proofs.as_ref().is_none_or(basic);
                shown.secret = Some(secret.clone());
            }
            Self::Key(key, audience) => {
                let audience = match audience {
                    AssertionAudience::Issuer if !endpoints.issuer.is_empty() => &endpoints.issuer,
                    _ => &endpoints.token,
                };
                let claims = json!({
                    "iss": client_id,
                    "sub": client_id,
                    "aud": audience,
                    "jti": secret::token().expose(),
                    "iat": now.seconds(),
                    "exp": (now + ASSERTION).seconds(),
                });
                let token = key.sign(&claims).ok_or_else(|| Error::Down("our assertion was not signed".to_owned()))?;
                // Exposed to the server it is for.
                shown.assertion = vec![
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
                    ("client_assertion", token.expose().to_owned()),
                ];
            }
            Self::Apple { key, team_id, minted } => {
                shown.secret = Some(apple_secret(key, (team_id, client_id), endpoints, minted, now)?);
            }
        }
        Ok(shown)
    }
}

/// Sign in with Apple, "Creating a client secret": ES256, at most six months; ours live an hour and are renewed
/// well before.
fn apple_secret(
    key: &OwnKey,
    (team_id, client_id): (&str, &str),
    endpoints: &Endpoints,
    minted: &Mutex<Option<(Secret, Timestamp)>>,
    now: Timestamp,
) -> Result<Secret, Error> {
    let mut minted = minted.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((secret, _)) = minted.as_ref().filter(|(_, until)| now < *until) {
        return Ok(secret.clone());
    }
    let claims = json!({
        "iss": team_id,
        "sub": client_id,
        "aud": endpoints.issuer,
        "iat": now.seconds(),
        "exp": (now + APPLE_SECRET).seconds(),
    });
    let secret = key.sign(&claims).ok_or_else(|| Error::Down("our client secret was not signed".to_owned()))?;
    *minted = Some((secret.clone(), now + APPLE_SECRET / 2));
    Ok(secret)
}

const ASSERTION: Duration = Duration::from_mins(1);
const APPLE_SECRET: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::Value;

    use super::*;

    #[test]
    fn apples_secret_is_signed_anew_well_before_its_end() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        let mut settings = OAuth::new(OAuthKind::Apple, "com.example.blog.web");
        let (team_id, key_id) = ("DEF123GHIJ".to_owned(), "ABC123DEFG".to_owned());
        settings.proof = Proof::Apple { team_id, key_id, private_key: Secret::new(key) };
        let proof = ClientProof::new(&settings).unwrap();
        let endpoints = Endpoints { issuer: crate::provider::apple::ISSUER.to_owned(), ..Endpoints::default() };
        let begun = Timestamp::from_seconds(1_795_363_200);
        let secret = |after: u64| {
            let shown = proof.show(&settings.client_id, &endpoints, begun + Duration::from_secs(after)).unwrap();
            assert!(shown.in_body && shown.assertion.is_empty());
            shown.secret.unwrap()
        };
        let first = secret(0);
        assert_eq!(secret(1799), first);
        let second = secret(1800);
        assert_ne!(second, first);
        let claims = URL_SAFE_NO_PAD.decode(second.expose().split('.').nth(1).unwrap()).unwrap();
        let made = begun.seconds() + 1800;
        assert_eq!(
            serde_json::from_slice::<Value>(&claims).unwrap(),
            json!({
                "iss": "DEF123GHIJ", "sub": "com.example.blog.web", "aud": "https://appleid.apple.com",
                "iat": made, "exp": made + 3600,
            })
        );
    }
}
