//! What the SQLite store writes, deed by deed. Each runs in a savepoint of its own: `Ok` stays, `Err` leaves no trace.

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::sqlite::list;
use super::{Along, AuditFilter, Ends, Rotated, Saved, SigningKey, Use, rows, sql};
use crate::account::api_key::ApiKey;
use crate::account::audit::{Entry, Event};
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Identity, Kind, User};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::secret::{Digest, Secret};
use crate::session::{ProviderSession, Session};

/// Runs a statement; the number of rows it changed.
pub(super) fn change(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<usize> {
    connection.prepare_cached(sql)?.execute(parameters)
}

pub(super) fn touch_sessions(connection: &Connection, uses: &[Use]) -> Result<()> {
    let mut touch = connection.prepare_cached(sql::TOUCH_SESSION)?;
    for used in uses {
        touch.execute(params![used.session.as_bytes(), used.at.millis(), used.idle_expires_at.millis()])?;
    }
    Ok(())
}

pub(super) fn save_user(connection: &Connection, user: &User) -> Result<Saved> {
    let mut version = connection.prepare_cached(sql::VERSION)?;
    let found = version.query_row([user.id.as_bytes()], |row| row.get(0)).optional()?;
    let read = i64::try_from(user.version).unwrap_or(i64::MAX);
    if found.unwrap_or(0) != read {
        return Ok(Saved::Stale);
    }
    if let Some(taken) = taken(connection, user, user.id)? {
        return Ok(taken);
    }
    let statement = if found.is_some() { sql::UPDATE_USER } else { sql::INSERT_USER };
    write_user(connection, user, statement, read + 1)?;
    Ok(Saved::Done)
}

/// Adds a user as it is unless there is one of this id.
pub(super) fn import_user(connection: &Connection, user: &User) -> Result<bool> {
    let mut version = connection.prepare_cached(sql::VERSION)?;
    if version.exists([user.id.as_bytes()])? {
        return Ok(false);
    }
    write_user(connection, user, sql::INSERT_USER, i64::try_from(user.version).unwrap_or(i64::MAX))?;
    Ok(true)
}

fn write_user(connection: &Connection, user: &User, statement: &str, version: i64) -> Result<()> {
    let password = user.password.as_ref();
    let written = params![
        user.kind.as_str(),
        json(&user.data)?,
        json(&user.custom_data)?,
        json(&user.roles)?,
        user.disabled,
        user.created_at.millis(),
        user.last_sign_in_at.map(Timestamp::millis),
        version,
        password.map(|password| password.email.as_str()),
        password.map(|password| password.email.key()),
        // The store is the one place where the hash belongs.
        password.map(|password| password.hash.expose()),
        password.map(|password| password.verified),
        password.map(|password| password.changed_at.millis()),
        user.id.as_bytes(),
    ];
    change(connection, statement, written)?;
    save_identities(connection, user)
}

pub(super) fn save_user_with(connection: &Connection, user: &User, along: &Along) -> Result<Saved> {
    let saved = save_user(connection, user)?;
    if saved == Saved::Done {
        go_along(connection, user.id, along)?;
    }
    Ok(saved)
}

fn go_along(connection: &Connection, user: UserId, along: &Along) -> Result<()> {
    match &along.ends {
        Ends::None => {}
        Ends::AllBut(kept) => _ = end_sessions_of(connection, user, *kept)?,
        Ends::By(provider) => _ = change(connection, sql::END_SESSIONS_BY, params![user.as_bytes(), provider])?,
    }
    add_audit(connection, &along.events)
}

pub(super) fn merge_users(connection: &Connection, into: &User, from: &User, along: &Along) -> Result<Saved> {
    let version = |user: &User| -> Result<bool> {
        let mut version = connection.prepare_cached(sql::VERSION)?;
        let found: Option<i64> = version.query_row([user.id.as_bytes()], |row| row.get(0)).optional()?;
        Ok(found.is_some() && found == i64::try_from(user.version).ok())
    };
    if into.id == from.id || !version(into)? || !version(from)? {
        return Ok(Saved::Stale);
    }
    // Asked before anything changes: an answer other than `Done` leaves no trace.
    if let Some(taken) = taken(connection, into, from.id)? {
        return Ok(taken);
    }
    let both = params![from.id.as_bytes(), into.id.as_bytes()];
    if from.kind != Kind::Guest {
        change(connection, sql::MOVE_SESSIONS, both)?;
    }
    change(connection, sql::MOVE_KEYS, both)?;
    change(connection, sql::DELETE_USER, [from.id.as_bytes()])?;
    save_user_with(connection, into, along)
}

pub(super) fn add_audit(connection: &Connection, events: &[Event]) -> Result<()> {
    let mut insert = connection.prepare_cached(sql::INSERT_AUDIT)?;
    for event in events {
        insert.execute(params![
            event.at.millis(),
            event.request_id,
            event.actor.to_string(),
            event.action.word(),
            event.subject.map(|id| *id.as_bytes()),
            json(&event.before)?,
            json(&event.after)?,
        ])?;
    }
    Ok(())
}

pub(super) fn audit(
    connection: &Connection,
    filter: AuditFilter,
    after: Option<u64>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let after = after.map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX));
    let since = filter.since.map_or(i64::MIN, Timestamp::millis);
    match filter.subject {
        Some(subject) => list(connection, sql::AUDIT_OF, params![after, since, limit, subject.as_bytes()], rows::audit),
        None => list(connection, sql::AUDIT, params![after, since, limit], rows::audit),
    }
}

