//! Where users, sessions, keys and links live.
//!
//! The trait speaks in whole deeds ("save this user as I read it", "take this link once"), so that every
//! store can make each of them atomic in its own way, and callers never see a transaction.

mod along;
#[cfg(any(test, feature = "conformance"))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(crate) mod conformance;
mod copy;
#[cfg(test)]
mod copy_tests;
#[cfg(feature = "sqlite")]
mod deeds;
#[cfg(feature = "sqlite")]
mod lock_holder;
mod memory;
mod memory_state;
mod open;
mod outcome;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_calls;
#[cfg(test)]
mod postgres_contention_tests;
#[cfg(feature = "postgres")]
mod postgres_deeds;
#[cfg(feature = "postgres")]
mod postgres_fault;
#[cfg(test)]
mod postgres_kill_tests;
#[cfg(feature = "postgres")]
mod postgres_pool;
#[cfg(feature = "postgres")]
mod postgres_rows;
#[cfg(feature = "postgres")]
mod postgres_schema;
#[cfg(test)]
mod postgres_server;
#[cfg_attr(not(feature = "postgres"), path = "postgres_absent.rs")]
mod postgres_settings;
#[cfg(feature = "postgres")]
mod postgres_sql;
#[cfg(test)]
mod postgres_tests;
#[cfg(feature = "postgres")]
mod postgres_tls;
#[cfg(feature = "postgres")]
mod postgres_transaction;
#[cfg(feature = "postgres")]
mod postgres_users;
mod presence;
#[cfg(feature = "sqlite")]
mod readers;
#[cfg(feature = "sqlite")]
mod rows;
#[cfg(feature = "sqlite")]
mod schema;
#[cfg(feature = "sqlite")]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_fault;
#[cfg(feature = "sqlite")]
mod sqlite_file;
#[cfg_attr(not(feature = "sqlite"), path = "sqlite_absent.rs")]
mod sqlite_open;
#[cfg(test)]
mod sqlite_tests;
#[cfg(feature = "sqlite")]
mod writer;

use std::fmt::Debug;
use std::pin::Pin;

use crate::own::Own;
use crate::tally::Durations;

// Whatever a store has to name, so that one from outside finds it in one place.
pub use crate::account::api_key::ApiKey;
pub use crate::account::audit::{Entry, Event};
pub use crate::account::one_time::{OneTime, Payload, Purpose};
pub use crate::account::{Fields, Identity, Kind, PasswordCredential, User};
pub use crate::clock::Timestamp;
pub use crate::id::{KeyId, SessionId, UserId};
pub use crate::secret::{Digest, Secret};
pub use crate::session::{AppDevice, Device, ProviderSession, Session};

pub use along::{Along, AuditFilter, Ends};
pub use copy::{Copied, CopyError, copy};
pub use open::{OpenError, open};
pub use outcome::{AtProvider, Rotated, Saved, Use};
pub use postgres_settings::{PostgresSettings, PostgresUrl, UrlError};
#[doc(hidden)]
pub use presence::{Alone, Presence};

#[cfg(feature = "sqlite")]
use sqlite_fault::fault;

