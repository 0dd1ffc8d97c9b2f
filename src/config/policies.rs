use std::collections::BTreeMap;

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::place::Place;
use super::reader::Reader;
use super::tree::Value;
use super::who::{Declared, Named};
use crate::route::{Policy, Who};

/// The names of the policies; reads nothing else.
pub(super) fn names(r: &Reader<'_>) -> Vec<String> {
    r.keys_of("policies")
}

/// `[policies]`: a list means any of these, `require` means all of these.
pub(super) fn read(r: &mut Reader<'_>, named: &mut Named, declared: &Declared<'_>) -> BTreeMap<String, Policy> {
    let about = "Who fulfils this policy: a list (any of these), or a table with `require` (all of these).";
    let mut places = BTreeMap::new();
    let policies =
        r.named("policies", "Conditions with a name, for \"policy:NAME\".", (Kind::WhoOrTable, about), |item| {
            places.insert(item.name.to_owned(), item.place.clone());
            if let Some(node) = item.node.filter(|node| matches!(node.value, Value::List(_) | Value::Text(_))) {
                let whos = named.read(item.reading, item.name, node, declared)?;
                return Some((item.name.to_owned(), Policy::Any(whos)));
            }
            let whos = item.table(|r| {
                let entry = r.take("require", Kind::Who, None, "All of these must be fulfilled.");
                let is_table = item.node.is_some_and(|node| matches!(node.value, Value::Table(_)));
                if entry.is_none() && is_table && !r.has_undeclared() {
                    let trouble = Trouble::new(Code::Missing, format!("policy `{}` requires nothing", item.name));
                    item.fault(trouble.help("write require = [\"…\"]"));
                }
                let entry = entry?;
                named.read(r.reading, &entry.key, &entry.node, declared)
            });
            Some((item.name.to_owned(), Policy::All(whos?)))
        });
    let policies: BTreeMap<String, Policy> = policies.unwrap_or_default().into_iter().collect();
    for name in policies.keys().filter(|name| reaches(&policies, name)) {
        let place = places.get(name).cloned().unwrap_or(Place::Whole);
        r.fault(Fault::new(Code::PolicyCircle, format!("policy `{name}` refers to itself"), place));
    }
    policies
}

/// Whether a policy leads back to itself.
fn reaches(policies: &BTreeMap<String, Policy>, start: &str) -> bool {
    let (mut open, mut seen) = (vec![start], Vec::new());
    while let Some(name) = open.pop() {
        let Some(Policy::All(whos) | Policy::Any(whos)) = policies.get(name) else { continue };
        for who in whos {
            match who {
                Who::Policy(next) if next == start => return true,
                Who::Policy(next) if !seen.contains(&next.as_str()) => {
                    seen.push(next);
                    open.push(next);
                }
                _ => {}
            }
        }
    }
    false
}
