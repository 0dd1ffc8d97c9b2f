//! A configuration file in a folder of its own, and the command line on it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{RecordingUpstream, Vestibule};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_vestibule");

/// What visitors type unless a test says otherwise; it leads to loopback in every resolver (RFC 6761 §6.3).
pub const PUBLIC_URL: &str = "http://app.localhost";

/// A password nobody would guess.
pub const PASSWORD: &str = "copper-lantern-47";

/// A file and what is done before the server starts.
pub struct Site {
    folder: TempDir,
    env: Vec<(String, String)>,
    /// The size of the server's own disk, at `disk` in the folder.
    disk: Option<String>,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Site {
    /// A file in front of this upstream. `toml` may begin with top-level keys and replaces what the harness would
    /// have said: a free port, [`PUBLIC_URL`], and mails in the folder `outbox`.
    pub fn new(upstream: &RecordingUpstream, toml: &str) -> Self {
        Self::before(&upstream.url(), toml)
    }

    /// The same in front of whatever answers at this address.
    pub fn before(upstream: &str, toml: &str) -> Self {
        let mut text = String::new();
        let mut say = |key: &str, line: &str| {
            if !toml.lines().any(|given| given.trim_start().starts_with(key)) {
                text.push_str(line);
                text.push('\n');
            }
        };
        say("listen", "listen = [\"127.0.0.1:0\"]");
        say("public_url", &format!("public_url = \"{PUBLIC_URL}\""));
        say("upstream", &format!("upstream = \"{upstream}\""));
        text.push_str(toml);
        if !toml.contains("[mail]") {
            text.push_str("\n[mail]\ndirectory = \"outbox\"\n");
        }
        Self::exactly(&text)
    }

    /// Exactly this file.
    pub fn exactly(toml: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("vestibule-").tempdir().unwrap();
        std::fs::write(folder.path().join("vestibule.toml"), toml).unwrap();
        Self { folder, env: Vec::new(), disk: None }
    }

    /// Sets an environment variable for every command on this site.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The server gets a disk of this size (`8m`) at `disk` in the folder, which it alone sees and which goes with it.
    /// None: this machine does not let us, which fails where everything must be tested.
    pub fn on_a_disk_of(mut self, size: &str) -> Option<Self> {
        std::fs::create_dir(self.path("disk")).unwrap();
        self.disk = Some(size.to_owned());
        let mut probe = clean("unshare", self.folder.path());
        let may = probe.args(self.own_disk(size)).arg("true").status().is_ok_and(|status| status.success());
        if !may {
            let why = "not run: this machine gives us no mount namespace of our own";
            assert!(std::env::var("CI").as_deref() != Ok("true") || !is_root(), "{why}");
            eprintln!("{why}");
        }
        may.then_some(self)
    }

    /// Arguments of `unshare`, before the program that gets the disk (unshare(1), tmpfs(5)).
    fn own_disk(&self, size: &str) -> Vec<String> {
        let script = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@""#;
        let own = if is_root() { vec!["--mount"] } else { vec!["--map-root-user", "--mount"] };
        let rest = ["sh", "-c", script, "sh", size];
        let mut arguments: Vec<_> = own.into_iter().chain(rest).map(str::to_owned).collect();
        arguments.push(self.path("disk").display().to_string());
        arguments
    }

    /// Makes an account with [`PASSWORD`] and these roles.
    pub fn user(self, email: &str, roles: &[&str]) -> Self {
        self.add_user(email, PASSWORD, roles);
        self
    }

    /// Makes an account on the command line.
    pub fn add_user(&self, email: &str, password: &str, roles: &[&str]) {
        let mut arguments = vec!["users", "add", email, "--password-stdin"];
        roles.iter().for_each(|role| arguments.extend(["--role", role]));
        self.cli_with(&arguments, password).success();
    }

    /// The id of an account.
    pub fn user_id(&self, email: &str) -> String {
        let user = self.cli(&["users", "show", email, "--json"]).success().json();
        let id = user["id"].as_str().or(user["user_id"].as_str());
        id.unwrap_or_else(|| panic!("no id in {user}")).to_owned()
    }

    /// Makes a key on the command line: `arguments` follow `keys create`.
    pub fn key(&self, arguments: &[&str]) -> String {
        let output = self.cli(&[&["keys", "create"], arguments].concat()).success();
        let words = output.stdout.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
        let key = words.into_iter().find(|word| word.starts_with("vk_"));
        key.unwrap_or_else(|| panic!("no key in {output:?}")).to_owned()
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("vestibule.toml")
    }

    /// Writes another configuration over the file.
    pub fn rewrite(&self, edit: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), edit(text)).unwrap();
    }

    /// Runs a command on this file to its end.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with(arguments, "")
    }

    /// The same with a line on standard input.
    pub fn cli_with(&self, arguments: &[&str], line: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A command that reads nothing may have ended already.
        let _ = child.stdin.take().unwrap().write_all(format!("{line}\n").as_bytes());
        let output = child.wait_with_output().unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The command, not yet started: in the folder, with this file, without `VESTIBULE_…` of whoever runs the tests.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.finished(clean(BINARY, self.folder.path()), arguments)
    }

    /// The command that serves, on its own disk if it has one.
    pub(super) fn serving(&self) -> Command {
        let Some(size) = &self.disk else { return self.command(&["run"]) };
        let mut command = clean("unshare", self.folder.path());
        command.args(self.own_disk(size)).arg(BINARY);
        self.finished(command, &["run"])
    }

    fn finished(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).arg("--config").arg(self.config());
        command.envs(self.env.iter().cloned());
        command
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> Vestibule {
        Vestibule::start(self, 1).await
    }

    /// Starts a server with so many listeners.
    pub async fn start_listeners(self, count: usize) -> Vestibule {
        Vestibule::start(self, count).await
    }
}

impl Output {
    /// Fails the test unless the exit code is 0.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard output as a list: one JSON value per line.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let value = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.stdout.lines().map(value).collect()
    }

    /// Both outputs.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program in a folder, with piped output and an environment that says nothing about us.
pub fn clean(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VESTIBULE_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").env_remove("CREDENTIALS_DIRECTORY");
    command
}
