//! Failures of SQLite, in the terms of a store.

use super::Error;

/// What a failure of SQLite means to a caller. No text of SQLite's holds a value of ours.
pub(super) fn fault(error: &rusqlite::Error) -> Error {
    use rusqlite::Error as Sql;
    match error {
        Sql::FromSqlConversionFailure(..)
        | Sql::InvalidColumnType(..)
        | Sql::IntegralValueOutOfRange(..)
        | Sql::Utf8Error(..) => Error::Corrupt(error.to_string()),
        _ => match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Error::Corrupt(error.to_string())
            }
            Some(rusqlite::ErrorCode::ConstraintViolation) => Error::Conflict(error.to_string()),
            _ => Error::Unavailable(error.to_string()),
        },
    }
}
