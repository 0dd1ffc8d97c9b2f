//! Keys of `[routes]`: what is no pattern, what stands there twice, and what no request can reach.

use std::collections::BTreeMap;

use super::code::Code;
use super::fault::Trouble;
use super::origins;
use crate::route::{Relax, Spec, Tables};

/// What is wrong with the keys, each with its key as it stands in the file.
pub(super) fn troubles(tables: &Tables, hosts: &[String], prefix: &str) -> Vec<(String, Trouble)> {
    let mut troubles = Vec::new();
    let mut seen: BTreeMap<Pattern<'_>, &str> = BTreeMap::new();
    for spec in &tables.specs {
        let found = Pattern::parse(spec).and_then(|pattern| match seen.get(&pattern) {
            Some(other) => Err(twice(&spec.key, other)),
            None => {
                let reachable = pattern.check_reachable(hosts, prefix);
                seen.insert(pattern, &spec.key);
                reachable
            }
        });
        troubles.extend(found.err().map(|trouble| (spec.key.clone(), trouble)));
    }
    troubles
}

/// A host in the form in which hosts are compared, and a path pattern.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pattern<'a> {
    host: Option<String>,
    path: &'a str,
}

impl<'a> Pattern<'a> {
    fn parse(spec: &'a Spec) -> Result<Self, Trouble> {
        let key = &spec.key;
        let Some(slash) = key.find('/') else {
            let trouble = wrong(format!("\"{key}\" is no route: it needs a path"));
            return Err(trouble.help("write \"/path/**\" or \"host.example.com/**\""));
        };
        let (host, path) = key.split_at(slash);
        let host = if host.is_empty() { None } else { Some(parse_host(host)?) };
        let segments: Vec<&str> = path[1..].split('/').collect();
        for (index, segment) in segments.iter().enumerate() {
            check_segment(segment, index + 1 == segments.len(), &spec.allow_in_path)?;
        }
        Ok(Self { host, path })
    }

    fn check_reachable(&self, hosts: &[String], prefix: &str) -> Result<(), Trouble> {
        if self.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let message = format!("everything below \"{prefix}\" is answered by Vestibule itself");
            return Err(Trouble::new(Code::RouteShadowed, message).help("`prefix` moves it"));
        }
        match &self.host {
            Some(host) if !hosts.is_empty() && !hosts.contains(host) => {
                let message = format!("host `{host}` is not among `hosts`, so no request reaches this route");
                Err(Trouble::new(Code::RouteShadowed, message).help(format!("add \"{host}\" to `hosts`")))
            }
            _ => Ok(()),
        }
    }
}

fn parse_host(host: &str) -> Result<String, Trouble> {
    if let "http:" | "https:" = host {
        let trouble = wrong("this is an address, not a route".to_owned());
        return Err(trouble.help("write it without scheme: \"host.example.com/**\""));
    }
    origins::host(host).ok_or_else(|| {
        let trouble = wrong(format!("\"{host}\" is not a host name"));
        match host {
            _ if host.contains('*') => trouble.help("hosts have no wildcard; name each"),
            _ if host.starts_with('^') => trouble.help("there are no regular expressions; a path begins with a slash"),
            _ => trouble.help("a path begins with a slash"),
        }
    })
}

