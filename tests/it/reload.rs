//! Another configuration takes the place of the one in force: whole or not at all, and without hanging up on anybody.

use rustix::process::Signal;
use serde_json::json;

use crate::support::trip::{self, oidc};
use crate::support::{Answer, FakeIdp, Gate, RecordingUpstream, Site, Vestibule, within};

const RULES: &str = r#"
workers = 2
[limits]
sign_in.per_account = "2/1h"
[providers.local-userpass]
[routes]
"/**" = { all = "anyone" }
"/account/**" = { all = "signed_in" }
"#;
const OPEN: &str = "\"/**\" = { all = \"anyone\" }";
const CLOSED: &str = "\"/**\" = { all = \"signed_in\" }";
const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n";

async fn site(app: &RecordingUpstream) -> Vestibule {
    Site::new(app, RULES).user("ann@example.com", &[]).start().await
}

/// Replaces a piece of the file, says so, and waits for what the log says about it.
async fn reload(server: &Vestibule, old: &str, new: &str, told: &str) {
    let before = server.log().with(told).len();
    server.rewrite(|text| {
        assert!(text.contains(old), "{text}");
        text.replace(old, new)
    });
    server.signal(Signal::HUP);
    server.log().first(before + 1, told).await.unwrap();
}

#[tokio::test]
async fn sec_sess_02_a_rule_tightened_by_sighup_refuses_the_next_request_on_the_same_connection() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let mut kept = Vec::new();
    for _ in 0..8 {
        let mut connection = server.raw().await;
        assert_eq!(connection.ask(REQUEST).await.status, 200);
        kept.push(connection);
    }
    reload(&server, OPEN, CLOSED, "configuration reloaded").await;
    let reached = app.count();
    for connection in &mut kept {
        assert_eq!(connection.ask(REQUEST).await.status, 401);
    }
    assert_eq!(app.count(), reached);
    reload(&server, CLOSED, OPEN, "configuration reloaded").await;
    for connection in &mut kept {
        assert_eq!(connection.ask(REQUEST).await.status, 200);
    }
}

#[tokio::test]
async fn sec_conf_05_a_broken_file_changes_nothing_and_is_told_with_its_place() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let mut kept = server.raw().await;
    assert_eq!(kept.ask(REQUEST).await.status, 200);
    reload(&server, OPEN, "\"/**\" = { all = \"signed_inn\" }", "config.rejected").await;
    let told = server.log().with("signed_inn").join("\n");
    let line =
        std::fs::read_to_string(server.config()).unwrap().lines().position(|line| line.contains("_inn")).unwrap();
    assert!(told.contains(&format!("vestibule.toml:{}:17", line + 1)), "{told}");
    assert_eq!(kept.ask(REQUEST).await.status, 200);
    let half = std::fs::read_to_string(server.config()).unwrap();
    std::fs::write(server.config(), &half[..half.len() / 2]).unwrap();
    server.signal(Signal::HUP);
    server.log().first(2, "config.rejected").await.unwrap();
    assert_eq!(kept.ask(REQUEST).await.status, 200);
    std::fs::remove_file(server.config()).unwrap();
    server.signal(Signal::HUP);
    server.log().first(3, "config.rejected").await.unwrap();
    assert_eq!(kept.ask(REQUEST).await.status, 200);
    std::fs::write(server.config(), half.replace("signed_inn", "signed_in")).unwrap();
    server.signal(Signal::HUP);
    server.log().line("configuration reloaded").await;
    assert_eq!(kept.ask(REQUEST).await.status, 401);
}

#[tokio::test]
async fn what_cannot_change_while_it_runs_is_refused_by_name_with_all_the_rest() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let moved = format!("workers = 2\nstore.url = \"memory:\"\n{}", "#");
    server.rewrite(|text| text.replace(OPEN, CLOSED));
    reload(&server, "workers = 2", &moved, "config.rejected").await;
    assert!(server.log().with("config.rejected")[0].contains("`store.url`"), "{}", server.log().text());
    server.client().get("/a").await.is(200);
    reload(&server, &moved, "workers = 2", "configuration reloaded").await;
    server.client().get("/a").script().await.is(401);
}

