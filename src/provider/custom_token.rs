//! `custom-token`: a token that somebody else signed says whose account it is.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use serde_json::{Map, Value};

use super::bearer::{Bearer, Fit, Verifying, Word};
use super::{Account, Deciding, Facts, Named, Parts, Provider, Setup, Verdict};
use crate::account::metadata::{self, MetadataField};
use crate::clock::Clock;
use crate::fetch::Fetch;
use crate::secret::Secret;
use crate::session::Shelf;
use crate::token::{
    self, Algorithm, Audience, Bad, Claims, JWKS, Key, KeySource, Matching, Refused, Rules, Types, Unverified, Verifier,
};

/// The word of this type in the configuration.
pub const KIND: &str = "custom-token";

/// `[providers.custom-token]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `jwks_uri` or `keys`.
    pub keys: Keys,
    /// `algorithms`: all with shared secrets, or all with key pairs.
    pub algorithms: Vec<Algorithm>,
    /// `issuer`: exactly this `iss`; absent: any.
    pub issuer: Option<String>,
    /// `audience`: empty: not looked at.
    pub audience: Vec<String>,
    /// `audience_match`. Default all.
    pub audience_match: Matching,
    /// `leeway`: by how much clocks may differ. Default 30 s, at most 60 s.
    pub leeway: Duration,
    /// `metadata`: which claims are kept. Default none.
    pub metadata: Vec<MetadataField>,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Keys {
    /// `jwks_uri`, and how many usable keys its set may have.
    Published(Uri, usize),
    /// `keys`: at most three.
    Given(Vec<GivenKey>),
}

/// An entry of `keys`.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenKey {
    /// `kid`: tokens that name a key name this one.
    pub kid: Option<String>,
    /// The key.
    pub material: Material,
}

/// What a key is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Material {
    /// `secret`: at least as long as the hash of its algorithm.
    Secret(Secret),
    /// `public_key`: PEM.
    Public(String),
}

impl Settings {
    /// Whether tokens can be verified with them.
    ///
    /// # Errors
    /// What is wrong, by the name of the key.
    pub fn check(&self) -> Result<(), token::Setup> {
        self.rules().check(matches!(self.keys, Keys::Published(..)))
    }

    fn rules(&self) -> Rules {
        let audience = (!self.audience.is_empty())
            .then(|| Audience { names: self.audience.clone(), matching: self.audience_match });
        Rules {
            algorithms: self.algorithms.clone(),
            issuers: self.issuer.iter().cloned().collect(),
            audience,
            types: Types::Bearer,
            subject: true,
            leeway: self.leeway,
        }
    }

    fn source(&self, fetch: &Fetch, shelf: Option<Shelf>) -> Result<KeySource, token::Setup> {
        match &self.keys {
            Keys::Published(uri, most) => {
                fetch.check(uri).map_err(|error| token::Setup(format!("`jwks_uri`: {error}")))?;
                Ok(KeySource::Jwks { uri: uri.clone(), fetch: fetch.clone(), most: *most, shelf })
            }
            Keys::Given(keys) => {
                let keys = keys.iter().map(|key| key.read(&self.algorithms));
                keys.collect::<Result<_, _>>().map(KeySource::Keys)
            }
        }
    }
}

impl GivenKey {
    /// The key, for those of these algorithms that it fits.
    ///
    /// # Errors
    /// When it is none, too weak, or fits none of them.
    pub fn read(&self, algorithms: &[Algorithm]) -> Result<Key, token::Setup> {
        match &self.material {
            Material::Secret(secret) => Key::from_secret(self.kid.clone(), secret, algorithms),
            Material::Public(pem) => Key::from_pem(self.kid.clone(), pem, algorithms),
        }
    }
}

/// Verifies tokens and reads accounts from them.
#[derive(Clone, Debug)]
pub struct CustomToken {
    verifier: Verifier,
    metadata: Vec<MetadataField>,
}

impl CustomToken {
    /// With these settings.
    ///
    /// # Errors
    /// What of the settings cannot be used, by the name of the key.
    pub fn new(settings: &Settings, fetch: &Fetch, clock: Clock) -> Result<Self, token::Setup> {
        Self::beside(settings, fetch, clock, None)
    }

    /// The same, with a key set that instances fetch for each other.
    fn beside(settings: &Settings, fetch: &Fetch, clock: Clock, shelf: Option<Shelf>) -> Result<Self, token::Setup> {
        let verifier = Verifier::new(settings.source(fetch, shelf)?, settings.rules(), clock)?;
        Ok(Self { verifier, metadata: settings.metadata.clone() })
    }

    pub(super) fn build(settings: &Settings, name: &str, parts: &Parts) -> Result<Named, Setup> {
        let provider = Self::beside(settings, &parts.fetch, parts.clock.clone(), parts.sessions.shelf(JWKS, name));
        let provider = provider.map_err(|error| Setup(format!("providers.{name}: {error}")))?;
        Ok(Named { name: name.to_owned(), kind: KIND, label: name.to_owned(), provider: Arc::new(provider) })
    }

    async fn read(&self, text: &str) -> Result<(Account, Claims), No> {
        let claims = self.verifier.verify(text).await?;
        let data = metadata::map(&self.metadata, claims.fields())?;
        let verified = claims.fields().get("email_verified") == Some(&Value::Bool(true));
        let email = claims.fields().get("email").and_then(Value::as_str).filter(|_| verified);
        let account = Account {
            // One set of keys may be that of several issuers, whose subjects are several people.
            issuer: claims.text("iss")?.unwrap_or_default().to_owned(),
            subject: claims.subject()?.to_owned(),
            verified_email: email.map(str::to_owned),
            data,
            ..Account::default()
        };
        Ok((account, claims))
    }

    async fn decide(&self, credentials: &Map<String, Value>) -> Verdict {
        let Some(Value::String(text)) = credentials.get("token") else {
            return Verdict::No("`token` is missing or no text".to_owned());
        };
        match self.read(text).await {
            Ok((account, _)) => Verdict::Yes(Box::new(account)),
            Err(No::Token(Refused::CannotTell(why))) => Verdict::CannotTell(why),
            Err(no) => Verdict::No(no.to_string()),
        }
    }
}

impl Provider for CustomToken {
    fn sign_in<'a>(&'a self, credentials: &'a Map<String, Value>, _: &'a Facts) -> Deciding<'a> {
        Box::pin(self.decide(credentials))
    }

    fn bearer(&self) -> Option<&dyn Bearer> {
        Some(self)
    }
}

impl Bearer for CustomToken {
    fn fit(&self, token: &Unverified) -> Fit {
        match (self.verifier.may_take(token), self.verifier.has_issuer()) {
            (false, _) => Fit::No,
            (true, false) => Fit::Maybe,
            (true, true) => Fit::ByIssuer,
        }
    }

    fn verify<'a>(&'a self, text: &'a str) -> Verifying<'a> {
        Box::pin(async move {
            match self.read(text).await {
                Ok((account, claims)) => Word::Yes(Box::new(account), claims.expires_at()),
                Err(No::Token(Refused::CannotTell(why))) => Word::CannotTell(why),
                Err(no) => Word::No(no.to_string()),
            }
        })
    }
}

/// Why a token is nobody's.
#[derive(Debug, thiserror::Error)]
enum No {
    #[error(transparent)]
    Token(#[from] Refused),
    #[error(transparent)]
    Unfit(#[from] metadata::Unfit),
}

impl From<Bad> for No {
    fn from(bad: Bad) -> Self {
        Self::Token(bad.into())
    }
}
