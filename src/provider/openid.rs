//! id_tokens (OpenID Connect Core 1.0 §3.1.3.7): who they are about, once everything about them is right.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::TokenResponse as _;
use serde_json::{Map, Value};

use super::discovery::Endpoints;
use super::oauth2::{Client, Error, Grant};
use super::{OAuth, OAuthKind};
use crate::secret::Digest;
use crate::token::{self, Audience, Claims, KeySource, Matching, Rules, Types, Verifier};

/// What an id_token must be.
pub(super) struct Expected<'a> {
    /// Whose it may be: ours, and of apps of the same owner.
    pub(super) audiences: Vec<&'a str>,
    /// What it must repeat.
    pub(super) nonce: Nonce<'a>,
    /// The access token that came with it.
    pub(super) access_token: Option<&'a str>,
}

/// What an id_token must repeat of the request it answers.
#[derive(Clone, Copy)]
pub(super) enum Nonce<'a> {
    /// Exactly this.
    Ours(&'a str),
    /// This or its SHA-256, which is what Apple's and Facebook's apps send in its place.
    OfAnApp(&'a str),
    /// The app did not say.
    Unknown,
}

impl Client {
    /// The claims of the id_token that came for a code.
    pub(super) async fn identified(&self, grant: &Grant) -> Result<Map<String, Value>, Error> {
        let id_token = grant.answer.id_token.as_deref();
        let id_token = id_token.ok_or_else(|| Error::Down("the token endpoint sent no id_token".to_owned()))?;
        let expected = Expected {
            audiences: vec![&self.settings.client_id],
            nonce: grant.nonce.as_deref().map_or(Nonce::Unknown, Nonce::Ours),
            access_token: Some(grant.answer.access_token().secret()),
        };
        // What the provider itself handed over and is wrong is its fault, not the visitor's.
        let mut claims = self.claims(&grant.endpoints, id_token, &expected).await.map_err(|error| match error {
            Error::Refused(why) => Error::Down(why),
            other => other,
        })?;
        // The brands say everything in the id_token, unless the operator knows better.
        if self.settings.kind != OAuthKind::Oidc && self.settings.endpoints.userinfo.is_some() {
            let subject = subject(&claims).unwrap_or_default();
            for (name, value) in self.userinfo(grant, &subject).await?.unwrap_or_default() {
                // What was signed goes first, and what vouches for an address is never taken from elsewhere.
                if !VOUCHING.contains(&name.as_str()) {
                    claims.entry(name).or_insert(value);
                }
            }
        }
        Ok(claims)
    }

    /// The claims of an id_token that an app got by itself and sent with its credentials.
    pub(super) async fn shown(&self, credentials: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let text = |name: &str| credentials.get(name).and_then(Value::as_str);
        let id_token = text("id_token").ok_or_else(|| Error::Refused("no id_token was sent".to_owned()))?;
        let endpoints = self.discovery.endpoints().await?;
        let native = self.settings.native_client_ids.iter().map(String::as_str);
        let expected = Expected {
            audiences: native.chain([self.settings.client_id.as_str()]).collect(),
            nonce: text("nonce").map_or(Nonce::Unknown, Nonce::OfAnApp),
            access_token: None,
        };
        self.claims(&endpoints, id_token, &expected).await
    }

    async fn claims(
        &self,
        endpoints: &Endpoints,
        id_token: &str,
        expected: &Expected<'_>,
    ) -> Result<Map<String, Value>, Error> {
        let claims = self.signed(endpoints, id_token, Types::Identity).await?;
        let fields = claims.fields();
        // RFC 8725 §3.11: a statement about the end of a session is none about a sign-in.
        if fields.contains_key("events") {
            return Err(refused("the token is no id_token"));
        }
        check_issuer(fields, &self.settings, endpoints)?;
        check_audience(fields, &expected.audiences)?;
        check_times(&claims)?;
        check_nonce(&claims, expected.nonce)?;
        if let Some(access_token) = expected.access_token {
            claims.check_at_hash(access_token).map_err(bad)?;
        }
        Ok(fields.clone())
    }

    /// The claims of a token of this type that one of the issuer's keys has signed for us, while it is good.
    pub(super) async fn signed(&self, endpoints: &Endpoints, token: &str, types: Types) -> Result<Claims, Error> {
        let jwks = endpoints.jwks.as_deref().ok_or_else(|| Error::Down("the issuer names no keys".to_owned()))?;
        self.verifier(jwks, types)?.verify(token).await.map_err(|error| match error {
            token::Refused::CannotTell(why) => Error::Down(why),
            token::Refused::Bad(why) => bad(why),
        })
    }

    /// The verifier for the keys at this address, which hardly ever changes.
    fn verifier(&self, jwks: &str, types: Types) -> Result<Verifier, Error> {
        let mut held = self.verifiers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., verifier)) = held.iter().find(|(address, of, _)| address == jwks && *of == types) {
            return Ok(verifier.clone());
        }
        let unusable = |why: &dyn std::fmt::Display| Error::Down(format!("the issuer's keys: {why}"));
        let uri = jwks.parse().map_err(|error: http::uri::InvalidUri| unusable(&error))?;
        let shelf = self.sessions.shelf(token::JWKS, &self.name);
        let source = KeySource::Jwks { uri, fetch: self.discovery.fetch(jwks), most: token::MOST_KEYS, shelf };
        let names = [&self.settings.client_id].into_iter().chain(&self.settings.native_client_ids);
        let rules = Rules {
            algorithms: self.settings.algorithms.clone(),
            // Some call themselves by several names, or one for each tenant; see `is_issuer`.
            issuers: Vec::new(),
            audience: Some(Audience { names: names.cloned().collect(), matching: Matching::Any }),
            types,
            subject: types == Types::Identity,
            leeway: SKEW,
        };
        let made = Verifier::new(source, rules, self.clock.clone()).map_err(|error| unusable(&error))?;
        held.retain(|(.., of, _)| *of != types);
        held.push((jwks.to_owned(), types, made.clone()));
        Ok(made)
    }

    /// What the userinfo endpoint says of the same account (§5.3). None without such an endpoint.
    pub(super) async fn userinfo(&self, grant: &Grant, subject: &str) -> Result<Option<Map<String, Value>>, Error> {
        let Some(address) = &grant.endpoints.userinfo else { return Ok(None) };
        let told = self.ask(address, Some(grant.answer.access_token().secret())).await;
        let told = told.map_err(|error| Error::Down(error.to_string()))?;
        match told {
            // §5.3.2: another subject means somebody swapped the access token.
            Value::Object(told) if told.get("sub").and_then(Value::as_str) == Some(subject) => Ok(Some(told)),
            _ => Err(Error::Down("the userinfo endpoint speaks of another account".to_owned())),
        }
    }
}

