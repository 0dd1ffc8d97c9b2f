use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::id::SessionId;
use crate::secret::Secret;
use crate::session::family::{Family, RefreshToken};
use crate::session::known_device::Marks;
use crate::store::{self, SigningKey, Store};

/// The keys that sign access tokens and assertions: the one in force, the next, and those before it whose
/// tokens are not over yet.
///
/// All instances on a store share them. A new key is published [`LEAD`] before it signs, so that verifiers
/// who fetch the keys now and then know it in time; an old one verifies until the last token it can have
/// signed is over, and is kept until the last session is over whose refresh tokens it can have made.
pub(super) struct KeyRing {
    store: Arc<dyn Store>,
    keys: ArcSwap<Vec<Key>>,
    lives: Lives,
    /// When the store was last asked for an unknown key, in milliseconds.
    looked_at: AtomicI64,
}

/// For how long keys are needed after they have signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    /// The longest a signed token of ours is good.
    pub(super) token: Duration,
    /// The longest a session lives whose refresh tokens are to be recognised.
    pub(super) session: Duration,
}

struct Key {
    kid: String,
    signs_from: Timestamp,
    /// When it no longer verifies; its refresh tokens are recognised for longer.
    retires_at: Timestamp,
    signer: EncodingKey,
    verifier: DecodingKey,
    family: Family,
    jwk: Value,
}

/// What a token of ours is for: its `typ`, without which it is not accepted for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// RFC 9068 §2.1
    Access,
    /// A refresh token that apps of App Services can read; its text is looked up, its signature counts for nothing.
    Refresh,
    /// For the app behind; never a credential here.
    Assertion,
}

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("not a token of this purpose")]
    Form,
    #[error("signed by an unknown key")]
    UnknownKey,
    #[error("the signature is not good")]
    Signature,
}

/// A key signs for so long.
const PERIOD: Duration = Duration::from_hours(30 * 24);
/// A key is published so long before it signs.
const LEAD: Duration = Duration::from_hours(1);
/// A key may go on signing for so long when nobody was there to make the next.
const SLACK: Duration = Duration::from_hours(7 * 24);
/// The store is asked for unknown keys so often.
const LOOK: Duration = Duration::from_secs(5);
/// Another instance is quicker only as often as there are instances that start at once.
const TRIES: usize = 8;

impl KeyRing {
    /// Reads the keys, makes the first if there is none, and tries them.
    pub(super) async fn open(store: Arc<dyn Store>, lives: Lives, now: Timestamp) -> Result<Self, store::Error> {
        // Named here so that a lost feature is a compile error, not a panic at the first token. An error
        // means that it is installed already.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let ring = Self { store, keys: ArcSwap::default(), lives, looked_at: AtomicI64::default() };
        ring.rotate(now).await?;
        ring.test_itself(now)?;
        Ok(ring)
    }

    /// Makes the next key when it is time, forgets the retired ones, and reads what other instances made.
    pub(super) async fn rotate(&self, now: Timestamp) -> Result<(), store::Error> {
        for _ in 0..TRIES {
            let stored = self.store.signing_keys().await?;
            let Some(signs_from) = self.next_from(&stored, now) else {
                return self.load(&stored, now).await;
            };
            let key = make(now, signs_from, signs_from + PERIOD + SLACK + self.lives.longest())?;
            let newest = stored.first().map(|newest| newest.kid.as_str());
            if self.store.add_signing_key(&key, newest).await? {
                tracing::info!(kid = key.kid, signs_from = %key.signs_from, "a signing key was made");
            }
        }
        Err(store::Error::Unavailable("other instances make signing keys all the time".to_owned()))
    }

    /// Sees to it that there is a key to sign with: a machine that slept past all of them does not have to wait
    /// until it is looked after.
    pub(super) async fn ready(&self, now: Timestamp) -> Result<(), store::Error> {
        let missing = signing(&self.keys.load(), now).is_none();
        if missing { self.rotate(now).await } else { Ok(()) }
    }

    /// Whether there is a key to sign with.
    pub(super) fn can_sign(&self, now: Timestamp) -> bool {
        signing(&self.keys.load(), now).is_some()
    }

