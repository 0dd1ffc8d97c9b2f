//! Users of the PostgreSQL store: written whole, with their identities and what goes along, and the audit log.

use std::collections::HashSet;

use futures_util::future::{join_all, join3};
use tokio_postgres::error::SqlState;

use super::postgres_fault::Fault;
use super::postgres_pool::Connection;
use super::postgres_transaction::End::{self, Keep, Undo};
use super::postgres_transaction::{Result, Values, change, json, query, transaction};
use super::{Along, AuditFilter, Ends, Saved, postgres_deeds as deeds, postgres_rows as rows, postgres_sql as sql};
use crate::account::audit::{Entry, Event};
use crate::account::{Identity, Kind, User};
use crate::clock::Timestamp;

pub(super) async fn save_user(connection: &Connection, user: &User, along: &Along) -> Result<Saved> {
    expect_each_once(user)?;
    let saved = transaction(connection, async { save_and_go_along(connection, user, along).await });
    saved.await.or_else(taken)
}

/// What goes along is done after the user is written, and whoever writes the same user waits for that.
async fn save_and_go_along(connection: &Connection, user: &User, along: &Along) -> Result<End<Saved>> {
    let statement = if user.version == 0 { sql::INSERT_USER } else { sql::UPDATE_USER };
    let next = i64::try_from(user.version).unwrap_or(i64::MAX).saturating_add(1);
    if write_user(connection, user, statement, next).await? == 0 {
        return Ok(Undo(Saved::Stale));
    }
    let id: &[u8] = user.id.as_bytes();
    match &along.ends {
        Ends::None => {}
        Ends::AllBut(kept) => _ = deeds::end_sessions_of(connection, user.id, *kept).await?,
        Ends::By(provider) => _ = change(connection, sql::END_SESSIONS_BY, &[&id, provider]).await?,
    }
    insert_events(connection, &along.events).await?;
    Ok(Keep(Saved::Done))
}

pub(super) async fn merge_users(connection: &Connection, into: &User, from: &User, along: &Along) -> Result<Saved> {
    if into.id == from.id {
        return Ok(Saved::Stale);
    }
    expect_each_once(into)?;
    let (to, source): (&[u8], &[u8]) = (into.id.as_bytes(), from.id.as_bytes());
    let merged = transaction(connection, async {
        let locked = query(connection, sql::LOCK_USERS, &[&to, &source]).await?;
        let versions = locked.iter().map(rows::version).collect::<Result<Vec<_>>>()?;
        if ![into, from].iter().all(|user| versions.contains(&(user.id, user.version))) {
            return Ok(Undo(Saved::Stale));
        }
        if from.kind != Kind::Guest {
            change(connection, sql::MOVE_SESSIONS, &[&source, &to]).await?;
        }
        change(connection, sql::MOVE_KEYS, &[&source, &to]).await?;
        change(connection, sql::DELETE_USER, &[&source]).await?;
        save_and_go_along(connection, into, along).await
    });
    merged.await.or_else(taken)
}

/// Sent together, and written in their order.
pub(super) async fn insert_events(connection: &Connection, events: &[Event]) -> Result<()> {
    let written = join_all(events.iter().map(|event| insert_event(connection, event)));
    written.await.into_iter().collect::<Result<Vec<_>>>().map(|_| ())
}

async fn insert_event(connection: &Connection, event: &Event) -> Result<usize> {
    let subject: Option<&[u8]> = event.subject.as_ref().map(|id| id.as_bytes().as_slice());
    let values: Values<'_> = &[
        &event.at.millis(),
        &event.request_id,
        &event.actor.to_string(),
        &event.action.word(),
        &subject,
        &json(&event.before)?,
        &json(&event.after)?,
    ];
    change(connection, sql::INSERT_AUDIT, values).await
}

pub(super) async fn audit(
    connection: &Connection,
    filter: AuditFilter,
    after: Option<u64>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let after = after.map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX));
    let since = filter.since.map_or(i64::MIN, Timestamp::millis);
    let found = match &filter.subject {
        Some(subject) => {
            let subject: &[u8] = subject.as_bytes();
            query(connection, sql::AUDIT_OF, &[&after, &since, &limit, &subject]).await?
        }
        None => query(connection, sql::AUDIT, &[&after, &since, &limit]).await?,
    };
    found.iter().map(rows::audit).collect()
}

