use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::compact::Compact;
use super::{Algorithm, Family, Setup};
use crate::secret::Secret;

/// A key that verifies, and the algorithms it may be used with.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Key {
    /// A public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`), for those of these algorithms that it fits.
    ///
    /// # Errors
    /// When it is no public key, too weak (RSA below 2048 bits), or fits none of the algorithms.
    pub fn from_pem(kid: Option<String>, pem: &str, algorithms: &[Algorithm]) -> Result<Self, Setup> {
        let pem = pem.trim();
        if !["-----BEGIN PUBLIC KEY-----", "-----BEGIN RSA PUBLIC KEY-----"].iter().any(|head| pem.starts_with(head)) {
            return Err(Setup("not a public key in PEM (-----BEGIN PUBLIC KEY-----)".to_owned()));
        }
        let bytes = pem.as_bytes();
        let (key, fits): (_, &[Algorithm]) = if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
            let fits = curve_of(&key).ok_or(Setup("a curve other than P-256 and P-384".to_owned()))?;
            (key, fits)
        } else if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
            (key, &ED)
        } else if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
            let modulus = key.try_get_as_bytes().ok().and_then(modulus_of).unwrap_or_default();
            if !(WEAKEST_RSA..=LARGEST_RSA).contains(&bits(modulus)) {
                return Err(Setup(format!("an RSA key of {} bits: between 2048 and 8192 are taken", bits(modulus))));
            }
            (key, &RSA)
        } else {
            return Err(Setup("not an RSA, P-256, P-384 or Ed25519 public key".to_owned()));
        };
        Self { kid, algorithms: fits.to_vec(), key }.narrowed(algorithms)
    }

    /// A shared secret, for those of these algorithms whose hash is not longer than it (RFC 7518 §3.2).
    ///
    /// # Errors
    /// When it is shorter than 256 bits, or too short for any of the algorithms.
    pub fn from_secret(kid: Option<String>, secret: &Secret, algorithms: &[Algorithm]) -> Result<Self, Setup> {
        // Exposed to become a key.
        let bytes = secret.expose().as_bytes();
        let wanted = algorithms.iter().filter(|algorithm| algorithm.family() == Family::Hmac);
        let fits: Vec<_> = wanted.copied().filter(|algorithm| algorithm.hash().output_len() <= bytes.len()).collect();
        if fits.is_empty() && algorithms.iter().any(|algorithm| algorithm.family() == Family::Hmac) {
            let message = format!("a secret of {} bytes: HS256 needs 32, HS384 48, HS512 64", bytes.len());
            return Err(Setup(message));
        }
        Self { kid, algorithms: fits, key: DecodingKey::from_secret(bytes) }.narrowed(algorithms)
    }

    /// A key of a key set (RFC 7517 §4), if it is a public one that may be used for one of these algorithms.
    pub(super) fn from_jwk(jwk: &Map<String, Value>, algorithms: &[Algorithm]) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let says = |name: &str, word: &str| jwk.get(name).is_none_or(|value| value == word);
        let verifies = jwk
            .get("key_ops")
            .is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|operation| operation == "verify")));
        if !says("use", "sig") || !verifies || jwk.get("kid").is_some_and(|kid| !kid.is_string()) {
            return None;
        }
        let decoded = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (key, fits): (_, &[Algorithm]) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let (modulus, exponent) = (decoded("n")?, decoded("e")?);
                if !is_strong(&modulus, &exponent) {
                    return None;
                }
                (DecodingKey::from_rsa_raw_components(&modulus, &exponent), &RSA)
            }
            ("EC", Some(curve)) => {
                let (x, y) = (decoded("x")?, decoded("y")?);
                let (size, fits) = match curve {
                    "P-256" => (32, &P256),
                    "P-384" => (48, &P384),
                    _ => return None,
                };
                // RFC 7518 §6.2.1.2: coordinates have the full size.
                if x.len() != size || y.len() != size {
                    return None;
                }
                (DecodingKey::from_ec_der(&[&[4], x.as_slice(), &y].concat()), fits)
            }
            ("OKP", Some("Ed25519")) => (DecodingKey::from_ed_der(&decoded("x").filter(|x| x.len() == 32)?), &ED),
            // `oct`: a secret that stands in public is none (SEC-JWT-02).
            _ => return None,
        };
        let named = match jwk.get("alg") {
            None => None,
            Some(alg) => Some(Algorithm::parse(alg.as_str()?)?),
        };
        let fits = fits.iter().copied().filter(|one| named.is_none_or(|named| named == *one)).collect();
        Self { kid: text("kid").map(str::to_owned), algorithms: fits, key }.narrowed(algorithms).ok()
    }

    /// Whether a token with this header may be signed by it.
    pub(super) fn fits(&self, token: &Compact<'_>) -> bool {
        let named = match (&self.kid, &token.kid) {
            (Some(own), Some(theirs)) => own == theirs,
            _ => true,
        };
        named && self.algorithms.contains(&token.algorithm)
    }

    /// Whether it signed the token.
    pub(super) fn signed(&self, token: &Compact<'_>) -> bool {
        let algorithm = token.algorithm.of_library();
        jsonwebtoken::crypto::verify(token.signature, token.signed.as_bytes(), &self.key, algorithm).unwrap_or(false)
    }

    /// Its name, if it has one.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    fn narrowed(mut self, algorithms: &[Algorithm]) -> Result<Self, Setup> {
        self.algorithms.retain(|algorithm| algorithms.contains(algorithm));
        if self.algorithms.is_empty() {
            return Err(Setup("the key goes with none of the algorithms".to_owned()));
        }
        Ok(self)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

/// An uncompressed point begins with 4 (SEC 1 §2.3.3); its length tells the curve among the two that are taken.
fn curve_of(key: &DecodingKey) -> Option<&'static [Algorithm]> {
    match key.try_get_as_bytes().ok()? {
        [4, rest @ ..] if rest.len() == 64 => Some(&P256),
        [4, rest @ ..] if rest.len() == 96 => Some(&P384),
        _ => None,
    }
}

/// SEC-JWT-03: at least 2048 bits, and an exponent that does something.
fn is_strong(modulus: &[u8], exponent: &[u8]) -> bool {
    let Some((last, rest)) = exponent.split_last() else { return false };
    let is_one = *last == 1 && rest.iter().all(|byte| *byte == 0);
    (WEAKEST_RSA..=LARGEST_RSA).contains(&bits(modulus)) && last % 2 == 1 && !is_one && exponent.len() <= 4
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = &number[zeros..];
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}

/// The first integer of an `RSAPublicKey` (RFC 8017 §A.1.1), in DER.
fn modulus_of(der: &[u8]) -> Option<&[u8]> {
    let (0x30, sequence) = element(der)? else { return None };
    let (0x02, modulus) = element(sequence)? else { return None };
    Some(modulus)
}

/// Tag and content of the first element.
fn element(der: &[u8]) -> Option<(u8, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    Some((tag, rest.get(..length)?))
}

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
const P256: [Algorithm; 1] = [Algorithm::ES256];
const P384: [Algorithm; 1] = [Algorithm::ES384];
const ED: [Algorithm; 1] = [Algorithm::EdDSA];
const WEAKEST_RSA: usize = 2048;
const LARGEST_RSA: usize = 8192;
