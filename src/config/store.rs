use std::time::Duration;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::reader::{Reader, Reading};
use super::value::quoted;
use crate::store::{Address, PostgresSettings, PostgresUrl};

const DEFAULT: &str = "sqlite:vestibule.db";

/// `[store]`.
pub(super) fn read(r: &mut Reader<'_>) -> Address {
    let reading = r.reading;
    let doc = "Where users and sessions live: an SQLite file, a PostgreSQL server, or memory, which ends with the \
               process. An address with a password stands elsewhere: { env = … } or { file = … }.";
    let address = r.text_or_secret("url", Some(quoted(DEFAULT)), doc, |text| address(text, reading));
    let password = r.secret("password", "The password at the PostgreSQL server.");
    let pool = r.count("pool", 16, 1..=1000, "The most connections of this process to the PostgreSQL server.");
    let bounds = || Duration::from_millis(100)..=Duration::from_mins(1);
    let doc = "How long a connection to the PostgreSQL server may take to be made; then it counts as away.";
    let connect_timeout = r.span("connect_timeout", Duration::from_secs(2), bounds(), doc);
    let doc = "How long a statement may take at the PostgreSQL server, and a request waits for a free connection.";
    let statement_timeout = r.span("statement_timeout", Duration::from_secs(3), bounds(), doc);
    match address {
        None => Address::Sqlite(reading.resolve(&DEFAULT["sqlite:".len()..])),
        Some(Address::Postgres(settings)) => {
            if settings.url.has_password() {
                refuse_password(r, password.is_some());
            }
            let url = settings.url;
            let settings = PostgresSettings { url, password, pool, connect_timeout, statement_timeout };
            Address::Postgres(Box::new(settings))
        }
        Some(address) => address,
    }
}

fn address(text: &str, reading: &Reading) -> Result<Address, Trouble> {
    match text.split_once(':') {
        Some(("memory", "")) => Ok(Address::Memory),
        Some(("sqlite", path)) if !path.is_empty() && !path.starts_with("//") => {
            Ok(Address::Sqlite(reading.resolve(path)))
        }
        Some(("postgres" | "postgresql", _)) => {
            let resolve = |path: std::path::PathBuf| reading.resolve(&path.to_string_lossy());
            let url = PostgresUrl::parse(text).map_err(|error| {
                Trouble::new(Code::Form, error.to_string())
                    .help("\"postgres://vestibule@db.example.com/vestibule?sslmode=verify-full\"")
            })?;
            Ok(Address::Postgres(Box::new(PostgresSettings::new(url.resolved(resolve)))))
        }
        _ => Err(Trouble::new(Code::Form, "`url` names no store")
            .help("\"sqlite:vestibule.db\", \"postgres://user@host/database\" or \"memory:\"")),
    }
}

/// A password in the address: in the file itself, or besides another one.
fn refuse_password(r: &Reader<'_>, named_again: bool) {
    let place = r.place_of("url");
    if r.is_in_file("url") {
        let message = "`url` holds a password, and so does everybody who reads the file";
        let help = "write password = { env = \"NAME\" }, or the whole url = { env = \"NAME\" }";
        r.fault(Fault::new(Code::SecretLiteral, message, place).help(help));
    } else if named_again {
        let message = "there are two passwords: in `url` and in `password`";
        r.fault(Fault::new(Code::Conflict, message, place).help("keep one of them"));
    }
}
