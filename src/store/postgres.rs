//! The store of several machines: a PostgreSQL server, or one that speaks its protocol.
//!
//! Costs: a point read (a session, key or user by id, token, address or identity; a link) is one statement in one round
//! trip; a write of one row, likewise; a deed of several statements two round trips, and as many waits for the disk as
//! the server takes for a commit.

use std::sync::Arc;

use super::along::tell_if;
use super::postgres_calls::{bytes, can_be, none, noted, rows_at_most};
use super::postgres_fault::Fault;
use super::postgres_pool::Connections;
use super::postgres_settings::PostgresSettings;
use super::postgres_transaction::{Values, change, query};
use super::{
    Along, Answer, AtProvider, AuditFilter, Connected, Rotated, Saved, SigningKey, Store, Timings, Use,
    postgres_deeds as deeds, postgres_rows as rows, postgres_schema as schema, postgres_sql as sql,
    postgres_tls as tls, postgres_users as users,
};
use crate::account::api_key::ApiKey;
use crate::account::audit::{Entry, Event};
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Kind, User};
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::Digest;
use crate::session::{ProviderSession, Session};

/// The store on a PostgreSQL server.
#[derive(Debug)]
pub(super) struct Postgres(Connections);

impl Postgres {
    /// Connects and brings the tables to this program's version.
    pub(super) fn open(settings: &PostgresSettings) -> Result<Self, String> {
        let tls = tls::connector(&settings.url)?;
        let connections = Connections::new(settings, tls.clone()).map_err(|error| error.to_string())?;
        let (config, patience) = (settings.config(), settings.connect_timeout);
        let opened = connections.block_on(async move {
            let connecting = tokio::time::timeout(patience, config.connect(tls)).await;
            let connected = connecting.map_err(|_| "it does not answer".to_owned())?;
            let (client, connection) = connected.map_err(|error| super::postgres_fault::no_connection(&error))?;
            let connection = tokio::spawn(connection);
            let migrated = schema::migrate(&client).await;
            connection.abort();
            migrated.map_err(|error| error.to_string())
        });
        opened.ok_or("the thread of the store has ended")??;
        if !settings.url.knows_the_server() {
            tracing::warn!(store = %settings.url, "whoever answers there is believed: write sslmode=verify-full");
        }
        Ok(Self(connections))
    }
}

