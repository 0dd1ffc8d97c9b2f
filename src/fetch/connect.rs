use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::reach::{Reach, Target};
use super::{Error, Settings, Setup};

/// Opens connections, and looks at the address before it does.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Arc<Tls>,
    reach: Reach,
}

/// Made at the first use: to read the authorities of a machine takes a while, and many never need them.
type Tls = LazyLock<Result<TlsConnector, String>, Box<dyn FnOnce() -> Result<TlsConnector, String> + Send>>;

impl Connector {
    pub(super) fn new(settings: &Settings) -> Result<Self, Setup> {
        let mut authorities = Vec::new();
        if let Some(file) = &settings.ca {
            let unusable = |why: String| Setup(format!("outgoing.ca: {}: {why}", file.display()));
            let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            authorities = read.map_err(|error| unusable(error.to_string()))?;
            if authorities.is_empty() {
                return Err(unusable("no certificate in it".to_owned()));
            }
            for authority in &authorities {
                let usable = rustls::RootCertStore::empty().add(authority.clone());
                usable.map_err(|error| unusable(error.to_string()))?;
            }
        }
        let make = Box::new(move || trusting(authorities).map_err(|error| error.to_string()));
        Ok(Self { tls: Arc::new(LazyLock::new(make)), reach: Reach::Anywhere })
    }

    pub(super) fn reaching(&self, reach: Reach) -> Self {
        Self { reach, ..self.clone() }
    }

    async fn open(self, uri: Uri) -> Result<Stream, Error> {
        let target = Target::of(&uri)?;
        let failed =
            |error: &dyn std::fmt::Display| Error::Connect { host: target.name.clone(), why: error.to_string() };
        let plain = self.dial(&target).await?;
        plain.set_nodelay(true).map_err(|error| failed(&error))?;
        if !target.secure {
            return Ok(Stream::new(plain));
        }
        let tls = self.tls.as_ref().as_ref().map_err(|error| failed(error))?;
        let name = ServerName::try_from(target.host.clone()).map_err(|error| failed(&error))?;
        let stream = tls.connect(name, plain).await.map_err(|error| failed(&error))?;
        Ok(Stream::new(stream))
    }

    /// SEC-SSRF-02: what is checked is the address that is connected to, so a name that changes its mind between
    /// two looks gains nothing.
    async fn dial(&self, target: &Target) -> Result<TcpStream, Error> {
        let failed = |error: io::Error| Error::Connect { host: target.name.clone(), why: error.to_string() };
        let found = lookup_host((target.host.as_str(), target.port)).await.map_err(failed)?;
        TcpStream::connect(self.within_reach(target, found)?.as_slice()).await.map_err(failed)
    }

    /// Those of the addresses of a name that may be connected to.
    fn within_reach(&self, target: &Target, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Error> {
        let (near, far): (Vec<SocketAddr>, Vec<_>) = found.partition(|address| self.may(target, *address));
        if near.is_empty() && !far.is_empty() {
            let private = far.iter().any(|address| !self.reach.covers(address.ip()));
            let why = if private { Error::Private } else { Error::Insecure };
            return Err(why(target.name.clone()));
        }
        Ok(near)
    }

    fn may(&self, target: &Target, address: SocketAddr) -> bool {
        let here = address.ip().to_canonical().is_loopback();
        self.reach.covers(address.ip()) && (here || !target.must_stay_here())
    }
}

fn trusting(authorities: Vec<CertificateDer<'static>>) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Verifier::new_with_extra_roots(authorities, provider.clone())?);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    // "Dangerous" is any verifier but webpki's: this one asks the machine's own store of authorities.
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().open(uri))
    }
}

/// A connection, with TLS or without.
pub(super) struct Stream(TokioIo<Box<dyn Duplex>>);

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Stream {
    fn new(io: impl Duplex + 'static) -> Self {
        Self(TokioIo::new(Box::new(io)))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<(), io::Error>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_ssrf_02_of_a_name_that_answers_now_this_now_that_only_public_addresses_are_connected_to() {
        let connector = Connector::new(&Settings::default()).unwrap().reaching(Reach::Public);
        let target = Target::of(&"https://keys.example.com/".parse().unwrap()).unwrap();
        let reached =
            |found: &[&str]| connector.within_reach(&target, found.iter().map(|address| address.parse().unwrap()));
        let (public, public6) = ("1.1.1.1:443", "[2606:4700::1111]:443");
        let here = ["127.0.0.1:443", "[::1]:443", "[::ffff:127.0.0.1]:443", "169.254.169.254:443", "[fd00::1]:443"];
        for private in here {
            // Both at once, in either order; then one after the other.
            for found in [[private, public], [public, private]] {
                assert_eq!(reached(&found), Ok(vec![public.parse().unwrap()]), "{found:?}");
            }
            for _ in 0..2 {
                assert_eq!(reached(&[public]), Ok(vec![public.parse().unwrap()]));
                assert_eq!(reached(&[private]), Err(Error::Private("keys.example.com".to_owned())), "{private}");
            }
        }
        assert_eq!(reached(&here), Err(Error::Private("keys.example.com".to_owned())));
        assert_eq!(reached(&[public6]), Ok(vec![public6.parse().unwrap()]), "a name of IPv6 alone");
    }
}
