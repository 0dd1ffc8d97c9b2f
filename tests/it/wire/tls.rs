use std::path::Path;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vestibule::listen::Tls;

use super::*;

fn write_certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

async fn proxy(folder: &Path, upstream: SocketAddr) -> Proxy {
    Proxy::with(upstream, |settings, limits| {
        settings.tls = Tls::Files { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        limits.timeouts.handshake = Duration::from_millis(200);
    })
    .await
}

async fn connect(proxy: &Proxy, folder: &Path, protocol: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, proxy.connect().await).await.unwrap()
}

#[tokio::test]
async fn both_protocols_are_spoken_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let recorder = Recorder::start(OK).await;
    let proxy = proxy(folder.path(), recorder.address).await;
    let mut stream = connect(&proxy, folder.path(), "http/1.1").await;
    stream.write_all(b"GET /1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200"));

    let io = hyper_util::rt::TokioIo::new(connect(&proxy, folder.path(), "h2").await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/2").body(Body::empty()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
    let seen = recorder.seen();
    assert!(seen.contains("GET /1 ") && seen.contains("GET /2 "), "{seen}");
    assert_eq!(seen.matches("x-forwarded-proto: https").count(), 2, "{seen}");
    assert_eq!(seen.matches("host: localhost\r\n").count(), 4, "{seen}");
}

#[tokio::test]
async fn sec_dos_01_a_handshake_that_stalls_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let proxy = proxy(folder.path(), Recorder::start(OK).await.address).await;
    for start in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        assert_eq!(proxy.raw(start).await, "");
    }
}

#[tokio::test]
async fn sec_smug_05_framing_is_checked_behind_tls_too() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let recorder = Recorder::start(OK).await;
    let proxy = proxy(folder.path(), recorder.address).await;
    let mut stream = connect(&proxy, folder.path(), "http/1.1").await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 400"));
    assert_eq!(recorder.seen(), "");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let refused = |certificate: &str, key: &str| {
        let tls = Tls::Files { certificate: folder.path().join(certificate), key: folder.path().join(key) };
        listen::bind(&Settings { addresses: vec!["127.0.0.1:0".to_owned()], tls, ..Settings::default() }).unwrap_err()
    };
    assert!(refused("none.pem", "key.pem").to_string().contains("none.pem"));
    assert!(refused("key.pem", "key.pem").to_string().contains("no certificate"));
    assert!(refused("cert.pem", "cert.pem").to_string().contains("cert.pem"));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("other.pem"), other.signing_key.serialize_pem()).unwrap();
    assert!(refused("cert.pem", "other.pem").to_string().contains("does not go with"));
}
