use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::secret::Secret;

/// Where Redis is, and as whom to come; prints without either account or password.
#[derive(Clone, PartialEq)]
pub struct Address {
    pub(super) places: Places,
    pub(super) tls: Tls,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// The number of the database.
    pub(super) database: i64,
}

/// How many servers there are, and who knows which of them counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Places {
    One(Place),
    /// A socket of this machine.
    Socket(PathBuf),
    /// Some nodes of a Redis Cluster; they know the others.
    Cluster(Vec<Place>),
    /// Sentinels, and the name under which they know the server.
    Sentinel(Vec<Place>, String),
}

/// A host and a port.
pub(super) type Place = (String, u16);

/// Whether connections are encrypted. There is nothing in between: a certificate is checked, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    Off,
    Verified,
}

/// Why an address cannot be used. Shows nothing of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// None of the forms.
    #[error("it begins with redis://, rediss://, redis-cluster://, redis-sentinel:// or unix:")]
    Scheme,
    /// A host that is none.
    #[error("a host is a name or an address, with or without a port")]
    Host,
    /// Several hosts, and nothing that says how they belong together.
    #[error("several hosts are a redis-cluster:// or a redis-sentinel://")]
    Several,
    /// A number of a database that is none, or none for a Redis Cluster.
    #[error("what follows the host is the number of a database; a Redis Cluster has only one")]
    Database,
    /// Sentinels without a name to ask for.
    #[error("sentinels are asked for a name: redis-sentinel://host:26379/NAME")]
    Name,
    /// Parameters; none is known.
    #[error("nothing follows a question mark")]
    Parameters,
}

impl Address {
    /// Reads `redis://user:password@host:6379/0`, the same with `rediss://` (TLS), `unix:/path`,
    /// `redis-cluster://host,host` and `redis-sentinel://host:26379,host:26379/name/0`, the last two with
    /// `rediss-` for TLS. A password may stand elsewhere.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let places = Places::Socket(path.into());
            let plain = path.starts_with('/') && !path.contains('?');
            return if plain { Ok(Self::at(places, Tls::Off)) } else { Err(AddressError::Scheme) };
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let (tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (Tls::Verified, kind),
            None => (Tls::Off, scheme.strip_prefix("redis").ok_or(AddressError::Scheme)?),
        };
        if rest.contains(['?', '#']) {
            return Err(AddressError::Parameters);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (account, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let default = if kind == "-sentinel" { 26379 } else { 6379 };
        let hosts = hosts.split(',').map(|host| place(host, default)).collect::<Result<Vec<_>, _>>()?;
        let (places, database) = match (kind, hosts.as_slice()) {
            ("", [one]) => (Places::One(one.clone()), path),
            ("", _) => return Err(AddressError::Several),
            ("-cluster", _) if path.is_empty() => (Places::Cluster(hosts), ""),
            ("-cluster", _) => return Err(AddressError::Database),
            ("-sentinel", _) => {
                let (name, database) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    return Err(AddressError::Name);
                }
                (Places::Sentinel(hosts, decoded(name)), database)
            }
            _ => return Err(AddressError::Scheme),
        };
        let (user, password) = account.split_once(':').unwrap_or((account, ""));
        let given = |text: &str| (!text.is_empty()).then(|| decoded(text));
        Ok(Self {
            user: given(user),
            password: given(password).map(Secret::new),
            database: if database.is_empty() { Ok(0) } else { database.parse::<u16>().map(i64::from) }
                .map_err(|_| AddressError::Database)?,
            ..Self::at(places, tls)
        })
    }

    /// Whether it holds a password.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether certificates are checked.
    pub fn is_encrypted(&self) -> bool {
        self.tls == Tls::Verified
    }

    /// Whether sentinels say which server counts.
    pub fn has_sentinels(&self) -> bool {
        matches!(self.places, Places::Sentinel(..))
    }

    /// Whether others could read along: a server elsewhere, spoken to in the clear.
    pub fn is_exposed(&self) -> bool {
        let local = |(host, _): &Place| {
            let number = host.parse::<std::net::IpAddr>();
            host.eq_ignore_ascii_case("localhost") || number.is_ok_and(|address| address.is_loopback())
        };
        self.tls == Tls::Off
            && match &self.places {
                Places::Socket(_) => false,
                Places::One(place) => !local(place),
                Places::Cluster(places) | Places::Sentinel(places, _) => !places.iter().all(local),
            }
    }