fn check_segment(segment: &str, is_last: bool, relaxed: &[Relax]) -> Result<(), Trouble> {
    match segment {
        "**" if !is_last => {
            let trouble = wrong("`**` stands only at the end of a route".to_owned());
            return Err(trouble.help("`*` stands for one whole segment anywhere"));
        }
        "*" | "**" => return Ok(()),
        "." | ".." => {
            return Err(wrong("a route has no dot segments".to_owned()).help("write the path that is meant"));
        }
        "" if !is_last && !relaxed.contains(&Relax::EmptySegments) => {
            return Err(wrong("a route has no empty segments".to_owned()).help("write one slash where there are two"));
        }
        _ => {}
    }
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()+,=:@ ".contains(c) || !c.is_ascii() && !c.is_control();
    match segment.chars().find(|c| !(is_plain(*c) || *c == ';' && relaxed.contains(&Relax::Semicolon))) {
        None if is_last && segment.ends_with('$') => Err(regular_expression('$')),
        None => Ok(()),
        Some('%') => {
            Err(wrong("`%` in a route: paths are compared decoded".to_owned()).help("write the character itself"))
        }
        Some('*') => Err(wrong(format!("`*` stands for one whole segment; \"{segment}\" holds more"))
            .help("write `*` alone between slashes, or `**` at the end")),
        Some(c @ ('^' | '|' | '[' | ']' | '\\')) => Err(regular_expression(c)),
        Some('{' | '}') => Err(wrong("routes have no named parts".to_owned()).help("write `*` for one segment")),
        Some(';') => {
            Err(wrong("no path with `;` gets as far as this route".to_owned()).help("allow_in_path = [\";\"] lets it"))
        }
        Some(c) => Err(wrong(format!("{c:?} never stands in a path that reaches a rule"))),
    }
}

fn regular_expression(c: char) -> Trouble {
    wrong(format!("`{c}` in a route: there are no regular expressions"))
        .help("`*` is one segment, `**` at the end everything below")
}

fn twice(key: &str, other: &str) -> Trouble {
    Trouble::new(Code::RouteTwice, format!("\"{key}\" and \"{other}\" are the same route")).help("keep one of them")
}

fn wrong(message: String) -> Trouble {
    Trouble::new(Code::RouteKey, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(keys: &[(&str, &[Relax])]) -> Vec<Code> {
        let spec = |(key, relaxed): &(&str, &[Relax])| Spec {
            key: (*key).to_owned(),
            allow_in_path: relaxed.to_vec(),
            ..Spec::default()
        };
        let tables = Tables { specs: keys.iter().map(spec).collect(), ..Tables::default() };
        troubles(&tables, &[], "/.auth").into_iter().map(|(_, trouble)| trouble.code).collect()
    }

    #[test]
    fn patterns_are_taken() {
        for key in
            ["/", "/**", "/a/*/c", "/a/", "/wiki/Foo_(bar)", "/my files/**", "/über", "[::1]:8080/**", "h.example/*"]
        {
            assert_eq!(codes(&[(key, &[])]), [], "{key}");
        }
    }

    /// SEC-CONF-03
    #[test]
    fn sec_conf_03_what_is_no_pattern_is_refused() {
        for key in [
            "",
            "health",
            ".*health",
            "^/public",
            "/a.*",
            "/a$",
            "/[a-z]/",
            "/a|b",
            "/a%2f",
            "/**/a",
            "/a/../b",
            "/./a",
            "/a//b",
            "/a?b",
            "/a#b",
            "/a\\b",
            "/{id}",
            "/a;b",
            "https://h/**",
            "*.h.example/**",
            "/a\u{7}",
        ] {
            assert_eq!(codes(&[(key, &[])]), [Code::RouteKey], "{key}");
        }
    }

    #[test]
    fn a_route_may_hold_what_it_allows() {
        assert_eq!(codes(&[("/a;b", &[Relax::Semicolon])]), []);
        assert_eq!(codes(&[("/a//b", &[Relax::EmptySegments])]), []);
        assert_eq!(codes(&[("/a;b", &[Relax::EmptySegments])]), [Code::RouteKey]);
    }

    #[test]
    fn a_host_has_one_spelling() {
        assert_eq!(codes(&[("a.example/**", &[]), ("A.Example.:443/**", &[])]), [Code::RouteTwice]);
        assert_eq!(codes(&[("a.example/**", &[]), ("a.example:8443/**", &[]), ("/**", &[])]), []);
    }

    #[test]
    fn our_own_paths_are_no_route() {
        assert_eq!(codes(&[("/.auth/**", &[]), ("/.auth", &[]), ("/.authors", &[])]), [Code::RouteShadowed; 2]);
    }
}
