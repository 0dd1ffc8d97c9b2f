use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Algorithm, Bad};
use crate::json;

/// A token taken apart; nothing of it is true yet. Only the compact form with three parts is read: no JSON
/// serialisation (its header may be unprotected), no encryption, no compression.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// In lower case, without `application/`; empty if absent.
    pub(super) typ: String,
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
    payload: &'a str,
}

impl<'a> Compact<'a> {
    /// Takes it apart.
    pub(super) fn parse(text: &'a str) -> Result<Self, Bad> {
        if text.len() > LONGEST {
            return Err(Bad::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Bad::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Bad::Form)?;
        if payload.contains('.') || signature.is_empty() || payload.is_empty() {
            return Err(Bad::Form);
        }
        let header = object(header).ok_or(Bad::Form)?;
        // `crit` demands what we do not do, `zip` and `enc` are for encrypted tokens (RFC 7515 §4.1.11).
        if ["crit", "zip", "enc", "b64"].iter().any(|name| header.contains_key(*name)) {
            return Err(Bad::Form);
        }
        let algorithm = text_of(&header, "alg")?.ok_or(Bad::Form)?;
        let algorithm = Algorithm::parse(algorithm).ok_or(Bad::Algorithm)?;
        let kid = text_of(&header, "kid")?.map(str::to_owned);
        let typ = text_of(&header, "typ")?.unwrap_or_default().to_ascii_lowercase();
        // RFC 7515 §4.1.9: the prefix may be left out.
        let typ = typ.strip_prefix("application/").unwrap_or(&typ).to_owned();
        Ok(Self { algorithm, kid, typ, signed, signature, payload })
    }

    /// What it says, as far as it can be read.
    pub(super) fn payload(&self) -> Result<Map<String, Value>, Bad> {
        object(self.payload).ok_or(Bad::Payload)
    }
}

/// What a token says of itself before anything of it was checked: enough to find out whose it could be, and good
/// for nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`.
    pub kid: Option<String>,
    /// `iss`, if it is text.
    pub issuer: Option<String>,
}

impl Unverified {
    /// Looks at a token; `None` when it is none that could be verified here.
    pub fn read(text: &str) -> Option<Self> {
        let compact = Compact::parse(text).ok()?;
        let issuer = compact.payload().ok()?.get("iss").and_then(Value::as_str).map(str::to_owned);
        Some(Self { algorithm: compact.algorithm, kid: compact.kid, issuer })
    }
}

/// Base64url without padding and without bits left over, and one object in it.
fn object(part: &str) -> Option<Map<String, Value>> {
    json::object(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn text_of<'h>(header: &'h Map<String, Value>, name: &str) -> Result<Option<&'h str>, Bad> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Bad::Form),
    }
}

/// SEC-JWT-12: beyond this nothing is decoded.
const LONGEST: usize = 64 << 10;