/// What a name of the user belongs to another for; what is `besides`' does not count.
fn taken(connection: &Connection, user: &User, besides: UserId) -> Result<Option<Saved>> {
    if let Some(password) = &user.password {
        let mut taken = connection.prepare_cached(sql::EMAIL_TAKEN)?;
        if taken.query_row(params![password.email.key(), user.id.as_bytes(), besides.as_bytes()], |row| row.get(0))? {
            return Ok(Some(Saved::EmailTaken));
        }
    }
    let mut taken = connection.prepare_cached(sql::IDENTITY_TAKEN)?;
    for identity in &user.identities {
        let Identity { provider, issuer, subject, .. } = identity;
        let name = params![provider, issuer, subject, user.id.as_bytes(), besides.as_bytes()];
        if taken.query_row(name, |row| row.get(0))? {
            return Ok(Some(Saved::IdentityTaken));
        }
    }
    Ok(None)
}

fn save_identities(connection: &Connection, user: &User) -> Result<()> {
    change(connection, sql::DELETE_IDENTITIES, [user.id.as_bytes()])?;
    let mut insert = connection.prepare_cached(sql::INSERT_IDENTITY)?;
    for (position, identity) in user.identities.iter().enumerate() {
        insert.execute(params![
            user.id.as_bytes(),
            position as i64,
            identity.provider,
            identity.issuer,
            identity.subject,
            identity.verified_email,
            identity.created_at.millis(),
            identity.last_sign_in_at.map(Timestamp::millis),
            json(&identity.data)?,
            json(&identity.roles)?,
        ])?;
    }
    Ok(())
}

pub(super) fn delete_idle_guests(connection: &Connection, before: Timestamp, ids: &[[u8; 12]]) -> Result<usize> {
    // Whether each is still idle is asked again: it may have come back since the ids were read.
    ids.iter().map(|id| change(connection, sql::DELETE_IDLE_GUEST, params![before.millis(), id])).sum()
}

pub(super) fn add_session(connection: &Connection, session: &Session, max_per_user: usize) -> Result<()> {
    let written = params![
        session.id.as_bytes(),
        session.user_id.as_bytes(),
        session.provider,
        session.token.as_bytes(),
        session.previous.map(|(digest, _)| *digest.as_bytes()),
        session.previous.map(|(_, at)| at.millis()),
        session.device.user_agent,
        session.device.address.map(|address| address.to_string()),
        session.created_at.millis(),
        session.last_seen_at.millis(),
        session.idle_expires_at.millis(),
        session.expires_at.millis(),
        session.device.app.as_ref().map(json).transpose()?,
    ];
    change(connection, sql::INSERT_SESSION, written)?;
    let others = i64::try_from(max_per_user.saturating_sub(1)).unwrap_or(i64::MAX);
    change(connection, sql::EVICT_SESSIONS, params![session.user_id.as_bytes(), session.id.as_bytes(), others])?;
    Ok(())
}

pub(super) fn save_provider_session(connection: &Connection, saved: &ProviderSession) -> Result<()> {
    // The tokens are needed as they are: they are for others.
    let expose = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    let written = params![
        saved.session.as_bytes(),
        saved.provider,
        saved.issuer,
        saved.subject,
        saved.sid,
        expose(&saved.id_token),
        expose(&saved.access_token),
        expose(&saved.refresh_token),
        saved.expires_at.map(Timestamp::millis),
    ];
    change(connection, sql::SAVE_PROVIDER_SESSION, written).map(|_| ())
}

pub(super) fn rotate_token(
    connection: &Connection,
    old: Digest,
    new: Digest,
    now: Timestamp,
    idle_expires_at: Timestamp,
) -> Result<Rotated> {
    let moments = (now.millis(), idle_expires_at.millis());
    let rotation = params![old.as_bytes(), new.as_bytes(), moments.0, moments.1];
    if change(connection, sql::ROTATE_TOKEN, rotation)? == 0 {
        let mut previous = connection.prepare_cached(sql::SESSION_BY_PREVIOUS)?;
        let reused = previous.query_row(params![old.as_bytes(), moments.0], |row| rows::session(row, 0)).optional()?;
        return Ok(reused.map_or(Rotated::Unknown, |session| Rotated::Reused(Box::new(session))));
    }
    let mut rotated = connection.prepare_cached(sql::SESSION_BY_TOKEN)?;
    let found = rows::joined(&mut rotated.query([new.as_bytes()])?, |row| rows::session(row, rows::AFTER_USER))?;
    Ok(found.map_or(Rotated::Unknown, |(session, user)| Rotated::Done(Box::new(session), Box::new(user))))
}