    /// Reads the keys again for a token with an unknown key, which another instance may have made. Such tokens
    /// are free to make up, so this happens once in a while (`steady`) and not for each: `false`, if not now.
    pub(super) async fn look_again(&self, steady: Timestamp, now: Timestamp) -> Result<bool, store::Error> {
        let looked = self.looked_at.load(Ordering::Relaxed);
        if steady.since(Timestamp::from_millis(looked)) < LOOK
            || self.looked_at.compare_exchange(looked, steady.millis(), Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Ok(false);
        }
        let stored = self.store.signing_keys().await?;
        self.load(&stored, now).await.map(|()| true)
    }

    /// A token with these claims.
    pub(super) fn sign(&self, purpose: Purpose, claims: &impl Serialize, now: Timestamp) -> Option<Secret> {
        let keys = self.keys.load();
        let key = signing(&keys, now)?;
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(purpose.typ().to_owned());
        header.kid = Some(key.kid.clone());
        match jsonwebtoken::encode(&header, claims, &key.signer) {
            Ok(token) => Some(Secret::new(token)),
            Err(error) => {
                tracing::error!(kid = key.kid, %error, "a token was not signed");
                None
            }
        }
    }

    /// The claims of a token, if we signed it for this purpose. Its times are for the caller to check.
    pub(super) fn verify<C: DeserializeOwned>(
        &self,
        purpose: Purpose,
        token: &str,
        now: Timestamp,
    ) -> Result<C, Refused> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Form)?;
        if header.typ.as_deref() != Some(purpose.typ()) || header.alg != Algorithm::ES256 || header.crit.is_some() {
            return Err(Refused::Form);
        }
        let kid = header.kid.ok_or(Refused::Form)?;
        let keys = self.keys.load();
        let key = keys.iter().find(|key| key.kid == kid && now < key.retires_at).ok_or(Refused::UnknownKey)?;
        // The time is not left to the library: it asks the system.
        let mut rules = Validation::new(Algorithm::ES256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_aud = false;
        jsonwebtoken::decode::<C>(token, &key.verifier, &rules).map(|data| data.claims).map_err(|_| Refused::Signature)
    }

    /// What can follow an old refresh token, the likeliest first: every instance makes the same from the same,
    /// nobody without the keys can.
    pub(super) fn successors(&self, token: &RefreshToken, now: Timestamp) -> Vec<Secret> {
        let keys = self.keys.load();
        let first = signing(&keys, now).into_iter();
        first.chain(keys.iter()).map(|key| key.family.successor(token)).collect()
    }

    /// The first refresh token of a session.
    pub(super) fn refresh_token(&self, session: SessionId, now: Timestamp) -> Option<Secret> {
        let keys = self.keys.load();
        signing(&keys, now).map(|key| key.family.first(session))
    }

    /// A mark for a browser on which this account signed in.
    pub(super) fn mark_device(&self, account: &str, now: Timestamp) -> Option<Secret> {
        signing(&self.keys.load(), now).map(|key| key.family.devices.make(account))
    }

    /// Whether this holds for the marks of any key.
    pub(super) fn marks(&self, holds: impl Fn(&Marks) -> bool) -> bool {
        self.keys.load().iter().any(|key| holds(&key.family.devices))
    }

    /// A seal for what all instances are to believe.
    pub(super) fn seal(&self, said: &[u8], now: Timestamp) -> Option<[u8; 32]> {
        signing(&self.keys.load(), now).map(|key| key.family.seals.make(said))
    }

    /// Whether an instance has sealed this with a key that still verifies.
    pub(super) fn is_sealed(&self, said: &[u8], seal: &[u8], now: Timestamp) -> bool {
        self.keys.load().iter().any(|key| now < key.retires_at && key.family.seals.knows(said, seal))
    }

    /// Whether a refresh token was made here for the session it names, however long ago.
    pub(super) fn made(&self, token: &RefreshToken) -> bool {
        self.keys.load().iter().any(|key| key.family.made(token))
    }

    /// The public halves of all keys that verify: RFC 7517 §5.
    pub(super) fn jwks(&self, now: Timestamp) -> Value {
        let keys = self.keys.load();
        let public: Vec<_> = keys.iter().filter(|key| now < key.retires_at).map(|key| &key.jwk).collect();
        json!({ "keys": public })
    }

    /// When a new key should begin to sign; `None` while the newest is good for longer.
    fn next_from(&self, stored: &[SigningKey], now: Timestamp) -> Option<Timestamp> {
        let Some(newest) = stored.iter().max_by_key(|key| key.signs_from) else { return Some(now) };
        // The last moment from which its longest token still ends before it does.
        let lasts = (newest.retires_at - self.lives.longest()).min(newest.signs_from + PERIOD + SLACK);
        let due = lasts.min(newest.signs_from + PERIOD);
        if now < due {
            return None;
        }
        // A key made too late to be published first signs at once: a verifier that does not know it yet asks
        // again, while a token that ends after its key would fail everywhere.
        Some(if now + LEAD < lasts { now + LEAD } else { now })
    }

    async fn load(&self, stored: &[SigningKey], now: Timestamp) -> Result<(), store::Error> {
        let live = stored.iter().filter(|key| now < key.retires_at);
        let mut keys: Vec<Key> = live.map(|key| Key::read(key, self.lives)).collect::<Result<_, _>>()?;
        keys.sort_by_key(|key| std::cmp::Reverse(key.signs_from));
        self.keys.store(Arc::new(keys));
        if stored.iter().any(|key| key.retires_at <= now) {
            self.store.sweep_signing_keys(now).await?;
        }
        Ok(())
    }

    fn test_itself(&self, now: Timestamp) -> Result<(), store::Error> {
        let claims = json!({ "sub": "self-test" });
        let token = self.sign(Purpose::Assertion, &claims, now);
        // Exposed to be verified; it says nothing.
        let back = token.and_then(|token| self.verify::<Value>(Purpose::Assertion, token.expose(), now).ok());
        if back == Some(claims) {
            return Ok(());
        }
        Err(store::Error::Corrupt("a signing key does not verify what it signs".to_owned()))
    }
}

