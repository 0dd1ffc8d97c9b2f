use std::path::PathBuf;

use crate::fetch;
use crate::secret::Secret;

/// `[tls]` with `mode = "acme"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `domains`: the names of the certificate, the first is its own. Default: the host of `public_url`, and `hosts`.
    pub domains: Vec<String>,
    /// `email`: where the authority may write to.
    pub email: Option<String>,
    /// `directory`: the authority (RFC 8555 §7.1.1). Default [`LETS_ENCRYPT`].
    pub directory: String,
    /// `folder`: where account and certificate are kept. Default `acme`.
    pub folder: PathBuf,
    /// `external_account`: for authorities that want to know who it is (RFC 8555 §7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// `[outgoing]`: how the authority is asked.
    pub outgoing: fetch::Settings,
}

/// An account at the authority that was made elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalAccount {
    /// What the authority calls it.
    pub id: String,
    /// The key of its MAC, base64url as authorities show it.
    pub key: Secret,
}

/// Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
