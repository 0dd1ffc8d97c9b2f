//! The processes that run functions in JavaScript: started when first needed, kept warm, ended when a call goes too far.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::settings::Settings;
use super::wire::{self, Bound, Level, Order, Report};
use super::worker::OVER;

/// A program that becomes a worker when it is started: it does nothing but [`serve`](super::serve).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    /// This program with these arguments.
    pub fn new(path: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        Self { path: path.into(), arguments: arguments.iter().map(|&argument| argument.to_owned()).collect() }
    }

    /// The program that runs now, with these arguments; also after its file was replaced, where the system can.
    pub fn own(arguments: &[&str]) -> Self {
        let running = PathBuf::from("/proc/self/exe");
        let path = if running.exists() { running } else { std::env::current_exe().unwrap_or_default() };
        Self::new(path, arguments)
    }
}

/// A few processes for all functions of a server. A clone is the same few.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    program: Program,
    settings: Settings,
    turns: Semaphore,
    waiting: AtomicUsize,
    idle: Mutex<Vec<Worker>>,
}

/// Why there is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The time was over.
    Late,
    /// Too many wait already.
    Busy,
    /// The worker ended in the middle.
    Died,
}

impl Workers {
    /// Starts none yet.
    pub fn new(program: Program, settings: Settings) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = if settings.workers == 0 { cores.min(4) } else { settings.workers };
        let turns = Semaphore::new(count);
        let shared = Shared { program, settings, turns, waiting: AtomicUsize::new(0), idle: Mutex::default() };
        Self(Arc::new(shared))
    }

    /// How far a call may go.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Runs one call. Its lines of `console` go to the log under this name.
    pub(super) async fn run(&self, name: &Arc<str>, order: Order) -> Result<Report, Lost> {
        let shared = &self.0;
        let Some(_place) = Place::take(&shared.waiting) else { return Err(Lost::Busy) };
        let whole = async {
            let _turn = shared.turns.acquire().await.map_err(|_| Lost::Died)?;
            let worker = shared.idle().pop().map_or_else(|| Worker::start(&shared.program), Ok);
            let mut worker = worker.map_err(|error| {
                tracing::error!(%error, "no worker for functions can be started");
                Lost::Died
            })?;
            let report = worker.run(name, order, shared.settings.output).await?;
            if !matches!(report, Report::Stopped(_)) {
                shared.idle().push(worker);
            }
            Ok(report)
        };
        // Whatever is dropped here in the middle of a call takes its process with it.
        timeout(shared.settings.time, whole).await.unwrap_or(Err(Lost::Late))
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("program", &self.0.program).finish_non_exhaustive()
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the few that run or wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize) -> Option<Self> {
        let place = Self(taken);
        // Counted first and looked at then, so that two who come at once cannot both be the last.
        (taken.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A process and the thread that talks with it. Ends with its process.
struct Worker {
    jobs: Sender<Job>,
    child: Arc<Mutex<Life>>,
}

struct Job {
    name: Arc<str>,
    order: Order,
    most: usize,
    done: oneshot::Sender<Report>,
}

/// A process from before its start until after its end.
#[derive(Default)]
struct Life {
    child: Option<Child>,
    over: bool,
}

impl Worker {
    fn start(program: &Program) -> io::Result<Self> {
        let (jobs, taken) = channel();
        let child = Arc::new(Mutex::new(Life::default()));
        let (program, life) = (program.clone(), Arc::clone(&child));
        let talk = move || attend(&program, &life, &taken);
        thread::Builder::new().name("function".to_owned()).spawn(talk)?;
        Ok(Self { jobs, child })
    }

    async fn run(&mut self, name: &Arc<str>, order: Order, most: u64) -> Result<Report, Lost> {
        let (done, report) = oneshot::channel();
        // As JSON inside JSON every byte may become six; lines of `console` are shorter.
        let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_mul(6).saturating_add(64 << 10);
        self.jobs.send(Job { name: Arc::clone(name), order, most, done }).map_err(|_| Lost::Died)?;
        report.await.map_err(|_| Lost::Died)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut life = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        life.over = true;
        if let Some(child) = &mut life.child {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }
}

/// Talks with one process until it ends or nobody has work for it.
fn attend(program: &Program, life: &Mutex<Life>, jobs: &Receiver<Job>) {
    let (input, output) = {
        let mut life = life.lock().unwrap_or_else(PoisonError::into_inner);
        if life.over {
            return;
        }
        match spawn(program) {
            Ok(mut child) => {
                let pipes = (child.stdin.take(), child.stdout.take());
                life.child = Some(child);
                pipes
            }
            Err(error) => {
                tracing::error!(%error, program = %program.path.display(), "a worker for functions does not start");
                return;
            }
        }
    };
    if let (Some(mut input), Some(output)) = (input, output) {
        let mut output = io::BufReader::new(output);
        while let Ok(job) = jobs.recv() {
            match exchange(&mut input, &mut output, &job) {
                Ok(Some(report)) => drop(job.done.send(report)),
                Ok(None) | Err(_) => {
                    if was_over(life) {
                        let _ = job.done.send(Report::Stopped(Bound::Cpu));
                    }
                    break;
                }
            }
        }
    }
    was_over(life);
}

/// Ends the process, and tells whether it had ended itself because a call went too far.
fn was_over(life: &Mutex<Life>) -> bool {
    let child = life.lock().unwrap_or_else(PoisonError::into_inner).child.take();
    let Some(mut child) = child else { return false };
    let _ = child.kill();
    match child.wait() {
        Ok(status) if status.code() == Some(OVER) => true,
        Ok(status) => {
            tracing::debug!(%status, "a worker for functions ended");
            false
        }
        Err(_) => false,
    }
}

fn exchange(input: &mut impl io::Write, output: &mut impl io::Read, job: &Job) -> io::Result<Option<Report>> {
    wire::write(input, &job.order)?;
    loop {
        match wire::read(output, job.most)? {
            Some(Report::Line(level, line)) => tell(&job.name, level, &line),
            end => return Ok(end),
        }
    }
}

fn tell(function: &str, level: Level, line: &str) {
    match level {
        Level::Debug => tracing::debug!(function, line, "console"),
        Level::Info => tracing::info!(function, line, "console"),
        Level::Warn => tracing::warn!(function, line, "console"),
        Level::Error => tracing::error!(function, line, "console"),
    }
}

/// Nothing of ours goes along: no environment, in which secrets are, no folder, no terminal.
fn spawn(program: &Program) -> io::Result<Child> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        // The terminal's Ctrl-C is for the server, which lets calls end first.
        command.current_dir("/").process_group(0);
    }
    command.spawn()
}

/// Calls that run or wait: more would wait longer than they may take.
const WAITING: usize = 64;
