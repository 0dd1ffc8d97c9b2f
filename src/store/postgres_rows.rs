//! Rows of the PostgreSQL store as values. What does not fit its type is damage, and is said without being shown.

use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::SigningKey;
use super::postgres_fault::Fault;
use crate::account::api_key::ApiKey;
use crate::account::audit::{Action, Actor, Entry, Event};
use crate::account::email::Email;
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Identity, Kind, PasswordCredential, User};
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::{Digest, Secret};
use crate::session::{AppDevice, Device, ProviderSession, Session};

type Result<T> = std::result::Result<T, Fault>;

/// The columns of a user and one of its identities; what is joined to them begins here.
const AFTER_USER: usize = 21;

/// The users of these rows, which come as one row for each identity.
pub(super) fn users(rows: &[Row]) -> Result<Vec<User>> {
    let mut users: Vec<User> = Vec::new();
    for row in rows {
        let id = UserId::from_bytes(bytes(row, 0)?);
        match users.last_mut().filter(|user| user.id == id) {
            Some(user) => user.identities.extend(identity(row)?),
            None => users.push(user(row)?),
        }
    }
    Ok(users)
}

/// The user of these rows and the session that was joined to it.
pub(super) fn session_and_user(rows: &[Row]) -> Result<Option<(Session, User)>> {
    joined(rows, |row| session(row, AFTER_USER))
}

/// The user of these rows and the key that was joined to it.
pub(super) fn key_and_user(rows: &[Row]) -> Result<Option<(ApiKey, User)>> {
    joined(rows, |row| key(row, AFTER_USER))
}

fn joined<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T>) -> Result<Option<(T, User)>> {
    let Some(first) = rows.first() else { return Ok(None) };
    let user = users(rows)?.pop().ok_or(Fault::Damaged("user"))?;
    Ok(Some((read(first)?, user)))
}

fn user(row: &Row) -> Result<User> {
    Ok(User {
        id: UserId::from_bytes(bytes(row, 0)?),
        kind: word(row, 1, "kind", kind)?,
        data: json(row, 2, "data")?,
        custom_data: json(row, 3, "custom_data")?,
        roles: json(row, 4, "roles")?,
        disabled: get(row, 5)?,
        created_at: moment(row, 6)?,
        last_sign_in_at: optional_moment(row, 7)?,
        version: get::<i64>(row, 8)?.try_into().map_err(|_| Fault::Damaged("version"))?,
        password: password(row)?,
        identities: identity(row)?.into_iter().collect(),
    })
}

fn password(row: &Row) -> Result<Option<PasswordCredential>> {
    if get::<Option<&str>>(row, 9)?.is_none() {
        return Ok(None);
    }
    Ok(Some(PasswordCredential {
        email: word(row, 9, "email", |text| Email::parse(text).ok())?,
        hash: Secret::new(get::<&str>(row, 10)?),
        verified: get(row, 11)?,
        changed_at: moment(row, 12)?,
    }))
}

fn identity(row: &Row) -> Result<Option<Identity>> {
    let Some(provider) = get(row, 13)? else { return Ok(None) };
    Ok(Some(Identity {
        provider,
        issuer: get(row, 14)?,
        subject: get(row, 15)?,
        verified_email: get(row, 16)?,
        created_at: moment(row, 17)?,
        last_sign_in_at: optional_moment(row, 18)?,
        data: json(row, 19, "data of an identity")?,
        roles: json(row, 20, "roles of an identity")?,
    }))
}

/// A session whose columns begin at `at`.
pub(super) fn session(row: &Row, at: usize) -> Result<Session> {
    let address: Option<&str> = get(row, at + 7)?;
    let address = address.map(|text| text.parse().map_err(|_| Fault::Damaged("address"))).transpose()?;
    Ok(Session {
        id: SessionId::from_bytes(bytes(row, at)?),
        user_id: UserId::from_bytes(bytes(row, at + 1)?),
        provider: get(row, at + 2)?,
        token: Digest::from_bytes(bytes(row, at + 3)?),
        previous: match get::<Option<&[u8]>>(row, at + 4)? {
            Some(_) => Some((Digest::from_bytes(bytes(row, at + 4)?), moment(row, at + 5)?)),
            None => None,
        },
        device: Device { user_agent: get(row, at + 6)?, address, app: app_device(row, at + 12)? },
        created_at: moment(row, at + 8)?,
        last_seen_at: moment(row, at + 9)?,
        idle_expires_at: moment(row, at + 10)?,
        expires_at: moment(row, at + 11)?,
    })
}

fn app_device(row: &Row, at: usize) -> Result<Option<AppDevice>> {
    let text: Option<&str> = get(row, at)?;
    text.map(|text| serde_json::from_str(text).map_err(|_| Fault::Damaged("device of an app"))).transpose()
}

