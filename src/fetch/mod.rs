//! The one way out by HTTP: providers, key sets, webhooks.
//!
//! One TLS configuration, one pool, one set of limits. No redirect is followed (SEC-SSRF-02, SEC-SSRF-03), no
//! proxy of the environment is asked, no answer is unpacked or read beyond its limit.

mod answer;
#[cfg_attr(not(feature = "outgoing"), path = "client_absent.rs")]
mod client;
#[cfg(feature = "outgoing")]
mod connect;
#[cfg_attr(not(feature = "outgoing"), allow(dead_code, reason = "only what checks addresses is used"))]
mod reach;
mod settings;

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_tls;

pub use answer::Answer;
pub use client::Fetch;
pub use reach::is_loopback;
pub use settings::Settings;

/// Why there is no answer. The text says with whom and what, never a path, a query or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an address that requests go to: a scheme that is neither https nor http, no host, a user.
    #[error("not an address that is asked")]
    Address,
    /// Plain http to another machine that is not in `outgoing.allow_http`.
    #[error("{0}: plain http is only for this machine and for `outgoing.allow_http`")]
    Insecure(String),
    /// A document named a host whose address is private, and that host is not in `outgoing.allow_private`.
    #[error("{0}: a private address that a document named, and not in `outgoing.allow_private`")]
    Private(String),
    /// No connection, or no certificate that counts.
    #[error("{host}: no connection: {why}")]
    Connect {
        /// With whom.
        host: String,
        /// Why not.
        why: String,
    },
    /// Not done in time.
    #[error("{0}: no answer in time")]
    Timeout(String),
    /// The connection ended, or what came is not HTTP.
    #[error("{0}: the connection broke")]
    Broken(String),
    /// More than is read.
    #[error("{0}: the answer is too large")]
    TooLarge(String),
    /// The answer says to go elsewhere.
    #[error("{0}: redirects are not followed")]
    Redirect(String),
    /// The answer is packed, though nobody asked for that.
    #[error("{0}: the answer has a content coding")]
    Encoded(String),
    /// This program was built without what sends requests.
    #[error("{0}: this program was built without the feature `outgoing`")]
    Absent(String),
    /// JSON was wanted.
    #[error("{host}: not the JSON that was wanted: {why}")]
    NotJson {
        /// From whom.
        host: String,
        /// In what way.
        why: String,
    },
}

impl Error {
    /// What happened, in a word that holds no name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Insecure(_) => "insecure",
            Self::Private(_) => "private",
            Self::Connect { .. } => "connect",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) => "broken",
            Self::TooLarge(_) => "too_large",
            Self::Redirect(_) => "redirect",
            Self::Encoded(_) => "encoded",
            Self::Absent(_) => "absent",
            Self::NotJson { .. } => "not_json",
        }
    }
}

/// Why nothing can be fetched at all; the text names the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Setup(String);
