//! Statements on a connection, one by one or several that are done whole or not at all.
//!
//! Statements that do not wait for each other's answers are sent together, in the order in which they are named: all of
//! them were prepared with the connection. Correct under READ COMMITTED, where each
//! statement sees what was committed before it began; a server that isolates more strictly answers with a serialization
//! failure, and the deed is done again.

use futures_util::future::join;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::postgres_fault::Fault;
use super::postgres_pool::Connection;

/// What a deed came to.
pub(super) type Result<T> = std::result::Result<T, Fault>;

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How a transaction ends.
pub(super) enum End<T> {
    /// What was done stays.
    Keep(T),
    /// It does not.
    Undo(T),
}

/// Runs a statement; the number of rows it changed.
pub(super) async fn change(connection: &Connection, sql: &str, values: Values<'_>) -> Result<usize> {
    let statement = connection.prepare_cached(sql).await?;
    Ok(usize::try_from(connection.execute(&statement, values).await?).unwrap_or(usize::MAX))
}

/// Runs a statement; its rows.
pub(super) async fn query(connection: &Connection, sql: &str, values: Values<'_>) -> Result<Vec<Row>> {
    let statement = connection.prepare_cached(sql).await?;
    Ok(connection.query(&statement, values).await?)
}

/// Does this between BEGIN, which it does not wait for, and the end it asks for.
pub(super) async fn transaction<T>(connection: &Connection, doing: impl Future<Output = Result<End<T>>>) -> Result<T> {
    let begin = connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
    let (begun, done) = join(begin, doing).await;
    begun?;
    match done {
        Ok(End::Keep(answer)) => {
            connection.batch_execute("COMMIT").await?;
            Ok(answer)
        }
        Ok(End::Undo(answer)) => {
            connection.batch_execute("ROLLBACK").await?;
            Ok(answer)
        }
        Err(fault) => {
            // A connection that cannot even undo must not be used again.
            if let Err(error) = connection.batch_execute("ROLLBACK").await {
                return Err(Fault::Sql(error));
            }
            Err(fault)
        }
    }
}

/// A value as the text that is kept.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|_| Fault::Damaged("JSON"))
}
