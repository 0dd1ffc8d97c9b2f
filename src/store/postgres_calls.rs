//! Ways to ask PostgreSQL that many deeds share.

use std::sync::Arc;

use tokio_postgres::Row;

use super::along::{Outcome, tell_if};
use super::postgres_fault::Fault;
use super::postgres_pool::{Connection, Connections, Doing};
use super::postgres_transaction::{End, change, query, transaction};
use super::{Answer, postgres_rows as rows, postgres_users as users};
use crate::account::User;
use crate::account::audit::Event;

/// What is done on a connection with a value.
pub(super) trait Deed<V, T>:
    for<'c> Fn(&'c Connection, &'c V) -> Doing<'c, T> + Copy + Send + Sync + 'static
{
}

impl<V, T, F> Deed<V, T> for F where F: for<'c> Fn(&'c Connection, &'c V) -> Doing<'c, T> + Copy + Send + Sync + 'static {}

impl Connections {
    /// The user that these names lead to.
    pub(super) fn one_user<'a, const N: usize>(
        &'a self,
        sql: &'static str,
        names: [&str; N],
    ) -> Answer<'a, Option<User>> {
        if !can_be(&names) {
            return none();
        }
        let names: Arc<[String; N]> = Arc::new(names.map(str::to_owned));
        self.read(move |c| {
            let names = Arc::clone(&names);
            Box::pin(async move {
                let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
                    names.iter().map(|name| name as _).collect();
                Ok(rows::users(&query(c, sql, &values).await?)?.pop())
            })
        })
    }

    /// Reads what an id or a digest leads to.
    pub(super) fn by_name<T: Send + 'static, const N: usize>(
        &self,
        sql: &'static str,
        name: [u8; N],
        read: fn(&[Row]) -> Result<T, Fault>,
    ) -> Answer<'_, T> {
        self.read(move |c| Box::pin(async move { read(&query(c, sql, &[&name.as_slice()]).await?) }))
    }

    /// Changes something with a value that outlives the caller's.
    pub(super) fn write_with<V, T>(&self, value: V, deed: impl Deed<V, T>) -> Answer<'_, T>
    where
        V: Send + Sync + 'static,
        T: Send + 'static,
    {
        let value = Arc::new(value);
        self.write(move |c| {
            let value = Arc::clone(&value);
            Box::pin(async move { deed(c, &value).await })
        })
    }

    /// Changes something, and tells the log of it; what is written down is for the deed.
    pub(super) fn write_noting<'a, V, T>(
        &'a self,
        events: &'a [Event],
        value: V,
        deed: impl for<'c> Fn(&'c Connection, &'c V, &'c [Event]) -> Doing<'c, T> + Copy + Send + Sync + 'static,
    ) -> Answer<'a, T>
    where
        V: Send + Sync + 'static,
        T: Outcome + Send + 'static,
    {
        let value = Arc::new((value, events.to_vec()));
        let done = self.write(move |c| {
            let value = Arc::clone(&value);
            Box::pin(async move { deed(c, &value.0, &value.1).await })
        });
        Box::pin(async move { done.await.inspect(|outcome| tell_if(outcome.is_done(), events)) })
    }

    /// Changes a row by its id, and writes these events if there was one.
    pub(super) fn change_noting<'a>(
        &'a self,
        events: &'a [Event],
        sql: &'static str,
        id: [u8; 12],
    ) -> Answer<'a, bool> {
        self.write_noting(events, (sql, id), |c, (sql, id), events| {
            Box::pin(noted(c, events, async { Ok(change(c, sql, &[&id.as_slice()]).await? > 0) }))
        })
    }
}

/// Does what needs no transaction of its own, and in one with it writes these events if it was done.
pub(super) async fn noted<T: Outcome>(
    connection: &Connection,
    events: &[Event],
    deed: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    if events.is_empty() {
        return deed.await;
    }
    transaction(connection, async {
        let outcome = deed.await?;
        if outcome.is_done() {
            users::insert_events(connection, events).await?;
        }
        Ok(End::Keep(outcome))
    })
    .await
}

/// PostgreSQL holds no NUL in a text: nothing is found by a name with one.
pub(super) fn can_be(names: &[&str]) -> bool {
    names.iter().all(|name| !name.contains('\0'))
}

/// Nothing, without asking.
pub(super) fn none<'a, T: Default + Send + 'a>() -> Answer<'a, T> {
    Box::pin(std::future::ready(Ok(T::default())))
}

/// A number of rows as PostgreSQL counts.
pub(super) fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The empty name comes before every id.
pub(super) fn bytes(id: Option<&[u8; 12]>) -> &[u8] {
    id.map(|id| id.as_slice()).unwrap_or_default()
}
