//! `VESTIBULE_` and a path: overrides of single values.

use std::collections::BTreeMap;

use super::code::Code;
use super::fault::Fault;
use super::known::{Kind, Known, variable};
use super::place::Place;
use super::suggest::nearest;
use super::tree::{Node, Table, Value};

/// Whether a name is ours but no key: the file's own, or what Kubernetes sets for a service called vestibule.
pub(super) fn is_ignored(name: &str) -> bool {
    name == "VESTIBULE_CONFIG"
        || name == "VESTIBULE_PORT"
        || name.starts_with("VESTIBULE_PORT_")
        || name.starts_with("VESTIBULE_SERVICE_")
}

/// Puts the variables that name a key into the tree.
pub(super) fn overlay(tree: &mut Table, environment: &BTreeMap<String, String>, known: &[Known]) {
    for key in known {
        let Some((name, text)) = key.variable().and_then(|name| environment.get_key_value(&name)) else { continue };
        let path: Vec<&str> = key.path.iter().map(String::as_str).collect();
        // Where the file has no table on the way, reading it will say so.
        tree.set(&path, Node { value: value(&key.kind, text), place: Place::Variable(name.clone()) });
    }
}

/// The variables with our prefix that are no key, unless the file refers to them.
pub(super) fn unknown(
    environment: &BTreeMap<String, String>,
    known: &[Known],
    is_referred: impl Fn(&str) -> bool,
) -> Vec<Fault> {
    let names: Vec<String> = known.iter().filter_map(Known::variable).collect();
    let ours = environment.keys().filter(|name| name.starts_with("VESTIBULE_") && !is_ignored(name));
    ours.filter(|name| !names.contains(name) && !is_referred(name)).map(|name| fault(name, known, &names)).collect()
}

fn fault(name: &str, known: &[Known], names: &[String]) -> Fault {
    let place = Place::Variable(name.to_owned());
    if let Some(key) = known.iter().find(|key| variable(&key.path) == name) {
        let message = format!("`{}` is no single value, so no variable can override it", key.dotted());
        return Fault::new(Code::VariableKind, message, place).help(format!("set `{}` in the file", key.dotted()));
    }
    let fault = Fault::new(Code::Variable, format!("environment variable {name} names no key"), place);
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => fault.help(format!("did you mean {near}?")),
        None => fault
            .help("it is VESTIBULE_ and the path in capitals, with __ between levels; VESTIBULE_SESSION__IDLE_TIMEOUT"),
    }
}

fn value(kind: &Kind, text: &str) -> Value {
    match kind {
        Kind::Integer(..) => {
            text.parse().map_or_else(|_| Value::Text(text.to_owned()), |number| Value::Integer(Some(number)))
        }
        _ => Value::Text(text.to_owned()),
    }
}