pub(super) fn session_id(row: &Row) -> Result<SessionId> {
    bytes(row, 0).map(SessionId::from_bytes)
}

pub(super) fn provider_session(row: &Row) -> Result<ProviderSession> {
    let secret = |at| Ok::<_, Fault>(get::<Option<&str>>(row, at)?.map(Secret::new));
    Ok(ProviderSession {
        session: session_id(row)?,
        provider: get(row, 1)?,
        issuer: get(row, 2)?,
        subject: get(row, 3)?,
        sid: get(row, 4)?,
        id_token: secret(5)?,
        access_token: secret(6)?,
        refresh_token: secret(7)?,
        expires_at: optional_moment(row, 8)?,
    })
}

/// A key whose columns begin at `at`.
pub(super) fn key(row: &Row, at: usize) -> Result<ApiKey> {
    Ok(ApiKey {
        id: KeyId::from_bytes(bytes(row, at)?),
        user_id: UserId::from_bytes(bytes(row, at + 1)?),
        name: get(row, at + 2)?,
        digest: Digest::from_bytes(bytes(row, at + 3)?),
        created_at: moment(row, at + 4)?,
        expires_at: optional_moment(row, at + 5)?,
        last_used_at: optional_moment(row, at + 6)?,
        disabled: get(row, at + 7)?,
    })
}

pub(super) fn one_time(row: &Row) -> Result<OneTime> {
    Ok(OneTime {
        token: Digest::from_bytes(bytes(row, 0)?),
        purpose: word(row, 1, "purpose", Purpose::read)?,
        email_key: get(row, 2)?,
        code: Digest::from_bytes(bytes(row, 3)?),
        user_id: match get::<Option<&[u8]>>(row, 4)? {
            Some(_) => Some(UserId::from_bytes(bytes(row, 4)?)),
            None => None,
        },
        payload: json(row, 5, "payload")?,
        expires_at: moment(row, 6)?,
        code_expires_at: moment(row, 7)?,
        attempts: get::<i64>(row, 8)?.try_into().map_err(|_| Fault::Damaged("attempts"))?,
    })
}

/// A link and its number in the order of links.
pub(super) fn numbered_one_time(row: &Row) -> Result<(u64, OneTime)> {
    let number = get::<i64>(row, 9)?.try_into().map_err(|_| Fault::Damaged("sequence"))?;
    Ok((number, one_time(row)?))
}

pub(super) fn signing_key(row: &Row) -> Result<SigningKey> {
    Ok(SigningKey {
        kid: get(row, 0)?,
        private: Secret::new(get::<&str>(row, 1)?),
        created_at: moment(row, 2)?,
        signs_from: moment(row, 3)?,
        retires_at: moment(row, 4)?,
    })
}

pub(super) fn audit(row: &Row) -> Result<Entry> {
    let event = Event {
        at: moment(row, 1)?,
        request_id: get(row, 2)?,
        actor: word(row, 3, "actor", Actor::parse)?,
        action: Action::of(get(row, 4)?),
        subject: match get::<Option<&[u8]>>(row, 5)? {
            Some(_) => Some(UserId::from_bytes(bytes(row, 5)?)),
            None => None,
        },
        before: json(row, 6, "before")?,
        after: json(row, 7, "after")?,
    };
    Ok(Entry { sequence: get::<i64>(row, 0)?.try_into().map_err(|_| Fault::Damaged("sequence"))?, event })
}

/// A user's id and version.
pub(super) fn version(row: &Row) -> Result<(UserId, u64)> {
    let version = get::<i64>(row, 1)?.try_into().map_err(|_| Fault::Damaged("version"))?;
    Ok((UserId::from_bytes(bytes(row, 0)?), version))
}

/// A column as what it should be.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T> {
    row.try_get(at).map_err(|_| Fault::Damaged("column"))
}

fn bytes<const N: usize>(row: &Row, at: usize) -> Result<[u8; N]> {
    get::<&[u8]>(row, at)?.try_into().map_err(|_| Fault::Damaged("id or digest"))
}

fn moment(row: &Row, at: usize) -> Result<Timestamp> {
    get(row, at).map(Timestamp::from_millis)
}

fn optional_moment(row: &Row, at: usize) -> Result<Option<Timestamp>> {
    Ok(get::<Option<i64>>(row, at)?.map(Timestamp::from_millis))
}

fn json<T: DeserializeOwned>(row: &Row, at: usize, name: &'static str) -> Result<T> {
    word(row, at, name, |text| serde_json::from_str(text).ok())
}

/// Text that means something. What it was instead stays out of the error: it may be somebody's address.
fn word<T>(row: &Row, at: usize, name: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    read(get(row, at)?).ok_or(Fault::Damaged(name))
}

fn kind(text: &str) -> Option<Kind> {
    [Kind::User, Kind::Guest, Kind::Service].into_iter().find(|kind| kind.as_str() == text)
}
