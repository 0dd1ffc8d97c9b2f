//! Addresses that are listened on, with a socket for every worker.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::bind::{BACKLOG, Error};

/// The addresses of one entry, each shown to be free.
pub(super) fn claim(text: &str) -> Result<Vec<SocketAddr>, Error> {
    let (addresses, missing) = resolve(text)?;
    // A free port for one family may be taken in the other.
    let tries = if addresses.iter().any(|address| address.port() == 0) { 16 } else { 1 };
    let mut last = None;
    for _ in 0..tries {
        match probe(&addresses, missing) {
            Ok(claimed) => return Ok(claimed),
            Err((address, error)) => last = Some(Error::of(text, address, error)),
        }
    }
    Err(last.unwrap_or_else(|| Error::Address { text: text.to_owned(), reason: "no address".to_owned() }))
}

/// Whether an address that this machine does not have is passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    IsPassedOver,
}

fn resolve(text: &str) -> Result<(Vec<SocketAddr>, Missing), Error> {
    let wrong = |reason: &str| Error::Address { text: text.to_owned(), reason: reason.to_owned() };
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
    let port: u16 = port.parse().map_err(|_| wrong("the port is no number up to 65535"))?;
    if host.eq_ignore_ascii_case("localhost") {
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        return Ok((both.map(|ip| SocketAddr::new(ip, port)).to_vec(), Missing::IsPassedOver));
    }
    let found = text.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
    let mut addresses: Vec<_> = found.collect();
    addresses.dedup();
    if addresses.is_empty() { Err(wrong("the name has no address")) } else { Ok((addresses, Missing::Fails)) }
}

/// Binds without sharing the port, so that another server which shares its own (a second one of us) is noticed: the
/// kernel would else deal the connections out between the two.
fn probe(addresses: &[SocketAddr], missing: Missing) -> Result<Vec<SocketAddr>, (SocketAddr, io::Error)> {
    let mut held = Vec::new();
    let mut claimed: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let mut address = *address;
        if address.port() == 0 {
            address.set_port(claimed.first().map_or(0, SocketAddr::port));
        }
        match listen(address, Sharing::Nobody).and_then(|socket| Ok((socket.local_addr()?, socket))) {
            Ok((bound, socket)) => {
                claimed.push(bound);
                held.push(socket);
            }
            Err(error) if missing == Missing::IsPassedOver && is_missing(&error) => {}
            Err(error) => return Err((address, error)),
        }
    }
    match (claimed.is_empty(), addresses.first()) {
        (true, Some(first)) => Err((*first, io::ErrorKind::AddrNotAvailable.into())),
        _ => Ok(claimed),
    }
}

/// Who may bind the same address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    Nobody,
    Workers,
}

pub(super) fn listen(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a server that just ended do not hold its port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if sharing == Sharing::Workers {
        SockRef::from(&socket).set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Also without IPv6 in the kernel.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}
