//! A request on its way through the house, with what the layers have found out about it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request};

use crate::body::Body;
use crate::session::Caller;

/// The request and what is known of it so far.
#[derive(Debug)]
pub struct Visit {
    /// The request itself.
    pub request: Request<Body>,
    /// Its name in logs, in answers and towards the upstream.
    pub id: RequestId,
    /// Where it came from.
    pub client: Client,
    /// Whom it speaks for, once authenticated.
    pub caller: Option<Arc<Caller>>,
    /// By which kind of credential.
    pub credential: Credential,
    /// Header fields that whatever answer will carry (cookies set and cleared).
    pub reply: Vec<(HeaderName, HeaderValue)>,
}

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

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// What proved a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Credential {
    /// Nothing.
    #[default]
    None,
    /// The session cookie: the browser sends it by itself, so unsafe methods need a same-site proof.
    Cookie,
    /// `Authorization: Bearer`.
    Bearer,
    /// An API key.
    Key,
}

/// A request's name: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl RequestId {
    /// The name with this number.
    pub fn from_number(number: u64) -> Self {
        let mut digits = [0; 16];
        for (index, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(number >> (60 - 4 * index) & 15) as usize];
        }
        Self(digits)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_its_number_in_hexadecimal() {
        assert_eq!(RequestId::from_number(0x0123_4567_89ab_cdef).as_str(), "0123456789abcdef");
    }
}
