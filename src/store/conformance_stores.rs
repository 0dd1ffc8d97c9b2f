//! The stores that the suite runs on here.

use std::time::Duration;

use super::Fixture;
use crate::store::{Address, PostgresSettings, PostgresUrl, open, postgres_server};

pub(in crate::store) fn memory() -> Option<Fixture> {
    Some(Fixture::of(open(&Address::Memory).unwrap()))
}

pub(in crate::store) fn sqlite() -> Option<Fixture> {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&Address::Sqlite(folder.path().join("vestibule.db"))).unwrap();
    Some(Fixture::with(store, folder))
}

/// A schema of its own on the server of this process.
pub(in crate::store) fn postgres() -> Option<Fixture> {
    let address = postgres_address(&postgres_server::shared()?.url());
    Some(Fixture::of(open(&address).unwrap()))
}

pub(in crate::store) fn postgres_address(url: &str) -> Address {
    let mut settings = PostgresSettings::new(PostgresUrl::parse(url).unwrap());
    // Many tests at once on a busy machine; what waits is no fault here.
    settings.statement_timeout = Duration::from_secs(60);
    settings.connect_timeout = Duration::from_secs(60);
    Address::Postgres(Box::new(settings))
}
