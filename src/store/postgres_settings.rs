//! How a PostgreSQL server is reached: its address, whom to be there, and how long to wait.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use url::Url;

use crate::secret::Secret;

/// A PostgreSQL server and how it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresSettings {
    /// `postgres://user@host:port/database?sslmode=…&sslrootcert=…`.
    pub url: PostgresUrl,
    /// In place of a password in the URL.
    pub password: Option<Secret>,
    /// The most connections of this process. Default: 16.
    pub pool: usize,
    /// How long a new connection may take. Default: 2 s.
    pub connect_timeout: Duration,
    /// How long a statement may take, and how long a free connection is waited for. Default: 3 s.
    pub statement_timeout: Duration,
}

impl PostgresSettings {
    /// Everything but the URL at its default.
    pub fn new(url: PostgresUrl) -> Self {
        Self {
            url,
            password: None,
            pool: 16,
            connect_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(3),
        }
    }

    /// What the client library is told.
    pub(super) fn config(&self) -> Config {
        let mut config = self.url.config.clone();
        if let Some(password) = &self.password {
            // The server asks for it.
            config.password(password.expose());
        }
        if config.get_application_name().is_none() {
            config.application_name("vestibule");
        }
        // Of several hosts the one that takes writes; of one that was demoted none.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(self.connect_timeout);
        config.keepalives_idle(Duration::from_secs(10));
        config.tcp_user_timeout(Duration::from_secs(10));
        config.ssl_mode(match self.url.tls {
            Tls::Off => SslMode::Disable,
            Tls::Prefer => SslMode::Prefer,
            Tls::Unverified | Tls::Verified => SslMode::Require,
        });
        config
    }
}

/// The address of a server, with its password if it holds one; prints without.
#[derive(Clone, PartialEq)]
pub struct PostgresUrl {
    config: Config,
    pub(super) tls: Tls,
    pub(super) roots: Option<PathBuf>,
}

/// How a connection is protected, by `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// `disable`: not at all.
    Off,
    /// `prefer`: if the server speaks TLS, whoever it is.
    Prefer,
    /// `require`: always, whoever it is.
    Unverified,
    /// `verify-full`: always, with a certificate for the host's name from an authority that is trusted.
    Verified,
}

/// Why an address cannot be used. Shows nothing of the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not an address at all.
    #[error("`url` is no address of a PostgreSQL server: {0}")]
    Form(String),
    /// An `sslmode` that is not known.
    #[error("`sslmode` is one of disable, prefer, require, verify-full")]
    Mode,
    /// A file of authorities that nobody would look at.
    #[error("`sslrootcert` is read with sslmode=verify-full only")]
    Roots,
}

impl PostgresUrl {
    /// Reads `postgres://` and `postgresql://` addresses, as libpq writes them. Relative files of `sslrootcert` are
    /// left as they are.
    ///
    /// Without `sslmode` a server of this machine (a socket, a loopback address, `localhost`) is spoken to in the
    /// clear, every other one as by `verify-full`.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let mut url = Url::parse(text).map_err(|error| UrlError::Form(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(UrlError::Form("it begins with postgres://".into()));
        }
        let (mut mode, mut roots, mut others) = (None, None, Vec::new());
        // As libpq does: `+` is itself in an address.
        for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = || percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "sslmode" => mode = Some(value()),
                "sslrootcert" => roots = Some(PathBuf::from(value())),
                _ => others.push(pair.to_owned()),
            }
        }
        url.set_query(Some(others.join("&").as_str()).filter(|query| !query.is_empty()));
        let config: Config = url.as_str().parse().map_err(|error| UrlError::Form(what(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(UrlError::Form("it names no host".into()));
        }
        let tls = match mode.as_deref() {
            None if config.get_hosts().iter().all(is_local) => Tls::Off,
            None | Some("verify-full") => Tls::Verified,
            Some("disable") => Tls::Off,
            Some("prefer") => Tls::Prefer,
            Some("require") => Tls::Unverified,
            Some(_) => return Err(UrlError::Mode),
        };
        if roots.is_some() && tls != Tls::Verified {
            return Err(UrlError::Roots);
        }
        Ok(Self { config, tls, roots })
    }

    /// The same, with a relative file of authorities found by this.
    #[must_use]
    pub fn resolved(mut self, resolve: impl FnOnce(PathBuf) -> PathBuf) -> Self {
        self.roots = self.roots.map(resolve);
        self
    }

    /// Whether the server has to prove who it is, or is on this machine.
    pub(super) fn knows_the_server(&self) -> bool {
        self.tls == Tls::Verified || self.config.get_hosts().iter().all(is_local)
    }

    /// Whether it holds a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }
}

/// Without user, password and options.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.tls)
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let number = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            name.eq_ignore_ascii_case("localhost") || number.is_ok_and(|address| address.is_loopback())
        }
    }
}

/// What is wrong with a setting, by the setting's name.
fn what(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PostgresUrl {
        PostgresUrl::parse(text).unwrap()
    }

    #[test]
    fn a_server_elsewhere_is_verified_unless_told_otherwise() {
        assert_eq!(parse("postgres://v@db.example.com/v").tls, Tls::Verified);
        assert_eq!(parse("postgres://v@db.example.com/v?sslmode=require").tls, Tls::Unverified);
        assert_eq!(parse("postgres://v@db.example.com/v?sslmode=disable").tls, Tls::Off);
        for local in ["localhost", "127.0.0.1:5433", "[::1]", "%2Frun%2Fpostgresql"] {
            assert_eq!(parse(&format!("postgres://v@{local}/v")).tls, Tls::Off, "{local}");
            assert_eq!(parse(&format!("postgres://v@{local}/v?sslmode=verify-full")).tls, Tls::Verified, "{local}");
        }
        assert_eq!(parse("postgres://v@localhost,db.example.com/v").tls, Tls::Verified);
        assert!(parse("postgres://v@localhost/v").knows_the_server());
        assert!(!parse("postgres://v@db.example.com/v?sslmode=require").knows_the_server());
    }

    #[test]
    fn the_rest_of_the_query_goes_to_the_client_library() {
        let url = parse("postgres://v@db/v?sslmode=verify-full&options=-csearch_path%3Dx&sslrootcert=%2Fetc%2Fca.pem");
        assert_eq!(url.config.get_options(), Some("-csearch_path=x"));
        assert_eq!(url.roots, Some("/etc/ca.pem".into()));
        assert!(matches!(PostgresUrl::parse("postgres://v@db/v?canary=1"), Err(UrlError::Form(_))));
        assert_eq!(PostgresUrl::parse("postgres://v@db/v?sslmode=allow"), Err(UrlError::Mode));
        assert_eq!(PostgresUrl::parse("postgres://v@db/v?sslmode=require&sslrootcert=a"), Err(UrlError::Roots));
    }

    #[test]
    fn nothing_but_the_place_is_printed() {
        let url = parse("postgres://ann:canary@db.example.com:6432/v?options=-csearch_path%3Dx");
        assert_eq!(url.to_string(), "postgres://db.example.com:6432/v");
        let settings = PostgresSettings { password: Some(Secret::new("canary")), ..PostgresSettings::new(url) };
        assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
        assert!(settings.url.has_password());
    }
}