/// What a store's deed answers with, some time later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A store. Every deed is atomic and durable when it answers `Ok`. [`conforms`](crate::test::conforms) holds one to it.
///
/// Events of the audit log that come along with a deed are written in its transaction, or not at all when it was not done;
/// the store then [tells](Event::tell) the log of each. No two users have the same identity (provider, issuer, subject) or
/// the same address of a password ([`Saved::IdentityTaken`], [`Saved::EmailTaken`]). `examples/own_store.rs` puts one around another.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store",
    label = "no `vestibule::store::Store`",
    note = "implement `Store` for it, or name one of ours in the text: [store] url = \"sqlite:app.db\""
)]
pub trait Store: Debug + Send + Sync + 'static {
    /// The user with this id, identities and password included.
    fn user(&self, id: UserId) -> Answer<'_, Option<User>>;

    /// The user this external account belongs to.
    fn user_by_identity<'a>(&'a self, provider: &'a str, issuer: &'a str, subject: &'a str)
    -> Answer<'a, Option<User>>;

    /// The user whose password belongs to this address (an [`Email::key`](crate::account::email::Email::key)).
    fn user_by_email<'a>(&'a self, email_key: &'a str) -> Answer<'a, Option<User>>;

    /// Users in the order of their ids, after `after`, at most `limit`.
    fn users(&self, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<User>>;

    /// Writes the user whole if its version is still the one read (0 makes it), and counts the version up.
    fn save_user<'a>(&'a self, user: &'a User) -> Answer<'a, Saved> {
        self.save_user_with(user, Along::NOTHING)
    }

    /// The same, and what goes along with it; nothing of either unless it is [`Saved::Done`].
    fn save_user_with<'a>(&'a self, user: &'a User, along: &'a Along) -> Answer<'a, Saved>;

    /// Adds a user as it is, version included, for a copy of a store. `false`: there is one of this id.
    fn import_user<'a>(&'a self, user: &'a User) -> Answer<'a, bool>;

    /// Removes the user with its identities, password, sessions, keys and links. `false`: there was none.
    fn delete_user(&self, id: UserId) -> Answer<'_, bool> {
        self.delete_user_with(id, &[])
    }

    /// The same, and writes these events if there was one.
    fn delete_user_with<'a>(&'a self, id: UserId, events: &'a [Event]) -> Answer<'a, bool>;

    /// Gives the keys of `from` to `into`, with its sessions unless it is a guest, removes `from` with all else, and
    /// writes `into` whole; if both have the version they were read with. What ends along are sessions of `into`, the
    /// new ones included.
    fn merge_users<'a>(&'a self, into: &'a User, from: &'a User, along: &'a Along) -> Answer<'a, Saved>;

    /// Writes events of what is done already, or needs no other write.
    fn add_audit<'a>(&'a self, events: &'a [Event]) -> Answer<'a, ()>;

    /// Entries of the audit log after `after`, the oldest first, at most `limit`.
    fn audit(&self, filter: AuditFilter, after: Option<u64>, limit: usize) -> Answer<'_, Vec<Entry>>;

    /// Removes entries from before this moment, at most `limit`; answers with their number.
    fn sweep_audit(&self, before: Timestamp, limit: usize) -> Answer<'_, usize>;

    /// Removes guests that have not been seen since `before`, at most `limit`; answers with their number.
    /// Seen is the latest of: made, signed in, any of its sessions used.
    fn sweep_guests(&self, before: Timestamp, limit: usize) -> Answer<'_, usize>;

    /// Adds a session; beyond `max_per_user` the user's sessions used longest ago end.
    fn add_session<'a>(&'a self, session: &'a Session, max_per_user: usize) -> Answer<'a, ()> {
        self.add_session_with(session, max_per_user, &[])
    }

    /// The same, and writes these events.
    fn add_session_with<'a>(&'a self, session: &'a Session, max_per_user: usize, events: &'a [Event])
    -> Answer<'a, ()>;

    /// The session with this token (cookie or current refresh token) and its user, in one look.
    fn session_by_token(&self, token: Digest) -> Answer<'_, Option<(Session, User)>>;

    /// The session with this id and its user.
    fn session(&self, id: SessionId) -> Answer<'_, Option<(Session, User)>>;

    /// A user's sessions, the latest used first.
    fn sessions_of(&self, user: UserId) -> Answer<'_, Vec<Session>>;

    /// Sessions of everybody after `after`, in the order of their ids, at most `limit`.
    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Answer<'_, Vec<Session>>;

    /// Notes that sessions were used; never moves a limit back, and revives none that is over. Names each session once.
    fn touch_sessions(&self, uses: Vec<Use>) -> Answer<'_, ()>;

    /// Replaces a refresh token: `old` becomes the previous one.
    fn rotate_token(&self, old: Digest, new: Digest, now: Timestamp, idle_expires_at: Timestamp)
    -> Answer<'_, Rotated>;

    /// Ends a session. `false`: there was none.
    fn end_session(&self, id: SessionId) -> Answer<'_, bool> {
        self.end_session_with(id, &[])
    }

    /// The same, and writes these events if there was one.
    fn end_session_with<'a>(&'a self, id: SessionId, events: &'a [Event]) -> Answer<'a, bool>;

    /// Ends all sessions of a user but `except`; answers with those that ended.
    fn end_sessions_of(&self, user: UserId, except: Option<SessionId>) -> Answer<'_, Vec<SessionId>> {
        self.end_sessions_of_with(user, except, &[])
    }

    /// The same, and writes these events if any ended.
    fn end_sessions_of_with<'a>(
        &'a self,
        user: UserId,
        except: Option<SessionId>,
        events: &'a [Event],
    ) -> Answer<'a, Vec<SessionId>>;

    /// Keeps what a provider gave with the sign-in of a session, in place of what was kept before; it goes with
    /// the session.
    fn save_provider_session<'a>(&'a self, saved: &'a ProviderSession) -> Answer<'a, ()>;

    /// What is kept of the provider's side of a session.
    fn provider_session(&self, id: SessionId) -> Answer<'_, Option<ProviderSession>>;

    /// The sessions that a provider means. Naming neither account nor session means none.
    fn sessions_at_provider<'a>(&'a self, named: &'a AtProvider) -> Answer<'a, Vec<SessionId>>;

    /// Removes sessions and links that are over, at most `limit` of each; answers with their number.
    fn sweep(&self, now: Timestamp, limit: usize) -> Answer<'_, usize>;

    /// Adds a key unless its user has `max_per_user` already: then `false`.
    fn add_key<'a>(&'a self, key: &'a ApiKey, max_per_user: usize) -> Answer<'a, bool> {
        self.add_key_with(key, max_per_user, &[])
    }

    /// The same, and writes these events if it was added.
    fn add_key_with<'a>(&'a self, key: &'a ApiKey, max_per_user: usize, events: &'a [Event]) -> Answer<'a, bool>;

    /// The key with this id and its user, in one look.
    fn key(&self, id: KeyId) -> Answer<'_, Option<(ApiKey, User)>>;

    /// A user's keys, or everybody's; in the order of their ids.
    fn keys(&self, user: Option<UserId>) -> Answer<'_, Vec<ApiKey>>;

    /// Enables or disables a key. `false`: there was none.
    fn set_key_disabled(&self, id: KeyId, disabled: bool) -> Answer<'_, bool> {
        self.set_key_disabled_with(id, disabled, &[])
    }

    /// The same, and writes these events if there was one.
    fn set_key_disabled_with<'a>(&'a self, id: KeyId, disabled: bool, events: &'a [Event]) -> Answer<'a, bool>;

    /// Notes that a key was used.
    fn touch_key(&self, id: KeyId, used: Timestamp) -> Answer<'_, ()>;

    /// Removes a key. `false`: there was none.
    fn delete_key(&self, id: KeyId) -> Answer<'_, bool> {
        self.delete_key_with(id, &[])
    }

    /// The same, and writes these events if there was one.
    fn delete_key_with<'a>(&'a self, id: KeyId, events: &'a [Event]) -> Answer<'a, bool>;

    /// Adds a link.
    fn add_one_time<'a>(&'a self, one_time: &'a OneTime) -> Answer<'a, ()>;

    /// Shows a link that has not ended, and leaves it.
    fn one_time(&self, token: Digest, now: Timestamp) -> Answer<'_, Option<OneTime>>;

    /// Takes a link that has not ended: of many callers at once exactly one gets it.
    fn take_one_time(&self, token: Digest, now: Timestamp) -> Answer<'_, Option<OneTime>>;

    /// Takes the link to this address whose short code has this digest, if the code has not ended and fewer
    /// than `max_attempts` wrong codes were tried. A wrong code counts against every link of that purpose to
    /// that address.
    fn take_one_time_by_code<'a>(
        &'a self,
        purpose: Purpose,
        email_key: &'a str,
        code: Digest,
        max_attempts: u32,
        now: Timestamp,
    ) -> Answer<'a, Option<OneTime>>;

    /// The latest links of this purpose to this address that have not ended, newest first.
    fn one_times<'a>(&'a self, purpose: Purpose, email_key: &'a str, now: Timestamp) -> Answer<'a, Vec<OneTime>>;

    /// Every link there is, oldest first, each with its number in this order (from 1), after the number `after`, at most
    /// `limit`.
    fn every_one_time(&self, after: u64, limit: usize) -> Answer<'_, Vec<(u64, OneTime)>>;

    /// The latest links of this purpose to anybody that have not ended and are worth something, newest first, at most
    /// `limit`.
    fn waiting(&self, purpose: Purpose, now: Timestamp, limit: usize) -> Answer<'_, Vec<OneTime>>;

    /// Voids every link to this address or of this user; answers with their number.
    fn void_one_times<'a>(&'a self, email_key: Option<&'a str>, user: Option<UserId>) -> Answer<'a, usize>;

    /// All signing keys, newest first.
    fn signing_keys(&self) -> Answer<'_, Vec<SigningKey>>;

    /// Adds a signing key if the newest there is still `newest` (`None`: there is none yet). `false`: another
    /// instance was quicker; read again.
    fn add_signing_key<'a>(&'a self, key: &'a SigningKey, newest: Option<&'a str>) -> Answer<'a, bool>;

    /// Removes signing keys whose `retires_at` is past.
    fn sweep_signing_keys(&self, now: Timestamp) -> Answer<'_, usize>;

    /// How many users of this kind there are.
    fn count_users(&self, kind: Kind) -> Answer<'_, u64>;

    /// Whether the store answers, for readiness.
    fn ping(&self) -> Answer<'_, ()>;

    /// Its connections now, where it has any.
    fn connections(&self) -> Option<Connected> {
        None
    }

    /// How long it took so far, where it measures that.
    fn timings(&self) -> Option<&Timings> {
        None
    }
}

