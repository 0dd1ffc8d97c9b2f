use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Address, Tls, TlsError, TlsSettings};

/// Speaks TLS to one upstream.
#[derive(Clone)]
pub(super) struct Connector {
    http1: TlsConnector,
    http2: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    /// For this upstream; `None` for one without TLS.
    pub(super) fn new(upstream: &Address, settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        let Address::Https { host, .. } = upstream else { return Ok(None) };
        let plain = Tls::default();
        let tls = settings.get(upstream).unwrap_or(&plain);
        let name = tls.server_name.as_ref().unwrap_or(host).clone();
        let name = ServerName::try_from(name).map_err(|_| TlsError::Name { upstream: upstream.clone() })?;
        let speak = |protocol: &[u8]| -> Result<TlsConnector, TlsError> {
            let mut config = client_config(upstream, tls)?;
            config.alpn_protocols = vec![protocol.to_vec()];
            Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Some(Self { http1: speak(b"http/1.1")?, http2: speak(HTTP_2)?, name }))
    }

    /// For HTTP/1.1, which is also what a server without ALPN speaks.
    pub(super) async fn http1(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.http1.connect(self.name.clone(), stream).await
    }

    /// For HTTP/2, which both sides must have agreed upon (RFC 9113 §3.2).
    pub(super) async fn http2(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.http2.connect(self.name.clone(), stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            return Ok(stream);
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "it does not speak HTTP/2 (no ALPN h2)"))
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("name", &self.name).finish()
    }
}

fn client_config(upstream: &Address, tls: &Tls) -> Result<ClientConfig, TlsError> {
    let setup = |error: rustls::Error| TlsError::Setup { upstream: upstream.clone(), reason: error.to_string() };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(setup)?;
    let builder = match &tls.ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(upstream, path)? {
                roots.add(authority).map_err(|error| refused(upstream, path, &error))?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_platform_verifier().map_err(setup)?,
    };
    match &tls.client {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(upstream, certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| refused(upstream, key, &error))?;
            builder.with_client_auth_cert(chain, key).map_err(setup)
        }
    }
}

fn certificates(upstream: &Address, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused(upstream, path, &error))?;
    if all.is_empty() { Err(refused(upstream, path, &"no certificate in it")) } else { Ok(all) }
}

fn refused(upstream: &Address, path: &Path, reason: &impl ToString) -> TlsError {
    TlsError::File { upstream: upstream.clone(), path: path.to_owned(), reason: reason.to_string() }
}

const HTTP_2: &[u8] = b"h2";
