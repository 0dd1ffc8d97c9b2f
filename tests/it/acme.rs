//! Certificates ordered from an authority.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;

use crate::support::acme::{DETAIL, FakeAuthority, shows};
use crate::support::{Client, RecordingUpstream, Site, Vestibule, within};

const RULES: &str = r#"
public_url = "https://app.test"
[tls]
mode = "acme"
email = "ops@example.com"
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

const ISSUED: &str = "a certificate was issued";
const DAY: Duration = Duration::from_hours(24);

fn rules(authority: &FakeAuthority) -> String {
    RULES.replace("mode = \"acme\"", &format!("mode = \"acme\"\ndirectory = \"{}\"", authority.directory()))
}

/// A server whose names lead to it.
async fn served(app: &RecordingUpstream, authority: &FakeAuthority, rules: &str) -> Vestibule {
    let server = Site::new(app, rules).start().await;
    authority.lead_to(server.address());
    server.log().first(1, ISSUED).await.unwrap_or_else(|| panic!("{}", server.log().text()));
    server
}

/// The certificate that a handshake with these protocols is answered with.
async fn shown(server: &Vestibule, authority: &FakeAuthority, protocols: &[&str]) -> Option<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let connected = connector.connect(ServerName::try_from("app.test").unwrap(), stream);
    let stream = within("the handshake", connected).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
}

#[tokio::test]
async fn a_certificate_is_ordered_kept_and_used_again() {
    let (app, authority) = (RecordingUpstream::start(), FakeAuthority::start());
    let server = Site::new(&app, &rules(&authority)).start().await;
    assert!(shown(&server, &authority, &["h2"]).await.is_none(), "there is none before");
    authority.lead_to(server.address());
    server.log().first(1, ISSUED).await.unwrap();
    let client = Client::new(server.address(), "https://app.test").trusting(&authority.root());
    client.get("/public/a").await.is(200);
    client.get("/page").script().await.is(401);
    assert_eq!(authority.contacts(), [serde_json::json!(["mailto:ops@example.com"])]);
    let first = shown(&server, &authority, &["h2"]).await.unwrap();
    let kept = std::fs::read_dir(server.path("acme")).unwrap().next().unwrap().unwrap().path();
    for file in ["account.json", "certificate.pem"] {
        let mode = std::fs::metadata(kept.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let server = server.kill_and_restart().await;
    assert_eq!(shown(&server, &authority, &["h2"]).await.unwrap(), first);
    assert_eq!(authority.orders(), [["app.test"]]);
}

#[tokio::test]
async fn proofs_are_for_the_authority_while_it_asks_and_for_nobody_else() {
    let (app, authority) = (RecordingUpstream::start(), FakeAuthority::start());
    let server = served(&app, &authority, &rules(&authority)).await;
    let late = tokio::task::spawn_blocking({
        let address = server.address();
        move || shows(address, "app.test", &[0; 32])
    });
    assert!(!late.await.unwrap());
    // Whoever offers other protocols, too, is a client like all others.
    let own = shown(&server, &authority, &["http/1.1"]).await.unwrap();
    assert_eq!(shown(&server, &authority, &["acme-tls/1", "http/1.1"]).await.unwrap(), own);
}

#[tokio::test]
async fn a_certificate_near_its_end_is_renewed_and_one_in_its_prime_is_not() {
    for (past, future, orders) in [(61, 29, 2), (59, 31, 1)] {
        let (app, authority) = (RecordingUpstream::start(), FakeAuthority::start());
        authority.issue_for(past, future);
        let server = served(&app, &authority, &rules(&authority)).await;
        authority.issue_for(0, 90);
        let server = server.kill_and_restart().await;
        authority.lead_to(server.address());
        let certificate = shown(&server, &authority, &["h2"]).await.unwrap();
        if orders == 2 {
            server.log().first(1, ISSUED).await.unwrap();
            assert_ne!(shown(&server, &authority, &["h2"]).await.unwrap(), certificate);
        }
        assert_eq!(authority.orders().len(), orders);
    }
}

#[tokio::test]
async fn the_authority_may_want_it_renewed_earlier() {
    let now = SystemTime::now();
    for (begins, ends, orders) in [(now - 2 * DAY, now - DAY, 2), (now + DAY, now + 2 * DAY, 1)] {
        let (app, authority) = (RecordingUpstream::start(), FakeAuthority::start());
        authority.renew_within(begins, ends);
        let server = served(&app, &authority, &rules(&authority)).await;
        let server = server.kill_and_restart().await;
        authority.lead_to(server.address());
        if orders == 2 {
            server.log().first(1, ISSUED).await.unwrap();
            assert!(authority.replaced().as_str().is_some_and(|name| name.contains('.')), "RFC 9773 §5");
        }
        Client::new(server.address(), "https://app.test").trusting(&authority.root()).get("/public/a").await.is(200);
        assert_eq!(authority.orders().len(), orders);
    }
}

#[tokio::test]
async fn other_names_need_another_certificate_and_an_account_that_is_gone_another_account() {
    let (app, authority) = (RecordingUpstream::start(), FakeAuthority::start());
    let server = served(&app, &authority, &rules(&authority)).await;
    server.rewrite(|text| text.replace("email =", "domains = [\"app.test\", \"www.app.test\"]\nemail ="));
    let server = server.kill_and_restart().await;
    authority.lead_to(server.address());
    server.log().first(1, ISSUED).await.unwrap();
    assert_eq!(authority.orders(), [vec!["app.test"], vec!["app.test", "www.app.test"]]);
    assert_eq!(authority.contacts().len(), 1);

    server.rewrite(|text| text.replace(", \"www.app.test\"", ""));
    authority.forget_accounts();
    let server = server.kill_and_restart().await;
    server.log().first(1, "accountDoesNotExist").await.unwrap();
    let server = server.kill_and_restart().await;
    authority.lead_to(server.address());
    server.log().first(1, ISSUED).await.unwrap();
    assert_eq!(authority.contacts().len(), 2);
}

#[tokio::test]
async fn what_the_authority_has_to_say_is_in_the_log_and_nothing_is_served_without_a_certificate() {
    let (app, authority) = (RecordingUpstream::start(), FakeAuthority::start());
    let (one, other) = (Site::new(&app, &rules(&authority)).start().await, Site::new(&app, "").start().await);
    authority.lead_to(other.address());
    let said = one.log().first(1, "no certificate").await.unwrap().remove(0);
    for word in ["app.test", DETAIL, &authority.directory(), "port 443", "again_in"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(shown(&one, &authority, &["h2"]).await.is_none());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_stops_the_start() {
    let (app, authority) = (RecordingUpstream::start(), FakeAuthority::start());
    let site = Site::new(&app, &rules(&authority).replace("email =", "folder = \"/proc/acme\"\nemail ="));
    let output = site.cli(&["run"]);
    assert!(output.code == 4 && output.stderr.contains("/proc/acme/"), "{output:?}");
}
