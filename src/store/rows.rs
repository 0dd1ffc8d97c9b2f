//! Rows of the SQLite store as values. What does not fit its type is damage, and is said without being shown.

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Error, Result, Row, Rows};
use serde::de::DeserializeOwned;

use super::SigningKey;
use crate::account::api_key::ApiKey;
use crate::account::audit::{Action, Actor, Entry, Event};
use crate::account::email::Email;
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Identity, Kind, PasswordCredential, User};
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::{Digest, Secret};
use crate::session::{AppDevice, Device, ProviderSession, Session};

/// The columns of a user and one of its identities; what is joined to them begins here.
pub(super) const AFTER_USER: usize = 21;

/// The users of these rows, which come as one row for each identity.
pub(super) fn users(rows: &mut Rows<'_>) -> Result<Vec<User>> {
    let mut users: Vec<User> = Vec::new();
    while let Some(row) = rows.next()? {
        let id = UserId::from_bytes(row.get(0)?);
        match users.last_mut().filter(|user| user.id == id) {
            Some(user) => user.identities.extend(identity(row)?),
            None => users.push(user(row)?),
        }
    }
    Ok(users)
}

/// The user of these rows and what was joined to it.
pub(super) fn joined<T>(rows: &mut Rows<'_>, read: impl Fn(&Row<'_>) -> Result<T>) -> Result<Option<(T, User)>> {
    let Some(row) = rows.next()? else { return Ok(None) };
    let (other, mut user) = (read(row)?, user(row)?);
    while let Some(row) = rows.next()? {
        user.identities.extend(identity(row)?);
    }
    Ok(Some((other, user)))
}

fn user(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: UserId::from_bytes(row.get(0)?),
        kind: word(row, 1, "kind", kind)?,
        data: json(row, 2, "data")?,
        custom_data: json(row, 3, "custom_data")?,
        roles: json(row, 4, "roles")?,
        disabled: flag(row, 5)?,
        created_at: moment(row, 6)?,
        last_sign_in_at: optional_moment(row, 7)?,
        version: row.get::<_, i64>(8)?.try_into().map_err(|_| damaged(8, "version"))?,
        password: password(row)?,
        identities: identity(row)?.into_iter().collect(),
    })
}

fn password(row: &Row<'_>) -> Result<Option<PasswordCredential>> {
    if row.get_ref(9)? == ValueRef::Null {
        return Ok(None);
    }
    Ok(Some(PasswordCredential {
        email: word(row, 9, "email", |text| Email::parse(text).ok())?,
        hash: Secret::new(row.get::<_, String>(10)?),
        verified: flag(row, 11)?,
        changed_at: moment(row, 12)?,
    }))
}

fn identity(row: &Row<'_>) -> Result<Option<Identity>> {
    let Some(provider) = row.get(13)? else { return Ok(None) };
    Ok(Some(Identity {
        provider,
        issuer: row.get(14)?,
        subject: row.get(15)?,
        verified_email: row.get(16)?,
        created_at: moment(row, 17)?,
        last_sign_in_at: optional_moment(row, 18)?,
        data: json(row, 19, "data of an identity")?,
        roles: json(row, 20, "roles of an identity")?,
    }))
}

/// A session whose columns begin at `at`.
pub(super) fn session(row: &Row<'_>, at: usize) -> Result<Session> {
    let previous: Option<[u8; 32]> = row.get(at + 4)?;
    let address: Option<String> = row.get(at + 7)?;
    let address = address.map(|text| text.parse().map_err(|_| damaged(at + 7, "address"))).transpose()?;
    Ok(Session {
        id: SessionId::from_bytes(row.get(at)?),
        user_id: UserId::from_bytes(row.get(at + 1)?),
        provider: row.get(at + 2)?,
        token: Digest::from_bytes(row.get(at + 3)?),
        previous: match previous {
            Some(digest) => Some((Digest::from_bytes(digest), moment(row, at + 5)?)),
            None => None,
        },
        device: Device { user_agent: row.get(at + 6)?, address, app: app_device(row, at + 12)? },
        created_at: moment(row, at + 8)?,
        last_seen_at: moment(row, at + 9)?,
        idle_expires_at: moment(row, at + 10)?,
        expires_at: moment(row, at + 11)?,
    })
}

