//! The file as a tree of values that know where they stand.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::code::Code;
use super::fault::Fault;
use super::place::Place;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What TOML can say.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// `None`: more than 64 bits.
    Integer(Option<i64>),
    Float,
    Boolean(bool),
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// Keys and values in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Table {
    /// Parses a document; whatever can still be read is in the table although there are faults.
    pub(super) fn parse(text: &str) -> (Self, Vec<Fault>) {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut faults: Vec<Fault> = Vec::new();
        for error in errors {
            let place = error.span().map_or(Place::Whole, Place::from);
            // One slip of the pen often yields several errors on its line: the first says it all.
            if !faults.iter().any(|fault| same_line(text, &fault.place, &place)) {
                faults.push(Fault::new(Code::Syntax, format!("this is not TOML: {}", error.message()), place));
            }
        }
        (Self::from_toml(document.into_inner()), faults)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Sets the value at a path, making tables on the way. `false`: something on the way is no table.
    pub(super) fn set(&mut self, path: &[&str], node: Node) -> bool {
        let [key, rest @ ..] = path else { return false };
        let place = node.place.clone();
        let at = match self.entries.iter().position(|entry| entry.key == *key) {
            Some(at) => at,
            None => {
                let table = Node { value: Value::Table(Self::default()), place: place.clone() };
                self.entries.push(Entry { key: (*key).to_owned(), place, node: table });
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[at];
        if rest.is_empty() {
            entry.place = node.place.clone();
            entry.node = node;
            return true;
        }
        match &mut entry.node.value {
            Value::Table(table) => table.set(rest, node),
            _ => false,
        }
    }

    fn from_toml(table: DeTable<'_>) -> Self {
        let mut entries: Vec<Entry> = table
            .into_iter()
            .map(|(key, value)| Entry {
                place: key.span().into(),
                key: key.into_inner().into_owned(),
                node: Node::from_toml(value),
            })
            .collect();
        entries.sort_by(|one, other| one.place.cmp(&other.place));
        Self { entries }
    }
}

impl Node {
    fn from_toml(value: Spanned<DeValue<'_>>) -> Self {
        let place = value.span().into();
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok())
            }
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(items) => Value::List(items.into_iter().map(Self::from_toml).collect()),
            DeValue::Table(table) => Value::Table(Table::from_toml(table)),
        };
        Self { value, place }
    }
}

impl Value {
    /// What it is, in words.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) | Self::Float => "a number",
            Self::Boolean(_) => "true or false",
            Self::Date => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

fn same_line(text: &str, one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Span(one, _), Place::Span(other, _)) => {
            let (first, last) = (*one.min(other), *one.max(other));
            text.get(first..last).is_some_and(|between| !between.contains('\n'))
        }
        _ => one == other,
    }
}
