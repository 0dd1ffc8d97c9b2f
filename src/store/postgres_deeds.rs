//! What the PostgreSQL store does with sessions, keys and links beyond one plain statement.

use futures_util::future::{join, join3};

use super::postgres_pool::Connection;
use super::postgres_transaction::End::{Keep, Undo};
use super::postgres_transaction::{Result, Values, change, json, query, transaction};
use super::postgres_users::insert_events;
use super::{Rotated, SigningKey, Use, postgres_rows as rows, postgres_sql as sql};
use crate::account::api_key::ApiKey;
use crate::account::audit::Event;
use crate::account::one_time::{OneTime, Purpose};
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::{Digest, Secret};
use crate::session::{ProviderSession, Session};

pub(super) async fn add_session(
    connection: &Connection,
    session: &Session,
    max_per_user: usize,
    events: &[Event],
) -> Result<()> {
    let (id, user): (&[u8], &[u8]) = (session.id.as_bytes(), session.user_id.as_bytes());
    let previous = session.previous.as_ref();
    let token: &[u8] = session.token.as_bytes();
    let app = session.device.app.as_ref().map(json).transpose()?;
    let values: Values<'_> = &[
        &id,
        &user,
        &session.provider,
        &token,
        &previous.map(|(digest, _)| digest.as_bytes().as_slice()),
        &previous.map(|(_, at)| at.millis()),
        &session.device.user_agent,
        &session.device.address.map(|address| address.to_string()),
        &session.created_at.millis(),
        &session.last_seen_at.millis(),
        &session.idle_expires_at.millis(),
        &session.expires_at.millis(),
        &app,
    ];
    let others = i64::try_from(max_per_user.saturating_sub(1)).unwrap_or(i64::MAX);
    transaction(connection, async {
        let (locked, inserted, evicted) = join3(
            query(connection, sql::LOCK_USER, &[&user]),
            change(connection, sql::INSERT_SESSION, values),
            change(connection, sql::EVICT_SESSIONS, &[&user, &id, &others]),
        )
        .await;
        locked?;
        inserted?;
        evicted?;
        insert_events(connection, events).await?;
        Ok(Keep(()))
    })
    .await
}

pub(super) async fn save_provider_session(connection: &Connection, saved: &ProviderSession) -> Result<()> {
    let session: &[u8] = saved.session.as_bytes();
    // The tokens are needed as they are: they are for others.
    let expose = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    let values: Values<'_> = &[
        &session,
        &saved.provider,
        &saved.issuer,
        &saved.subject,
        &saved.sid,
        &expose(&saved.id_token),
        &expose(&saved.access_token),
        &expose(&saved.refresh_token),
        &saved.expires_at.map(Timestamp::millis),
    ];
    change(connection, sql::SAVE_PROVIDER_SESSION, values).await.map(|_| ())
}

pub(super) async fn touch_sessions(connection: &Connection, uses: &[Use]) -> Result<()> {
    let ids: Vec<&[u8]> = uses.iter().map(|used| used.session.as_bytes().as_slice()).collect();
    let at: Vec<i64> = uses.iter().map(|used| used.at.millis()).collect();
    let idle: Vec<i64> = uses.iter().map(|used| used.idle_expires_at.millis()).collect();
    change(connection, sql::TOUCH_SESSIONS, &[&ids, &at, &idle]).await.map(|_| ())
}

pub(super) async fn rotate_token(
    connection: &Connection,
    (old, new): (Digest, Digest),
    now: Timestamp,
    idle_expires_at: Timestamp,
) -> Result<Rotated> {
    let (old, new): (&[u8], &[u8]) = (old.as_bytes(), new.as_bytes());
    let (now, idle) = (now.millis(), idle_expires_at.millis());
    transaction(connection, async {
        let (rotated, found) = join(
            change(connection, sql::ROTATE_TOKEN, &[&old, &new, &now, &idle]),
            query(connection, sql::SESSION_BY_TOKEN, &[&new]),
        )
        .await;
        if rotated? > 0 {
            let found = rows::session_and_user(&found?)?;
            return Ok(match found {
                Some((session, user)) => Keep(Rotated::Done(Box::new(session), Box::new(user))),
                None => Undo(Rotated::Unknown),
            });
        }
        let reused = query(connection, sql::SESSION_BY_PREVIOUS, &[&old, &now]).await?;
        let reused = reused.first().map(|row| rows::session(row, 0)).transpose()?;
        Ok(Keep(reused.map_or(Rotated::Unknown, |session| Rotated::Reused(Box::new(session)))))
    })
    .await
}

pub(super) async fn end_sessions_of(
    connection: &Connection,
    user: UserId,
    except: Option<SessionId>,
) -> Result<Vec<SessionId>> {
    let user: &[u8] = user.as_bytes();
    let except = except.as_ref().map(|id| id.as_bytes().as_slice());
    query(connection, sql::END_SESSIONS_OF, &[&user, &except]).await?.iter().map(rows::session_id).collect()
}

/// Two statements of which each counts what it removed.
async fn removed(connection: &Connection, one: (&str, Values<'_>), other: Option<(&str, Values<'_>)>) -> Result<usize> {
    transaction(connection, async {
        let (sql, values) = one;
        let mut count = change(connection, sql, values).await?;
        if let Some((sql, values)) = other {
            count += change(connection, sql, values).await?;
        }
        Ok(Keep(count))
    })
    .await
}

