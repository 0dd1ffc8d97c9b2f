//! What a failure of PostgreSQL means to a caller.
//!
//! PostgreSQL's own texts quote values ("Key (email_key)=(…) already exists"): of an error only its code and the name
//! of the constraint are shown, never its message.

use std::error::Error as _;

use tokio_postgres::error::{DbError, SqlState};

use super::Error;

/// Why a deed was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// PostgreSQL or the way to it.
    Sql(tokio_postgres::Error),
    /// A row that cannot be read, and what of it.
    Damaged(&'static str),
    /// What was to be added contradicts what is there or itself.
    Conflict(&'static str),
    /// Nothing was asked, or nothing came back.
    Unavailable(String),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl Fault {
    /// Whether nothing has happened and another try may do it: another transaction was in the way.
    pub(super) fn is_contention(&self) -> bool {
        let code = self.code();
        code == Some(&SqlState::T_R_SERIALIZATION_FAILURE) || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
    }

    /// Whether the connection is of no use any more: it is gone, or leads to a server that takes no writes.
    pub(super) fn is_of_connection(&self) -> bool {
        match self {
            Self::Sql(error) => match error.as_db_error() {
                Some(error) => {
                    let class = &error.code().code()[..2];
                    // 57P: the server shuts down; 25006: it takes no writes.
                    class == "08" || error.code().code().starts_with("57P") || error.code().code() == "25006"
                }
                None => true,
            },
            _ => false,
        }
    }

    /// The constraint that does not hold.
    pub(super) fn constraint(&self) -> Option<&str> {
        match self {
            Self::Sql(error) => error.as_db_error().and_then(DbError::constraint),
            _ => None,
        }
    }

    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Sql(error) => error.code(),
            _ => None,
        }
    }

    pub(super) fn into_error(self) -> Error {
        match &self {
            Self::Damaged(what) => Error::Corrupt(format!("unreadable {what}")),
            Self::Conflict(what) => Error::Conflict((*what).to_owned()),
            Self::Unavailable(why) => Error::Unavailable(why.clone()),
            Self::Sql(error) => match error.as_db_error() {
                None => Error::Unavailable(way(error)),
                // Integrity constraints, and text with a NUL, which PostgreSQL cannot hold.
                Some(refusal) if refusal.code().code().starts_with("23") || refusal.code().code() == "22021" => {
                    Error::Conflict(coded(refusal))
                }
                Some(refusal) if refusal.code().code().starts_with("XX") => Error::Corrupt(coded(refusal)),
                Some(refusal) => Error::Unavailable(coded(refusal)),
            },
        }
    }
}

/// The code and the constraint of a refusal.
fn coded(refusal: &DbError) -> String {
    let constraint = refusal.constraint().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("PostgreSQL answers with SQLSTATE {}{constraint}", refusal.code().code())
}

/// What is wrong with the way to the server.
fn way(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Why no connection could be made. No statement was sent yet, so what the server says holds none of our values.
pub(super) fn no_connection(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
        None => way(error),
    }
}