/// How many connections a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// At work.
    pub busy: usize,
    /// Made, and waiting for work.
    pub idle: usize,
    /// As many as there may be.
    pub most: usize,
}

/// How long a store took, as whoever asked waited.
#[derive(Debug, Default)]
pub struct Timings {
    /// For rows that an index finds.
    pub read: Durations,
    /// For what is on the disk when it answers.
    pub write: Durations,
}

/// A key pair that signs access tokens and assertions.
#[derive(Clone, Debug, PartialEq)]
pub struct SigningKey {
    /// Its name in token headers and in `jwks.json`.
    pub kid: String,
    /// The private key: PKCS#8 DER, base64.
    pub private: Secret,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it starts to sign; it is published before, so that every verifier knows it in time.
    pub signs_from: Timestamp,
    /// When nothing made with it counts any more and it can go.
    pub retires_at: Timestamp,
}

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached or is locked; trying later may help.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// What it holds cannot be read.
    #[error("the store holds something that cannot be read: {0}")]
    Corrupt(String),
    /// What was to be added contradicts what is there: its user is gone, or its name is taken.
    #[error("the store refuses: {0}")]
    Conflict(String),
}

/// Where the store is.
#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    /// An SQLite file.
    Sqlite(std::path::PathBuf),
    /// A PostgreSQL server.
    Postgres(Box<PostgresSettings>),
    /// Nothing outlives the process.
    Memory,
    /// A store of the program this library is in.
    Own(Own<dyn Store>),
}
