//! The one thread that writes to the SQLite file: whatever waits is written in one transaction.
//!
//! A transaction is on the disk before any of its deeds is answered (`synchronous = FULL`), and that wait is by
//! far the dearest part of a write; so it is shared by all who wait for it. A deed that fails takes nothing of
//! the others with it, for each has a savepoint of its own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::outcome::noted;
use super::{Answer, Error, Timings, fault, sql};
use crate::span;

/// How many deeds share a transaction at most: bounds how long the first of them waits for the last.
const BATCH: usize = 256;

/// How many deeds may wait; beyond that, callers wait before they hand theirs over.
const QUEUE: usize = 4096;

/// A number in the head of the file that is an application's to use (SQLite, "PRAGMA user_version").
const VERSION: &str = "user_version";

/// Hands deeds to the writing thread.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    timings: Arc<Timings>,
    trouble: Arc<Trouble>,
}

/// Whether something could not be written since it was last asked.
type Trouble = AtomicBool;

impl Writer {
    /// Starts the thread; the connection is its own from now on.
    pub(super) fn start(connection: Connection, timings: Arc<Timings>) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let trouble = Arc::<Trouble>::default();
        let noted = trouble.clone();
        let begin = move || work(connection, jobs, &noted);
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(begin)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), timings, trouble })
    }

    /// Answers when it is known that the file takes writes. After trouble that is tried: a disk may be full or have room
    /// again, whatever can be read from it.
    pub(super) fn probe(&self) -> Answer<'_, ()> {
        let in_trouble = self.trouble.swap(false, Ordering::Relaxed);
        self.run(move |connection| {
            if in_trouble {
                // Nobody reads this number; that it is the same does not keep it from being written.
                let number: i64 = connection.pragma_query_value(None, VERSION, |row| row.get(0))?;
                connection.pragma_update(None, VERSION, number)?;
            }
            connection.query_row(sql::PING, [], |_| Ok(()))
        })
    }

    /// Answers when the deed is on the disk. It is done even if nobody waits for the answer any more.
    pub(super) fn run<T, F>(&self, deed: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let trouble = self.trouble.clone();
        let job = Box::new(Pending { deed: Some(deed), outcome: None, answer, trouble });
        Box::pin(async move {
            let ended = || Error::Unavailable("its writing thread has ended".into());
            let span = span::store("sqlite", "write");
            let begun = Instant::now();
            let queue = self.queue.as_ref().ok_or_else(ended)?;
            queue.send(job).await.map_err(|_| ended())?;
            let outcome = answered.await.map_err(|_| ended())?;
            self.timings.write.note(begun.elapsed());
            noted(&span, outcome)
        })
    }
}

impl Drop for Writer {
    /// Waits until what was handed over is written and the file is closed.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

fn work(mut connection: Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>, trouble: &Trouble) {
    let mut batch = Vec::with_capacity(BATCH);
    while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
        let Err(error) = write(&mut connection, &mut batch) else {
            batch.drain(..).for_each(|job| job.answer(None));
            continue;
        };
        // Whoever came while the lock was waited for has waited as long; another turn would double it.
        while let Ok(job) = jobs.try_recv() {
            batch.push(job);
        }
        trouble.store(true, Ordering::Relaxed);
        tracing::warn!(%error, deeds = batch.len(), "the store could not write");
        let reason = error.to_string();
        batch.drain(..).for_each(|job| job.answer(Some(&reason)));
    }
}

/// One transaction for all these deeds. On `Err` none of them has happened.
fn write(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in batch {
        job.run(&mut transaction)?;
    }
    transaction.commit()
}

trait Job: Send {
    /// Does the deed in a savepoint and keeps its outcome. `Err`: the whole transaction is lost.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;

    /// Tells whoever asked: the outcome, or why the transaction was lost.
    fn answer(self: Box<Self>, lost: Option<&str>);
}

