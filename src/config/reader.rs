//! Reads a table of the file key by key. Reading a key declares it: there is no second list of keys.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use http::Uri;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::{Kind, Known};
use super::place::Place;
use super::secret::Secrets;
use super::tree::{Entry, Node, Table, Value};
use super::{Embedded, mask, unknown};

/// One reading of one file: what it goes by, and what it finds.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    tree: Table,
    empty: Table,
    /// The environment, for overrides and for secrets.
    pub(super) environment: BTreeMap<String, String>,
    /// The folder of the file, where relative paths begin.
    folder: PathBuf,
    describing: bool,
    /// The program this is inside of, if it is.
    pub(super) embedded: Option<Embedded>,
    /// Where to listen in place of what the file says, unless it is empty.
    pub(super) listen: Vec<String>,
    /// Which secrets have to be there.
    pub(super) secrets: Secrets,
    /// Keys of those that are not there and have not to be.
    absent: RefCell<BTreeSet<String>>,
    known: RefCell<Vec<Known>>,
    faults: RefCell<Vec<Fault>>,
    hidden: RefCell<Vec<(usize, usize)>>,
    asked: RefCell<BTreeSet<String>>,
    addresses: RefCell<Vec<(String, Place, Uri)>>,
}

/// A table that is being read. Every table that was opened is closed: then unknown keys come to light.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(super) reading: &'a Reading,
    table: &'a Table,
    /// Where the table begins.
    pub(super) place: Place,
    path: Vec<String>,
    declared: Vec<String>,
}

/// An entry of a table with free names.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    pub(super) place: Place,
    /// Absent when an empty file is read for the sake of its keys.
    pub(super) node: Option<&'a Node>,
    pub(super) reading: &'a Reading,
    path: Vec<String>,
}

impl Reading {
    /// Of this tree, beside this file.
    pub(super) fn new(tree: Table, file: &Path, environment: BTreeMap<String, String>) -> Self {
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        let hidden = RefCell::new(mask::with_users(&tree));
        Self { tree, folder, environment, hidden, ..Self::default() }
    }

    /// Of nothing, to learn the keys.
    pub(super) fn describing() -> Self {
        Self { describing: true, ..Self::default() }
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Keeps a value out of everything that is shown.
    pub(super) fn hide(&self, place: &Place) {
        if let Place::Span(start, end) = place {
            self.hidden.borrow_mut().push((*start, *end));
        }
    }

    /// What a variable that the file refers to holds.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.environment.get(name).map(String::as_str)
    }

    /// Whether the file refers to this variable.
    pub(super) fn has_asked(&self, name: &str) -> bool {
        self.asked.borrow().contains(name)
    }

    /// Notes a secret that is not there and has not to be.
    pub(super) fn miss(&self, key: String) {
        self.absent.borrow_mut().insert(key);
    }

    /// Whether this is one.
    pub(super) fn misses(&self, key: &str) -> bool {
        self.absent.borrow().contains(key)
    }

    /// All of them.
    pub(super) fn missed(&self) -> BTreeSet<String> {
        self.absent.borrow().clone()
    }

    /// The addresses that requests go to: which key names each, and where.
    pub(super) fn addresses(&self) -> Vec<(String, Place, Uri)> {
        self.addresses.borrow().clone()
    }

    /// A path of the file, from the file's own folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    pub(super) fn into_known(self) -> Vec<Known> {
        self.known.into_inner()
    }

    /// What was found: the faults, and what must not be shown of the file.
    pub(super) fn into_findings(self) -> (Vec<Fault>, Vec<(usize, usize)>) {
        (self.faults.into_inner(), self.hidden.into_inner())
    }
}

impl<'a> Reader<'a> {
    /// The top level.
    pub(super) fn root(reading: &'a Reading) -> Self {
        Self { reading, table: &reading.tree, place: Place::Whole, path: Vec::new(), declared: Vec::new() }
    }

