use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::acme;

/// The certificate in force and how TLS is spoken with it; clones share it.
#[derive(Clone)]
pub(super) struct Certificates {
    acceptor: TlsAcceptor,
    source: Source,
}

/// Where certificates come from.
#[derive(Clone, Debug)]
enum Source {
    Files(Arc<Current>),
    #[cfg(feature = "acme")]
    Authority(Arc<acme::Keeper>),
}

#[derive(Debug)]
struct Current {
    key: ArcSwap<CertifiedKey>,
    files: Files,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Why certificate files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read, or is not PEM of the right kind.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key is of an unknown kind, or is not that of the certificate.
    #[error("the key does not go with the certificate: {0}")]
    Pair(rustls::Error),
    /// No certificate can be ordered.
    #[error("certificates by ACME: {0}")]
    Acme(#[from] acme::Error),
}

impl Certificates {
    pub(super) fn open(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let current = Arc::new(Current { key: ArcSwap::from_pointee(files.load()?), files });
        Ok(Self { acceptor: acceptor(current.clone(), &[])?, source: Source::Files(current) })
    }

    /// Ordered from an authority.
    #[cfg(feature = "acme")]
    pub(super) fn order(settings: &acme::Settings) -> Result<Self, Error> {
        let keeper = Arc::new(acme::Keeper::open(settings.clone())?);
        Ok(Self { acceptor: acceptor(keeper.clone(), &[acme::ALPN])?, source: Source::Authority(keeper) })
    }

    /// Ordered from an authority.
    #[cfg(not(feature = "acme"))]
    pub(super) fn order(_: &acme::Settings) -> Result<Self, Error> {
        Err(acme::Error::Absent.into())
    }

    /// When the one in force ends; none while there is none.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        match &self.source {
            Source::Files(current) => ends(current.key.load().cert.first()?),
            #[cfg(feature = "acme")]
            Source::Authority(keeper) => keeper.ends(),
        }
    }

    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S) -> io::Result<TlsStream<S>> {
        self.acceptor.accept(socket).await
    }
}

fn acceptor(resolver: Arc<dyn ResolvesServerCert>, more: &[&[u8]]) -> Result<TlsAcceptor, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    // TLS 1.2 and 1.3 with rustls's own suites: AEAD with forward secrecy, all of them.
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.map_err(Error::Pair)?.with_no_client_auth().with_cert_resolver(resolver);
    let protocols = [&b"h2"[..], b"http/1.1"];
    config.alpn_protocols = protocols.iter().chain(more).map(|name| name.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Current {
    /// Reads the files again. New connections get the new certificate; broken files leave the old one in force.
    fn renew(&self) {
        match self.files.load() {
            Ok(key) => {
                self.key.store(Arc::new(key));
                tracing::info!("certificate read again");
            }
            Err(error) => tracing::error!(%error, "certificate not read again: the old one stays"),
        }
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("source", &self.source).finish()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

/// Whether TLS can be spoken with these files, and until when. None: it does not say that in a form that is known.
///
/// # Errors
/// Which file, or that they do not go together.
pub fn examine(certificate: &Path, key: &Path) -> Result<Option<SystemTime>, Error> {
    Ok(Certificates::open(certificate, key)?.ends())
}

/// When a certificate ends (RFC 5280 §4.1.2.5).
fn ends(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

impl Files {
    fn load(&self) -> Result<CertifiedKey, Error> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| refused(&self.certificate, &error))?;
        if chain.is_empty() {
            return Err(refused(&self.certificate, &"no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| refused(&self.key, &error))?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(Error::Pair)
    }

    /// Files are often replaced by renaming or by moving a link: their times and lengths tell, an event may not.
    fn state(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let facts = std::fs::metadata(path).ok()?;
            Some((facts.modified().ok()?, facts.len()))
        })
    }
}

fn refused(path: &Path, reason: &impl ToString) -> Error {
    Error::File { path: path.to_owned(), reason: reason.to_string() }
}

/// Looks at the files now and then, and reads them again when they changed; or orders certificates when it is time to.
pub(super) async fn renew(certificates: Option<Certificates>) -> Infallible {
    let current = match certificates.map(|certificates| certificates.source) {
        None => return std::future::pending().await,
        #[cfg(feature = "acme")]
        Some(Source::Authority(keeper)) => return keeper.run().await,
        Some(Source::Files(current)) => current,
    };
    let mut seen = current.files.state();
    loop {
        tokio::time::sleep(LOOK).await;
        let state = current.files.state();
        if state != seen {
            seen = state;
            current.renew();
        }
    }
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    #[test]
    fn changed_files_come_into_force_and_broken_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let Source::Files(current) = Certificates::open(&certificate, &key).unwrap().source else { unreachable!() };
        let state = current.files.state();
        let second = write(folder.path());
        std::fs::File::options().append(true).open(&key).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_ne!(current.files.state(), state);
        current.renew();
        assert_eq!(current.key.load().cert[0].as_ref(), second);
        std::fs::write(&certificate, "half a certificate").unwrap();
        current.renew();
        assert_eq!(current.key.load().cert[0].as_ref(), second);
    }
}