/// Verifiers that were made, by address and type.
#[derive(Debug, Default)]
pub(super) struct Verifiers(Mutex<Vec<(String, Types, Verifier)>>);

/// Whether this is how the provider calls itself.
pub(super) fn is_issuer(settings: &OAuth, endpoints: &Endpoints, named: &str) -> bool {
    let is = |known: &[&str]| endpoints.issuer == known[0] && known.contains(&named);
    named == endpoints.issuer
        || match settings.kind {
            OAuthKind::Oidc | OAuthKind::Apple => false,
            // Google, "Validating an ID token": either form.
            OAuthKind::Google => is(&[super::google::ISSUER, "accounts.google.com"]),
            OAuthKind::Facebook => is(&super::facebook::ISSUERS),
            OAuthKind::Github => is(&[super::github::ISSUER, "https://github.com/login/oauth"]),
            OAuthKind::Microsoft => super::microsoft::is_of_template(named, &endpoints.issuer),
        }
}

pub(super) fn check_issuer(claims: &Map<String, Value>, settings: &OAuth, endpoints: &Endpoints) -> Result<(), Error> {
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    let fine = !issuer.is_empty() && is_issuer(settings, endpoints, issuer);
    if fine { Ok(()) } else { Err(refused("the token is of another issuer")) }
}

/// §3.1.3.7 rules 3 to 5: for us, and for others only if we are the one it was issued to.
pub(super) fn check_audience(claims: &Map<String, Value>, ours: &[&str]) -> Result<(), Error> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|text| ours.contains(&text));
    let azp = claims.get("azp");
    let fine = match claims.get("aud") {
        Some(Value::Array(several)) if several.len() > 1 => several.iter().any(is_ours) && azp.is_some(),
        Some(Value::Array(one)) => one.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if !fine {
        return Err(refused("the token is for another client"));
    }
    match azp {
        Some(azp) if !is_ours(azp) => Err(refused("the token was issued to another client (azp)")),
        _ => Ok(()),
    }
}

/// Times have been looked at; `iat` has to be there (§2).
pub(super) fn check_times(claims: &Claims) -> Result<(), Error> {
    match claims.moment("iat").map_err(bad)? {
        Some(_) => Ok(()),
        None => Err(refused("the token does not say when it was made")),
    }
}

fn check_nonce(claims: &Claims, expected: Nonce<'_>) -> Result<(), Error> {
    match expected {
        Nonce::Ours(nonce) => claims.check_nonce(nonce).map_err(bad),
        Nonce::OfAnApp(nonce) => {
            let hex: String = Digest::of(nonce).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            claims.check_nonce(nonce).or_else(|_| claims.check_nonce(&hex)).map_err(bad)
        }
        Nonce::Unknown => Ok(()),
    }
}

/// The account's name there.
pub(super) fn subject(claims: &Map<String, Value>) -> Option<String> {
    claims.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty()).map(str::to_owned)
}

/// The provider's name for its session, of a token that has been verified.
pub(super) fn sid(id_token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(id_token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&bytes).ok()?;
    claims.get("sid").and_then(Value::as_str).filter(|sid| !sid.is_empty() && sid.len() <= 255).map(str::to_owned)
}

fn bad(why: token::Bad) -> Error {
    Error::Refused(format!("the token is not good: {why}"))
}

fn refused(why: &str) -> Error {
    Error::Refused(why.to_owned())
}

/// Claims that say who somebody is and whether an address is theirs.
const VOUCHING: [&str; 7] = ["iss", "sub", "email", "email_verified", "hd", "tid", "xms_edov"];
/// Difference between clocks that is forgiven.
const SKEW: Duration = Duration::from_mins(1);
