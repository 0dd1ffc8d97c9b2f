use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::claims::{audience, moment};
use super::compact::Compact;
use super::key_set::Keys;
use super::{Algorithm, Bad, Claims, Family, Key, KeySource, Refused, Setup, Unverified};
use crate::clock::{Clock, Timestamp};

/// Decides whether a token counts. Clones share the keys.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Arc<Keys>,
    rules: Arc<Rules>,
    clock: Clock,
}

/// Which tokens are taken. `exp` is needed in any case.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Signed how: all of one kind, with a shared secret or with key pairs (SEC-JWT-02).
    pub algorithms: Vec<Algorithm>,
    /// `iss` is exactly one of these; of any issuer if there are none.
    pub issuers: Vec<String>,
    /// For whom; not looked at if absent.
    pub audience: Option<Audience>,
    /// Which `typ`.
    pub types: Types,
    /// Whether `sub` is needed.
    pub subject: bool,
    /// By how much clocks may differ: at most 60 s.
    pub leeway: Duration,
}

/// For whom a token must be: names are compared exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// At least one.
    pub names: Vec<String>,
    /// How many of them `aud` has to hold.
    pub matching: Matching,
}

/// How many of the configured audiences a token has to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Every one.
    All,
    /// One.
    Any,
}

/// Which `typ` a token may have: a token made for one purpose is none for another (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// None, or `JWT`: statements about a sign-in.
    Identity,
    /// None, `JWT`, or `at+jwt` (RFC 9068 §2.1): what comes as bearer.
    Bearer,
    /// None, `JWT`, or `logout+jwt` (OpenID Connect Back-Channel Logout §2.4).
    Logout,
}

impl Verifier {
    /// For tokens signed with these keys that obey these rules.
    ///
    /// # Errors
    /// Rules that contradict each other or would let everything in, by the name of the key at fault.
    pub fn new(source: KeySource, rules: Rules, clock: Clock) -> Result<Self, Setup> {
        rules.check(matches!(source, KeySource::Jwks { .. }))?;
        if matches!(&source, KeySource::Keys(keys) if keys.is_empty()) {
            return Err(Setup("`keys` holds none".to_owned()));
        }
        // Named here so that a lost feature is a compile error, not a panic at the first token. An error means
        // that it is installed already.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let keys = Arc::new(Keys::new(source, &rules.algorithms, clock.clone()));
        Ok(Self { keys, rules: Arc::new(rules), clock })
    }

    /// What the token says, if it counts now.
    ///
    /// # Errors
    /// [`Refused::Bad`] for a token that is not good, [`Refused::CannotTell`] while its issuer's keys are not there.
    pub async fn verify(&self, text: &str) -> Result<Claims, Refused> {
        let token = Compact::parse(text)?;
        if !self.rules.algorithms.contains(&token.algorithm) {
            return Err(Bad::Algorithm.into());
        }
        if !self.rules.types.allow(&token.typ) {
            return Err(Bad::Type.into());
        }
        let keys = self.keys.for_token(&token).await?;
        if !is_signed(&keys, &token) {
            // A set whose keys have no names may have changed; a named key is what it was.
            let others = if token.kid.is_none() { self.keys.after(&keys).await } else { None };
            if !others.is_some_and(|others| is_signed(&others, &token)) {
                return Err(Bad::Signature.into());
            }
        }
        let fields = token.payload()?;
        let expires_at = self.rules.decide(&fields, self.clock.now())?;
        Ok(Claims::new(fields, token.algorithm, expires_at))
    }

    /// Whether a token that says this of itself could be one of ours at all; only one of ours is worth a look at
    /// its signature.
    pub fn may_take(&self, token: &Unverified) -> bool {
        let issuers = &self.rules.issuers;
        let issued = issuers.is_empty() || token.issuer.as_ref().is_some_and(|issuer| issuers.contains(issuer));
        let named = match (self.keys.names(), &token.kid) {
            (Some(names), Some(kid)) => names.contains(&kid.as_str()),
            _ => true,
        };
        // An issuer that was named settles it: its token with a strange key is a bad one, not somebody else's.
        issued && (named || !issuers.is_empty())
    }

    /// Whether it asks for an issuer.
    pub fn has_issuer(&self) -> bool {
        !self.rules.issuers.is_empty()
    }
}

impl Rules {
    /// Whether they go together, for keys that are published or kept here.
    ///
    /// # Errors
    /// What contradicts itself or would let everything in, by the name of the key at fault.
    pub fn check(&self, published: bool) -> Result<(), Setup> {
        let fault = |text: &str| Err(Setup(text.to_owned()));
        let shared = self.algorithms.iter().filter(|algorithm| algorithm.family() == Family::Hmac).count();
        if self.algorithms.is_empty() {
            return fault("`algorithms` names none");
        }
        if shared != 0 && shared != self.algorithms.len() {
            return fault(
                "`algorithms` mixes shared secrets (HS…) and key pairs: a public key could pass for a secret",
            );
        }
        if shared != 0 && published {
            return fault("`algorithms` names shared secrets (HS…), and a key set is public");
        }
        if self.issuers.iter().any(String::is_empty) {
            return fault("`issuer` is empty");
        }
        if self.audience.as_ref().is_some_and(|one| one.names.is_empty() || one.names.iter().any(String::is_empty)) {
            return fault("`audience` is empty");
        }
        if self.leeway > MOST_LEEWAY {
            return fault("`leeway` is more than 60s");
        }
        Ok(())
    }

    /// When the token stops counting, if it counts now.
    fn decide(&self, fields: &Map<String, Value>, now: Timestamp) -> Result<Timestamp, Bad> {
        let expires_at = moment(fields, "exp")?.ok_or(Bad::Missing("exp"))? + self.leeway;
        if now >= expires_at {
            return Err(Bad::Expired);
        }
        for name in ["nbf", "iat"] {
            if moment(fields, name)?.is_some_and(|from| from > now + self.leeway) {
                return Err(Bad::NotYet);
            }
        }
        match fields.get("iss") {
            None if self.issuers.is_empty() => {}
            None => return Err(Bad::Missing("iss")),
            Some(Value::String(issuer)) if self.issuers.is_empty() || self.issuers.contains(issuer) => {}
            Some(Value::String(_)) => return Err(Bad::Issuer),
            Some(_) => return Err(Bad::Claim("iss")),
        }
        match fields.get("sub") {
            None if self.subject => return Err(Bad::Missing("sub")),
            None => {}
            Some(Value::String(subject)) if !subject.is_empty() => {}
            Some(_) => return Err(Bad::Claim("sub")),
        }
        self.audience.as_ref().map_or(Ok(()), |wanted| wanted.check(fields))?;
        Ok(expires_at)
    }
}

impl Audience {
    fn check(&self, fields: &Map<String, Value>) -> Result<(), Bad> {
        let named = audience(fields)?;
        let mut wanted = self.names.iter();
        let fine = match self.matching {
            Matching::All => wanted.all(|name| named.contains(&name.as_str())),
            Matching::Any => wanted.any(|name| named.contains(&name.as_str())),
        };
        if fine { Ok(()) } else { Err(Bad::Audience) }
    }
}

impl Types {
    fn allow(self, typ: &str) -> bool {
        let own = match self {
            Self::Identity => "jwt",
            Self::Bearer => "at+jwt",
            Self::Logout => "logout+jwt",
        };
        matches!(typ, "" | "jwt") || typ == own
    }
}

fn is_signed(keys: &[Key], token: &Compact<'_>) -> bool {
    keys.iter().any(|key| key.fits(token) && key.signed(token))
}

const MOST_LEEWAY: Duration = Duration::from_secs(60);