    fn at(places: Places, tls: Tls) -> Self {
        Self { places, tls, user: None, password: None, database: 0 }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls == Tls::Off { "redis" } else { "rediss" };
        let hosts = |places: &[Place]| {
            let shown = places.iter().map(|(host, port)| match host.parse::<Ipv6Addr>() {
                Ok(address) => format!("[{address}]:{port}"),
                Err(_) => format!("{host}:{port}"),
            });
            shown.collect::<Vec<_>>().join(",")
        };
        match &self.places {
            Places::One(place) => write!(f, "{scheme}://{}", hosts(std::slice::from_ref(place))),
            Places::Socket(path) => write!(f, "unix:{}", path.display()),
            Places::Cluster(places) => write!(f, "{scheme}-cluster://{}", hosts(places)),
            Places::Sentinel(places, name) => write!(f, "{scheme}-sentinel://{}/{name}", hosts(places)),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn place(text: &str, default: u16) -> Result<Place, AddressError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))),
        None => text.split_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
    };
    let port = match port.ok_or(AddressError::Host)? {
        "" => default,
        port => port.parse().map_err(|_| AddressError::Host)?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || port == 0 || !host.chars().all(plain) {
        return Err(AddressError::Host);
    }
    Ok((host.to_owned(), port))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn each_form_is_read_and_printed_without_its_account() {
        for (text, shown) in [
            ("redis://db", "redis://db:6379"),
            ("redis://ann:canary@db.example.com:6380/3", "redis://db.example.com:6380"),
            ("rediss://:canary@[fd00::7]:6380", "rediss://[fd00::7]:6380"),
            ("unix:/run/redis.sock", "unix:/run/redis.sock"),
            ("redis-cluster://a,b:7000", "redis-cluster://a:6379,b:7000"),
            ("rediss-cluster://ann@a", "rediss-cluster://a:6379"),
            ("redis-sentinel://ann:canary@a,b:1/main/2", "redis-sentinel://a:26379,b:1/main"),
        ] {
            assert_eq!(parse(text).to_string(), shown);
            assert_eq!(format!("{:?}", parse(text)), shown);
        }
    }

    #[test]
    fn account_and_database_are_taken_out() {
        let address = parse("redis://a%40b:c%3Ad@db/7");
        assert_eq!(address.user.as_deref(), Some("a@b"));
        assert_eq!(address.password, Some(Secret::new("c:d")));
        assert_eq!((address.database, address.has_password()), (7, true));
        assert_eq!(parse("redis-sentinel://s/main/4").database, 4);
        assert_eq!(parse("redis://ann@db").password, None);
    }

    #[test]
    fn what_is_none_is_told_by_its_fault() {
        for (text, fault) in [
            ("db:6379", AddressError::Scheme),
            ("postgres://db", AddressError::Scheme),
            ("redis-ring://db", AddressError::Scheme),
            ("unix:redis.sock", AddressError::Scheme),
            ("redis://", AddressError::Host),
            ("redis://db:port", AddressError::Host),
            ("redis://db:0", AddressError::Host),
            ("redis://d b", AddressError::Host),
            ("redis://[fd00::7]6380", AddressError::Host),
            ("redis://a,b", AddressError::Several),
            ("redis://db/first", AddressError::Database),
            ("redis-cluster://a/1", AddressError::Database),
            ("redis-sentinel://a", AddressError::Name),
            ("redis://db?protocol=resp3", AddressError::Parameters),
        ] {
            assert_eq!(Address::parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_server_elsewhere_in_the_clear_is_exposed() {
        assert!(parse("redis://db.example.com").is_exposed());
        assert!(parse("redis-cluster://127.0.0.1,db").is_exposed());
        for safe in ["rediss://db.example.com", "redis://localhost", "redis://127.0.0.2:1", "redis://[::1]", "unix:/r"]
        {
            assert!(!parse(safe).is_exposed(), "{safe}");
        }
    }
}
