//! What of a file must not be shown although it stands on a line with a fault.

use super::place::Place;
use super::suggest::nearest;
use super::tree::{Node, Table, Value};

const SECRETIVE: [&str; 7] = ["pass", "secret", "token", "key", "credential", "pwd", "auth"];

/// Names of secrets that a slip of the pen may have spoilt.
const SLIPS: [&str; 8] =
    ["password", "passphrase", "secret", "client_secret", "token", "api_key", "private_key", "credential"];

/// Values under names that sound like secrets.
pub(super) fn secrets(key: &str, node: &Node) -> Vec<Place> {
    let secretive = is_secretive(key);
    match &node.value {
        Value::Text(_) | Value::Integer(_) if secretive => vec![node.place.clone()],
        Value::List(items) => items.iter().flat_map(|item| secrets(key, item)).collect(),
        Value::Table(table) => table.entries.iter().flat_map(|entry| secrets(&entry.key, &entry.node)).collect(),
        _ => Vec::new(),
    }
}

/// Addresses with a user, wherever they stand: a password may follow.
pub(super) fn with_users(table: &Table) -> Vec<(usize, usize)> {
    fn walk(node: &Node, found: &mut Vec<(usize, usize)>) {
        match (&node.value, &node.place) {
            (Value::Text(text), Place::Span(start, end)) if has_user(text) => found.push((*start, *end)),
            (Value::List(items), _) => items.iter().for_each(|item| walk(item, found)),
            (Value::Table(table), _) => table.entries.iter().for_each(|entry| walk(&entry.node, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    table.entries.iter().for_each(|entry| walk(&entry.node, &mut found));
    found
}

/// In a file that is no TOML: the rest of every line after a name that sounds like a secret.
pub(super) fn in_broken(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        let secretive = line.match_indices('=').map(|(at, _)| at).find(|at| {
            let key = line[..*at].trim_end().rsplit([' ', ',', '{', '.', '\t']).next();
            key.is_some_and(|key| is_secretive(key.trim_matches(['"', '\''])))
        });
        if let Some(equals) = secretive.map(|at| start + at + 1) {
            let blanks = text[equals..].len() - text[equals..].trim_start_matches(' ').len();
            found.push((equals + blanks, end.max(equals + blanks)));
        } else if has_user(line) {
            found.push((start, end));
        }
        start += line.len();
    }
    found
}

fn is_secretive(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRETIVE.iter().any(|word| name.contains(word)) || nearest(&name, SLIPS).is_some()
}

fn has_user(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(_, rest)| rest.split(['/', '?', '#']).next().is_some_and(|at| at.contains('@')))
}
