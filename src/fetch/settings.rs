use std::path::PathBuf;

use http::Uri;

use super::Error;
use super::reach::Target;

/// `[outgoing]`: requests that Vestibule makes itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// `ca`: a PEM file with further certificate authorities, for servers of one's own.
    pub ca: Option<PathBuf>,
    /// `allow_http`: hosts beside this machine that may be asked without TLS. Lower case.
    pub allow_http: Vec<String>,
    /// `allow_private`: hosts that a provider's document may name although their addresses are private. Lower case.
    pub allow_private: Vec<String>,
}

impl Settings {
    /// Whether this address may be asked at all.
    ///
    /// # Errors
    /// [`Error::Address`] and [`Error::Insecure`].
    pub fn check(&self, uri: &Uri) -> Result<(), Error> {
        Target::of(uri)?.check(self)
    }
}
