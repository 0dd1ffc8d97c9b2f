//! A PostgreSQL server that a test starts itself, in a temporary folder, and that goes with the test's process.
#![allow(dead_code, reason = "some tests start and stop it, others only use it")]

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs until its standard input ends, however that comes about; then the server and its folder go. Each line it reads
/// is a signal for the postmaster, or `start`.
const SCRIPT: &str = r#"
set -eu
bin=$1 folder=$(mktemp -d /tmp/vestibule-pg.XXXXXX)
trap 'kill -QUIT $(head -1 "$folder/data/postmaster.pid" 2>/dev/null) 2>/dev/null; sleep 0.1; rm -rf "$folder"' EXIT
trap : INT TERM HUP
"$bin/initdb" -D "$folder/data" -U test -A trust --no-sync -E UTF8 --locale=C >/dev/null
cat >>"$folder/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$folder'
max_connections = 400
shared_buffers = 32MB
fsync = off
log_min_messages = fatal
logging_collector = off
CONF
shift
printf '%s\n' "$@" >>"$folder/data/postgresql.conf"
start() {
  while :; do
    setsid "$bin/postgres" -D "$folder/data" >/dev/null 2>"$folder/log" </dev/null &
    until "$bin/pg_isready" -q -h "$folder" -p "$(sed -n 4p "$folder/data/postmaster.pid" 2>/dev/null)" -U test; do
      kill -0 $! 2>/dev/null || break
      sleep 0.02
    done
    kill -0 $! 2>/dev/null && break
    # Those who were killed may hold the shared memory a moment longer.
    grep -q 'still in use' "$folder/log" || { cat "$folder/log" >&2; exit 1; }
  done
  echo "$folder"
}
start
while read -r line; do
  case $line in
    start) start ;;
    *) for pid in $(head -1 "$folder/data/postmaster.pid"); do
         # It must not start another process between the look for them and the signal to them.
         kill -STOP "$pid"
         kill "-$line" $(cat "/proc/$pid/task/$pid/children") "$pid" 2>/dev/null || true
       done
       case $line in KILL|QUIT) wait || true; rm -f "$folder"/.s.*; echo gone ;; *) echo sent ;; esac ;;
  esac
done
"#;

/// A server of its own.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    keeper: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// Starts one; `None`: there is no PostgreSQL on this machine, which fails where everything must be tested.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(bin) = programs() else {
            let why = "not run, for want of PostgreSQL; .ci/run installs it";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
            eprintln!("{why}");
            return None;
        };
        // The server refuses to run as root.
        let mut command = match std::fs::metadata("/proc/self").map(|metadata| {
            use std::os::unix::fs::MetadataExt as _;
            metadata.uid()
        }) {
            Ok(0) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "bash"]);
                command
            }
            _ => Command::new("bash"),
        };
        let mut keeper = command
            .args(["-c", SCRIPT, "postgres"])
            .arg(bin)
            .args(settings)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(keeper.stdout.take().unwrap());
        let folder = line(&mut answers).into();
        Some(Self { folder, keeper, answers })
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// An address of an empty schema.
    pub fn url(&self) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let schema = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE SCHEMA {schema}"));
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://test@{folder}/postgres?options=-csearch_path%3D{schema}")
    }

    /// Runs statements by PostgreSQL's own client; what they answer, unadorned.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(programs().unwrap().join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "test", "-d", database, "-c", sql]);
        let output = psql.arg("-h").arg(&self.folder).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Sends a signal to all of its processes: `KILL`, `STOP`, `CONT`.
    pub fn signal(&mut self, signal: &str) {
        self.tell(signal);
    }

    /// Starts it again after a kill, in the same place.
    pub fn restart(&mut self) {
        self.tell("start");
    }

    fn tell(&mut self, what: &str) {
        use std::io::Write as _;
        writeln!(self.keeper.stdin.as_mut().unwrap(), "{what}").unwrap();
        line(&mut self.answers);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The one server of this process, for whoever does not stop it.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[])).as_ref()
}

fn line(answers: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    assert!(answers.read_line(&mut line).unwrap() > 0, "PostgreSQL did not start");
    line.trim().to_owned()
}

/// The folder of `initdb` and `postgres`, which Debian keeps out of the path.
fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut versions: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev().map(|version| version.join("bin")));
    let needed = ["initdb", "postgres", "psql", "pg_isready"];
    folders.into_iter().find(|folder| needed.iter().all(|program| folder.join(program).is_file()))
}
