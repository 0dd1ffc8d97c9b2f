use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::thread::available_parallelism;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::holder::Holder;
use super::tls::{self, Certificates};
use super::{Settings, Tls};
use crate::visit::Scheme;

/// Addresses that are ours, with a socket on each of them for every worker.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<Vec<TcpListener>>,
    addresses: Vec<SocketAddr>,
    certificates: Option<Certificates>,
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Text that is no address, or a name without one.
    #[error("cannot listen on {text}: {reason}")]
    Address {
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Another program listens there.
    #[error("cannot listen on {text}: in use{}", by(.holder.as_ref()))]
    InUse {
        /// The address as it was given.
        text: String,
        /// The other program, if it can be seen.
        holder: Option<Holder>,
    },
    /// A port below 1024 without the right to it.
    #[error("cannot listen on {text}: ports below 1024 need a right this process does not have")]
    Denied {
        /// The address as it was given.
        text: String,
    },
    /// Anything else.
    #[error("cannot listen on {text}: {source}")]
    Other {
        /// The address as it was given.
        text: String,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate files cannot be used.
    #[error("cannot speak TLS: {0}")]
    Tls(#[from] tls::Error),
}

/// Takes the addresses of the settings: `localhost` means both loopback addresses as far as they exist, port 0 one free
/// port, the same for all addresses of its entry.
///
/// # Errors
/// See [`Error`]; nothing stays taken then.
pub fn bind(settings: &Settings) -> Result<Bound, Error> {
    let certificates = match &settings.tls {
        Tls::Off => None,
        Tls::Files { certificate, key } => Some(Certificates::open(certificate, key)?),
    };
    let workers = match settings.workers {
        0 => available_parallelism().map_or(1, Into::into),
        workers => workers,
    };
    let mut addresses = Vec::new();
    for text in &settings.addresses {
        addresses.extend(claim(text)?.into_iter().map(|address| (text, address)));
    }
    let mut sockets = Vec::new();
    for _ in 0..workers {
        let each = addresses.iter().map(|(text, address)| {
            listen(*address, Sharing::Workers).map_err(|error| Error::of(text, *address, error))
        });
        sockets.push(each.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(Bound { sockets, addresses: addresses.into_iter().map(|(_, address)| address).collect(), certificates })
}

impl Bound {
    /// The addresses, with the ports that were found for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether TLS is spoken on them.
    pub fn scheme(&self) -> Scheme {
        if self.certificates.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// How many workers will serve.
    pub fn workers(&self) -> usize {
        self.sockets.len()
    }

    pub(super) fn into_parts(self) -> (Vec<Vec<TcpListener>>, Option<Certificates>) {
        (self.sockets, self.certificates)
    }
}

impl Error {
    /// What can be done about it, if something obvious can.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::InUse { .. } => Some("listen on another port, or stop that program".to_owned()),
            Self::Denied { .. } => Some(
                "setcap cap_net_bind_service=+ep on the program, AmbientCapabilities=CAP_NET_BIND_SERVICE in its \
                 systemd unit, or listen = [\"localhost:8080\"]"
                    .to_owned(),
            ),
            Self::Address { .. } => Some("an address is \"host:port\", such as \"127.0.0.1:8080\"".to_owned()),
            Self::Other { .. } | Self::Tls(_) => None,
        }
    }

    fn of(text: &str, address: SocketAddr, source: io::Error) -> Self {
        let text = text.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { text, holder: Holder::of(address) },
            io::ErrorKind::PermissionDenied => Self::Denied { text },
            _ => Self::Other { text, source },
        }
    }
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

/// The addresses of one entry, each shown to be free.
fn claim(text: &str) -> Result<Vec<SocketAddr>, Error> {
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
enum Sharing {
    Nobody,
    Workers,
}

fn listen(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
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

/// Connections that wait to be accepted by one worker.
const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> Settings {
        Settings { addresses: vec![text.to_owned()], workers: 2, ..Settings::default() }
    }

    #[test]
    fn port_0_is_one_free_port_for_both_families() {
        let bound = bind(&on("localhost:0")).unwrap();
        assert!(bound.addresses().iter().all(|address| address.ip().is_loopback() && address.port() != 0));
        assert_eq!(
            bound.addresses().iter().map(SocketAddr::port).min(),
            bound.addresses().iter().map(SocketAddr::port).max()
        );
        assert_eq!(bound.workers(), 2);
    }

    #[test]
    fn a_taken_port_names_its_holder_even_if_that_one_shares() {
        let first = bind(&on("127.0.0.1:0")).unwrap();
        let address = first.addresses()[0].to_string();
        let error = bind(&on(&address)).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot listen on {address}: in use by \"")), "{text}");
        assert!(text.ends_with(&format!("(process {})", std::process::id())), "{text}");
        assert!(error.help().is_some());
        drop(first);
        bind(&on(&address)).unwrap();
    }

    #[test]
    fn what_is_no_address_says_so() {
        for text in ["8080", "localhost", "127.0.0.1:x", "127.0.0.1:99999", "nowhere.invalid:80"] {
            let error = bind(&on(text)).unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{text}: {error}");
        }
    }
}
