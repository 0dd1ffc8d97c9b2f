//! The kinds of values a key may take.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::code::Code;
use super::fault::Trouble;
use super::known::Kind;
use super::place::Place;
use super::reader::Reader;
use super::suggest::nearest;
use super::tree::{Node, Value};
use super::unit;
use crate::limit::Rate;

/// The longest span any key takes.
pub(super) const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);

impl<'a> Reader<'a> {
    /// Text that means something: a fault is what `parse` says of it.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        (kind, default): (Kind, Option<String>),
        doc: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Trouble>,
    ) -> Option<T> {
        let entry = self.take(key, kind, default, doc)?;
        let result = as_text(key, &entry.node).and_then(parse);
        self.accept(&entry.node.place, result)
    }

    /// Text without a form of its own, but not empty.
    pub(super) fn text(&mut self, key: &str, example: &'static str, doc: &'static str) -> Option<String> {
        self.parsed(key, (Kind::Text(example), None), doc, |text| not_empty(key, text).map(str::to_owned))
    }

    /// A file or folder that is there.
    pub(super) fn path(&mut self, key: &str, example: &'static str, doc: &'static str) -> Option<PathBuf> {
        let reading = self.reading;
        self.parsed(key, (Kind::Text(example), None), doc, |text| {
            let path = reading.resolve(not_empty(key, text)?);
            if path.exists() {
                return Ok(path);
            }
            let message = format!("`{key}`: {} is not there", path.display());
            Err(Trouble::new(Code::Form, message).help("a relative path begins at the folder of this file"))
        })
    }

    /// A span of time within bounds.
    pub(super) fn span(
        &mut self,
        key: &str,
        default: Duration,
        bounds: RangeInclusive<Duration>,
        doc: &'static str,
    ) -> Duration {
        self.parsed_span(key, (Kind::Span, Some(quoted(unit::show_span(default)))), doc, |text| {
            within(key, read_span(key, text)?, bounds)
        })
        .unwrap_or(default)
    }

    /// A span of time within bounds, or "off", which is the default.
    pub(super) fn span_or_off(
        &mut self,
        key: &str,
        bounds: RangeInclusive<Duration>,
        doc: &'static str,
    ) -> Option<Duration> {
        let kind = (Kind::Off(Box::new(Kind::Span)), Some(quoted("off")));
        self.parsed_span(key, kind, doc, |text| off_or(text, |text| within(key, read_span(key, text)?, bounds)))
            .flatten()
    }

    /// A size of at least one byte and at most `most`.
    pub(super) fn size(&mut self, key: &str, default: u64, bounds: RangeInclusive<u64>, doc: &'static str) -> u64 {
        let kind = (Kind::Size, Some(quoted(unit::show_size(default))));
        self.with_unit(key, kind, doc, "a size with a unit", SIZES, |text| read_size(key, text, bounds))
            .unwrap_or(default)
    }

    /// A size, or "off", which is the default.
    pub(super) fn size_or_off(&mut self, key: &str, doc: &'static str) -> Option<u64> {
        let kind = (Kind::Off(Box::new(Kind::Size)), Some(quoted("off")));
        let read = |text: &str| off_or(text, |text| read_size(key, text, 1..=u64::MAX));
        self.with_unit(key, kind, doc, "a size with a unit", SIZES, read).flatten()
    }

    /// A rate, or "off".
    pub(super) fn rate(&mut self, key: &str, default: Option<Rate>, doc: &'static str) -> Option<Rate> {
        let shown = default.map_or_else(|| "off".to_owned(), unit::show_rate);
        let kind = (Kind::Off(Box::new(Kind::Rate)), Some(quoted(shown)));
        let read =
            |text: &str| off_or(text, |text| unit::parse_rate(text).ok_or_else(|| needs_unit(key, "a rate", RATES)));
        self.with_unit(key, kind, doc, "a rate", RATES, read).unwrap_or(default)
    }

    /// A part of all, up to the whole: 0 to 1.
    pub(super) fn share(&mut self, key: &str, default: f64, doc: &'static str) -> f64 {
        let read = |text: &str| unit::parse_share(text).ok_or_else(|| needs_unit(key, "a percentage", SHARES));
        let kind = (Kind::Share, Some(quoted(unit::show_share(default))));
        self.with_unit(key, kind, doc, "a percentage", SHARES, read).unwrap_or(default)
    }

    /// A whole number within bounds.
    pub(super) fn count(&mut self, key: &str, default: usize, bounds: RangeInclusive<i64>, doc: &'static str) -> usize {
        let kind = Kind::Integer(*bounds.start(), *bounds.end());
        let Some(entry) = self.take(key, kind, Some(default.to_string()), doc) else { return default };
        let result = match &entry.node.value {
            Value::Integer(number) => number
                .filter(|number| bounds.contains(number))
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(|| out_of_range(key, &bounds.start().to_string(), &bounds.end().to_string())),
            value => Err(wrong_kind(key, "a whole number", value)),
        };
        self.accept(&entry.node.place, result).unwrap_or(default)
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &str, default: bool, doc: &'static str) -> bool {
        let Some(entry) = self.take(key, Kind::Boolean, Some(default.to_string()), doc) else { return default };
        let result = match &entry.node.value {
            Value::Boolean(value) => Ok(*value),
            value => Err(wrong_kind(key, "true or false", value)),
        };
        self.accept(&entry.node.place, result).unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy + PartialEq>(
        &mut self,
        key: &str,
        words: &[(&'static str, T)],
        default: T,
        doc: &'static str,
    ) -> T {
        let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
        let shown = words.iter().find(|(_, value)| *value == default).map(|(name, _)| quoted(*name));
        self.parsed(key, (Kind::Words(names.clone()), shown), doc, |text| {
            words
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, value)| *value)
                .ok_or_else(|| no_such_word(key, text, &names))
        })
        .unwrap_or(default)
    }

    /// A list of texts, each with its place.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        (kind, default): (Kind, Option<String>),
        doc: &'static str,
        mut parse: impl FnMut(&str) -> Result<T, Trouble>,
    ) -> Option<Vec<(T, Place)>> {
        let single = matches!(kind, Kind::OneOrMany(_));
        let entry = self.take(key, kind, default, doc)?;
        let items = match &entry.node.value {
            Value::List(items) => items.as_slice(),
            Value::Text(_) if single => std::slice::from_ref(&entry.node),
            value => {
                let trouble = wrong_kind(key, "a list", value).help(format!("write {key} = [\"…\"]"));
                self.accept(&entry.node.place, Err::<(), _>(trouble));
                return None;
            }
        };
        let mut read = |item: &Node| {
            let result = as_text(key, item).and_then(&mut parse);
            self.accept(&item.place, result).map(|value| (value, item.place.clone()))
        };
        Some(items.iter().filter_map(&mut read).collect())
    }

    fn parsed_span<T>(
        &mut self,
        key: &str,
        kind: (Kind, Option<String>),
        doc: &'static str,
        read: impl FnOnce(&str) -> Result<T, Trouble>,
    ) -> Option<T> {
        self.with_unit(key, kind, doc, "a duration with a unit", SPANS, read)
    }

    /// Text with a unit: a bare number is told that it needs one.
    fn with_unit<T>(
        &mut self,
        key: &str,
        (kind, default): (Kind, Option<String>),
        doc: &'static str,
        what: &str,
        examples: &str,
        read: impl FnOnce(&str) -> Result<T, Trouble>,
    ) -> Option<T> {
        let entry = self.take(key, kind, default, doc)?;
        let result = match &entry.node.value {
            Value::Text(text) => read(text),
            Value::Integer(_) | Value::Float => Err(needs_unit(key, what, examples)),
            value => Err(wrong_kind(key, what, value).help(format!("write {examples}"))),
        };
        self.accept(&entry.node.place, result)
    }
}

