use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `http://host:port`.
    Tcp {
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
    /// Neither `http://` nor `unix:`.
    #[error("an upstream is \"http://host:port\" or \"unix:/path/to/socket\"")]
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
        let rest = text.strip_prefix("http://").ok_or(AddressError::Scheme)?;
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
            _ => 80,
        };
        if host.is_empty() { Err(AddressError::Authority) } else { Ok(Self::Tcp { host, port }) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["http://127.0.0.1:3000", "http://[::1]:3000", "http://app:80", "unix:/run/app.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("http://app/".parse::<Address>().unwrap().to_string(), "http://app:80");
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        for (text, error) in [
            ("127.0.0.1:3000", AddressError::Scheme),
            ("ftp://app", AddressError::Scheme),
            ("http://app/path", AddressError::Extra),
            ("http://me@app", AddressError::Extra),
            ("http://app:0", AddressError::Authority),
            ("http://app:99999", AddressError::Authority),
            ("http://", AddressError::Authority),
            ("unix:app.sock", AddressError::Authority),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
