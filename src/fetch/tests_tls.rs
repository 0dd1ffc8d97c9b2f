use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Error, Fetch, Settings};

/// A server whose certificate is for this name, and the authority that signed it, in PEM.
async fn server(name: &str) -> (u16, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate.der().clone()], private).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    });
    (port, authority.pem())
}

async fn ask(port: u16, authority: Option<&str>) -> Result<Bytes, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    if let Some(authority) = authority {
        std::fs::write(file.path(), authority).unwrap();
    }
    let ca = authority.map(|_| file.path().to_owned());
    let fetch = Fetch::new(&Settings { ca, ..Settings::default() }).unwrap();
    let request = Request::get(format!("https://localhost:{port}/")).body(Bytes::new()).unwrap();
    fetch.send(request).await.map(|answer| answer.body)
}

#[tokio::test]
async fn a_certificate_counts_by_its_authority_and_its_name() {
    let (port, authority) = server("localhost").await;
    assert_eq!(ask(port, Some(&authority)).await, Ok(Bytes::from("ok")));
    assert!(matches!(ask(port, None).await, Err(Error::Connect { .. })));
    let (_, other) = server("localhost").await;
    assert!(matches!(ask(port, Some(&other)).await, Err(Error::Connect { .. })));
    let (port, authority) = server("elsewhere.test").await;
    assert!(matches!(ask(port, Some(&authority)).await, Err(Error::Connect { .. })));
}

#[test]
fn a_file_without_authorities_is_a_fault_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(file.path(), content).unwrap();
        let error = Fetch::new(&Settings { ca: Some(file.path().to_owned()), ..Settings::default() }).err();
        assert!(error.is_some_and(|error| error.to_string().starts_with("outgoing.ca: ")), "{content}");
    }
}
