//! The end: what is in progress is finished, what is new goes elsewhere, and force is force.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::support::{Answer, Gate, RecordingUpstream, Site, Vestibule};

async fn site(app: &RecordingUpstream, shutdown: &str) -> Vestibule {
    let rules = format!("[shutdown]\n{shutdown}\n[routes]\n\"/**\" = {{ all = \"anyone\" }}\n");
    Site::new(app, &rules).start().await
}

fn held(gate: &Gate) -> RecordingUpstream {
    let gate = gate.clone();
    RecordingUpstream::scripted(move |request| match request.target.as_str() {
        "/slow" => Answer::text("finished").held(&gate),
        _ => Answer::text("quick"),
    })
}

#[tokio::test]
async fn sigterm_lets_a_request_in_progress_finish() {
    let gate = Gate::closed();
    let app = held(&gate);
    let mut server = site(&app, "drain = \"0s\"\ntimeout = \"30s\"").await;
    let slow = tokio::spawn(server.client().get("/slow").into_future());
    app.reached(1).await;
    server.signal(Signal::TERM);
    let address = server.address();
    crate::support::within("the listener to close", async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {}
    })
    .await;
    gate.open();
    assert_eq!(slow.await.unwrap().text(), "finished");
    assert!(server.exit().await.success());
}

#[tokio::test]
async fn while_it_drains_it_still_answers() {
    let gate = Gate::closed();
    let app = held(&gate);
    let mut server = site(&app, "drain = \"1s\"\ntimeout = \"30s\"").await;
    let mut kept = server.raw().await;
    kept.ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.signal(Signal::TERM);
    server.log().line("SIGTERM").await;
    server.client().get("/new").await.is(200);
    let reply = kept.ask("GET /b HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(reply.status, 200);
    assert!(server.exit().await.success());
    assert!(kept.rest().await.is_empty());
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off_and_that_is_said() {
    let gate = Gate::closed();
    let app = held(&gate);
    let mut server = site(&app, "drain = \"0s\"\ntimeout = \"100ms\"").await;
    let mut slow = server.raw().await;
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    app.reached(1).await;
    server.signal(Signal::TERM);
    assert_eq!(server.exit().await.code(), Some(6));
    assert!(!String::from_utf8_lossy(&slow.rest().await).contains("finished"));
}

#[tokio::test]
async fn a_second_interrupt_ends_it_at_once() {
    let gate = Gate::closed();
    let app = held(&gate);
    let mut server = site(&app, "drain = \"1h\"\ntimeout = \"1h\"").await;
    let mut slow = server.raw().await;
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    app.reached(1).await;
    server.signal(Signal::INT);
    server.log().line("SIGINT").await;
    server.signal(Signal::INT);
    let status = server.exit().await;
    assert_eq!((status.code(), status.signal()), (Some(6), None));
}

#[tokio::test]
async fn an_idle_server_ends_at_once_without_a_drain() {
    let app = RecordingUpstream::start();
    let mut server = site(&app, "drain = \"0s\"\ntimeout = \"1h\"").await;
    let mut idle = server.raw().await;
    idle.ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.signal(Signal::TERM);
    assert!(server.exit().await.success());
    assert!(idle.rest().await.is_empty(), "an idle connection is closed");
}
