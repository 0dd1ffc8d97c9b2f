//! Certificates by ACME (RFC 8555): ordered from an authority, proved over TLS on our own listeners (TLS-ALPN-01,
//! RFC 8737), kept in a folder and renewed in time.

mod settings;

#[cfg(feature = "acme")]
mod challenges;
#[cfg(feature = "acme")]
mod folder;
#[cfg(feature = "acme")]
mod issued;
#[cfg(feature = "acme")]
mod keeper;
#[cfg(feature = "acme")]
mod order;
#[cfg(feature = "acme")]
mod schedule;
#[cfg(feature = "acme")]
mod way;

pub use settings::{ExternalAccount, LETS_ENCRYPT, Settings};

#[cfg(feature = "acme")]
pub use challenges::ALPN;
#[cfg(feature = "acme")]
pub use keeper::Keeper;

/// Why there are no certificates by ACME at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be used.
    #[error("{}: {why}", path.display())]
    Folder {
        /// Which.
        path: std::path::PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// No request can be sent.
    #[error(transparent)]
    Fetch(#[from] crate::fetch::Setup),
    /// This program was built without it.
    #[error("this program was built without the feature `acme`")]
    Absent,
}
