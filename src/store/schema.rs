//! The tables of the SQLite store: numbered files, each applied once, all of them in one transaction.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

/// Position is the version it leads to, from 1. A file that was released never changes; the next one does.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_accounts.sql"),
    include_str!("migrations/0002_providers.sql"),
    include_str!("migrations/0003_audit.sql"),
    include_str!("migrations/0004_devices.sql"),
];

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A later program wrote them.
    #[error("its tables have version {found}, this program knows up to {known}")]
    Newer {
        /// Of the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// There are tables, and none of them is ours.
    #[error("it is the database of another program")]
    Foreign,
    /// The file system has no shared memory.
    #[error("there is no write-ahead log on this file system")]
    NoLog,
    /// The thread that writes could not be started.
    #[error("no thread to write: {0}")]
    NoThread(std::io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Brings the tables to this program's version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let known = MIGRATIONS.len() as i64;
    if version(connection)? == known {
        return Ok(());
    }
    // The lock is taken before the version is read again: of two programs that start at once, one migrates.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > known {
        return Err(Error::Newer { found, known });
    }
    if found == 0 {
        transaction.execute_batch("CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY) STRICT")?;
    }
    for (version, file) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.execute_batch(file)?;
        transaction.execute("INSERT INTO schema_version (version) VALUES (?1)", [version])?;
    }
    Ok(transaction.commit()?)
}

/// The version of the tables; 0 when there are none.
fn version(connection: &Connection) -> Result<i64, Error> {
    let exists = "SELECT name = 'schema_version' FROM sqlite_schema ORDER BY name <> 'schema_version' LIMIT 1";
    match connection.query_row(exists, [], |row| row.get(0)).optional()? {
        None => Ok(0),
        Some(false) => Err(Error::Foreign),
        Some(true) => Ok(connection
            .query_row("SELECT coalesce(max(version), 0) FROM schema_version", [], |row| row.get(0))
            .map_err(|_| Error::Foreign)?),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

    use super::*;

    #[test]
    fn tables_are_made_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), MIGRATIONS.len() as i64);
    }

    #[test]
    fn newer_tables_are_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.execute("INSERT INTO schema_version VALUES (999)", []).unwrap();
        assert!(matches!(migrate(&mut connection), Err(Error::Newer { found: 999, .. })));
    }

    #[test]
    fn tables_of_another_program_are_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE posts (id INTEGER PRIMARY KEY)").unwrap();
        assert!(matches!(migrate(&mut connection), Err(Error::Foreign)));
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.authorizer(Some(all_but_the_last_table)).unwrap();
        assert!(migrate(&mut connection).is_err());
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).unwrap();
        assert_eq!(version(&connection).unwrap(), 0);
        assert!(migrate(&mut connection).is_ok());
    }

    fn all_but_the_last_table(context: AuthContext<'_>) -> Authorization {
        match context.action {
            AuthAction::CreateTable { table_name: "signing_keys" } => Authorization::Deny,
            _ => Authorization::Allow,
        }
    }
}
