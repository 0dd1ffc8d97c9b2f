//! Where requests come from.

use std::net::{IpAddr, Ipv4Addr};

/// Where a request came from, after forwarding headers of trusted proxies were read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The client: the peer, or whom trusted proxies name.
    pub address: IpAddr,
    /// How the client spoke to us or to the first trusted proxy.
    pub scheme: Scheme,
    /// Whether the peer is a trusted proxy.
    pub trusted: bool,
}

/// Stands for an address where there is none: no network has it, no limit counts it, no proxy is trusted by it.
pub const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