#[tokio::test]
async fn sessions_and_what_limits_have_counted_outlive_a_reload() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let ann = server.client();
    ann.sign_in("ann@example.com").await;
    let wrong = json!({ "email": "ann@example.com", "password": "not-this-one-22" });
    let guess = async || server.client().post("/.auth/login/local-userpass").json(&wrong).await;
    guess().await.is(401);
    guess().await.is(429);
    reload(&server, OPEN, CLOSED, "configuration reloaded").await;
    guess().await.is(429);
    ann.get("/account/a").script().await.is(200);
}

#[tokio::test]
async fn other_identity_headers_are_sent_for_somebody_who_is_known_already() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    let ann = server.client();
    ann.sign_in("ann@example.com").await;
    ann.get("/account/a").script().await.is(200);
    assert_eq!(
        (app.last().header("x-auth-email").as_str(), app.last().header("remote-email").as_str()),
        ("ann@example.com", "")
    );
    reload(&server, "[limits]", "identity_headers.preset = \"remote\"\n[limits]", "configuration reloaded").await;
    ann.get("/account/a").script().await.is(200);
    assert_eq!(
        (app.last().header("x-auth-email").as_str(), app.last().header("remote-email").as_str()),
        ("", "ann@example.com")
    );
}

#[tokio::test]
async fn a_stream_under_way_goes_on_while_the_rule_changes() {
    let gate = Gate::closed();
    let app = {
        let gate = gate.clone();
        RecordingUpstream::scripted(move |_| Answer::text("the whole answer").held(&gate))
    };
    let server = site(&app).await;
    let slow = tokio::spawn(server.client().get("/slow").into_future());
    app.reached(1).await;
    reload(&server, OPEN, CLOSED, "configuration reloaded").await;
    server.client().get("/slow").script().await.is(401);
    gate.open();
    assert_eq!(slow.await.unwrap().is(200).text(), "the whole answer");
}

#[tokio::test]
async fn a_changed_file_is_noticed_without_a_signal() {
    let app = RecordingUpstream::start();
    let server = site(&app).await;
    server.client().get("/a").await.is(200);
    server.rewrite(|text| text.replace(OPEN, CLOSED));
    server.log().line("configuration reloaded").await;
    server.client().get("/a").script().await.is(401);
}

#[tokio::test]
async fn a_template_that_changed_counts_after_a_signal_though_the_file_did_not() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, "[pages]\ntemplates = \"mine\"\n[providers.local-userpass]\n[routes]\n");
    std::fs::create_dir(site.path("mine")).unwrap();
    let server = site.start().await;
    let before = server.client().get("/.auth/login").navigate().await;
    assert!(!before.is(200).text().contains("Welcome to the harbour"));
    let text = "{% extends \"frame.html\" %}{% block main %}Welcome to the harbour{% endblock %}";
    std::fs::write(server.path("mine/login.html"), text).unwrap();
    server.signal(Signal::HUP);
    server.log().line("configuration reloaded").await;
    let after = server.client().get("/.auth/login").navigate().await;
    assert!(after.is(200).text().contains("Welcome to the harbour"), "{}", after.describe());
}

#[tokio::test]
async fn without_a_file_a_hangup_changes_nothing_and_ends_nothing() {
    let app = RecordingUpstream::start();
    let folder = Site::exactly("");
    let mut command = crate::support::site::clean(crate::support::site::BINARY, &folder.path(""));
    command.args(["run", "--to", &app.url(), "--listen", "127.0.0.1:0"]);
    let mut child = command.spawn().unwrap();
    let log = crate::support::log::Log::of(child.stdout.take().unwrap(), child.stderr.take().unwrap());
    log.line("listening on").await;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::HUP).unwrap();
    log.line("no configuration file").await;
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    within("the end", log.ended()).await;
    assert!(child.wait().is_ok());
}

#[tokio::test]
async fn what_is_known_of_an_issuer_goes_on_with_the_same_settings() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let toml = format!("[routes]\n{OPEN}\n{}", oidc("corp", &idp, ""));
    let server = trip::site(&app, &toml).start().await;
    let sign_in = async || trip::sign_in(&server.client(), "corp", "/").await.is(303).clone();
    sign_in().await;
    let asked = || (idp.count("/.well-known/openid-configuration"), idp.count("/jwks"));
    let before = asked();
    reload(&server, OPEN, CLOSED, "configuration reloaded").await;
    sign_in().await;
    assert_eq!(asked(), before, "documents and keys are known");
    reload(&server, "client_id = \"app\"", "client_id = \"blog\"", "configuration reloaded").await;
    sign_in().await;
    assert!(asked().0 > before.0 && asked().1 > before.1, "another client asks for itself");
}