pub(super) fn end_sessions_of(
    connection: &Connection,
    user: UserId,
    except: Option<SessionId>,
) -> Result<Vec<SessionId>> {
    let mut end = connection.prepare_cached(sql::END_SESSIONS_OF)?;
    let ended = end.query_map(params![user.as_bytes(), except.map(|id| *id.as_bytes())], |row| row.get(0))?;
    ended.map(|id| id.map(SessionId::from_bytes)).collect()
}

pub(super) fn sweep(connection: &Connection, now: Timestamp, limit: i64) -> Result<usize> {
    let sessions = change(connection, sql::SWEEP_SESSIONS, params![now.millis(), limit])?;
    Ok(sessions + change(connection, sql::SWEEP_ONE_TIMES, params![now.millis(), limit])?)
}

pub(super) fn add_key(connection: &Connection, key: &ApiKey, max_per_user: usize) -> Result<bool> {
    let mut count = connection.prepare_cached(sql::COUNT_KEYS_OF)?;
    let there: i64 = count.query_row([key.user_id.as_bytes()], |row| row.get(0))?;
    if usize::try_from(there).unwrap_or(usize::MAX) >= max_per_user {
        return Ok(false);
    }
    let written = params![
        key.id.as_bytes(),
        key.user_id.as_bytes(),
        key.name,
        key.digest.as_bytes(),
        key.created_at.millis(),
        key.expires_at.map(Timestamp::millis),
        key.last_used_at.map(Timestamp::millis),
        key.disabled,
    ];
    change(connection, sql::INSERT_KEY, written).map(|_| true)
}

pub(super) fn add_one_time(connection: &Connection, one_time: &OneTime) -> Result<()> {
    let written = params![
        one_time.token.as_bytes(),
        one_time.purpose.as_str(),
        one_time.email_key,
        one_time.code.as_bytes(),
        one_time.user_id.map(|id| *id.as_bytes()),
        json(&one_time.payload)?,
        one_time.expires_at.millis(),
        one_time.code_expires_at.millis(),
        one_time.attempts,
    ];
    change(connection, sql::INSERT_ONE_TIME, written).map(|_| ())
}

pub(super) fn take_one_time(connection: &Connection, token: Digest, now: Timestamp) -> Result<Option<OneTime>> {
    let mut take = connection.prepare_cached(sql::TAKE_ONE_TIME)?;
    take.query_row(params![token.as_bytes(), now.millis()], rows::one_time).optional()
}

pub(super) fn take_one_time_by_code(
    connection: &Connection,
    (purpose, email_key): (Purpose, &str),
    code: Digest,
    max_attempts: u32,
    now: Timestamp,
) -> Result<Option<OneTime>> {
    let mut take = connection.prepare_cached(sql::TAKE_ONE_TIME_BY_CODE)?;
    let asked = params![email_key, purpose.as_str(), code.as_bytes(), max_attempts, now.millis()];
    let taken = take.query_row(asked, rows::one_time).optional()?;
    if taken.is_none() {
        change(connection, sql::COUNT_WRONG_CODE, params![email_key, purpose.as_str()])?;
    }
    Ok(taken)
}

pub(super) fn void_one_times(connection: &Connection, email_key: Option<&str>, user: Option<UserId>) -> Result<usize> {
    let mut voided = 0;
    if let Some(email_key) = email_key {
        voided += change(connection, sql::VOID_BY_ADDRESS, [email_key])?;
    }
    if let Some(user) = user {
        voided += change(connection, sql::VOID_BY_USER, [user.as_bytes()])?;
    }
    Ok(voided)
}

pub(super) fn add_signing_key(connection: &Connection, key: &SigningKey, newest: Option<&str>) -> Result<bool> {
    let mut there = connection.prepare_cached(sql::NEWEST_SIGNING_KEY)?;
    let there: Option<String> = there.query_row([], |row| row.get(0)).optional()?;
    if there.as_deref() != newest {
        return Ok(false);
    }
    let moments = (key.created_at.millis(), key.signs_from.millis(), key.retires_at.millis());
    // A key that only one process knows would sign what no other verifies: it lives with the users.
    let written = params![key.kid, key.private.expose(), moments.0, moments.1, moments.2];
    change(connection, sql::INSERT_SIGNING_KEY, written).map(|_| true)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