const SPANS: &str = r#""30s", "15m", "12h" or "30d""#;
const SIZES: &str = r#""512B", "64KiB", "1MiB" or "2GiB""#;
const SHARES: &str = r#""100%", "5%" or "0.1%""#;
const RATES: &str = r#""10/15m" (ten in fifteen minutes), "5/s" or "off""#;

/// The text of a node, or what it is instead.
pub(super) fn as_text<'n>(key: &str, node: &'n Node) -> Result<&'n str, Trouble> {
    match &node.value {
        Value::Text(text) => Ok(text),
        value => Err(wrong_kind(key, "text in quotes", value)),
    }
}

/// A word that is none of those allowed.
pub(super) fn no_such_word(key: &str, text: &str, allowed: &[&str]) -> Trouble {
    let mut trouble = Trouble::new(Code::Word, format!("\"{text}\" is not a value of `{key}`"));
    if let Some(near) = nearest(text, allowed.iter().copied()) {
        trouble = trouble.help(format!("did you mean \"{near}\"?"));
    }
    trouble.help(format!("allowed values: {}", allowed.join(", ")))
}

/// Text as TOML.
pub(super) fn quoted(text: impl std::fmt::Display) -> String {
    format!("\"{text}\"")
}

pub(super) fn not_empty<'t>(key: &str, text: &'t str) -> Result<&'t str, Trouble> {
    if text.trim().is_empty() { Err(Trouble::new(Code::Form, format!("`{key}` is empty"))) } else { Ok(text) }
}

fn wrong_kind(key: &str, wanted: &str, value: &Value) -> Trouble {
    Trouble::new(Code::WrongKind, format!("`{key}` needs {wanted}, and this is {}", value.name()))
}

fn off_or<T>(text: &str, read: impl FnOnce(&str) -> Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    if text == "off" {
        return Ok(None);
    }
    read(text).map(Some).map_err(|mut trouble| {
        if nearest(text, ["off"]).is_some() {
            trouble.help.insert(0, "did you mean \"off\"?".to_owned());
        }
        trouble
    })
}

fn read_span(key: &str, text: &str) -> Result<Duration, Trouble> {
    unit::parse_span(text).ok_or_else(|| needs_unit(key, "a duration with a unit", SPANS))
}

fn read_size(key: &str, text: &str, bounds: RangeInclusive<u64>) -> Result<u64, Trouble> {
    let size = unit::parse_size(text).ok_or_else(|| needs_unit(key, "a size with a unit", SIZES))?;
    let (least, most) = (unit::show_size(*bounds.start()), unit::show_size(*bounds.end()));
    if bounds.contains(&size) { Ok(size) } else { Err(out_of_range(key, &least, &most)) }
}

fn needs_unit(key: &str, what: &str, examples: &str) -> Trouble {
    Trouble::new(Code::Unit, format!("`{key}` needs {what}")).help(format!("write {examples}"))
}

fn within(key: &str, span: Duration, bounds: RangeInclusive<Duration>) -> Result<Duration, Trouble> {
    let (least, most) = (unit::show_span(*bounds.start()), unit::show_span(*bounds.end()));
    if bounds.contains(&span) { Ok(span) } else { Err(out_of_range(key, &least, &most)) }
}

fn out_of_range(key: &str, least: &str, most: &str) -> Trouble {
    Trouble::new(Code::Range, format!("`{key}` is out of range")).help(format!("between {least} and {most}"))
}
