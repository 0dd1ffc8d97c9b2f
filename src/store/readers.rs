//! Connections that only read the SQLite file.
//!
//! A point read takes some microseconds, a hop to another thread and back ten times that: so point reads run
//! where they are asked for. Whatever walks through rows goes to the blocking pool, on a connection of its own.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rusqlite::{Connection, Result};

use super::outcome::noted;
use super::{Answer, Error, Timings, fault};
use crate::span;

/// The reading connections of one file.
pub(super) struct Readers {
    points: Box<[Mutex<Connection>]>,
    scan: Arc<Mutex<Connection>>,
    timings: Arc<Timings>,
}

impl Readers {
    /// Takes connections for point reads, and one for scans.
    pub(super) fn new(points: Vec<Connection>, scan: Connection, timings: Arc<Timings>) -> Self {
        Self { points: points.into_iter().map(Mutex::new).collect(), scan: Arc::new(Mutex::new(scan)), timings }
    }

    /// Reads on the calling thread: for a row or two that an index finds.
    pub(super) fn point<'a, T: Send + 'a>(
        &'a self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'a,
    ) -> Answer<'a, T> {
        // Nothing is awaited while the connection is held.
        Box::pin(async move {
            let span = span::store("sqlite", "read");
            let begun = Instant::now();
            let outcome = read(&self.free());
            self.timings.read.note(begun.elapsed());
            noted(&span, outcome.map_err(|error| fault(&error)))
        })
    }

    /// Reads on the blocking pool: for whatever grows with the number of users or sessions.
    pub(super) fn scan<'a, T: Send + 'static>(
        &'a self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Answer<'a, T> {
        let scan = Arc::clone(&self.scan);
        Box::pin(async move {
            let span = span::store("sqlite", "scan");
            let scanned = tokio::task::spawn_blocking(move || read(&held(&scan))).await;
            let outcome = match scanned {
                Ok(scanned) => scanned.map_err(|error| fault(&error)),
                Err(_) => Err(Error::Unavailable("the runtime is shutting down".into())),
            };
            noted(&span, outcome)
        })
    }

    /// A connection nobody uses; if there is none, the wait for one is as short as a point read.
    fn free(&self) -> MutexGuard<'_, Connection> {
        let home = HOME.with(|home| *home) % self.points.len();
        let free = (home..self.points.len()).chain(0..home).find_map(|index| self.points[index].try_lock().ok());
        free.unwrap_or_else(|| held(&self.points[home]))
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Readers({})", self.points.len())
    }
}

thread_local! {
    /// Where this thread looks first, so that threads seldom meet.
    static HOME: usize = NEXT_HOME.fetch_add(1, Ordering::Relaxed);
}

static NEXT_HOME: AtomicUsize = AtomicUsize::new(0);

/// A reader that panicked changed nothing, and SQLite ended its statement: the connection is as good as before.
fn held(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}
