//! A Redis server that a test starts itself, in a temporary folder, and that goes with the test.
#![allow(dead_code, reason = "some tests start and stop it, others only use it")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A server of its own, on a socket in its folder.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Starts one with these arguments more; `None`: there is no Redis on this machine, which fails where everything
    /// must be tested.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            let why = "not run, for want of redis-server; .ci/run installs it";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
            eprintln!("{why}");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("vestibule-redis-").tempdir().unwrap();
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut server = Self { folder, settings, child: None };
        server.restart();
        Some(server)
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its address, as `[cluster] redis` takes it.
    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Starts it again after a kill, empty, in the same place, and waits until it answers.
    pub fn restart(&mut self) {
        // With the thread that started it a server goes, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "redis-server", "--save", "", "--daemonize", "no"]);
        if !self.settings.iter().any(|setting| setting == "--port") {
            command.args(["--port", "0"]);
        }
        command.arg("--unixsocket").arg(self.socket()).arg("--dir").arg(self.folder.path()).args(&self.settings);
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        while !self.try_cli(&["PING"]).is_some_and(|answer| answer.contains("PONG") || answer.contains("NOAUTH")) {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "Redis did not start: {ended:?}");
        }
    }

    /// Sends it a signal: `KILL`, `STOP`, `CONT`.
    pub fn signal(&mut self, signal: &str) {
        let child = self.child.as_mut().unwrap();
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        if signal == "KILL" {
            child.wait().unwrap();
        }
    }

    /// What its own client says to a command.
    pub fn cli(&self, command: &[&str]) -> String {
        self.try_cli(command).unwrap_or_else(|| panic!("redis-cli {command:?} failed"))
    }

    fn try_cli(&self, command: &[&str]) -> Option<String> {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(command).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port of this machine that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
