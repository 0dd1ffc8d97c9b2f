//! Upstreams over TLS: always verified, by the authorities of the machine or by those the operator names.

use std::path::PathBuf;

use crate::support::secure::{Authority, EchoApp};
use crate::support::{Reply, Site, Vestibule};

const RULES: &str = "[routes]\n\"/**\" = { all = \"anyone\" }\n";

/// A site in front of this address, with these settings for it; `write` puts files beside the configuration.
async fn site(upstream: &str, settings: &str, write: impl FnOnce(&dyn Fn(&str) -> PathBuf)) -> Vestibule {
    let settings = match settings {
        "" => String::new(),
        settings => format!("[upstreams]\n\"{upstream}\" = {{ {settings} }}\n"),
    };
    let site = Site::before(upstream, &format!("{RULES}{settings}"));
    write(&|name| site.path(name));
    site.start().await
}

async fn get(server: &Vestibule) -> Reply {
    server.client().get("/page").await
}

async fn refused_once(server: &Vestibule, why: &str) {
    let log = server.log();
    log.line("upstream is down").await;
    let told: Vec<_> = log.lines().iter().filter(|line| line.contains("upstream is down")).cloned().collect();
    assert_eq!(told.len(), 1, "one line for each change: {told:?}");
    assert!(told[0].contains(why), "{told:?}");
}

#[tokio::test]
async fn an_upstream_that_its_authority_vouches_for_is_reached() {
    let authority = Authority::new();
    let app = EchoApp::start(Some(authority.vouch("localhost").server(&["http/1.1"], None))).await;
    let upstream = format!("https://localhost:{}", app.address().port());
    let server = site(&upstream, "ca = \"ca.pem\"", |path| authority.write(&path("ca.pem"))).await;
    for _ in 0..5 {
        let reply = get(&server).await;
        reply.is(200);
        assert_eq!(reply.header("x-up-version"), "HTTP/1.1");
        assert_eq!(reply.header("x-up-tls"), "sni=localhost certificate=no");
        assert_eq!(reply.header("x-up-host"), "app.localhost", "the app is called as the visitor called it");
    }
    assert!(app.connections() <= 2, "connections are kept, by each worker: {}", app.connections());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_none() {
    let authority = Authority::new();
    let app = EchoApp::start(Some(authority.vouch("other.localhost").server(&["http/1.1"], None))).await;
    let upstream = format!("https://localhost:{}", app.address().port());
    let server = site(&upstream, "ca = \"ca.pem\"", |path| authority.write(&path("ca.pem"))).await;
    for _ in 0..2 {
        assert_eq!(get(&server).await.status, 502);
    }
    refused_once(&server, "certificate").await;
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn server_name_says_whom_the_certificate_must_be_for() {
    let authority = Authority::new();
    let app = EchoApp::start(Some(authority.vouch("app.internal").server(&["http/1.1"], None))).await;
    let upstream = format!("https://127.0.0.1:{}", app.address().port());
    let settings = "ca = \"ca.pem\", server_name = \"app.internal\"";
    let server = site(&upstream, settings, |path| authority.write(&path("ca.pem"))).await;
    let reply = get(&server).await;
    reply.is(200);
    assert_eq!(reply.header("x-up-tls"), "sni=app.internal certificate=no");
}

#[tokio::test]
async fn an_authority_nobody_named_vouches_for_nothing() {
    let (known, stranger) = (Authority::new(), Authority::new());
    for settings in ["", "ca = \"ca.pem\""] {
        let app = EchoApp::start(Some(stranger.vouch("localhost").server(&["http/1.1"], None))).await;
        let upstream = format!("https://localhost:{}", app.address().port());
        let server = site(&upstream, settings, |path| known.write(&path("ca.pem"))).await;
        for _ in 0..2 {
            assert_eq!(get(&server).await.status, 502, "{settings}");
        }
        refused_once(&server, "certificate").await;
        assert_eq!(app.requests(), 0);
    }
}

#[tokio::test]
async fn a_server_without_tls_hears_no_request() {
    let app = EchoApp::start(None).await;
    let server = site(&format!("https://{}", app.address()), "", |_| ()).await;
    assert_eq!(get(&server).await.status, 502);
    refused_once(&server, "").await;
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn an_upstream_that_asks_is_shown_our_certificate() {
    let authority = Authority::new();
    let ours = authority.vouch("vestibule");
    let write = |path: &dyn Fn(&str) -> PathBuf| {
        authority.write(&path("ca.pem"));
        ours.write(&path("client.pem"), &path("client-key.pem"));
    };
    for (settings, status) in [
        ("ca = \"ca.pem\", client_certificate = \"client.pem\", client_key = { file = \"client-key.pem\" }", 200),
        ("ca = \"ca.pem\"", 502),
    ] {
        let demanding = authority.vouch("localhost").server(&["http/1.1"], Some(&authority));
        let app = EchoApp::start(Some(demanding)).await;
        let server = site(&format!("https://localhost:{}", app.address().port()), settings, write).await;
        let reply = get(&server).await;
        assert_eq!(reply.status, status, "{settings}");
        if status == 200 {
            assert_eq!(reply.header("x-up-tls"), "sni=localhost certificate=yes");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_told_once() {
    let authority = Authority::new();
    let tls = || authority.vouch("localhost").server(&["http/1.1"], None);
    let app = EchoApp::start(Some(tls())).await;
    let upstream = format!("https://localhost:{}", app.address().port());
    let server = site(&upstream, "ca = \"ca.pem\"", |path| authority.write(&path("ca.pem"))).await;
    get(&server).await.is(200);
    let address = app.stop().await;
    for _ in 0..3 {
        assert_eq!(get(&server).await.status, 502);
    }
    refused_once(&server, "").await;
    let _app = EchoApp::at(address, Some(tls())).await;
    for _ in 0..2 {
        get(&server).await.is(200);
    }
    server.log().line("upstream is up again").await;
    let back = server.log().lines().iter().filter(|line| line.contains("upstream is up again")).count();
    assert_eq!(back, 1);
}

#[test]
fn files_that_cannot_be_used_stop_the_start() {
    let upstream = "https://localhost:1";
    let site = Site::before(upstream, &format!("{RULES}[upstreams]\n\"{upstream}\" = {{ ca = \"ca.pem\" }}\n"));
    std::fs::write(site.path("ca.pem"), "nothing").unwrap();
    let output = site.cli(&["run"]);
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stderr.contains("ca.pem") && output.stderr.contains("no certificate"), "{output:?}");
}