    /// Declares a key and gives what the file has there.
    pub(super) fn take(
        &mut self,
        key: &str,
        kind: Kind,
        default: Option<String>,
        doc: &'static str,
    ) -> Option<&'a Entry> {
        self.declared.push(key.to_owned());
        if self.reading.describing {
            let path = self.below(key);
            let mut known = self.reading.known.borrow_mut();
            // Tables of any name may be of several kinds that have keys in common.
            if !known.iter().any(|known| known.path == path) {
                known.push(Known { path, kind, default, doc });
            }
        }
        self.table.get(key)
    }

    /// Notes the address of a key that requests go to: whether they may is for `[outgoing]` to say.
    pub(super) fn asks(&self, key: &str, address: &Uri) {
        self.reading.addresses.borrow_mut().push((key.to_owned(), self.place_of(key), address.clone()));
    }

    /// Whether the file has this key; declares nothing.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// The keys of a table in this one; declares nothing.
    pub(super) fn keys_of(&self, key: &str) -> Vec<String> {
        match self.table.get(key).map(|entry| &entry.node.value) {
            Some(Value::Table(table)) => table.entries.iter().map(|entry| entry.key.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the table has keys that nobody has declared so far.
    pub(super) fn has_undeclared(&self) -> bool {
        self.table.entries.iter().any(|entry| !self.declared.contains(&entry.key))
    }

    /// Whether the table holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// The keys of the table that nobody has declared so far.
    pub(super) fn undeclared(&self) -> Vec<String> {
        let keys = self.table.entries.iter().map(|entry| &entry.key);
        keys.filter(|key| !self.declared.contains(key)).cloned().collect()
    }

    /// The text of a key of a table in this one; declares nothing.
    pub(super) fn text_in(&self, table: &str, key: &str) -> Option<&'a str> {
        let Value::Table(table) = &self.table.get(table)?.node.value else { return None };
        match &table.get(key)?.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a key is there with a list that holds nothing.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|entry| matches!(&entry.node.value, Value::List(items) if items.is_empty()))
    }

    /// Whether the text of a key stands in the file itself; declares nothing.
    pub(super) fn is_in_file(&self, key: &str) -> bool {
        let node = self.table.get(key).map(|entry| &entry.node);
        node.is_some_and(|node| matches!((&node.value, &node.place), (Value::Text(_), Place::Span(..))))
    }

    /// The place of a key of this table, or of the table itself.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.table.get(key).map_or_else(|| self.place.clone(), |entry| entry.node.place.clone())
    }

    /// Reads a table that may be absent, by the same function: then every key is at its default.
    pub(super) fn table<T>(&mut self, key: &str, doc: &'static str, read: impl FnOnce(&mut Reader<'a>) -> T) -> T {
        let entry = self.take(key, Kind::Table, None, doc);
        let path = self.below(key);
        let (table, place) = match entry {
            Some(entry) => as_table(self.reading, &entry.key, &entry.place, &entry.node),
            None => (&self.reading.empty, self.place.clone()),
        };
        Reader { reading: self.reading, table, place, path, declared: Vec::new() }.run(read)
    }

    /// Reads a table that means something by being there.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        doc: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> T,
    ) -> Option<T> {
        (self.has(key) || self.reading.describing).then(|| self.table(key, doc, read)).or_else(|| {
            self.declared.push(key.to_owned());
            None
        })
    }

    /// Reads a table whose keys are free names. `None`: it is absent.
    pub(super) fn named<T>(
        &mut self,
        key: &str,
        doc: &'static str,
        (kind, about): (Kind, &'static str),
        mut each: impl FnMut(Item<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let entry = self.take(key, Kind::Table, None, doc);
        let (reading, path) = (self.reading, self.below(key));
        let item = |name: &'a str, place, node| {
            let mut path = path.clone();
            path.push(name.to_owned());
            Item { name, place, node, reading, path }
        };
        if reading.describing {
            let star = item("*", Place::Whole, None);
            let mut known = reading.known.borrow_mut();
            if !known.iter().any(|known| known.path == star.path) {
                known.push(Known { path: star.path.clone(), kind, default: None, doc: about });
            }
            drop(known);
            return Some(each(star).into_iter().collect());
        }
        let (table, _) = entry.map(|entry| as_table(reading, &entry.key, &entry.place, &entry.node))?;
        let items = table.entries.iter().map(|entry| item(&entry.key, entry.place.clone(), Some(&entry.node)));
        Some(items.filter_map(each).collect())
    }

    /// Declares the keys of tables of any name, which `read` reads in all their kinds; does nothing with a file.
    pub(super) fn describe_any(&mut self, doc: &'static str, read: impl FnOnce(&mut Reader<'a>)) {
        if self.reading.describing {
            self.table("*", doc, read);
        }
    }

    /// Takes the keys that follow a pattern.
    pub(super) fn matching(
        &mut self,
        pattern: &str,
        (kind, doc): (Kind, &'static str),
        matches: impl Fn(&str) -> bool,
    ) -> Vec<&'a Entry> {
        if self.reading.describing {
            self.take(pattern, kind, None, doc);
        }
        let found: Vec<&Entry> = self.table.entries.iter().filter(|entry| matches(&entry.key)).collect();
        self.declared.extend(found.iter().map(|entry| entry.key.clone()));
        found
    }

    /// Takes these keys for known without reading them.
    pub(super) fn tolerate(&mut self, keys: &[String]) {
        self.declared.extend_from_slice(keys);
    }

    /// Reports what is wrong with the whole table, so that nothing else of it is.
    pub(super) fn ignore(&mut self, trouble: Trouble) {
        self.declared.extend(self.table.entries.iter().map(|entry| entry.key.clone()));
        self.fault(trouble.at(self.place_of("type")));
    }

    /// Reports a fault of this table.
    pub(super) fn fault(&self, fault: Fault) {
        self.reading.fault(fault);
    }

    /// Reports what is wrong with a value, or gives it.
    pub(super) fn accept<T>(&self, place: &Place, result: Result<T, Trouble>) -> Option<T> {
        result.map_err(|trouble| self.fault(trouble.at(place.clone()))).ok()
    }

    /// Reports the keys that nobody declared.
    pub(super) fn close(self) {
        for entry in &self.table.entries {
            if !self.declared.contains(&entry.key) {
                for place in mask::secrets(&entry.key, &entry.node) {
                    self.reading.hide(&place);
                }
                self.fault(unknown::fault(entry, &self.path, &self.declared));
            }
        }
    }

    /// Whether the table is this one of the top level, or below it.
    pub(super) fn is_of(&self, table: &str) -> bool {
        self.path.first().is_some_and(|first| first == table)
    }

    /// The path of a key of this table.
    pub(super) fn below(&self, key: &str) -> Vec<String> {
        self.path.iter().cloned().chain([key.to_owned()]).collect()
    }

    fn run<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(&mut self);
        self.close();
        value
    }
}

