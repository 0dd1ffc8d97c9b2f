//! Ways to ask PostgreSQL that many deeds share.

use std::sync::Arc;

use tokio_postgres::Row;

use super::postgres_fault::Fault;
use super::postgres_pool::{Connection, Connections, Doing};
use super::postgres_transaction::{change, query};
use super::{Answer, postgres_rows as rows};
use crate::account::User;

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

    /// Changes rows by an id; how many there were.
    pub(super) fn change_by_id(&self, sql: &'static str, id: [u8; 12]) -> Answer<'_, bool> {
        self.write(move |c| Box::pin(async move { Ok(change(c, sql, &[&id.as_slice()]).await? > 0) }))
    }
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
