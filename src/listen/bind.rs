use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::SystemTime;

use super::holder::Holder;
use super::listener::Idle;
use super::place::Place;
use super::tcp_socket::{self, Sharing};
use super::tls::{self, Certificates};
use super::unix_socket::{self, SocketFile};
use super::{Settings, Shutdown, Tls, unix_path};
use crate::visit::Scheme;

/// Places that are ours, with a socket on each of them for every worker.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<Vec<Idle>>,
    places: Vec<Place>,
    files: Vec<SocketFile>,
    certificates: Option<Certificates>,
}

/// What operators are told of the listeners of visitors.
#[derive(Clone, Debug)]
pub struct Front {
    shutdown: Shutdown,
    certificates: Option<Certificates>,
}

impl Front {
    /// Whether new requests are welcome.
    pub fn is_serving(&self) -> bool {
        self.shutdown.is_ready()
    }

    /// When the certificate in force ends; none without TLS, and while none has been issued.
    pub fn certificate_ends(&self) -> Option<SystemTime> {
        self.certificates.as_ref()?.ends()
    }
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
    /// A file that is no socket stands at the path.
    #[error("cannot listen on {text}: the file there is no socket")]
    NoSocket {
        /// The place as it was given.
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

/// Takes the places of the settings: `localhost` means both loopback addresses as far as they exist, port 0 one free
/// port, the same for all addresses of its entry; a Unix socket is one file, removed when the server ends.
///
/// # Errors
/// See [`Error`]; nothing stays taken then.
pub fn bind(settings: &Settings) -> Result<Bound, Error> {
    let certificates = match &settings.tls {
        Tls::Off => None,
        Tls::Files { certificate, key } => Some(Certificates::open(certificate, key)?),
        Tls::Acme(settings) => Some(Certificates::order(settings)?),
    };
    let workers = match settings.workers {
        0 => available_parallelism().map_or(1, Into::into),
        workers => workers,
    };
    let mut bound = Bound {
        sockets: (0..workers).map(|_| Vec::new()).collect(),
        places: Vec::new(),
        files: Vec::new(),
        certificates,
    };
    let mut claimed = Vec::new();
    for text in &settings.addresses {
        match unix_path(text) {
            Some(path) => claimed.push((text, Place::Unix(path.to_owned()))),
            None => claimed.extend(tcp_socket::claim(text)?.into_iter().map(|address| (text, Place::Tcp(address)))),
        }
    }
    for (text, place) in claimed {
        match &place {
            Place::Tcp(address) => bound.take_address(text, *address)?,
            Place::Unix(path) => bound.take_file(text, path, settings.socket_mode)?,
        }
        bound.places.push(place);
    }
    Ok(bound)
}

impl Bound {
    /// The places, with the ports that were found for port 0.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The first of them that is an address.
    pub fn address(&self) -> Option<SocketAddr> {
        self.places.iter().find_map(Place::address)
    }

    /// Whether TLS is spoken on them.
    pub fn scheme(&self) -> Scheme {
        if self.certificates.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// What others may know of these listeners until `shutdown` is through.
    pub fn front(&self, shutdown: &Shutdown) -> Front {
        Front { shutdown: shutdown.clone(), certificates: self.certificates.clone() }
    }

    /// How many workers will serve.
    pub fn workers(&self) -> usize {
        self.sockets.len()
    }

    pub(super) fn into_parts(self) -> (Vec<Vec<Idle>>, Vec<SocketFile>, Option<Certificates>) {
        (self.sockets, self.files, self.certificates)
    }

    fn take_address(&mut self, text: &str, address: SocketAddr) -> Result<(), Error> {
        for sockets in &mut self.sockets {
            let socket = tcp_socket::listen(address, Sharing::Workers);
            sockets.push(Idle::Tcp(socket.map_err(|error| Error::of(text, address, error))?));
        }
        Ok(())
    }

    fn take_file(&mut self, text: &str, path: &Path, permissions: u32) -> Result<(), Error> {
        let (socket, file) = unix_socket::listen(path, permissions).map_err(|error| Error::of_file(text, error))?;
        for sockets in &mut self.sockets {
            sockets.push(Idle::Unix(socket.try_clone().map_err(|error| Error::of_file(text, error))?));
        }
        self.files.push(file);
        Ok(())
    }
}

impl Error {
    /// What can be done about it, if something obvious can.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::InUse { .. } => Some("listen elsewhere, or stop that program".to_owned()),
            Self::Denied { .. } => Some(
                "setcap cap_net_bind_service=+ep on the program, AmbientCapabilities=CAP_NET_BIND_SERVICE in its \
                 systemd unit, or listen = [\"localhost:8080\"]"
                    .to_owned(),
            ),
            Self::Address { .. } => Some("an address is \"host:port\", such as \"127.0.0.1:8080\"".to_owned()),
            Self::NoSocket { .. } => Some("name another path, or move that file away".to_owned()),
            Self::Other { .. } | Self::Tls(_) => None,
        }
    }

    pub(super) fn of(text: &str, address: SocketAddr, source: io::Error) -> Self {
        let text = text.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { text, holder: Holder::of(address) },
            io::ErrorKind::PermissionDenied => Self::Denied { text },
            _ => Self::Other { text, source },
        }
    }

    fn of_file(text: &str, source: io::Error) -> Self {
        let text = text.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { text, holder: None },
            io::ErrorKind::AlreadyExists => Self::NoSocket { text },
            _ => Self::Other { text, source },
        }
    }
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

/// Connections that wait to be accepted.
pub(super) const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> Settings {
        Settings { addresses: vec![text.to_owned()], workers: 2, ..Settings::default() }
    }

    #[test]
    fn port_0_is_one_free_port_for_both_families() {
        let bound = bind(&on("localhost:0")).unwrap();
        let addresses: Vec<_> = bound.places().iter().filter_map(Place::address).collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() != 0));
        assert_eq!(addresses.iter().map(SocketAddr::port).min(), addresses.iter().map(SocketAddr::port).max());
        assert_eq!(bound.workers(), 2);
    }

    #[test]
    fn a_taken_port_names_its_holder_even_if_that_one_shares() {
        let first = bind(&on("127.0.0.1:0")).unwrap();
        let address = first.address().unwrap().to_string();
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
