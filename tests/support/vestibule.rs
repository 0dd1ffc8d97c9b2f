//! The server as a process.

use std::net::SocketAddr;
use std::ops::Deref;
use std::process::{Child, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};

use super::log::Log;
use super::mailbox::Mailbox;
use super::site::PUBLIC_URL;
use super::{Client, RawClient, Site, within};

/// A running server. Killed on drop; a panic inside it fails the test.
pub struct Vestibule {
    site: Site,
    child: Option<Child>,
    log: Log,
    addresses: Vec<SocketAddr>,
}

impl Vestibule {
    /// Starts `run` on the site's file and waits for the lines that say where it listens.
    pub(super) async fn start(site: Site, listeners: usize) -> Self {
        let mut child = site.serving().spawn().unwrap();
        let log = Log::of(child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let mut server = Self { site, child: Some(child), log, addresses: Vec::new() };
        let Some(lines) = server.log.first(listeners, "listening on ").await else {
            panic!("the server did not start:\n{}", server.log.text());
        };
        // A Unix socket has none.
        server.addresses = lines.iter().filter(|line| line.contains("://")).map(|line| address_in(line)).collect();
        server
    }

    /// Where the first listener is.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where all listeners are.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A browser-like client without cookies that calls the site by its public name.
    pub fn client(&self) -> Client {
        Client::new(self.address(), PUBLIC_URL)
    }

    /// A connection that sends exactly the bytes it is given.
    pub async fn raw(&self) -> RawClient {
        RawClient::connect(self.address()).await
    }

    /// What it printed.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The mails it sent.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::new(self.site.path("outbox"))
    }

    /// Its own disk, as it sees it (proc(5), `root`).
    pub fn disk(&self) -> std::path::PathBuf {
        let root = format!("/proc/{}/root", self.child.as_ref().unwrap().id());
        std::path::Path::new(&root).join(self.site.path("disk").strip_prefix("/").unwrap())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// How much of it is in memory, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.as_ref().unwrap().id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// From now on it may open so many files more, and no others.
    pub fn allow_more_files(&self, more: usize) {
        let id = self.child.as_ref().unwrap().id();
        let open = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
        let mut command = std::process::Command::new("prlimit");
        let set = command.arg(format!("--pid={id}")).arg(format!("--nofile={}", open + more)).status().unwrap();
        assert!(set.success());
    }

    /// What it has used of the processors so far, to the hundredth of a second (proc(5)).
    pub fn processor_time(&self) -> std::time::Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.as_ref().unwrap().id())).unwrap();
        let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        std::time::Duration::from_millis(ticks * 10)
    }

    /// Waits until it has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let ended = within("the end of the server", self.log.ended());
        ended.await;
        child.wait().unwrap()
    }

    /// Ends it by SIGKILL and starts it again on the same folder, at another port.
    pub async fn kill_and_restart(mut self) -> Self {
        self.kill();
        let site = std::mem::replace(&mut self.site, Site::exactly(""));
        drop(self);
        site.start().await
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Deref for Vestibule {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Vestibule {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's output\n{}\n---", self.log.text());
        } else {
            let panics = self.log.with("panicked at");
            assert!(panics.is_empty(), "the server panicked:\n{}", self.log.text());
        }
    }
}

/// `listening on http://127.0.0.1:4711` → `127.0.0.1:4711`.
fn address_in(line: &str) -> SocketAddr {
    let url = line.split("listening on ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    let authority = url.split("://").nth(1).unwrap_or_default().trim_end_matches('/');
    let authority = authority.replace("localhost", "127.0.0.1");
    authority.parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
}
