use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `http://host:port`.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// The port; 80 if the text names none.
        port: u16,
    },
    /// `https://host:port`: TLS, its certificate always verified. HTTP/1.1, and HTTP/2 for gRPC.
    Https {
        /// A name or an address, without brackets.
        host: String,
        /// The port; 443 if the text names none.
        port: u16,
    },
    /// `h2c://host:port`: HTTP/2 by prior knowledge (RFC 9113 §3.3), but for WebSockets.
    H2c {
        /// A name or an address, without brackets.
        host: String,
        /// The port; 80 if the text names none.
        port: u16,
    },
    /// `unix:/path/to/socket`.
    Unix(PathBuf),
}

/// Text that does not say where an upstream listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// None of the schemes.
    #[error(
        "an upstream is \"http://host:port\", \"https://host:port\", \"h2c://host:port\" or \"unix:/path/to/socket\""
    )]
    Scheme,
    /// No host, or a port that is none.
    #[error("an upstream needs a host and a port between 1 and 65535")]
    Authority,
    /// A path, query, fragment or user: the request brings its own.
    #[error("an upstream is an address without user, path, query and fragment: the request brings its own path")]
    Extra,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(AddressError::Authority) };
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        match scheme {
            "http" => authority(rest, 80).map(|(host, port)| Self::Tcp { host, port }),
            "https" => authority(rest, 443).map(|(host, port)| Self::Https { host, port }),
            "h2c" => authority(rest, 80).map(|(host, port)| Self::H2c { host, port }),
            _ => Err(AddressError::Scheme),
        }
    }
}

fn authority(rest: &str, default: u16) -> Result<(String, u16), AddressError> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err(AddressError::Extra);
    }
    let authority: http::uri::Authority = rest.parse().map_err(|_| AddressError::Authority)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = match authority.as_str().rsplit_once(':') {
        Some((before, port)) if !port.ends_with(']') && !before.is_empty() => {
            port.parse().ok().filter(|port| *port != 0).ok_or(AddressError::Authority)?
        }
        _ => default,
    };
    if host.is_empty() { Err(AddressError::Authority) } else { Ok((host, port)) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Tcp { host, port } => ("http", host, port),
            Self::Https { host, port } => ("https", host, port),
            Self::H2c { host, port } => ("h2c", host, port),
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in [
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "http://app:80",
            "https://app:443",
            "https://[::1]:8443",
            "h2c://app:50051",
            "unix:/run/app.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for (short, long) in [("http://app/", "http://app:80"), ("https://app", "https://app:443")] {
            assert_eq!(short.parse::<Address>().unwrap().to_string(), long);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        for (text, error) in [
            ("127.0.0.1:3000", AddressError::Scheme),
            ("ftp://app", AddressError::Scheme),
            ("http://app/path", AddressError::Extra),
            ("http://me@app", AddressError::Extra),
            ("grpc://app:1", AddressError::Scheme),
            ("https://app/path", AddressError::Extra),
            ("http://app:0", AddressError::Authority),
            ("http://app:99999", AddressError::Authority),
            ("http://", AddressError::Authority),
            ("unix:app.sock", AddressError::Authority),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
