use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use http::uri::Scheme;

use super::{Error, Settings};

/// Where a request goes, checked before anything is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// For messages: host and port as the address has them.
    pub(super) name: String,
    /// Without brackets, in lower case.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) secure: bool,
}

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reach {
    /// All: the operator named the host.
    Anywhere,
    /// Public ones: a document named the host.
    Public,
}

impl Target {
    /// Reads it from a request's address.
    pub(super) fn of(uri: &Uri) -> Result<Self, Error> {
        let authority = uri.authority().ok_or(Error::Address)?;
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(Error::Address),
        };
        // A user in an address would be a password in an address.
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(Error::Address);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { name: authority.as_str().to_ascii_lowercase(), host, port, secure })
    }

    /// Whether it may be asked at all: without TLS only this machine, and whom the operator allowed.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), Error> {
        let fine = self.secure || is_loopback(&self.host) || settings.allow_http.contains(&self.host);
        if fine { Ok(()) } else { Err(Error::Insecure(self.name.clone())) }
    }

    /// Without TLS a name of this machine must not lead off it.
    pub(super) fn must_stay_here(&self) -> bool {
        !self.secure && is_loopback(&self.host)
    }

    /// Whether both are the same origin.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        (&self.host, self.port, self.secure) == (&other.host, other.port, other.secure)
    }
}

impl Reach {
    /// Whether this address may be connected to.
    pub(super) fn covers(self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public => is_public(address),
        }
    }
}

/// Whether a host, without brackets, can only mean this machine: a loopback address or `localhost` (RFC 6761 §6.3).
pub fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// SEC-SSRF-01: what is not in a special-purpose registry (RFC 6890 and its updates).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Translated to IPv4 by a gateway (RFC 6052, RFC 8215), by 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, benchmarking, ORCHID, documentation.
        [0x2001, second, ..] => second >= 0x0200 && second != 0x0db8,
        [0x3fff, second, ..] => second >= 0x1000,
        // Only this block is given out as global unicast (RFC 4291 §2.4).
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_ssrf_01_addresses_of_special_purpose_are_not_public() {
        for address in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:1::",
            "2001:db8::1",
            "fec0::1",
            "100::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2001:4860:4860::8888"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn sec_ssrf_01_only_https_and_allowed_http_are_asked() {
        let settings = Settings { allow_http: vec!["idp.internal".into()], ..Settings::default() };
        let check = |text: &str| {
            let uri: Uri = text.parse().map_err(|_| Error::Address)?;
            Target::of(&uri)?.check(&settings)
        };
        for good in [
            "https://id.example.com/x",
            "http://127.0.0.1:8080/x",
            "http://[::1]/x",
            "http://localhost/x",
            "http://IdP.internal:90/x",
            "HTTPS://id.example.com",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "http://id.example.com/x",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://localhost./",
            "http://127.0.0.1.example.com/",
            "http://10.0.0.1/",
            "http://169.254.169.254/",
        ] {
            assert!(matches!(check(bad), Err(Error::Insecure(_))), "{bad}");
        }
        for odd in
            ["file:///etc/passwd", "gopher://x/", "unix:/run/x", "/path", "https://me:you@example.com/", "https:///x"]
        {
            assert_eq!(check(odd), Err(Error::Address), "{odd}");
        }
    }
}
