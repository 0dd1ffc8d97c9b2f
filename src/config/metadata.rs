//! `metadata`: which of a provider's fields are kept.

use super::code::Code;
use super::fault::Trouble;
use super::known::Kind;
use super::reader::Reader;
use super::tree::{Node, Table, Value};
use super::value::{as_text, no_such_word, not_empty};
use crate::provider::MetadataField;

/// A list of names and of tables with `path`, `field` and `required`.
pub(super) fn read(r: &mut Reader<'_>, key: &'static str, default: Option<&str>) -> Option<Vec<MetadataField>> {
    let doc = "What is kept of its answer in `data`: names, or { path, field, required }.";
    let kind = Kind::List(Box::new(Kind::Metadata));
    let entry = r.take(key, kind, default.map(str::to_owned), doc)?;
    let Value::List(items) = &entry.node.value else {
        let message = format!("`{key}` needs a list, and this is {}", entry.node.value.name());
        let trouble = Trouble::new(Code::WrongKind, message).help(format!("write {key} = [\"email\", \"name\"]"));
        r.accept(&entry.node.place, Err::<(), _>(trouble));
        return None;
    };
    Some(items.iter().filter_map(|item| r.accept(&item.place, field(key, item))).collect())
}

fn field(key: &str, item: &Node) -> Result<MetadataField, Trouble> {
    let Value::Table(table) = &item.value else {
        return named(as_text(key, item)?);
    };
    let mut field = named(text(table, "path")?.ok_or_else(|| {
        Trouble::new(Code::Missing, format!("an entry of `{key}` has no `path`")).help("write { path = \"email\" }")
    })?)?;
    for entry in &table.entries {
        match (entry.key.as_str(), &entry.node.value) {
            ("path", _) => {}
            ("field", _) => field.field = not_empty("field", as_text("field", &entry.node)?)?.to_owned(),
            ("required", Value::Boolean(required)) => field.required = *required,
            ("required", value) => {
                let message = format!("`required` needs true or false, and this is {}", value.name());
                return Err(Trouble::new(Code::WrongKind, message));
            }
            (other, _) => return Err(no_such_word(key, other, &["path", "field", "required"])),
        }
    }
    if field.field.chars().count() > LONGEST_NAME {
        return Err(Trouble::new(Code::Range, format!("a field's name has at most {LONGEST_NAME} characters")));
    }
    Ok(field)
}

fn text<'t>(table: &'t Table, key: &str) -> Result<Option<&'t str>, Trouble> {
    table.get(key).map(|entry| as_text(key, &entry.node)).transpose()
}

fn named(path: &str) -> Result<MetadataField, Trouble> {
    let field = MetadataField::named(not_empty("path", path)?);
    if field.field.is_empty() || field.field.chars().any(char::is_control) {
        return Err(Trouble::new(Code::Form, format!("\"{path}\" leads to no field")));
    }
    Ok(field)
}

/// As App Services had it; longer names are not kept.
const LONGEST_NAME: usize = 64;
