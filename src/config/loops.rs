//! Upstreams that are our own listeners: one request would become thousands, each asked of ourselves.

use std::net::IpAddr;

use super::Config;
use super::code::Code;
use super::fault::Fault;
use super::place::Place;
use super::reader::Reader;
use crate::listen::unix_path;
use crate::route::Tables;
use crate::upstream::Address;

/// Reports every upstream that leads back here. A program that has this library inside opens no listener of these.
pub(super) fn check(r: &Reader<'_>, config: &Config, tables: &Tables, places: &[(Address, Place)]) {
    if tables.in_process {
        return;
    }
    let top = config.upstream.iter().map(|upstream| (upstream, r.place_of("upstream")));
    let of_routes = places.iter().map(|(upstream, place)| (upstream, place.clone()));
    for (upstream, place) in top.chain(of_routes) {
        if let Some(fault) = fault(config, upstream, place) {
            r.fault(fault);
        }
    }
}

/// What is wrong with this upstream, if it is one of our listeners.
pub(super) fn fault(config: &Config, upstream: &Address, place: Place) -> Option<Fault> {
    let operators = config.admin.iter().flat_map(|admin| &admin.addresses).map(|address| (address, "[admin] listen"));
    let ours = config.listen.addresses.iter().map(|address| (address, "listen"));
    let (address, key) = ours.chain(operators).find(|(address, _)| arrives(upstream, address))?;
    let message = format!("\"{upstream}\" leads back here: Vestibule itself listens on {address}");
    let what = if matches!(upstream, Address::Unix(_)) { "socket" } else { "port" };
    let help = format!("name the {what} that the app listens on; `{key}` says where Vestibule does");
    Some(Fault::new(Code::Loop, message, place).help(help))
}

/// Whether a connection to this upstream arrives at this listener, as far as the names of both tell.
fn arrives(upstream: &Address, listener: &str) -> bool {
    if let (Address::Unix(path), Some(listens)) = (upstream, unix_path(listener)) {
        return path == listens;
    }
    let (Address::Tcp { host, port } | Address::Https { host, port } | Address::H2c { host, port }) = upstream else {
        return false;
    };
    let Some((listens, own_port)) = listener.rsplit_once(':') else { return false };
    own_port.parse() == Ok(*port) && (host.eq_ignore_ascii_case(listens) || Host::of(host).meets(Host::of(listens)))
}

/// What a host says of where it is.
#[derive(Clone, Copy)]
enum Host {
    /// `localhost` and the names below it (RFC 6761 §6.3): this machine by both families.
    Localhost,
    Ip(IpAddr),
    /// Only a resolver knows.
    Name,
}

impl Host {
    fn of(text: &str) -> Self {
        let text = text.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        match text.parse::<IpAddr>() {
            Ok(address) => Self::Ip(address.to_canonical()),
            Err(_) if text == "localhost" || text.ends_with(".localhost") => Self::Localhost,
            Err(_) => Self::Name,
        }
    }

    fn meets(self, listener: Self) -> bool {
        match (self, listener) {
            (Self::Name, _) | (_, Self::Name) => false,
            (Self::Localhost, Self::Localhost) => true,
            (Self::Localhost, Self::Ip(ip)) => ip.is_unspecified() || is_localhost(ip),
            // Whoever calls the address of every interface reaches the machine itself.
            (Self::Ip(ip), Self::Localhost) => ip.is_unspecified() || is_localhost(ip),
            (Self::Ip(ip), Self::Ip(listens)) => {
                let same_family = ip.is_ipv4() == listens.is_ipv4();
                let local = ip.is_unspecified() || ip.is_loopback();
                ip == listens
                    || same_family
                        && (listens.is_unspecified() && local || ip.is_unspecified() && is_localhost(listens))
            }
        }
    }
}

/// What `localhost` resolves to.
fn is_localhost(ip: IpAddr) -> bool {
    ip == IpAddr::from([127, 0, 0, 1]) || ip.is_ipv6() && ip.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_is_our_own_listener_is_seen_by_each_of_its_names() {
        for (upstream, listener) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost:8080", "127.0.0.1:8080"),
            ("https://app.LOCALHOST:8080", "[::1]:8080"),
            ("h2c://[::1]:8080", "localhost:8080"),
            ("http://127.0.0.1:8080", "localhost:8080"),
            ("http://0.0.0.0:8080", "127.0.0.1:8080"),
            ("http://[::]:8080", "localhost:8080"),
            ("http://localhost", "localhost:80"),
            ("http://localhost:8080", "0.0.0.0:8080"),
            ("http://127.0.0.9:8080", "0.0.0.0:8080"),
            ("http://localhost:8080", "[::]:8080"),
            ("http://[::1]:8080", "[::]:8080"),
            ("http://[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
            ("http://Proxy.internal:8080", "proxy.internal:8080"),
            ("http://192.0.2.7:8080", "192.0.2.7:8080"),
            ("unix:/run/v.sock", "unix:/run//v.sock"),
        ] {
            assert!(arrives(&upstream.parse().unwrap(), listener), "{upstream} {listener}");
        }
    }

    #[test]
    fn an_upstream_beside_our_listeners_is_none_of_them() {
        for (upstream, listener) in [
            ("http://127.0.0.1:3000", "127.0.0.1:8080"),
            ("http://127.0.0.2:8080", "127.0.0.1:8080"),
            ("http://127.0.0.2:8080", "localhost:8080"),
            ("http://[::1]:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080", "[::1]:8080"),
            ("http://[::1]:8080", "0.0.0.0:8080"),
            ("http://192.0.2.7:8080", "0.0.0.0:8080"),
            ("http://app:8080", "0.0.0.0:8080"),
            ("http://localhost:8080", "127.0.0.2:8080"),
            ("http://localhost:8080", "localhost:0"),
            ("unix:/run/app.sock", "localhost:8080"),
            ("unix:/run/app.sock", "unix:/run/v.sock"),
            ("http://unix:80", "unix:/run/v.sock"),
        ] {
            assert!(!arrives(&upstream.parse().unwrap(), listener), "{upstream} {listener}");
        }
    }
}
