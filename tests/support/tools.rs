//! Programs of others that some tests need: found, or their absence said out loud.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::log::Log;
use super::site::clean;

/// Whether these programs are here. If not, says which and what for; under `CI=true` that fails the test.
pub fn have(programs: &[&Path], test: &str) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let why = format!("{test}: not run, for want of {missing:?}; .ci/run installs them");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("{why}");
    false
}

/// Where a program is: a path as it stands, a name in `PATH` or where Debian keeps servers.
pub fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.exists().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Where `.ci/run` puts the apps of others: `VESTIBULE_TEST_TOOLS`, else `target/tools`.
pub fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("VESTIBULE_TEST_TOOLS").map_or_else(|| here.join("target/tools"), PathBuf::from)
}

/// A program of others at work, with its helpers; all of them end when this is dropped.
pub struct Program {
    child: Child,
    log: Log,
    folder: TempDir,
}

impl Program {
    /// Starts it in an empty folder; `prepare` names its arguments.
    pub fn start(program: &Path, prepare: impl FnOnce(&mut Command, &Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("vestibule-other-").tempdir().unwrap();
        let mut command = clean(find(program).unwrap(), folder.path());
        command.process_group(0);
        prepare(&mut command, folder.path());
        let mut child = command.spawn().unwrap();
        let log = Log::of(child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, log, folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until it prints this.
    pub async fn said(&self, words: &str) {
        self.log.line(words).await;
    }

    /// Every line it printed until now.
    pub fn lines(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The word that follows these words in what it prints.
    pub async fn word_after(&self, words: &str) -> String {
        let line = self.log.line(words).await;
        line.split(words).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
    }

    /// The port that follows these words in what it prints.
    pub async fn port_after(&self, words: &str) -> SocketAddr {
        let line = self.log.line(words).await;
        let rest = line.split(words).nth(1).unwrap_or_default();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let port = digits.parse().unwrap_or_else(|_| panic!("no port after {words:?} in {line:?}"));
        SocketAddr::from(([127, 0, 0, 1], port))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- another program's output\n{}\n---", self.log.text());
        }
    }
}
