//! TLS to a PostgreSQL server.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::postgres_settings::{PostgresUrl, Tls};

/// What makes TLS of a connection, as the address asks for it.
pub(super) fn connector(url: &PostgresUrl) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match (url.tls, &url.roots) {
        (Tls::Verified, None) => {
            let builder = builder.with_platform_verifier();
            builder.map_err(|error| format!("the authorities this machine trusts: {error}"))?.with_no_client_auth()
        }
        (Tls::Verified, Some(path)) => {
            let unreadable = |error| format!("sslrootcert {}: {error}", path.display());
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unreadable("it holds no certificate".into()));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        (Tls::Off | Tls::Prefer | Tls::Unverified, _) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Takes every certificate, as `sslmode=require` says: against those who listen, not against those who answer.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::store::conformance::postgres_address;
    use crate::store::open;
    use crate::store::postgres_server::Server;

    /// A server that speaks TLS as `localhost`, its port, and a file with its certificate.
    fn server(folder: &Path) -> Option<(Server, u16)> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server::start(&["listen_addresses = '127.0.0.1'", &format!("port = {port}")])?;
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("root.pem"), own.cert.pem()).unwrap();
        let data = server.folder().join("data").display().to_string();
        let files = [("server.crt", own.cert.pem()), ("server.key", own.signing_key.serialize_pem())];
        for (name, text) in files {
            let text = STANDARD.encode(text);
            let write = format!("cat >/dev/null; umask 077; echo {text} | base64 -d >{data}/{name}");
            sql(&server, port, &format!("COPY (SELECT 1) TO PROGRAM '{write}'"));
        }
        sql(&server, port, "ALTER SYSTEM SET ssl = on");
        sql(&server, port, "SELECT pg_reload_conf()");
        while sql(&server, port, "SHOW ssl") != "on" {}
        Some((server, port))
    }

    fn sql(server: &Server, port: u16, sql: &str) -> String {
        server.sql(&format!("port={port} dbname=postgres"), sql)
    }

    #[test]
    fn verify_full_takes_the_named_host_with_a_trusted_certificate_and_require_takes_anybody() {
        let folder = tempfile::tempdir().unwrap();
        let Some((server, port)) = server(folder.path()) else { return };
        let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("stranger.pem"), stranger.cert.pem()).unwrap();
        let (root, other) = (folder.path().join("root.pem"), folder.path().join("stranger.pem"));
        let open = |host: &str, query: &str| {
            open(&postgres_address(&format!("postgres://test@{host}:{port}/postgres?{query}"))).map(drop)
        };
        let verified = |path: &Path| format!("sslmode=verify-full&sslrootcert={}", path.display());
        assert!(open("localhost", &verified(&root)).is_ok(), "{:?}", open("localhost", &verified(&root)));
        for (host, root) in [("localhost", &other), ("127.0.0.1", &root)] {
            let error = open(host, &verified(root)).unwrap_err().to_string();
            assert!(error.contains("TLS handshake"), "{error}");
        }
        // Without a file of its own the machine's authorities count, and none of them signed this.
        assert!(open("localhost", "sslmode=verify-full").unwrap_err().to_string().contains("TLS handshake"));
        open("localhost", "sslmode=require").unwrap();
        sql(&server, port, "ALTER SYSTEM SET ssl = off");
        sql(&server, port, "SELECT pg_reload_conf()");
        while sql(&server, port, "SHOW ssl") != "off" {}
        assert!(open("localhost", "sslmode=require").is_err());
        open("localhost", "sslmode=prefer").unwrap();
    }
}