impl Store for Postgres {
    fn user(&self, id: UserId) -> Answer<'_, Option<User>> {
        self.0.by_name(sql::USER, *id.as_bytes(), |found| Ok(rows::users(found)?.pop()))
    }

    fn user_by_identity<'a>(
        &'a self,
        provider: &'a str,
        issuer: &'a str,
        subject: &'a str,
    ) -> Answer<'a, Option<User>> {
        self.0.one_user(sql::USER_BY_IDENTITY, [provider, issuer, subject])
    }

    fn user_by_email<'a>(&'a self, email_key: &'a str) -> Answer<'a, Option<User>> {
        self.0.one_user(sql::USER_BY_EMAIL, [email_key])
    }

    fn users(&self, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<User>> {
        self.0.read(move |c| {
            Box::pin(async move {
                let after = bytes(after.as_ref().map(UserId::as_bytes));
                rows::users(&query(c, sql::USERS, &[&after, &rows_at_most(limit)]).await?)
            })
        })
    }

    fn save_user_with<'a>(&'a self, user: &'a User, along: &'a Along) -> Answer<'a, Saved> {
        let saved = self
            .0
            .write_with((user.clone(), along.clone()), |c, (user, along)| Box::pin(users::save_user(c, user, along)));
        Box::pin(async move { saved.await.inspect(|saved| tell_if(*saved == Saved::Done, &along.events)) })
    }

    fn delete_user_with<'a>(&'a self, id: UserId, events: &'a [Event]) -> Answer<'a, bool> {
        self.0.change_noting(events, sql::DELETE_USER, *id.as_bytes())
    }

    fn merge_users<'a>(&'a self, into: &'a User, from: &'a User, along: &'a Along) -> Answer<'a, Saved> {
        let saved = self.0.write_with((into.clone(), from.clone(), along.clone()), |c, (into, from, along)| {
            Box::pin(users::merge_users(c, into, from, along))
        });
        Box::pin(async move { saved.await.inspect(|saved| tell_if(*saved == Saved::Done, &along.events)) })
    }

    fn add_audit<'a>(&'a self, events: &'a [Event]) -> Answer<'a, ()> {
        self.0.write_noting(events, (), |c, (), events| Box::pin(noted(c, events, async { Ok(()) })))
    }

    fn audit(&self, filter: AuditFilter, after: Option<u64>, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.0.read(move |c| Box::pin(users::audit(c, filter, after, rows_at_most(limit))))
    }

    fn sweep_audit(&self, before: Timestamp, limit: usize) -> Answer<'_, usize> {
        self.0.write(move |c| {
            Box::pin(async move { change(c, sql::SWEEP_AUDIT, &[&before.millis(), &rows_at_most(limit)]).await })
        })
    }

    fn import_user<'a>(&'a self, user: &'a User) -> Answer<'a, bool> {
        self.0.write_with(user.clone(), |c, user| Box::pin(users::import_user(c, user)))
    }

    fn sweep_guests(&self, before: Timestamp, limit: usize) -> Answer<'_, usize> {
        self.0.write(move |c| Box::pin(users::sweep_guests(c, before, rows_at_most(limit))))
    }

    fn add_session_with<'a>(
        &'a self,
        session: &'a Session,
        max_per_user: usize,
        events: &'a [Event],
    ) -> Answer<'a, ()> {
        self.0.write_noting(events, (session.clone(), max_per_user), |c, (session, most), events| {
            Box::pin(deeds::add_session(c, session, *most, events))
        })
    }

    fn session_by_token(&self, token: Digest) -> Answer<'_, Option<(Session, User)>> {
        self.0.by_name(sql::SESSION_BY_TOKEN, *token.as_bytes(), rows::session_and_user)
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<(Session, User)>> {
        self.0.by_name(sql::SESSION, *id.as_bytes(), rows::session_and_user)
    }

    fn sessions_of(&self, user: UserId) -> Answer<'_, Vec<Session>> {
        self.0.by_name(sql::SESSIONS_OF, *user.as_bytes(), |found| {
            found.iter().map(|row| rows::session(row, 0)).collect()
        })
    }

    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Answer<'_, Vec<Session>> {
        self.0.read(move |c| {
            Box::pin(async move {
                let after = bytes(after.as_ref().map(SessionId::as_bytes));
                let found = query(c, sql::SESSIONS, &[&after, &rows_at_most(limit)]).await?;
                found.iter().map(|row| rows::session(row, 0)).collect()
            })
        })
    }

    fn touch_sessions(&self, uses: Vec<Use>) -> Answer<'_, ()> {
        self.0.write_with(uses, |c, uses| Box::pin(deeds::touch_sessions(c, uses)))
    }

    fn rotate_token(
        &self,
        old: Digest,
        new: Digest,
        now: Timestamp,
        idle_expires_at: Timestamp,
    ) -> Answer<'_, Rotated> {
        self.0.write(move |c| Box::pin(deeds::rotate_token(c, (old, new), now, idle_expires_at)))
    }

    fn end_session_with<'a>(&'a self, id: SessionId, events: &'a [Event]) -> Answer<'a, bool> {
        self.0.change_noting(events, sql::END_SESSION, *id.as_bytes())
    }

    fn end_sessions_of_with<'a>(
        &'a self,
        user: UserId,
        except: Option<SessionId>,
        events: &'a [Event],
    ) -> Answer<'a, Vec<SessionId>> {
        self.0.write_noting(events, (user, except), |c, (user, except), events| {
            Box::pin(noted(c, events, deeds::end_sessions_of(c, *user, *except)))
        })
    }

    fn save_provider_session<'a>(&'a self, saved: &'a ProviderSession) -> Answer<'a, ()> {
        self.0.write_with(saved.clone(), |c, saved| Box::pin(deeds::save_provider_session(c, saved)))
    }

    fn provider_session(&self, id: SessionId) -> Answer<'_, Option<ProviderSession>> {
        self.0.by_name(sql::PROVIDER_SESSION, *id.as_bytes(), |found| {
            found.first().map(rows::provider_session).transpose()
        })
    }

    fn sessions_at_provider<'a>(&'a self, named: &'a AtProvider) -> Answer<'a, Vec<SessionId>> {
        let AtProvider { provider, issuer, subject, sid } = named;
        let names = [provider, issuer, subject.as_ref().unwrap_or(provider), sid.as_ref().unwrap_or(provider)];
        if !can_be(&names.map(String::as_str)) {
            return none();
        }
        let named = Arc::new(named.clone());
        self.0.read(move |c| {
            let named = Arc::clone(&named);
            Box::pin(async move {
                let AtProvider { provider, issuer, subject, sid } = &*named;
                let found = match (subject, sid) {
                    (Some(subject), sid) => {
                        query(c, sql::SESSIONS_BY_SUBJECT, &[provider, issuer, subject, sid]).await?
                    }
                    (None, Some(sid)) => query(c, sql::SESSIONS_BY_SID, &[provider, issuer, sid]).await?,
                    (None, None) => Vec::new(),
                };
                found.iter().map(rows::session_id).collect()
            })
        })
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> Answer<'_, usize> {
        self.0.write(move |c| Box::pin(deeds::sweep(c, now, rows_at_most(limit))))
    }

    fn add_key_with<'a>(&'a self, key: &'a ApiKey, max_per_user: usize, events: &'a [Event]) -> Answer<'a, bool> {
        self.0.write_noting(events, (key.clone(), max_per_user), |c, (key, most), events| {
            Box::pin(deeds::add_key(c, key, *most, events))
        })
    }

    fn key(&self, id: KeyId) -> Answer<'_, Option<(ApiKey, User)>> {
        self.0.by_name(sql::KEY, *id.as_bytes(), rows::key_and_user)
    }

    fn keys(&self, user: Option<UserId>) -> Answer<'_, Vec<ApiKey>> {
        self.0.read(move |c| {
            Box::pin(async move {
                let found = match user {
                    Some(user) => query(c, sql::KEYS_OF, &[&user.as_bytes().as_slice()]).await?,
                    None => query(c, sql::KEYS, &[]).await?,
                };
                found.iter().map(|row| rows::key(row, 0)).collect()
            })
        })
    }

    fn set_key_disabled_with<'a>(&'a self, id: KeyId, disabled: bool, events: &'a [Event]) -> Answer<'a, bool> {
        self.0.write_noting(events, (id, disabled), |c, (id, disabled), events| {
            Box::pin(noted(c, events, deeds::set_key_disabled(c, *id, *disabled)))
        })
    }

    fn touch_key(&self, id: KeyId, used: Timestamp) -> Answer<'_, ()> {
        self.0.write(move |c| {
            Box::pin(async move {
                change(c, sql::TOUCH_KEY, &[&id.as_bytes().as_slice(), &used.millis()]).await.map(|_| ())
            })
        })
    }

    fn delete_key_with<'a>(&'a self, id: KeyId, events: &'a [Event]) -> Answer<'a, bool> {
        self.0.change_noting(events, sql::DELETE_KEY, *id.as_bytes())
    }

    fn add_one_time<'a>(&'a self, one_time: &'a OneTime) -> Answer<'a, ()> {
        self.0.write_with(one_time.clone(), |c, one_time| Box::pin(deeds::add_one_time(c, one_time)))
    }

    fn one_time(&self, token: Digest, now: Timestamp) -> Answer<'_, Option<OneTime>> {
        self.0.read(move |c| {
            Box::pin(async move {
                let found = query(c, sql::ONE_TIME, &[&token.as_bytes().as_slice(), &now.millis()]).await?;
                found.first().map(rows::one_time).transpose()
            })
        })
    }

    fn take_one_time(&self, token: Digest, now: Timestamp) -> Answer<'_, Option<OneTime>> {
        self.0.write(move |c| Box::pin(deeds::take_one_time(c, token, now)))
    }

    fn take_one_time_by_code<'a>(
        &'a self,
        purpose: Purpose,
        email_key: &'a str,
        code: Digest,
        max_attempts: u32,
        now: Timestamp,
    ) -> Answer<'a, Option<OneTime>> {
        if !can_be(&[email_key]) {
            return none();
        }
        let email_key: Arc<str> = email_key.into();
        self.0.write(move |c| {
            let email_key = Arc::clone(&email_key);
            Box::pin(
                async move { deeds::take_one_time_by_code(c, (purpose, &email_key), code, max_attempts, now).await },
            )
        })
    }

    fn one_times<'a>(&'a self, purpose: Purpose, email_key: &'a str, now: Timestamp) -> Answer<'a, Vec<OneTime>> {
        if !can_be(&[email_key]) {
            return none();
        }
        let email_key: Arc<str> = email_key.into();
        self.0.read(move |c| {
            let email_key = Arc::clone(&email_key);
            Box::pin(async move {
                let found = query(c, sql::ONE_TIMES, &[&&*email_key, &purpose.as_str(), &now.millis()]).await?;
                found.iter().map(rows::one_time).collect()
            })
        })
    }

    fn waiting(&self, purpose: Purpose, now: Timestamp, limit: usize) -> Answer<'_, Vec<OneTime>> {
        self.0.read(move |c| {
            Box::pin(async move {
                let values: Values<'_> = &[&purpose.as_str(), &now.millis(), &rows_at_most(limit)];
                query(c, sql::WAITING, values).await?.iter().map(rows::one_time).collect()
            })
        })
    }

    fn every_one_time(&self, after: u64, limit: usize) -> Answer<'_, Vec<(u64, OneTime)>> {
        self.0.read(move |c| {
            Box::pin(async move {
                let after = i64::try_from(after).unwrap_or(i64::MAX);
                let found = query(c, sql::EVERY_ONE_TIME, &[&after, &rows_at_most(limit)]).await?;
                found.iter().map(rows::numbered_one_time).collect()
            })
        })
    }

    fn void_one_times<'a>(&'a self, email_key: Option<&'a str>, user: Option<UserId>) -> Answer<'a, usize> {
        let email_key = email_key.filter(|key| can_be(&[key])).map(str::to_owned);
        self.0.write_with((email_key, user), |c, (email_key, user)| {
            Box::pin(deeds::void_one_times(c, email_key.as_deref(), *user))
        })
    }

    fn signing_keys(&self) -> Answer<'_, Vec<SigningKey>> {
        self.0.read(|c| {
            Box::pin(async move { query(c, sql::SIGNING_KEYS, &[]).await?.iter().map(rows::signing_key).collect() })
        })
    }

    fn add_signing_key<'a>(&'a self, key: &'a SigningKey, newest: Option<&'a str>) -> Answer<'a, bool> {
        self.0.write_with((key.clone(), newest.map(str::to_owned)), |c, (key, newest)| {
            Box::pin(deeds::add_signing_key(c, key, newest.as_deref()))
        })
    }

    fn sweep_signing_keys(&self, now: Timestamp) -> Answer<'_, usize> {
        self.0.write(move |c| Box::pin(async move { change(c, sql::SWEEP_SIGNING_KEYS, &[&now.millis()]).await }))
    }

    fn count_users(&self, kind: Kind) -> Answer<'_, u64> {
        self.0.read(move |c| {
            Box::pin(async move {
                let counted = query(c, sql::COUNT_USERS, &[&kind.as_str()]).await?;
                let row = counted.first().ok_or(Fault::Damaged("count"))?;
                rows::get::<i64>(row, 0).map(i64::unsigned_abs)
            })
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.0.read(|c| {
            Box::pin(async move {
                let answer = query(c, sql::PING, &[]).await?;
                match answer.first().map(|row| rows::get::<&str>(row, 1)).transpose()? {
                    Some("off") => Ok(()),
                    _ => Err(Fault::Unavailable("PostgreSQL takes no writes".into())),
                }
            })
        })
    }

    fn connections(&self) -> Option<Connected> {
        Some(self.0.connected())
    }

    fn timings(&self) -> Option<&Timings> {
        Some(self.0.timings())
    }
}
