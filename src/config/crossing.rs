//! Routes that cover some of the same paths while neither contains the other.

use std::collections::BTreeMap;

/// A key, cut into segments.
struct Route<'a> {
    key: &'a str,
    segments: Vec<&'a str>,
}

/// Pairs of such keys, each with a path that both cover.
pub(super) fn find<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<(&'a str, &'a str, String)> {
    // Routes that begin alike, by host and first segment: with thousands of routes these groups stay small.
    let mut groups: BTreeMap<(&str, &str), Vec<Route<'_>>> = BTreeMap::new();
    for key in keys {
        let Some((host, path)) = key.split_once('/') else { continue };
        let segments: Vec<&str> = path.split('/').collect();
        if segments.iter().any(|segment| segment.starts_with('*')) {
            groups.entry((host, segments[0])).or_default().push(Route { key, segments });
        }
    }
    let mut found = Vec::new();
    for ((host, first), routes) in &groups {
        let starred = if *first == "*" { None } else { groups.get(&(*host, "*")) };
        for (index, one) in routes.iter().enumerate() {
            let others = routes[index + 1..].iter().chain(starred.into_iter().flatten());
            found.extend(others.filter_map(|other| Some((one.key, other.key, cross(&one.segments, &other.segments)?))));
        }
    }
    found
}

fn cross(one: &[&str], other: &[&str]) -> Option<String> {
    let path = meet(one, other)?;
    (!contains(one, other) && !contains(other, one)).then(|| format!("/{}", path.join("/")))
}

/// A path that both cover.
fn meet<'a>(one: &[&'a str], other: &[&'a str]) -> Option<Vec<&'a str>> {
    match (one, other) {
        ([], []) => Some(Vec::new()),
        (["**"], rest) | (rest, ["**"]) => {
            Some(rest.iter().filter(|segment| **segment != "**").map(|segment| literal(segment)).collect())
        }
        ([first, one @ ..], [second, other @ ..]) if first == second || *first == "*" || *second == "*" => {
            let segment = if *first == "*" { second } else { first };
            let mut path = vec![literal(segment)];
            path.extend(meet(one, other)?);
            Some(path)
        }
        _ => None,
    }
}

fn literal(segment: &str) -> &str {
    if segment == "*" { "x" } else { segment }
}

/// Whether every path of `other` is one of `one`.
fn contains(one: &[&str], other: &[&str]) -> bool {
    match (one, other) {
        (["**"], _) | ([], []) => true,
        (_, ["**"]) => false,
        ([first, one @ ..], [second, other @ ..]) => (*first == "*" || first == second) && contains(one, other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_cross_where_neither_contains_the_other() {
        assert_eq!(find(["/a/*/c", "/a/b/*"].into_iter()), [("/a/*/c", "/a/b/*", "/a/b/c".to_owned())]);
        assert_eq!(find(["/*/c", "/a/**"].into_iter()).len(), 1);
        assert_eq!(find(["h/*/c", "h/a/*"].into_iter()).len(), 1);
    }

    #[test]
    fn routes_that_are_nested_or_apart_do_not_cross() {
        for routes in [["/**", "/a/*"], ["/a/*", "/a/b"], ["/a/*", "/b/*"], ["/a/**", "/a/b/**"], ["h/*/c", "/a/*"]] {
            assert_eq!(find(routes.into_iter()), [], "{routes:?}");
        }
    }
}
