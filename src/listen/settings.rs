use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::acme;

/// `listen`, `[tls]` and `[shutdown]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `host:port`, `address:port` or `unix:/path/to/socket`, each; `localhost` means both loopback addresses. Default
    /// `localhost:8080`.
    pub addresses: Vec<String>,
    /// `socket_mode`: the permissions of Unix sockets. Default 0o660, for the owner and the group.
    pub socket_mode: u32,
    /// `[tls]`.
    pub tls: Tls,
    /// Worker threads, each with its own sockets and upstream connections; 0 means one per core.
    pub workers: usize,
    /// `shutdown.drain`: how long requests are still taken after SIGTERM, while balancers look elsewhere. Default 5 s.
    pub drain: Duration,
    /// `shutdown.timeout`: how long requests in progress may go on after that. Default 20 s.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            addresses: vec!["localhost:8080".to_owned()],
            socket_mode: 0o660,
            tls: Tls::Off,
            workers: 0,
            drain: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
        }
    }
}

/// `[tls]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Tls {
    /// `mode = "off"`: plain HTTP/1.1 and HTTP/2 by prior knowledge.
    Off,
    /// `mode = "files"`: TLS 1.2 and 1.3; the files are read again when they change.
    Files {
        /// PEM, the server's own certificate first.
        certificate: PathBuf,
        /// PEM.
        key: PathBuf,
    },
    /// `mode = "acme"`: likewise, with certificates from an authority.
    Acme(Box<acme::Settings>),
}

/// The path of an entry of `listen` that names a Unix socket, such as `unix:/run/vestibule/vestibule.sock`.
pub fn unix_path(text: &str) -> Option<&Path> {
    text.strip_prefix("unix:").map(Path::new)
}
