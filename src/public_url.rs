//! The address visitors type: redirects, cookie flags and mail links are built from it and from nothing else.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// An origin: scheme, host and port, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    host: String,
    secure: bool,
}

/// Text that is no public address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not `http://` or `https://`, or no host.
    #[error("not an address such as https://blog.example.com")]
    Form,
    /// A path, query, fragment or user.
    #[error("a public address is scheme, host and port, without user, path, query and fragment")]
    Extra,
    /// Cookies would travel in the clear.
    #[error("http is only for localhost: elsewhere session cookies would travel in the clear")]
    Insecure,
}

impl PublicUrl {
    /// `https://blog.example.com`, without a slash at the end.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// `blog.example.com`, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether cookies may carry `Secure` and the `__Host-` prefix.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The address of a path that begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

impl FromStr for PublicUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let url = Url::parse(text).map_err(|_| Error::Form)?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(Error::Form),
        };
        let host = url.host().ok_or(Error::Form)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(Error::Extra);
        }
        let loopback = match &host {
            Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        if !secure && !loopback {
            return Err(Error::Insecure);
        }
        Ok(Self { origin: url.origin().ascii_serialization(), host: host.to_string(), secure })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_in_one_form() {
        let url: PublicUrl = "HTTPS://Blog.Example.com:443/".parse().unwrap();
        assert_eq!(url.origin(), "https://blog.example.com");
        assert!(url.is_secure());
        assert_eq!(url.join("/x"), "https://blog.example.com/x");
        assert_eq!("http://localhost:8080".parse::<PublicUrl>().unwrap().origin(), "http://localhost:8080");
    }

    #[test]
    fn http_is_for_localhost_alone() {
        assert_eq!("http://blog.example.com".parse::<PublicUrl>(), Err(Error::Insecure));
        assert!("http://127.0.0.1:1".parse::<PublicUrl>().is_ok());
        assert_eq!("https://a.example/x".parse::<PublicUrl>(), Err(Error::Extra));
        assert_eq!("ftp://a.example".parse::<PublicUrl>(), Err(Error::Form));
    }
}
