//! Opening an SQLite file: how it is written, who reads it, how long others are waited for.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::readers::Readers;
use super::sqlite::Sqlite;
use super::writer::Writer;
use super::{Timings, schema};

/// How long another process's lock is waited for.
const BUSY: Duration = Duration::from_secs(2);

/// How many point reads run side by side at most.
const READERS: usize = 8;

/// Pages that the writer keeps at most, in KiB.
const PAGES: i64 = 16 << 10;

/// More than there are statements.
const STATEMENTS: usize = 128;

impl Sqlite {
    /// Opens the file, which exists, and brings its tables to this program's version.
    pub(super) fn open(path: &Path) -> Result<Self, schema::Error> {
        Self::open_waiting(path, BUSY)
    }

    /// Waits so long, now and later, for what another process has locked.
    pub(super) fn open_waiting(path: &Path, busy: Duration) -> Result<Self, schema::Error> {
        let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | FLAGS)?;
        connection.busy_timeout(busy)?;
        // WAL: readers and the writer do not wait for each other, and a process that is killed loses nothing.
        if keep_log(&connection, busy)? != "wal" {
            return Err(schema::Error::NoLog);
        }
        // FULL: what was acknowledged outlives a power cut, too; NORMAL outlives only the process. It costs one wait
        // for the disk per transaction, which is shared by all who write at the time (see `writer`): 64 that save a
        // user at once take eight times as long as one alone (`benches/store.rs`).
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // Room for the upper levels of every index of a million sessions: with SQLite's own 2 MiB they are read again and
        // again, and a note of a session's use costs twice what it costs among a thousand.
        connection.pragma_update(None, "cache_size", -PAGES)?;
        keep_statements(&connection)?;
        schema::migrate(&mut connection)?;
        let count = std::thread::available_parallelism().map_or(READERS, |cores| cores.get().clamp(2, READERS));
        let points = (0..count).map(|_| reader(path, busy)).collect::<Result<_, _>>()?;
        let timings = Arc::new(Timings::default());
        let readers = Readers::new(points, reader(path, busy)?, Arc::clone(&timings));
        let writer = Writer::start(connection, Arc::clone(&timings)).map_err(schema::Error::NoThread)?;
        Ok(Self { readers, writer, timings })
    }
}

/// Switches to the log. Of several that switch a new file at once SQLite sends all but one away without a wait, lest they
/// wait for each other: these try again.
fn keep_log(connection: &Connection, busy: Duration) -> rusqlite::Result<String> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && begun.elapsed() < busy => {
                std::thread::sleep(AGAIN);
            }
            switched => return switched,
        }
    }
}

/// How long a switch of another takes, about.
const AGAIN: Duration = Duration::from_millis(5);

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX.union(OpenFlags::SQLITE_OPEN_EXRESCODE);

fn reader(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | FLAGS)?;
    connection.busy_timeout(busy)?;
    // Not mapped into memory: a reader gives its map up after every write of another (`pagerBeginReadTransaction`), and
    // among a million sessions to fault it in again takes a look-up four times as long as to copy its pages does.
    keep_statements(&connection)?;
    Ok(connection)
}

/// Every statement is prepared once. Without the stability guarantee a new value for an indexed column would make
/// SQLite plan the statement again, which costs ten times what the read does.
pub(super) fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}