pub(super) async fn sweep(connection: &Connection, now: Timestamp, limit: i64) -> Result<usize> {
    let now = now.millis();
    let values: Values<'_> = &[&now, &limit];
    removed(connection, (sql::SWEEP_SESSIONS, values), Some((sql::SWEEP_ONE_TIMES, values))).await
}

pub(super) async fn void_one_times(
    connection: &Connection,
    email_key: Option<&str>,
    user: Option<UserId>,
) -> Result<usize> {
    let user: Option<&[u8]> = user.as_ref().map(|user| user.as_bytes().as_slice());
    let (by_address, by_user): (Values<'_>, Values<'_>) = (&[&email_key], &[&user]);
    let by_user = (sql::VOID_BY_USER, by_user);
    match (email_key, user) {
        (None, None) => Ok(0),
        (None, Some(_)) => removed(connection, by_user, None).await,
        (Some(_), user) => removed(connection, (sql::VOID_BY_ADDRESS, by_address), user.map(|_| by_user)).await,
    }
}

pub(super) async fn set_key_disabled(connection: &Connection, id: KeyId, disabled: bool) -> Result<bool> {
    Ok(change(connection, sql::SET_KEY_DISABLED, &[&id.as_bytes().as_slice(), &disabled]).await? > 0)
}

pub(super) async fn add_key(
    connection: &Connection,
    key: &ApiKey,
    max_per_user: usize,
    events: &[Event],
) -> Result<bool> {
    let (id, user, digest): (&[u8], &[u8], &[u8]) = (key.id.as_bytes(), key.user_id.as_bytes(), key.digest.as_bytes());
    let values: Values<'_> = &[
        &id,
        &user,
        &key.name,
        &digest,
        &key.created_at.millis(),
        &key.expires_at.map(Timestamp::millis),
        &key.last_used_at.map(Timestamp::millis),
        &key.disabled,
        &i64::try_from(max_per_user).unwrap_or(i64::MAX),
    ];
    transaction(connection, async {
        let (locked, inserted) =
            join(query(connection, sql::LOCK_USER, &[&user]), change(connection, sql::INSERT_KEY, values)).await;
        locked?;
        let added = inserted? > 0;
        if added {
            insert_events(connection, events).await?;
        }
        Ok(Keep(added))
    })
    .await
}

pub(super) async fn add_one_time(connection: &Connection, one_time: &OneTime) -> Result<()> {
    let (token, code): (&[u8], &[u8]) = (one_time.token.as_bytes(), one_time.code.as_bytes());
    let values: Values<'_> = &[
        &token,
        &one_time.purpose.as_str(),
        &one_time.email_key,
        &code,
        &one_time.user_id.as_ref().map(|id| id.as_bytes().as_slice()),
        &json(&one_time.payload)?,
        &one_time.expires_at.millis(),
        &one_time.code_expires_at.millis(),
        &i64::from(one_time.attempts),
    ];
    change(connection, sql::INSERT_ONE_TIME, values).await.map(|_| ())
}

pub(super) async fn take_one_time(connection: &Connection, token: Digest, now: Timestamp) -> Result<Option<OneTime>> {
    let token: &[u8] = token.as_bytes();
    transaction(connection, async {
        let taken = query(connection, sql::TAKE_ONE_TIME, &[&token, &now.millis()]).await?;
        // What cannot be read stays.
        taken.first().map(rows::one_time).transpose().map(Keep)
    })
    .await
}

pub(super) async fn take_one_time_by_code(
    connection: &Connection,
    (purpose, email_key): (Purpose, &str),
    code: Digest,
    max_attempts: u32,
    now: Timestamp,
) -> Result<Option<OneTime>> {
    let (purpose, code): (&str, &[u8]) = (purpose.as_str(), code.as_bytes());
    transaction(connection, async {
        let (locked, taken) = join(
            query(connection, sql::LOCK_ONE_TIMES, &[&email_key, &purpose]),
            query(
                connection,
                sql::TAKE_ONE_TIME_BY_CODE,
                &[&email_key, &purpose, &code, &i64::from(max_attempts), &now.millis()],
            ),
        )
        .await;
        locked?;
        let taken = taken?.first().map(rows::one_time).transpose()?;
        if taken.is_none() {
            change(connection, sql::COUNT_WRONG_CODE, &[&email_key, &purpose]).await?;
        }
        Ok(Keep(taken))
    })
    .await
}

pub(super) async fn add_signing_key(connection: &Connection, key: &SigningKey, newest: Option<&str>) -> Result<bool> {
    let (created, from, retires) = (key.created_at.millis(), key.signs_from.millis(), key.retires_at.millis());
    // A key that only one process knows would sign what no other verifies: it lives with the users.
    let values: Values<'_> = &[&key.kid, &key.private.expose(), &created, &from, &retires, &newest.unwrap_or_default()];
    match change(connection, sql::INSERT_SIGNING_KEY, values).await {
        Err(fault) if fault.constraint() == Some("signing_keys_pkey") => Ok(false),
        added => Ok(added? > 0),
    }
}
