//! Keys of `[routes]`: what is no pattern, what stands there twice, and what no request can reach.

use std::collections::BTreeMap;

use super::code::Code;
use super::fault::Trouble;
use super::origins;
use crate::route::Tables;

/// What is wrong with the keys, each with its key as it stands in the file.
pub(super) fn troubles(tables: &Tables, hosts: &[String], prefix: &str) -> Vec<(String, Trouble)> {
    let mut troubles = Vec::new();
    let mut seen: BTreeMap<(Option<String>, &str), &str> = BTreeMap::new();
    for spec in &tables.specs {
        let found = match normal(&spec.key) {
            Ok(normal) => match seen.insert(normal.clone(), &spec.key) {
                Some(other) => Err(twice(&spec.key, other)),
                None => reachable(&normal, hosts, prefix),
            },
            Err(trouble) => Err(trouble),
        };
        troubles.extend(found.err().map(|trouble| (spec.key.clone(), trouble)));
    }
    troubles
}

/// The host, in the form in which hosts are compared, and the path.
fn normal(key: &str) -> Result<(Option<String>, &str), Trouble> {
    let wrong = |message: String| Trouble::new(Code::RouteKey, message);
    let Some(slash) = key.find('/') else {
        let trouble = wrong(format!("\"{key}\" is no route: it needs a path"));
        return Err(trouble.help("write \"/path/**\" or \"host.example.com/**\""));
    };
    let (host, path) = key.split_at(slash);
    let host = match host {
        "" => None,
        host if host.ends_with(':') => {
            return Err(wrong(format!("\"{key}\" is an address, not a route"))
                .help("write it without scheme: \"host.example.com/**\""));
        }
        host => Some(origins::host(host).ok_or_else(|| {
            let trouble = wrong(format!("\"{host}\" is not a host name"));
            if host.contains('*') { trouble.help("hosts have no wildcard; name each") } else { trouble }
        })?),
    };
    let (last, before) = path[1..]
        .split('/')
        .collect::<Vec<_>>()
        .split_last()
        .map(|(last, before)| (*last, before.to_vec()))
        .unwrap_or_default();
    for segment in before.iter().copied().chain([last]) {
        segment_is_plain(segment)?;
    }
    if before.contains(&"**") {
        return Err(wrong("`**` stands only at the end of a route".to_owned())
            .help("`*` stands for one whole segment anywhere"));
    }
    if before.contains(&"") {
        return Err(wrong("a route has no empty segments".to_owned()).help("write one slash where there are two"));
    }
    Ok((host, path))
}

fn segment_is_plain(segment: &str) -> Result<(), Trouble> {
    let wrong = |message: String| Trouble::new(Code::RouteKey, message);
    if segment == "*" || segment == "**" {
        return Ok(());
    }
    if matches!(segment, "." | "..") {
        return Err(wrong("a route has no dot segments".to_owned()).help("write the path it means"));
    }
    let odd = segment.chars().find(|c| {
        c.is_control()
            || c.is_whitespace()
            || matches!(
                c,
                '%' | '*'
                    | '\\'
                    | '?'
                    | '#'
                    | ';'
                    | '^'
                    | '$'
                    | '('
                    | ')'
                    | '|'
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | '"'
                    | '<'
                    | '>'
            )
    });
    match odd {
        None => Ok(()),
        Some('%') => {
            Err(wrong("`%` in a route: paths are compared decoded".to_owned()).help("write the character itself"))
        }
        Some('*') => Err(wrong(format!("`*` stands for one whole segment; \"{segment}\" holds more"))
            .help("write `*` alone between slashes, or `**` at the end")),
        Some(c @ ('^' | '$' | '(' | ')' | '|' | '[' | ']' | '\\')) => {
            Err(wrong(format!("`{c}` in a route: there are no regular expressions"))
                .help("`*` is one segment, `**` at the end everything below"))
        }
        Some('{' | '}') => Err(wrong("routes have no named parts".to_owned()).help("write `*` for one segment")),
        Some(c) => Err(wrong(format!("{c:?} never stands in a path that reaches a rule"))),
    }
}

fn twice(key: &str, other: &str) -> Trouble {
    Trouble::new(Code::RouteTwice, format!("\"{key}\" and \"{other}\" are the same route")).help("keep one of them")
}

fn reachable((host, path): &(Option<String>, &str), hosts: &[String], prefix: &str) -> Result<(), Trouble> {
    if path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        let message = format!("everything below \"{prefix}\" is answered by Vestibule itself");
        return Err(Trouble::new(Code::RouteShadowed, message).help("`prefix` moves it"));
    }
    if let Some(host) = host
        && !hosts.is_empty()
        && !hosts.contains(host)
    {
        let message = format!("host `{host}` is not among `hosts`, so no request reaches this route");
        return Err(Trouble::new(Code::RouteShadowed, message).help(format!("add \"{host}\" to `hosts`")));
    }
    Ok(())
}
