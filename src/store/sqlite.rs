//! The embedded store: one SQLite file, one thread that writes, a few connections that read.
//!
//! Costs: a point read (a session, key or user by id, token, address or identity; a link) 5 to 15 µs on the calling
//! thread, with a thousand sessions as with a million; a write one wait for the disk (about 1 ms on an SSD), shared by
//! all that write at the same time; lists, counts and sweeps run on the blocking pool or the writing thread.
//!
//! Several processes may have the file open, on one machine: each sees what the others wrote at its next read,
//! and waits for their writes for two seconds at most before it answers `Unavailable`.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::along::{Outcome, tell_if};
use super::readers::Readers;
use super::writer::Writer;
use super::{
    Along, Answer, AtProvider, AuditFilter, Rotated, Saved, SigningKey, Store, Timings, Use, deeds, rows, sql,
};
use crate::account::api_key::ApiKey;
use crate::account::audit::{Entry, Event};
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Kind, User};
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::Digest;
use crate::session::{ProviderSession, Session};

/// The store in an SQLite file.
#[derive(Debug)]
pub(super) struct Sqlite {
    // Before the writer: the last connection to close tidies the log up, and only the writer may.
    pub(super) readers: Readers,
    pub(super) writer: Writer,
    pub(super) timings: Arc<Timings>,
}

impl Sqlite {
    /// Does something, and writes these events in the same transaction if it was done.
    fn noting<'a, T: Outcome + Send + 'static>(
        &'a self,
        events: &'a [Event],
        deed: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'a, T> {
        let with = events.to_vec();
        let done = self.writer.run(move |connection| {
            let outcome = deed(connection)?;
            if outcome.is_done() {
                deeds::add_audit(connection, &with)?;
            }
            Ok(outcome)
        });
        Box::pin(async move { done.await.inspect(|outcome| tell_if(outcome.is_done(), events)) })
    }
}

fn user(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<Option<User>> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(rows::users(&mut statement.query(parameters)?)?.pop())
}

fn session(connection: &Connection, sql: &str, name: &[u8]) -> rusqlite::Result<Option<(Session, User)>> {
    let mut statement = connection.prepare_cached(sql)?;
    rows::joined(&mut statement.query([name])?, |row| rows::session(row, rows::AFTER_USER))
}