impl Purpose {
    fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
            Self::Assertion => "assertion+jwt",
        }
    }
}

impl Lives {
    fn longest(self) -> Duration {
        self.token.max(self.session)
    }
}

impl Key {
    fn read(stored: &SigningKey, lives: Lives) -> Result<Self, store::Error> {
        let corrupt = |_| store::Error::Corrupt(format!("signing key {}", stored.kid));
        // Exposed to be read as a key.
        let der = Zeroizing::new(STANDARD.decode(stored.private.expose()).map_err(|_| corrupt(()))?);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map_err(|_| corrupt(()))?;
        let public = pair.public_key().as_ref();
        Ok(Self {
            kid: stored.kid.clone(),
            signs_from: stored.signs_from,
            retires_at: stored.retires_at.min(stored.signs_from + PERIOD + SLACK + lives.token),
            signer: EncodingKey::from_ec_der(&der),
            verifier: DecodingKey::from_ec_der(public),
            family: Family::of(&der),
            jwk: jwk(&stored.kid, public),
        })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.load();
        f.debug_list().entries(keys.iter().map(|key| &key.kid)).finish()
    }
}

/// The key in force: the newest whose time has come. A clock turned back behind all of them gets the oldest.
fn signing(keys: &[Key], now: Timestamp) -> Option<&Key> {
    let mut live = keys.iter().filter(|key| now < key.retires_at);
    live.clone().find(|key| key.signs_from <= now).or_else(|| live.next_back())
}

fn make(now: Timestamp, signs_from: Timestamp, retires_at: Timestamp) -> Result<SigningKey, store::Error> {
    let failed = |_| store::Error::Unavailable("no key pair could be made".to_owned());
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let der = Zeroizing::new(der.map_err(|_| failed(()))?.as_ref().to_vec());
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map_err(|_| failed(()))?;
    let kid = thumbprint(pair.public_key().as_ref());
    Ok(SigningKey { kid, private: Secret::new(STANDARD.encode(&der)), created_at: now, signs_from, retires_at })
}

/// An uncompressed point: a byte that says so, then x and y (SEC 1 §2.3.3).
fn coordinates(public: &[u8]) -> (String, String) {
    let (x, y) = public.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
    (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
}

fn jwk(kid: &str, public: &[u8]) -> Value {
    let (x, y) = coordinates(public);
    json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256" })
}

/// RFC 7638 §3
fn thumbprint(public: &[u8]) -> String {
    let (x, y) = coordinates(public);
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}
