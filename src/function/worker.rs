//! The other end: a process that runs functions in JavaScript, one after the other, and nothing else.
//!
//! A built-in of the engine can be busy for hours without ever asking whether it may go on (`new Array(1e9).join()`,
//! `indexOf` in one long text for another), and no thread can be made to end. A process can: this one ends itself as
//! soon as a call has used up its processor time, and the server ends it when the time in all is over.

use std::cell::Cell;
use std::io;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::engine;
use super::wire::{self, Level, Order, Report};

/// The command by which the `vestibule` program becomes a worker.
pub const WORKER: &str = "function-worker";

/// What a worker that went too far exits with.
pub(super) const OVER: i32 = 75;

/// Runs functions that come in by standard input until it closes.
///
/// # Errors
/// When standard input or output break, or no thread can be started.
pub fn serve() -> io::Result<()> {
    let watch = Watch::start()?;
    // Of its own, so that its stack is as large as the largest limit needs.
    let engine = thread::Builder::new().name("engine".to_owned()).stack_size(STACK).spawn(move || work(&watch))?;
    give_up_rights();
    engine.join().map_err(|_| io::Error::other("the engine broke off"))?
}

fn work(watch: &Watch) -> io::Result<()> {
    let (mut orders, mut reports) = (io::stdin().lock(), io::stdout());
    while let Some(order) = wire::read::<Order>(&mut orders, usize::MAX)? {
        let limit = Duration::from_millis(order.bounds.cpu_millis);
        let begun = used();
        watch.begin(begun + limit);
        let report = engine::run(&order, move || used() >= begun + limit, console());
        watch.end();
        wire::write(&mut reports, &report)?;
        if matches!(report, Report::Stopped(_)) {
            // After that the engine is not as good as new.
            exit(OVER);
        }
    }
    Ok(())
}

/// Takes lines of `console` until they are too many.
fn console() -> impl Fn(Level, String) + 'static {
    let lines = Cell::new(0);
    move |level, line| {
        lines.set(lines.get() + 1);
        let line = match lines.get() {
            ..LINES => line,
            LINES => "more lines were written than are kept".to_owned(),
            _ => return,
        };
        // Standard output that is gone shows when the report goes the same way.
        let _ = wire::write(&mut io::stdout(), &Report::Line(level, line));
    }
}

/// Ends the process when a call runs on beyond its processor time without asking.
#[derive(Clone)]
struct Watch {
    /// Processor time, in microseconds, at which the call is over; 0 while there is none.
    end: Arc<AtomicU64>,
    thread: thread::Thread,
}

impl Watch {
    fn start() -> io::Result<Self> {
        let end = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&end);
        let watch = move || {
            let mut quiet = 0;
            loop {
                match seen.load(Ordering::Acquire) {
                    0 if quiet >= QUIET => {
                        quiet = 0;
                        thread::park();
                    }
                    0 => quiet += 1,
                    end if used() >= Duration::from_micros(end) + GRACE => exit(OVER),
                    _ => quiet = 0,
                }
                thread::sleep(TICK);
            }
        };
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(watch)?.thread().clone();
        Ok(Self { end, thread })
    }

    fn begin(&self, end: Duration) {
        self.end.store(u64::try_from(end.as_micros()).unwrap_or(u64::MAX), Ordering::Release);
        self.thread.unpark();
    }

    fn end(&self) {
        self.end.store(0, Ordering::Release);
    }
}

/// Processor time of this process so far; where the system does not tell, time.
fn used() -> Duration {
    #[cfg(unix)]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
    }
    #[cfg(not(unix))]
    {
        static STARTED: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        STARTED.elapsed()
    }
}

/// Gives up what no function needs, so that not even a fault of the engine has it: opening files and sockets,
/// starting processes, leaving a dump. And goes behind everything that carries requests.
fn give_up_rights() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
        let none = || Rlimit { current: Some(0), maximum: Some(0) };
        for resource in [Resource::Nofile, Resource::Fsize, Resource::Nproc, Resource::Core] {
            // Without it the function still has no way to ask for any of these.
            let _ = setrlimit(resource, none());
        }
        let _ = setpriority_process(None, NICENESS);
    }
}

/// Room for the largest `stack` the configuration takes, and for the engine itself.
const STACK: usize = super::settings::MOST_STACK + (1 << 20);
/// Lines of `console` of one call.
const LINES: u32 = 100;
/// How often the watch looks.
const TICK: Duration = Duration::from_millis(10);
/// For the engine to notice by itself, which leaves better traces.
const GRACE: Duration = Duration::from_millis(20);
/// After so many looks without a call the watch sleeps until there is one.
const QUIET: u32 = 50;
#[cfg(unix)]
const NICENESS: i32 = 10;
