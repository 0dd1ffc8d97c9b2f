//! TLS from files: the right certificate, the right protocols, and only versions that are still good.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, RecordingUpstream, Site, Vestibule, within};

const RULES: &str = r#"
public_url = "https://app.test"
[tls]
mode = "files"
certificate = "cert.pem"
key = { file = "key.pem" }
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

/// A certificate for `app.test`, and its files in the site's folder.
fn certificate(site: &Site) -> CertificateDer<'static> {
    certificate_until(site, SystemTime::now() + 90 * DAY)
}

/// The same that is good until then.
fn certificate_until(site: &Site, ends: SystemTime) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["app.test".to_owned()]).unwrap();
    parameters.not_after = ends.into();
    let certificate = parameters.self_signed(&key).unwrap();
    std::fs::write(site.path("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(site.path("key.pem"), key.serialize_pem()).unwrap();
    std::fs::set_permissions(site.path("key.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    certificate.der().clone()
}

async fn site(app: &RecordingUpstream) -> (Vestibule, CertificateDer<'static>) {
    let site = Site::new(app, RULES);
    let certificate = certificate(&site);
    (site.user("ann@example.com", &[]).start().await, certificate)
}

fn client(server: &Vestibule) -> Client {
    Client::new(server.address(), "https://app.test")
}

/// The protocol version and ALPN of a handshake that offers these.
async fn handshake(
    server: &Vestibule,
    root: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> (rustls::ProtocolVersion, Option<Vec<u8>>) {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config =
        ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("app.test").unwrap();
    let connected = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = within("the handshake", connected).await.unwrap();
    let (_, connection) = stream.get_ref();
    (connection.protocol_version().unwrap(), connection.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test]
async fn both_protocols_are_offered_and_the_client_chooses() {
    let app = RecordingUpstream::start();
    let (server, root) = site(&app).await;
    let one = client(&server).trusting(&root).get("/public/a").await;
    assert_eq!((one.is(200).version, app.last().header("x-forwarded-proto").as_str()), (Version::HTTP_11, "https"));
    let two = client(&server).http2().trusting(&root).get("/public/b").await;
    assert_eq!((two.is(200).version, app.last().header("host").as_str()), (Version::HTTP_2, "app.test"));
    assert_eq!(app.last().version, Version::HTTP_11, "the app speaks HTTP/1.1");
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    assert_eq!(handshake(&server, &root, &versions, &["h2", "http/1.1"]).await.1.unwrap(), b"h2");
    assert_eq!(handshake(&server, &root, &versions, &["http/1.1"]).await.1.unwrap(), b"http/1.1");
    assert_eq!(handshake(&server, &root, &versions, &[]).await.1, None);
}

#[tokio::test]
async fn somebody_signs_in_over_https_with_a_cookie_bound_to_the_host() {
    let app = RecordingUpstream::start();
    let (server, root) = site(&app).await;
    for client in [client(&server).trusting(&root), client(&server).http2().trusting(&root)] {
        client.sign_in("ann@example.com").await;
        assert!(client.session_name().starts_with("__Host-"));
        let page = client.get("/.auth/account").navigate().await;
        assert!(page.is(200).header("strict-transport-security").contains("max-age=31536000"), "{}", page.describe());
        client.get("/page").script().await.is(200);
        assert_eq!(app.last().header("x-auth-email"), "ann@example.com");
    }
}

#[tokio::test]
async fn sec_tls_01_only_tls_1_2_and_1_3_are_spoken() {
    let app = RecordingUpstream::start();
    let (server, root) = site(&app).await;
    let (version, _) = handshake(&server, &root, &[&rustls::version::TLS12], &[]).await;
    assert_eq!(version, rustls::ProtocolVersion::TLSv1_2);
    let (version, _) = handshake(&server, &root, &[&rustls::version::TLS13], &[]).await;
    assert_eq!(version, rustls::ProtocolVersion::TLSv1_3);
    for (minor, name) in [(1, "1.0"), (2, "1.1")] {
        let answer = hello(&server, minor, &[0xc0, 0x2f, 0xc0, 0x14, 0x00, 0x2f]).await;
        assert!(is_alert(&answer), "TLS {name}: {answer:x?}");
    }
    let cbc_only = hello(&server, 3, &[0xc0, 0x13, 0xc0, 0x14, 0x00, 0x2f, 0x00, 0x05]).await;
    assert!(is_alert(&cbc_only), "TLS 1.2 with CBC and RC4 suites: {cbc_only:x?}");
    let plain = {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"GET /public/a HTTP/1.1\r\nHost: app.test\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = within("the end", stream.read_to_end(&mut answer)).await;
        answer
    };
    assert!(!plain.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&plain));
    assert_eq!(app.count(), 0);
}

/// The first bytes of the answer to a ClientHello of this minor version with these suites (RFC 5246 §7.4.1.2).
async fn hello(server: &Vestibule, minor: u8, suites: &[u8]) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.push(0);
    body.extend((suites.len() as u16).to_be_bytes());
    body.extend(suites);
    body.extend([1, 0]);
    // server_name app.test, supported_groups x25519 and P-256, signature_algorithms: enough for any server to agree.
    let mut extensions = vec![0, 0, 0, 13, 0, 11, 0, 0, 8];
    extensions.extend(b"app.test");
    extensions.extend([0, 10, 0, 6, 0, 4, 0, 29, 0, 23]);
    extensions.extend([0, 13, 0, 6, 0, 4, 4, 1, 4, 3]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = vec![0; 7];
    let mut read = 0;
    while read < 7 {
        match within("an answer to the hello", stream.read(&mut answer[read..])).await {
            Ok(0) | Err(_) => break,
            Ok(more) => read += more,
        }
    }
    answer.truncate(read);
    answer
}

/// A fatal alert, or a connection closed without a word.
fn is_alert(answer: &[u8]) -> bool {
    answer.is_empty() || answer[0] == 21
}

#[tokio::test]
async fn sec_tls_03_a_hello_in_single_bytes_is_a_hello_and_junk_is_none() {
    let app = RecordingUpstream::start();
    let (server, root) = site(&app).await;
    let junk = {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(&[0x16, 0x03, 0x01, 0x40, 0x00]).await.unwrap();
        let _ = stream.write_all(&vec![0xaa; 16 << 10]).await;
        let mut answer = Vec::new();
        let _ = within("the end", stream.read_to_end(&mut answer)).await;
        answer
    };
    assert!(is_alert(&junk), "{junk:x?}");
    client(&server).trusting(&root).get("/public/a").await.is(200);
}

#[tokio::test]
async fn a_new_certificate_is_used_and_a_broken_one_is_not() {
    let app = RecordingUpstream::start();
    let (server, old) = site(&app).await;
    client(&server).trusting(&old).get("/public/a").await.is(200);
    std::fs::write(server.path("cert.pem"), "broken").unwrap();
    server.log().line("cert.pem").await;
    client(&server).trusting(&old).get("/public/a").await.is(200);
    let new = certificate(&server);
    let trusts = async |root: &CertificateDer<'static>| {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(ServerName::try_from("app.test").unwrap(), stream).await.is_ok()
    };
    within("the new certificate", async { while !trusts(&new).await {} }).await;
    assert!(!trusts(&old).await);
}

#[tokio::test]
async fn files_that_no_handshake_could_use_are_faults_of_the_configuration() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES);
    certificate(&site);
    site.cli(&["check"]).success();
    let good = std::fs::read_to_string(site.path("cert.pem")).unwrap();
    let of_another = KeyPair::generate().unwrap();
    let other = CertificateParams::new(["app.test".to_owned()]).unwrap().self_signed(&of_another).unwrap();
    for (text, why) in
        [(other.pem().as_str(), "does not go with"), ("no certificate", "cert.pem: "), ("", "cert.pem: ")]
    {
        std::fs::write(site.path("cert.pem"), text).unwrap();
        let output = site.cli(&["check"]);
        assert!(output.code == 3 && output.text().contains("VB0107") && output.text().contains(why), "{output:?}");
        assert_eq!(site.cli(&["run"]).code, 3);
    }
    std::fs::write(site.path("cert.pem"), good).unwrap();
    site.cli(&["check"]).success();
}

#[tokio::test]
async fn operators_see_when_the_certificate_in_force_ends() {
    let app = RecordingUpstream::start();
    let operators = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = { env = \"TOKEN\" }";
    let (token, ends) = ("brass-weather-vane-8811-on-the-roof", 4_000_000_000);
    for (rules, told) in [(RULES, true), ("[providers.local-userpass]", false)] {
        let toml = format!("listen = [\"127.0.0.1:0\"]\n{rules}\n{operators}\n");
        let site = Site::new(&app, &toml).env("TOKEN", token);
        certificate_until(&site, UNIX_EPOCH + Duration::from_secs(ends));
        let server = site.start_listeners(2).await;
        let address = server.addresses()[1];
        let client = Client::new(address, &format!("http://{address}"));
        let page = client.get("/metrics").bearer(token).await.is(200).text();
        assert_eq!(page.contains(&format!("vestibule_certificate_expires_timestamp_seconds {ends}\n")), told, "{page}");
    }
}

#[test]
fn doctor_says_how_long_the_certificate_is_good_for() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES);
    let now = SystemTime::now();
    for (ends, said, code) in [
        (now + 90 * DAY, "fine   tls        cert.pem is good for 89 days", 0),
        (now + 10 * DAY, "odd    tls        cert.pem ends in 9 days", 0),
        (now - 2 * DAY, "wrong  tls        cert.pem ended 2 days ago", 1),
    ] {
        certificate_until(&site, ends);
        let output = site.cli(&["doctor"]);
        let found = output.stdout.lines().find(|line| line.contains(" tls ")).unwrap_or_default();
        assert_eq!((found.replace(&site.path("").display().to_string(), ""), output.code), (said.to_owned(), code));
    }
}

const DAY: Duration = Duration::from_hours(24);
