//! Users of the PostgreSQL store: written whole, with their identities.

use std::collections::HashSet;

use futures_util::future::{join_all, join3};
use tokio_postgres::error::SqlState;

use super::postgres_fault::Fault;
use super::postgres_pool::Connection;
use super::postgres_transaction::End::{Keep, Undo};
use super::postgres_transaction::{Result, Values, change, json, query, transaction};
use super::{Saved, postgres_rows as rows, postgres_sql as sql};
use crate::account::{Identity, User};
use crate::clock::Timestamp;

pub(super) async fn save_user(connection: &Connection, user: &User) -> Result<Saved> {
    let mut names = HashSet::new();
    if !user.identities.iter().all(|identity| names.insert((&identity.provider, &identity.issuer, &identity.subject))) {
        return Err(Fault::Conflict("a user has one identity twice"));
    }
    let saved = transaction(connection, async {
        let statement = if user.version == 0 { sql::INSERT_USER } else { sql::UPDATE_USER };
        let next = i64::try_from(user.version).unwrap_or(i64::MAX).saturating_add(1);
        Ok(match write_user(connection, user, statement, next).await? {
            0 => Undo(Saved::Stale),
            _ => Keep(Saved::Done),
        })
    });
    match saved.await {
        Err(fault) if fault.code() == Some(&SqlState::UNIQUE_VIOLATION) => match fault.constraint() {
            Some("users_email_unique") => Ok(Saved::EmailTaken),
            Some("identities_name_unique") => Ok(Saved::IdentityTaken),
            Some("users_pkey") => Ok(Saved::Stale),
            _ => Err(fault),
        },
        saved => saved,
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
