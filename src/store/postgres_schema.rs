//! The tables of the PostgreSQL store: numbered files with the numbers of the SQLite store's, each applied once.
//!
//! Of several instances that start at once one migrates: each first adds the row of the version it is about to make, and
//! whoever finds the row there waits until the first is through, then looks again. No lock outlives its connection.
//!
//! Instances of two versions run side by side while they are replaced one by one. So tables one version ahead of the
//! program are fine, and a migration leaves alone what the version before it reads and writes: it adds tables, indexes
//! and columns that may be absent; what nobody uses any more goes with the migration after.

use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::postgres_pool::jitter;

/// Position is the version it leads to, from 1. A file that was released never changes; the next one does.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_accounts.postgres.sql"),
    include_str!("migrations/0002_providers.postgres.sql"),
    include_str!("migrations/0003_audit.postgres.sql"),
    include_str!("migrations/0004_devices.postgres.sql"),
];

/// How many versions the tables may be ahead.
const AHEAD: i64 = 1;

/// How often it is tried again when another instance was in the way.
const TRIES: u32 = 60;

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)";

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A later program wrote them.
    #[error("its tables have version {found}, this program knows {known} and works with {}", known + AHEAD)]
    Newer {
        /// Of the tables.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// There are tables, and none of them is ours.
    #[error("it is the database of another program; nothing was changed")]
    Foreign,
    /// Somebody was in the way every time.
    #[error("other instances change its tables all the time")]
    Contention,
    /// Anything PostgreSQL says.
    #[error("{}", super::postgres_fault::no_connection(.0))]
    Sql(#[from] tokio_postgres::Error),
}

/// Brings the tables to this program's version.
pub(super) async fn migrate(client: &Client) -> Result<(), Error> {
    let known = MIGRATIONS.len() as i64;
    for tried in 0..TRIES {
        let found = version(client).await?;
        if found > known + AHEAD {
            return Err(Error::Newer { found, known });
        }
        let next = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found));
        let Some(file) = next else {
            if found > known {
                tracing::info!(found, known, "the store's tables are one version ahead of this program");
            }
            return Ok(());
        };
        let Err(error) = apply(client, found + 1, file).await else { continue };
        // Whatever has begun is undone; if it was not, the next look fails and says why.
        let _ = client.batch_execute("ROLLBACK").await;
        if !is_in_the_way(&error) {
            return Err(error.into());
        }
        sleep(jitter(std::time::Duration::from_millis(20 << tried.min(4)))).await;
    }
    Err(Error::Contention)
}

async fn apply(client: &Client, version: i64, file: &str) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(VERSIONS).await?;
    client.batch_execute("BEGIN").await?;
    client.execute("INSERT INTO schema_version (version) VALUES ($1)", &[&version]).await?;
    client.batch_execute(file).await?;
    client.batch_execute("COMMIT").await
}

/// Whether another instance was at the same thing. To make one table twice at the same time ends in any of these.
fn is_in_the_way(error: &tokio_postgres::Error) -> bool {
    let codes = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| codes.contains(code))
}

/// The version of the tables; 0 when there are none.
async fn version(client: &Client) -> Result<i64, Error> {
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()";
    let tables = client.query(tables, &[]).await?;
    if !tables.iter().any(|row| row.get::<_, &str>(0) == "schema_version") {
        return if tables.is_empty() { Ok(0) } else { Err(Error::Foreign) };
    }
    let row = client.query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[]).await;
    match row {
        Ok(row) => row.try_get(0).map_err(|_| Error::Foreign),
        // A table of this name that is not ours.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_COLUMN) => Err(Error::Foreign),
        Err(error) => Err(error.into()),
    }
}
