//! What a service manager hears that waits for word (sd_notify(3)).

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use crate::support::{RecordingUpstream, Site, within};

const RULES: &str =
    "[providers.local-userpass]\n[routes]\n\"/**\" = { all = \"signed_in\" }\n[shutdown]\ndrain = \"0s\"\n";

struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { socket, folder }
    }

    fn name(&self) -> String {
        self.folder.path().join("notify").display().to_string()
    }

    async fn hears(&self) -> Vec<String> {
        let mut text = [0; 1024];
        let length = within("word of the server", self.socket.recv(&mut text)).await.unwrap();
        String::from_utf8_lossy(&text[..length]).lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn it_is_told_of_the_start_of_every_reload_and_of_the_end() {
    let app = RecordingUpstream::start();
    let manager = Manager::new();
    let mut server = Site::new(&app, RULES).env("NOTIFY_SOCKET", &manager.name()).start().await;
    assert_eq!(manager.hears().await, ["READY=1"]);
    server.client().get("/").script().await.is(401);
    // One that does not come into force ends, too.
    for (old, new) in [("drain = \"0s\"", "drain = \"0s\"\n# more"), ("[routes]", "[rootes]")] {
        server.rewrite(|text| text.replace(old, new));
        server.signal(Signal::HUP);
        let told = manager.hears().await;
        assert_eq!(told[0], "RELOADING=1");
        assert!(told[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().is_ok(), "{told:?}");
        assert_eq!(manager.hears().await, ["READY=1"]);
    }
    server.signal(Signal::TERM);
    assert_eq!(manager.hears().await, ["STOPPING=1"]);
    assert!(server.exit().await.success());
}

#[tokio::test]
async fn a_manager_that_is_gone_stops_nothing() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).env("NOTIFY_SOCKET", "/nowhere/notify").start().await;
    server.client().get("/").script().await.is(401);
    server.log().first(1, "the service manager cannot be told").await.unwrap();
}
