//! Tokens that somebody else signed: JWTs (RFC 7519) in compact form, checked as RFC 8725 says.
//!
//! A [`Verifier`] knows whose tokens it takes: which keys, which algorithms, which issuer and audience. Nothing of
//! a token is believed before its signature is: the header only picks among keys that the configuration names, and
//! an algorithm never comes from it alone. Keys come from a file or a key set that is fetched, kept and fetched
//! again when a key is unknown ([`KeySource`]).

mod algorithm;
mod claims;
mod compact;
mod key;
mod key_set;
mod memory;
mod own_key;
mod shared;
mod verifier;

#[cfg(test)]
pub(crate) mod signer;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_claims;
#[cfg(test)]
mod tests_keys;

pub use algorithm::{Algorithm, Family};
pub use claims::Claims;
pub use compact::Unverified;
pub use key::Key;
pub use key_set::{JWKS, KeySource, MOST_KEYS};
pub use memory::Memory;
pub use own_key::{KeyError, OwnKey};
pub use verifier::{Audience, Matching, Rules, Types, Verifier};

/// Why a token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not good, whoever is asked again.
    #[error("{0}")]
    Bad(#[from] Bad),
    /// It cannot be known now: its issuer's keys are not there. The text is for the log.
    #[error("{0}")]
    CannotTell(String),
}

/// What is wrong with a token. Of the token itself nothing is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Not three parts of base64url, a header that is none, or one that asks for something we do not do.
    #[error("not a signed token in compact form")]
    Form,
    /// Longer than 64 KiB.
    #[error("longer than any token is")]
    TooLong,
    /// An algorithm that is not among those configured.
    #[error("an algorithm that is not taken")]
    Algorithm,
    /// A token made for another purpose (`typ`).
    #[error("a token of another type")]
    Type,
    /// No key fits its `kid` and its algorithm.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("the signature is not good")]
    Signature,
    /// The payload is no object, or has a name twice.
    #[error("the payload is not an object of claims")]
    Payload,
    /// A claim that is needed is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A claim that is not what it has to be.
    #[error("`{0}` is not what it has to be")]
    Claim(&'static str),
    /// It has ended.
    #[error("it has ended")]
    Expired,
    /// It does not count yet, or was made in the future.
    #[error("it does not count yet")]
    NotYet,
    /// Of another issuer.
    #[error("of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("for another audience")]
    Audience,
}

/// A verifier or key that cannot be used as it is configured; the text is lower case, no full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Setup(pub String);
