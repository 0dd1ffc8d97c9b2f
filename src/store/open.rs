//! Opening a store, and saying what is in the way.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::memory::Memory;
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{Address, Store, lock_holder, schema};

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
        Address::Sqlite(path) => {
            prepare(path)?;
            let store = Sqlite::open(path).map_err(|error| OpenError::of(path, error))?;
            Ok(Arc::new(store))
        }
        Address::Postgres(settings) => {
            let refused = |reason| OpenError::Server { server: settings.url.to_string(), reason };
            Ok(Arc::new(Postgres::open(settings).map_err(refused)?))
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
            Self::Failed { .. } => "name another file in store.url".into(),
        }
    }

    fn of(path: &Path, error: schema::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        let error = match error {
            schema::Error::Newer { found, known } => return Self::Newer { path, found, known },
            schema::Error::Foreign => return Self::Foreign { path },
            schema::Error::NoLog => return Self::NoLog { path },
            schema::Error::NoThread(error) => return Self::Failed { path, reason: error.to_string() },
            schema::Error::Sqlite(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Locked { holder: lock_holder::of(&path), path }
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Corrupt { path, reason: error.to_string() }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                let obstacle = obstacle(&path);
                Self::not_writable(&path, &obstacle)
            }
            _ => Self::Failed { path, reason: error.to_string() },
        }
    }

    fn not_writable(path: &Path, obstacle: &Path) -> Self {
        let owner = obstacle.metadata().map_or_else(|_| "somebody else".into(), |metadata| user_name(metadata.uid()));
        let user = user_name(rustix::process::geteuid().as_raw());
        Self::NotWritable { path: path.to_owned(), obstacle: obstacle.to_owned(), owner, user }
    }
}

/// Makes the file if there is none, for nobody but its owner: it holds password hashes and private keys.
fn prepare(path: &Path) -> Result<(), OpenError> {
    let failed = |error: &io::Error| OpenError::Failed { path: path.to_owned(), reason: error.to_string() };
    let refused = |obstacle: &Path, error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::not_writable(path, obstacle),
        io::ErrorKind::NotFound => {
            OpenError::NoDirectory { path: path.to_owned(), directory: directory(path).to_owned() }
        }
        _ => failed(&error),
    };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // The new name must be on the disk before anything in the file counts as written.
        Ok(_) => File::open(directory(path)).and_then(|directory| directory.sync_all()).map_err(|error| failed(&error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| refused(path, error))?;
            let mode = file.metadata().map_err(|error| failed(&error))?.permissions().mode();
            if mode & 0o077 != 0 {
                let path = path.display();
                tracing::warn!("others may read the store {path}, which holds password hashes: chmod 600 {path}");
            }
            Ok(())
        }
        Err(error) => Err(refused(directory(path), error)),
    }
}

/// Who is in the way when SQLite cannot write: the file, or the directory where it keeps its log.
fn obstacle(path: &Path) -> PathBuf {
    let writable = OpenOptions::new().write(true).open(path).is_ok();
    if writable { directory(path).to_owned() } else { path.to_owned() }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name of a user, or its number when the host does not know it.
fn user_name(id: u32) -> String {
    let id = id.to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(&id));
    line.and_then(|line| line.split(':').next()).map_or(id.clone(), str::to_owned)
}