fn app_device(row: &Row<'_>, at: usize) -> Result<Option<AppDevice>> {
    let text: Option<String> = row.get(at)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| damaged(at, "device of an app"))).transpose()
}

pub(super) fn provider_session(row: &Row<'_>) -> Result<ProviderSession> {
    let secret = |at| Ok::<_, Error>(row.get::<_, Option<String>>(at)?.map(Secret::new));
    Ok(ProviderSession {
        session: SessionId::from_bytes(row.get(0)?),
        provider: row.get(1)?,
        issuer: row.get(2)?,
        subject: row.get(3)?,
        sid: row.get(4)?,
        id_token: secret(5)?,
        access_token: secret(6)?,
        refresh_token: secret(7)?,
        expires_at: optional_moment(row, 8)?,
    })
}

/// A key whose columns begin at `at`.
pub(super) fn key(row: &Row<'_>, at: usize) -> Result<ApiKey> {
    Ok(ApiKey {
        id: KeyId::from_bytes(row.get(at)?),
        user_id: UserId::from_bytes(row.get(at + 1)?),
        name: row.get(at + 2)?,
        digest: Digest::from_bytes(row.get(at + 3)?),
        created_at: moment(row, at + 4)?,
        expires_at: optional_moment(row, at + 5)?,
        last_used_at: optional_moment(row, at + 6)?,
        disabled: flag(row, at + 7)?,
    })
}

pub(super) fn one_time(row: &Row<'_>) -> Result<OneTime> {
    Ok(OneTime {
        token: Digest::from_bytes(row.get(0)?),
        purpose: word(row, 1, "purpose", Purpose::read)?,
        email_key: row.get(2)?,
        code: Digest::from_bytes(row.get(3)?),
        user_id: row.get::<_, Option<_>>(4)?.map(UserId::from_bytes),
        payload: json(row, 5, "payload")?,
        expires_at: moment(row, 6)?,
        code_expires_at: moment(row, 7)?,
        attempts: row.get(8)?,
    })
}

/// A link and its number in the order of links.
pub(super) fn numbered_one_time(row: &Row<'_>) -> Result<(u64, OneTime)> {
    let number = row.get::<_, i64>(9)?.try_into().map_err(|_| damaged(9, "sequence"))?;
    Ok((number, one_time(row)?))
}

pub(super) fn signing_key(row: &Row<'_>) -> Result<SigningKey> {
    Ok(SigningKey {
        kid: row.get(0)?,
        private: Secret::new(row.get::<_, String>(1)?),
        created_at: moment(row, 2)?,
        signs_from: moment(row, 3)?,
        retires_at: moment(row, 4)?,
    })
}

pub(super) fn audit(row: &Row<'_>) -> Result<Entry> {
    let event = Event {
        at: moment(row, 1)?,
        request_id: row.get(2)?,
        actor: word(row, 3, "actor", Actor::parse)?,
        action: Action::of(row.get(4)?),
        subject: row.get::<_, Option<_>>(5)?.map(UserId::from_bytes),
        before: json(row, 6, "before")?,
        after: json(row, 7, "after")?,
    };
    Ok(Entry { sequence: row.get::<_, i64>(0)?.try_into().map_err(|_| damaged(0, "sequence"))?, event })
}

/// Damage must not verify an address or enable a key.
fn flag(row: &Row<'_>, at: usize) -> Result<bool> {
    match row.get::<_, i64>(at)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(damaged(at, "flag")),
    }
}

fn moment(row: &Row<'_>, at: usize) -> Result<Timestamp> {
    row.get(at).map(Timestamp::from_millis)
}

fn optional_moment(row: &Row<'_>, at: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_millis))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize, name: &'static str) -> Result<T> {
    word(row, at, name, |text| serde_json::from_str(text).ok())
}

/// Text that means something. What it was instead stays out of the error: it may be somebody's address.
fn word<T>(row: &Row<'_>, at: usize, name: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    let text = row.get_ref(at)?.as_str().map_err(|_| damaged(at, name))?;
    read(text).ok_or_else(|| damaged(at, name))
}

fn kind(text: &str) -> Option<Kind> {
    [Kind::User, Kind::Guest, Kind::Service].into_iter().find(|kind| kind.as_str() == text)
}

fn damaged(at: usize, name: &'static str) -> Error {
    Error::FromSqlConversionFailure(at, Type::Text, format!("unreadable {name}").into())
}
