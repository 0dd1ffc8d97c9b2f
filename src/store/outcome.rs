use super::{Session, SessionId, Timestamp, User};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::span;

/// How a provider names sessions: those of an account of its own, one by its own id, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtProvider {
    /// The provider's name here.
    pub provider: String,
    /// The provider's own name.
    pub issuer: String,
    /// Its name for the account (`sub`).
    pub subject: Option<String>,
    /// Its name for the session (`sid`).
    pub sid: Option<String>,
}

/// That a session was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which one.
    pub session: SessionId,
    /// When.
    pub at: Timestamp,
    /// When it ends unless it is used again.
    pub idle_expires_at: Timestamp,
}

/// How a save ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Written.
    Done,
    /// Somebody else wrote it since it was read, or it is gone: read again and decide again.
    Stale,
    /// One of its identities belongs to another user.
    IdentityTaken,
    /// Its address belongs to another user.
    EmailTaken,
}

/// How a rotation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Rotated {
    /// The new token counts from now on.
    Done(Box<Session>, Box<User>),
    /// `old` was replaced before: this session's previous token.
    Reused(Box<Session>),
    /// No session has or had this token.
    Unknown,
}

/// Notes in the span of a deed how it ended.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) fn noted<T>(span: &tracing::Span, outcome: Result<T, super::Error>) -> Result<T, super::Error> {
    use super::Error;

    if let Err(error) = &outcome {
        let kind = match error {
            Error::Unavailable(_) => "unavailable",
            Error::Corrupt(_) => "corrupt",
            Error::Conflict(_) => "conflict",
        };
        span::fail(span, kind);
    }
    outcome
}
