//! Opening a store, and saying what is in the way.

use std::path::PathBuf;
use std::sync::Arc;

use super::memory::Memory;
use super::{Address, Store, sqlite_open};

/// Opens the store at this address; an SQLite file that is not there is made, readable for its owner alone.
///
/// Blocks for up to two seconds when another process holds the file, and while a PostgreSQL server is connected to.
///
/// # Errors
/// [`OpenError`]: what is in the way, and with [`help`](OpenError::help) the way out.
pub fn open(address: &Address) -> Result<Arc<dyn Store>, OpenError> {
    match address {
        Address::Memory => Ok(Arc::new(Memory::default())),
        Address::Own(own) => Ok(Arc::clone(&own.0)),
        Address::Sqlite(path) => sqlite_open::open(path),
        #[cfg(not(feature = "postgres"))]
        Address::Postgres(settings) => settings.url.never(),
        #[cfg(feature = "postgres")]
        Address::Postgres(settings) => {
            let refused = |reason| OpenError::Server { server: settings.url.to_string(), reason };
            Ok(Arc::new(super::postgres::Postgres::open(settings).map_err(refused)?))
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the file.
    #[error("the store {} is locked by {}", path.display(), holder.as_deref().unwrap_or("another process"))]
    Locked {
        /// The file.
        path: PathBuf,
        /// The name and number of the process, where they can be read.
        holder: Option<String>,
    },
    /// We may not write the file or make files beside it.
    #[error("the store {} cannot be written: {} belongs to {owner}, this program runs as {user}",
        path.display(), obstacle.display())]
    NotWritable {
        /// The store's file.
        path: PathBuf,
        /// The file or directory that refuses.
        obstacle: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who we are.
        user: String,
    },
    /// There is no directory to make the file in.
    #[error("the store {} cannot be made: there is no directory {}", path.display(), directory.display())]
    NoDirectory {
        /// The store's file.
        path: PathBuf,
        /// What is missing.
        directory: PathBuf,
    },
    /// A later version of the program has written it.
    #[error("the store {} was written by a later vestibule: its tables have version {found}, this one knows {known}",
        path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its tables.
        found: i64,
        /// The latest version this program knows.
        known: i64,
    },
    /// A database, but not ours.
    #[error("the store {} is the database of another program; nothing was changed", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// No database, or a damaged one.
    #[error("the store {} cannot be read: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// Its file system cannot share memory between processes, as network file systems cannot.
    #[error("the store {} lies on a file system that cannot keep a write-ahead log", path.display())]
    NoLog {
        /// The file.
        path: PathBuf,
    },
    /// A PostgreSQL server that does not let us in, or whose tables are not ours.
    #[error("the store {server} cannot be used: {reason}")]
    Server {
        /// Where it is, without user and password.
        server: String,
        /// What is in the way.
        reason: String,
    },
    /// This program was built without what such a store needs.
    #[error("the store {} cannot be opened: this program was built without the feature `{feature}`", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
        /// The feature.
        feature: &'static str,
    },
    /// Anything else the operating system said.
    #[error("the store {} cannot be opened: {reason}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

impl OpenError {
    /// What to do about it: a command where there is one.
    pub fn help(&self) -> String {
        match self {
            Self::Locked { holder: Some(holder), .. } => format!("stop {holder}, or wait until it is done"),
            Self::Locked { .. } => "stop the program that has the file open, or wait until it is done".into(),
            Self::NotWritable { obstacle, user, .. } => format!("chown {user} {}", obstacle.display()),
            Self::NoDirectory { directory, .. } => format!("mkdir -p {}", directory.display()),
            Self::Newer { .. } => "use the version of vestibule that wrote it, or a later one".into(),
            Self::Foreign { .. } => "name another file in store.url".into(),
            Self::Corrupt { path, .. } => format!("restore a copy, or look with: sqlite3 {} .recover", path.display()),
            Self::NoLog { .. } => "put the file on a local disk".into(),
            Self::Server { .. } => "see that the server runs, and what [store] says of address, user and TLS".into(),
            Self::Absent { feature, .. } => format!("build it with the feature `{feature}`, or give it another store"),
            Self::Failed { .. } => "name another file in store.url".into(),
        }
    }
}