fn expect_each_once(user: &User) -> Result<()> {
    let mut names = HashSet::new();
    if user.identities.iter().all(|identity| names.insert((&identity.provider, &identity.issuer, &identity.subject))) {
        return Ok(());
    }
    Err(Fault::Conflict("a user has one identity twice"))
}

/// A name that belongs to another is an answer.
fn taken(fault: Fault) -> Result<Saved> {
    if fault.code() != Some(&SqlState::UNIQUE_VIOLATION) {
        return Err(fault);
    }
    match fault.constraint() {
        Some("users_email_unique") => Ok(Saved::EmailTaken),
        Some("identities_name_unique") => Ok(Saved::IdentityTaken),
        Some("users_pkey") => Ok(Saved::Stale),
        _ => Err(fault),
    }
}

/// Adds a user as it is unless there is one of this id.
pub(super) async fn import_user(connection: &Connection, user: &User) -> Result<bool> {
    let written = transaction(connection, async {
        let version = i64::try_from(user.version).unwrap_or(i64::MAX);
        write_user(connection, user, sql::INSERT_USER, version).await.map(Keep)
    });
    match written.await {
        Ok(_) => Ok(true),
        Err(fault) if fault.constraint() == Some("users_pkey") => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Writes a user and its identities; the number of users written.
async fn write_user(connection: &Connection, user: &User, statement: &str, version: i64) -> Result<usize> {
    let id: &[u8] = user.id.as_bytes();
    let (data, custom_data, roles) = (json(&user.data)?, json(&user.custom_data)?, json(&user.roles)?);
    let password = user.password.as_ref();
    let values: Values<'_> = &[
        &user.kind.as_str(),
        &data,
        &custom_data,
        &roles,
        &user.disabled,
        &user.created_at.millis(),
        &user.last_sign_in_at.map(Timestamp::millis),
        &version,
        &password.map(|password| password.email.as_str()),
        &password.map(|password| password.email.key()),
        // The store is the one place where the hash belongs.
        &password.map(|password| password.hash.expose()),
        &password.map(|password| password.verified),
        &password.map(|password| password.changed_at.millis()),
        &id,
    ];
    let identities = (0_i64..).zip(&user.identities);
    let (written, cleared, inserted) = join3(
        change(connection, statement, values),
        change(connection, sql::DELETE_IDENTITIES, &[&id]),
        join_all(identities.map(|(position, identity)| insert_identity(connection, id, position, identity))),
    )
    .await;
    // If no user was written the others do not count: they are undone.
    let written = written?;
    if written > 0 {
        cleared?;
        inserted.into_iter().collect::<Result<Vec<_>>>()?;
    }
    Ok(written)
}

async fn insert_identity(connection: &Connection, user: &[u8], position: i64, identity: &Identity) -> Result<usize> {
    let values: Values<'_> = &[
        &user,
        &position,
        &identity.provider,
        &identity.issuer,
        &identity.subject,
        &identity.verified_email,
        &identity.created_at.millis(),
        &identity.last_sign_in_at.map(Timestamp::millis),
        &json(&identity.data)?,
        &json(&identity.roles)?,
    ];
    change(connection, sql::INSERT_IDENTITY, values).await
}

pub(super) async fn sweep_guests(connection: &Connection, before: Timestamp, limit: i64) -> Result<usize> {
    transaction(connection, async {
        let before = before.millis();
        // They are locked: none of them gets a session now, so whether each is still idle can be asked again.
        let idle = query(connection, sql::IDLE_GUESTS, &[&before, &limit]).await?;
        let mut ids = Vec::with_capacity(idle.len());
        for row in &idle {
            ids.push(rows::get::<&[u8]>(row, 0)?);
        }
        let deleted = join_all(ids.into_iter().map(|id| delete_idle_guest(connection, before, id)));
        Ok(Keep(deleted.await.into_iter().sum::<Result<usize>>()?))
    })
    .await
}

async fn delete_idle_guest(connection: &Connection, before: i64, id: &[u8]) -> Result<usize> {
    change(connection, sql::DELETE_IDLE_GUEST, &[&before, &id]).await
}
