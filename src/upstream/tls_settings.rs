use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Address;

/// `[upstreams."https://…"]`: how an upstream over TLS is known, and how it knows us.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tls {
    /// `ca`: PEM file; its certificates alone vouch for this upstream. Absent: the authorities of the machine do.
    pub ca: Option<PathBuf>,
    /// `client_certificate` and `client_key`, PEM files: what we show when it asks who we are.
    pub client: Option<(PathBuf, PathBuf)>,
    /// `server_name`: the name that its certificate must be for and that SNI says. Absent: the host of the address.
    pub server_name: Option<String>,
}

/// The settings of those upstreams that have any, by their address.
pub type TlsSettings = BTreeMap<Address, Tls>;

/// Why TLS towards an upstream cannot be spoken as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or is not PEM of the right kind.
    #[error("upstreams.\"{upstream}\": {}: {reason}", path.display())]
    File {
        /// Of which upstream.
        upstream: Address,
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The authorities of the machine cannot be used, or the key does not go with the certificate.
    #[error("upstreams.\"{upstream}\": {reason}")]
    Setup {
        /// Of which upstream.
        upstream: Address,
        /// Why.
        reason: String,
    },
    /// A host that no certificate can be for.
    #[error("upstreams.\"{upstream}\": no certificate can be for this name; set `server_name`")]
    Name {
        /// Of which upstream.
        upstream: Address,
    },
}
