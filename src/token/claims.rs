use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::{Algorithm, Bad};
use crate::clock::Timestamp;

/// What a token says, once its signature was found good and its times, issuer and audience were checked.
#[derive(Clone, PartialEq)]
pub struct Claims {
    fields: Map<String, Value>,
    algorithm: Algorithm,
    expires_at: Timestamp,
}

impl Claims {
    pub(super) fn new(fields: Map<String, Value>, algorithm: Algorithm, expires_at: Timestamp) -> Self {
        Self { fields, algorithm, expires_at }
    }

    /// All of them.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// When it stops counting: `exp` and the leeway.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// `sub`: never empty.
    ///
    /// # Errors
    /// [`Bad::Missing`], [`Bad::Claim`].
    pub fn subject(&self) -> Result<&str, Bad> {
        self.text("sub")?.ok_or(Bad::Missing("sub"))
    }

    /// A claim that is text if it is there, and then not empty.
    ///
    /// # Errors
    /// [`Bad::Claim`] for any other value.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, Bad> {
        match self.fields.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(Bad::Claim(name)),
        }
    }

    /// A claim that is true, or the text "true" as Apple has it. Everything else is not.
    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.fields.get(name), Some(Value::Bool(true)))
            || self.fields.get(name).is_some_and(|value| value == "true")
    }

    /// A claim that is a moment if it is there.
    ///
    /// # Errors
    /// [`Bad::Claim`] for anything but a number of seconds between 1970 and 9999.
    pub fn moment(&self, name: &'static str) -> Result<Option<Timestamp>, Bad> {
        moment(&self.fields, name)
    }

    /// Whether `nonce` is the one that was sent (OpenID Connect Core §3.1.3.7, 11).
    ///
    /// # Errors
    /// [`Bad::Missing`], [`Bad::Claim`].
    pub fn check_nonce(&self, sent: &str) -> Result<(), Bad> {
        let nonce = self.text("nonce")?.ok_or(Bad::Missing("nonce"))?;
        if same(nonce, sent) { Ok(()) } else { Err(Bad::Claim("nonce")) }
    }

    /// Whether `at_hash`, if it is there, is that of the access token (§3.1.3.6).
    ///
    /// # Errors
    /// [`Bad::Claim`] if it is not.
    pub fn check_at_hash(&self, access_token: &str) -> Result<(), Bad> {
        self.check_half_hash("at_hash", access_token)
    }

    /// Whether `c_hash`, if it is there, is that of the code (§3.3.2.11).
    ///
    /// # Errors
    /// [`Bad::Claim`] if it is not.
    pub fn check_c_hash(&self, code: &str) -> Result<(), Bad> {
        self.check_half_hash("c_hash", code)
    }

    /// Whether the token was made for one of these clients: `azp`, which must be there when `aud` names several, is
    /// one of them (§3.1.3.7, 3 to 5).
    ///
    /// # Errors
    /// [`Bad::Audience`], [`Bad::Claim`].
    pub fn check_authorized_party(&self, clients: &[&str]) -> Result<(), Bad> {
        match self.text("azp")? {
            Some(azp) if clients.contains(&azp) => Ok(()),
            None if audience(&self.fields)?.len() == 1 => Ok(()),
            _ => Err(Bad::Audience),
        }
    }

    /// The left half of the hash that the token's own algorithm is built on.
    fn check_half_hash(&self, name: &'static str, of: &str) -> Result<(), Bad> {
        let Some(claimed) = self.text(name)? else { return Ok(()) };
        let hash = digest::digest(self.algorithm.hash(), of.as_bytes());
        let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
        if same(claimed, &URL_SAFE_NO_PAD.encode(left)) { Ok(()) } else { Err(Bad::Claim(name)) }
    }
}

impl std::fmt::Debug for Claims {
    /// Names alone: values are somebody's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

/// Whom it is for: one text or a list of texts (RFC 7519 §4.1.3), never none.
pub(super) fn audience(fields: &Map<String, Value>) -> Result<Vec<&str>, Bad> {
    let wrong = Bad::Claim("aud");
    match fields.get("aud").ok_or(Bad::Missing("aud"))? {
        Value::String(one) => Ok(vec![one]),
        Value::Array(all) if !all.is_empty() => all.iter().map(|one| one.as_str().ok_or(wrong)).collect(),
        _ => Err(wrong),
    }
}

/// SEC-JWT-07: a number, maybe with a fraction, and a year with four digits; nothing is taken for one.
pub(super) fn moment(fields: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, Bad> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|_| value.is_number()).ok_or(Bad::Claim(name))?;
    if !(0.0..=YEAR_9999).contains(&seconds) {
        return Err(Bad::Claim(name));
    }
    Ok(Some(Timestamp::from_millis((seconds * 1000.0) as i64)))
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

const YEAR_9999: f64 = 253_402_300_799.0;