/// Every row of a statement.
pub(super) fn list<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Store for Sqlite {
    fn user(&self, id: UserId) -> Answer<'_, Option<User>> {
        self.readers.point(move |connection| user(connection, sql::USER, [id.as_bytes()]))
    }

    fn user_by_identity<'a>(
        &'a self,
        provider: &'a str,
        issuer: &'a str,
        subject: &'a str,
    ) -> Answer<'a, Option<User>> {
        self.readers.point(move |connection| user(connection, sql::USER_BY_IDENTITY, [provider, issuer, subject]))
    }

    fn user_by_email<'a>(&'a self, email_key: &'a str) -> Answer<'a, Option<User>> {
        self.readers.point(move |connection| user(connection, sql::USER_BY_EMAIL, [email_key]))
    }

    fn users(&self, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<User>> {
        self.readers.scan(move |connection| {
            // The empty blob comes before every id.
            let after = after.map_or(Vec::new(), |id| id.as_bytes().to_vec());
            let mut statement = connection.prepare_cached(sql::USERS)?;
            rows::users(&mut statement.query(params![after, rows_at_most(limit)])?)
        })
    }

    fn save_user_with<'a>(&'a self, user: &'a User, along: &'a Along) -> Answer<'a, Saved> {
        let (user, with) = (user.clone(), along.clone());
        let saved = self.writer.run(move |connection| deeds::save_user_with(connection, &user, &with));
        Box::pin(async move { saved.await.inspect(|saved| tell_if(*saved == Saved::Done, &along.events)) })
    }

    fn import_user<'a>(&'a self, user: &'a User) -> Answer<'a, bool> {
        let user = user.clone();
        self.writer.run(move |connection| deeds::import_user(connection, &user))
    }

    fn delete_user_with<'a>(&'a self, id: UserId, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |connection| Ok(deeds::change(connection, sql::DELETE_USER, [id.as_bytes()])? > 0))
    }

    fn merge_users<'a>(&'a self, into: &'a User, from: &'a User, along: &'a Along) -> Answer<'a, Saved> {
        let (into, from, with) = (into.clone(), from.clone(), along.clone());
        let saved = self.writer.run(move |connection| deeds::merge_users(connection, &into, &from, &with));
        Box::pin(async move { saved.await.inspect(|saved| tell_if(*saved == Saved::Done, &along.events)) })
    }

    fn add_audit<'a>(&'a self, events: &'a [Event]) -> Answer<'a, ()> {
        self.noting(events, |_| Ok(()))
    }

    fn audit(&self, filter: AuditFilter, after: Option<u64>, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.readers.scan(move |connection| deeds::audit(connection, filter, after, rows_at_most(limit)))
    }

    fn sweep_audit(&self, before: Timestamp, limit: usize) -> Answer<'_, usize> {
        let swept = (before.millis(), rows_at_most(limit));
        self.writer.run(move |connection| deeds::change(connection, sql::SWEEP_AUDIT, swept))
    }

    fn sweep_guests(&self, before: Timestamp, limit: usize) -> Answer<'_, usize> {
        let idle = self.readers.scan(move |connection| {
            list(connection, sql::IDLE_GUESTS, params![before.millis(), rows_at_most(limit)], |row| row.get(0))
        });
        Box::pin(async move {
            let ids: Vec<[u8; 12]> = idle.await?;
            self.writer.run(move |connection| deeds::delete_idle_guests(connection, before, &ids)).await
        })
    }

    fn add_session_with<'a>(
        &'a self,
        session: &'a Session,
        max_per_user: usize,
        events: &'a [Event],
    ) -> Answer<'a, ()> {
        let session = session.clone();
        self.noting(events, move |connection| deeds::add_session(connection, &session, max_per_user))
    }

    fn session_by_token(&self, token: Digest) -> Answer<'_, Option<(Session, User)>> {
        self.readers.point(move |connection| session(connection, sql::SESSION_BY_TOKEN, token.as_bytes()))
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<(Session, User)>> {
        self.readers.point(move |connection| session(connection, sql::SESSION, id.as_bytes()))
    }

    fn sessions_of(&self, user: UserId) -> Answer<'_, Vec<Session>> {
        self.readers
            .scan(move |connection| list(connection, sql::SESSIONS_OF, [user.as_bytes()], |row| rows::session(row, 0)))
    }

    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Answer<'_, Vec<Session>> {
        self.readers.scan(move |connection| {
            let after = after.map_or(Vec::new(), |id| id.as_bytes().to_vec());
            list(connection, sql::SESSIONS, params![after, rows_at_most(limit)], |row| rows::session(row, 0))
        })
    }

    fn touch_sessions(&self, uses: Vec<Use>) -> Answer<'_, ()> {
        self.writer.run(move |connection| deeds::touch_sessions(connection, &uses))
    }

    fn rotate_token(
        &self,
        old: Digest,
        new: Digest,
        now: Timestamp,
        idle_expires_at: Timestamp,
    ) -> Answer<'_, Rotated> {
        self.writer.run(move |connection| deeds::rotate_token(connection, old, new, now, idle_expires_at))
    }

    fn end_session_with<'a>(&'a self, id: SessionId, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |connection| Ok(deeds::change(connection, sql::END_SESSION, [id.as_bytes()])? > 0))
    }

    fn end_sessions_of_with<'a>(
        &'a self,
        user: UserId,
        except: Option<SessionId>,
        events: &'a [Event],
    ) -> Answer<'a, Vec<SessionId>> {
        self.noting(events, move |connection| deeds::end_sessions_of(connection, user, except))
    }

    fn save_provider_session<'a>(&'a self, saved: &'a ProviderSession) -> Answer<'a, ()> {
        let saved = saved.clone();
        self.writer.run(move |connection| deeds::save_provider_session(connection, &saved))
    }

    fn provider_session(&self, id: SessionId) -> Answer<'_, Option<ProviderSession>> {
        self.readers.point(move |connection| {
            let mut statement = connection.prepare_cached(sql::PROVIDER_SESSION)?;
            statement.query_row([id.as_bytes()], rows::provider_session).optional()
        })
    }

    fn sessions_at_provider<'a>(&'a self, named: &'a AtProvider) -> Answer<'a, Vec<SessionId>> {
        self.readers.point(move |connection| {
            let AtProvider { provider, issuer, subject, sid } = named;
            let read = |row: &rusqlite::Row<'_>| row.get(0).map(SessionId::from_bytes);
            match (subject, sid) {
                (Some(subject), sid) => {
                    list(connection, sql::SESSIONS_BY_SUBJECT, params![provider, issuer, subject, sid], read)
                }
                (None, Some(sid)) => list(connection, sql::SESSIONS_BY_SID, params![provider, issuer, sid], read),
                (None, None) => Ok(Vec::new()),
            }
        })
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> Answer<'_, usize> {
        self.writer.run(move |connection| deeds::sweep(connection, now, rows_at_most(limit)))
    }

    fn add_key_with<'a>(&'a self, key: &'a ApiKey, max_per_user: usize, events: &'a [Event]) -> Answer<'a, bool> {
        let key = key.clone();
        self.noting(events, move |connection| deeds::add_key(connection, &key, max_per_user))
    }

    fn key(&self, id: KeyId) -> Answer<'_, Option<(ApiKey, User)>> {
        self.readers.point(move |connection| {
            let mut statement = connection.prepare_cached(sql::KEY)?;
            rows::joined(&mut statement.query([id.as_bytes()])?, |row| rows::key(row, rows::AFTER_USER))
        })
    }

    fn keys(&self, user: Option<UserId>) -> Answer<'_, Vec<ApiKey>> {
        self.readers.scan(move |connection| match user {
            Some(user) => list(connection, sql::KEYS_OF, [user.as_bytes()], |row| rows::key(row, 0)),
            None => list(connection, sql::KEYS, [], |row| rows::key(row, 0)),
        })
    }

    fn set_key_disabled_with<'a>(&'a self, id: KeyId, disabled: bool, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |connection| {
            Ok(deeds::change(connection, sql::SET_KEY_DISABLED, params![id.as_bytes(), disabled])? > 0)
        })
    }

    fn touch_key(&self, id: KeyId, used: Timestamp) -> Answer<'_, ()> {
        self.writer.run(move |connection| {
            deeds::change(connection, sql::TOUCH_KEY, params![id.as_bytes(), used.millis()]).map(|_| ())
        })
    }

    fn delete_key_with<'a>(&'a self, id: KeyId, events: &'a [Event]) -> Answer<'a, bool> {
        self.noting(events, move |connection| Ok(deeds::change(connection, sql::DELETE_KEY, [id.as_bytes()])? > 0))
    }

    fn add_one_time<'a>(&'a self, one_time: &'a OneTime) -> Answer<'a, ()> {
        let one_time = one_time.clone();
        self.writer.run(move |connection| deeds::add_one_time(connection, &one_time))
    }

    fn one_time(&self, token: Digest, now: Timestamp) -> Answer<'_, Option<OneTime>> {
        self.readers.point(move |connection| {
            let mut statement = connection.prepare_cached(sql::ONE_TIME)?;
            statement.query_row(params![token.as_bytes(), now.millis()], rows::one_time).optional()
        })
    }

    fn take_one_time(&self, token: Digest, now: Timestamp) -> Answer<'_, Option<OneTime>> {
        self.writer.run(move |connection| deeds::take_one_time(connection, token, now))
    }

    fn take_one_time_by_code<'a>(
        &'a self,
        purpose: Purpose,
        email_key: &'a str,
        code: Digest,
        max_attempts: u32,
        now: Timestamp,
    ) -> Answer<'a, Option<OneTime>> {
        let email_key = email_key.to_owned();
        self.writer.run(move |connection| {
            deeds::take_one_time_by_code(connection, (purpose, &email_key), code, max_attempts, now)
        })
    }

    fn one_times<'a>(&'a self, purpose: Purpose, email_key: &'a str, now: Timestamp) -> Answer<'a, Vec<OneTime>> {
        self.readers.point(move |connection| {
            list(connection, sql::ONE_TIMES, params![email_key, purpose.as_str(), now.millis()], rows::one_time)
        })
    }

    fn every_one_time(&self, after: u64, limit: usize) -> Answer<'_, Vec<(u64, OneTime)>> {
        self.readers.scan(move |connection| {
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            list(connection, sql::EVERY_ONE_TIME, params![after, rows_at_most(limit)], rows::numbered_one_time)
        })
    }

    fn waiting(&self, purpose: Purpose, now: Timestamp, limit: usize) -> Answer<'_, Vec<OneTime>> {
        let asked = (purpose.as_str(), now.millis(), rows_at_most(limit));
        self.readers.scan(move |connection| list(connection, sql::WAITING, asked, rows::one_time))
    }

    fn void_one_times<'a>(&'a self, email_key: Option<&'a str>, user: Option<UserId>) -> Answer<'a, usize> {
        let email_key = email_key.map(str::to_owned);
        self.writer.run(move |connection| deeds::void_one_times(connection, email_key.as_deref(), user))
    }

    fn signing_keys(&self) -> Answer<'_, Vec<SigningKey>> {
        self.readers.point(|connection| list(connection, sql::SIGNING_KEYS, [], rows::signing_key))
    }

    fn add_signing_key<'a>(&'a self, key: &'a SigningKey, newest: Option<&'a str>) -> Answer<'a, bool> {
        let (key, newest) = (key.clone(), newest.map(str::to_owned));
        self.writer.run(move |connection| deeds::add_signing_key(connection, &key, newest.as_deref()))
    }

    fn sweep_signing_keys(&self, now: Timestamp) -> Answer<'_, usize> {
        self.writer.run(move |connection| deeds::change(connection, sql::SWEEP_SIGNING_KEYS, [now.millis()]))
    }

    fn count_users(&self, kind: Kind) -> Answer<'_, u64> {
        self.readers.scan(move |connection| {
            let count: i64 = connection.query_row(sql::COUNT_USERS, [kind.as_str()], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        // Through the writer: a store that takes no writes is not ready.
        self.writer.probe()
    }

    fn timings(&self) -> Option<&Timings> {
        Some(&self.timings)
    }
}