impl<'a> Item<'a> {
    /// Reads it as a table.
    pub(super) fn table<T>(&self, read: impl FnOnce(&mut Reader<'a>) -> T) -> T {
        let (table, _) = match self.node {
            Some(node) => as_table(self.reading, self.name, &self.place, node),
            None => (&self.reading.empty, Place::Whole),
        };
        let (path, place) = (self.path.clone(), self.place.clone());
        Reader { reading: self.reading, table, place, path, declared: Vec::new() }.run(read)
    }

    /// Reports what is wrong with its value, or gives it.
    pub(super) fn accept<T>(&self, node: &Node, result: Result<T, Trouble>) -> Option<T> {
        result.map_err(|trouble| self.reading.fault(trouble.at(node.place.clone()))).ok()
    }

    /// Reports a fault of its name.
    pub(super) fn fault(&self, trouble: Trouble) {
        self.reading.fault(trouble.at(self.place.clone()));
    }
}

/// A node as a table; a fault and an empty table if it is none.
fn as_table<'a>(reading: &'a Reading, key: &str, place: &Place, node: &'a Node) -> (&'a Table, Place) {
    let Value::Table(table) = &node.value else {
        mask::secrets(key, node).iter().for_each(|place| reading.hide(place));
        let message = format!("`{key}` is a table, and this is {}", node.value.name());
        let bare = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let help = if bare { format!("write {key} = {{ … }}") } else { format!("write \"{key}\" = {{ … }}") };
        reading.fault(Fault::new(Code::WrongKind, message, node.place.clone()).help(help));
        return (&reading.empty, place.clone());
    };
    (table, place.clone())
}