struct Pending<T, F> {
    deed: Option<F>,
    outcome: Option<Result<T, Error>>,
    answer: oneshot::Sender<Result<T, Error>>,
    trouble: Arc<Trouble>,
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let Some(deed) = self.deed.take() else { return Ok(()) };
        let mut savepoint = transaction.savepoint()?;
        let outcome = deed(&savepoint);
        // A full disk and its like end the transaction itself, and with it what the deeds before had written.
        if savepoint.is_autocommit() {
            return Err(outcome.err().unwrap_or(rusqlite::Error::InvalidQuery));
        }
        if outcome.is_err() {
            savepoint.rollback()?;
        }
        savepoint.commit()?;
        self.outcome = Some(outcome.map_err(|error| fault(&error)).inspect_err(|fault| {
            self.trouble.fetch_or(matches!(fault, Error::Unavailable(_)), Ordering::Relaxed);
        }));
        Ok(())
    }

    fn answer(self: Box<Self>, lost: Option<&str>) {
        let outcome = match (lost, self.outcome) {
            (None, Some(outcome)) => outcome,
            (reason, _) => Err(Error::Unavailable(reason.unwrap_or("the deed was not done").to_owned())),
        };
        let _ = self.answer.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as std_mpsc;

    use super::*;

    fn writer() -> Writer {
        let connection = Connection::open_in_memory().unwrap();
        let tables =
            "CREATE TABLE t (n INTEGER PRIMARY KEY, filler BLOB); CREATE TABLE schema_version (version INTEGER)";
        connection.execute_batch(tables).unwrap();
        connection.pragma_update(None, "max_page_count", 64).unwrap();
        Writer::start(connection, Arc::default()).unwrap()
    }

    fn insert(writer: &Writer, n: i64, bytes: i64) -> Answer<'_, usize> {
        writer.run(move |c| c.execute("INSERT INTO t VALUES (?1, zeroblob(?2))", [n, bytes]))
    }

    async fn numbers(writer: &Writer) -> Vec<i64> {
        let read = |c: &Connection| {
            let mut statement = c.prepare("SELECT n FROM t ORDER BY n")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        };
        writer.run(read).await.unwrap()
    }

    /// Keeps the thread busy until told, so that what comes meanwhile shares a transaction.
    fn hold(writer: &Writer) -> (Answer<'_, ()>, std_mpsc::Sender<()>) {
        let (go, wait) = std_mpsc::channel::<()>();
        let told = move |_: &Connection| {
            wait.recv().unwrap();
            Ok(())
        };
        (writer.run(told), go)
    }

    #[tokio::test]
    async fn a_deed_that_fails_takes_no_other_with_it() {
        let writer = writer();
        insert(&writer, 1, 0).await.unwrap();
        let (held, go) = hold(&writer);
        let before = insert(&writer, 2, 0);
        let twice = writer.run(|c| {
            c.execute("INSERT INTO t VALUES (7, NULL)", [])?;
            c.execute("INSERT INTO t VALUES (1, NULL)", [])
        });
        let after = insert(&writer, 3, 0);
        let (_, before, twice, after, ()) =
            tokio::join!(biased; held, before, twice, after, async { go.send(()).unwrap() });
        assert!(before.is_ok() && after.is_ok());
        assert!(matches!(twice, Err(Error::Conflict(_))), "{twice:?}");
        assert_eq!(numbers(&writer).await, [1, 2, 3]);
    }

    /// SEC-SESS-09
    #[tokio::test]
    async fn sec_sess_09_a_full_disk_fails_what_it_must_and_the_writer_goes_on() {
        let writer = writer();
        let (held, go) = hold(&writer);
        let (_, small, big, ()) = tokio::join!(
            biased;
            held,
            insert(&writer, 1, 10),
            insert(&writer, 2, 1 << 20),
            async { go.send(()).unwrap() }
        );
        assert!(matches!(big, Err(Error::Unavailable(_))), "{big:?}");
        // Whether the transaction survived is SQLite's to say; the answers must say the same.
        assert_eq!(numbers(&writer).await.contains(&1), small.is_ok());
        insert(&writer, 3, 10).await.unwrap();
        assert!(numbers(&writer).await.contains(&3));
        assert!(writer.trouble.load(Ordering::Relaxed));
        writer.probe().await.unwrap();
        assert!(!writer.trouble.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn what_was_handed_over_is_done_though_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, filler BLOB)").unwrap();
        let writer = Writer::start(connection, Arc::default()).unwrap();
        let (held, go) = hold(&writer);
        let mut insert = insert(&writer, 1, 0);
        tokio::select! {
            biased;
            _ = held => panic!("the writer was not held"),
            _ = &mut insert => panic!("the deed was answered before it was done"),
            () = std::future::ready(()) => {}
        }
        drop(insert);
        go.send(()).unwrap();
        drop(writer);
        let count: i64 =
            Connection::open(&path).unwrap().query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
        assert_eq!(count, 1);
    }
}
