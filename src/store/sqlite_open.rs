//! Opening an SQLite file as the store, and saying what is in the way.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::sqlite::Sqlite;
use super::{OpenError, Store, lock_holder, schema};

/// Opens the file; makes it if it is not there.
pub(super) fn open(path: &Path) -> Result<Arc<dyn Store>, OpenError> {
    prepare(path)?;
    let store = Sqlite::open(path).map_err(|error| OpenError::of(path, error))?;
    Ok(Arc::new(store))
}

impl OpenError {
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

/// Makes the file if there is none, for nobody but its owner: it holds password hashes and private keys. Opens none that
/// is there: to close it again would take away the locks that this process has on it (fcntl(2)).
fn prepare(path: &Path) -> Result<(), OpenError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _until_closed = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
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
            let wanted = Access::READ_OK | Access::WRITE_OK;
            accessat(CWD, path, wanted, AtFlags::EACCESS).map_err(|error| refused(path, error.into()))?;
            let mode = path.metadata().map_err(|error| failed(&error))?.permissions().mode();
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
