//! An upstream that is this site itself: refused where its address tells, ended where only the requests do.

use crate::support::{Forwarder, RecordingUpstream, Site};

const RULES: &str = "[routes]\n\"/**\" = { all = \"anyone\" }\n";
const TRUSTING: &str = "[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n";

#[test]
fn an_upstream_that_is_our_own_listener_starts_nothing() {
    let file = |upstream: &str| format!("listen = \"127.0.0.1:48123\"\nupstream = \"http://{upstream}\"\n{RULES}");
    let site = Site::exactly(&file("localhost:48123"));
    for command in ["check", "run"] {
        let output = site.cli(&[command]);
        assert_eq!(output.code, 3, "{output:?}");
        for words in ["VB0116", "vestibule.toml:2:12", "listens on 127.0.0.1:48123", "the port that the app listens on"]
        {
            assert!(output.stderr.contains(words), "{words} in {output:?}");
        }
    }
    site.rewrite(|_| file("localhost:48124"));
    site.cli(&["check"]).success();
}

#[test]
fn an_upstream_on_the_command_line_is_held_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = crate::support::site::clean(crate::support::site::BINARY, folder.path());
        let output = command.arg("run").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for arguments in
        [&["--to", "http://localhost:8080"][..], &["--to", "http://127.0.0.1:48123", "--listen", "localhost:48123"]]
    {
        let (code, said) = run(arguments);
        assert!(code == Some(3) && said.contains("VB0116") && said.contains("--to"), "{code:?} {said}");
    }
    // Refused for what is said after it: there is no address to listen on.
    let (code, said) = run(&["--to", "http://localhost:8080", "--listen", "192.0.2.1:48123"]);
    assert!(code == Some(4) && !said.contains("VB0116"), "{code:?} {said}");
}

#[tokio::test]
async fn a_request_that_comes_back_by_another_name_of_ours_is_508_and_a_line_in_the_log() {
    for more in ["", TRUSTING] {
        let entrance = Forwarder::start().await;
        let server = Site::before(&entrance.url(), &format!("{RULES}{more}")).start().await;
        entrance.leads_to(server.address());
        let reply = server.client().get("/a").script().await;
        assert_eq!(reply.is(508).json()["code"], "upstream.loop");
        let line = server.log().line("the upstream leads back here").await;
        assert!(line.contains(&entrance.url()), "{line}");
        assert_eq!(server.log().with("the upstream leads back here").len(), 1);
        server.client().post("/a").body("x").script().await.is(508);
    }
}

#[tokio::test]
async fn an_app_may_ask_this_site_once_with_the_fields_it_was_asked_with() {
    let app = RecordingUpstream::start();
    for more in ["", TRUSTING] {
        let server = Site::new(&app, &format!("{RULES}{more}")).start().await;
        let mut raw = server.raw().await;
        assert_eq!(raw.ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.status, 200);
        for status in [200, 508] {
            let asked = app.last().head.trim_end().lines().collect::<Vec<_>>().join("\r\n") + "\r\n\r\n";
            assert!(asked.contains("by=_v"), "{asked}");
            assert_eq!(raw.ask(&asked).await.status, status);
        }
    }
}
