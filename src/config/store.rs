use super::code::Code;
use super::fault::Trouble;
use super::reader::Reader;
use super::value::quoted;
use crate::store::Address;

const DEFAULT: &str = "sqlite:vestibule.db";

/// `[store]`.
pub(super) fn read(r: &mut Reader<'_>) -> Address {
    let reading = r.reading;
    let doc = "Where users and sessions live: an SQLite file, or memory, which ends with the process.";
    let address = r.text_or_secret("url", Some(quoted(DEFAULT)), doc, |text| match text.split_once(':') {
        Some(("memory", "")) => Ok(Address::Memory),
        Some(("sqlite", path)) if !path.is_empty() && !path.starts_with("//") => {
            Ok(Address::Sqlite(reading.resolve(path)))
        }
        _ => Err(Trouble::new(Code::Form, "`url` names no store").help("\"sqlite:vestibule.db\" or \"memory:\"")),
    });
    address.unwrap_or_else(|| Address::Sqlite(reading.resolve(&DEFAULT["sqlite:".len()..])))
}
