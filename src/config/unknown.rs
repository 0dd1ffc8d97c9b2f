//! What to say about a key that does not exist.

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::{self, Known};
use super::suggest::nearest;
use super::tree::Entry;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"];

/// The fault of an unknown key in the table at this path, which has the keys `declared`.
pub(super) fn fault(entry: &Entry, path: &[String], declared: &[String]) -> Fault {
    let key = &entry.key;
    let level = if path.is_empty() { "at the top level".to_owned() } else { format!("in `{}`", path.join(".")) };
    let fault = Fault::new(Code::UnknownKey, format!("unknown key `{key}` {level}"), entry.place.clone());
    fault.help(help(key, path, declared))
}

/// The trouble of a top-level key in a table with free names.
pub(super) fn top_level(key: &str, table: &str) -> Option<Trouble> {
    let known = known::all().iter().any(|known| known.path.len() == 1 && known.name() == key);
    known.then(|| Trouble::new(Code::UnknownKey, format!("unknown key `{key}` in `{table}`")).help(slipped(key, table)))
}

fn slipped(key: &str, table: &str) -> String {
    format!(
        "`{key}` is a top-level key; here it is inside `[{table}]` because it stands below that header. \
         Move it above the first `[` line."
    )
}

fn help(key: &str, path: &[String], declared: &[String]) -> String {
    let all = known::all();
    let top: Vec<&Known> = all.iter().filter(|known| known.path.len() == 1).collect();
    if !path.is_empty() && top.iter().any(|known| known.name() == key) {
        return slipped(key, &path.join("."));
    }
    if path.first().is_some_and(|table| table == "routes") && METHODS.contains(&key.to_uppercase().as_str()) {
        return format!("did you mean `{}`? Methods are written in capitals.", key.to_uppercase());
    }
    if let Some(near) = nearest(key, declared.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    let elsewhere: Vec<&Known> = all.iter().filter(|known| known.name() == key && known.path.len() > 1).collect();
    if let [known] = elsewhere[..] {
        return format!("`{key}` belongs in `[{}]`", known.path[..known.path.len() - 1].join("."));
    }
    if let Some(near) = nearest(key, top.iter().map(|known| known.name())).filter(|_| !path.is_empty()) {
        return format!("did you mean the top-level key `{near}`? It stands above the first `[` line.");
    }
    let known: Vec<String> = declared.iter().map(|name| format!("`{name}`")).collect();
    format!("known here: {}", known.join(", "))
}
