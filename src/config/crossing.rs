//! Routes that cover some of the same paths while neither contains the other.

use std::collections::BTreeMap;

/// So many are worth telling.
const MOST: usize = 20;

/// Two keys that cross, and a path that both cover.
pub(super) type Crossing<'a> = (&'a str, &'a str, String);

/// Pairs of such keys, at most twenty.
pub(super) fn find<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<Crossing<'a>> {
    let mut hosts: BTreeMap<&str, Node<'_>> = BTreeMap::new();
    for key in keys {
        if let Some((host, path)) = key.split_once('/') {
            hosts.entry(host).or_default().insert(key, path);
        }
    }
    let mut search = Search::default();
    hosts.values().for_each(|node| search.within(node));
    search.found
}

/// Everything that follows after some segments. A tree, so that only routes that overlap are ever compared.
#[derive(Default)]
struct Node<'a> {
    /// The route that ends here.
    end: Option<&'a str>,
    /// The route that ends here with `**`.
    rest: Option<&'a str>,
    /// What follows after one segment, `*` among them.
    below: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn insert(&mut self, key: &'a str, path: &'a str) {
        let mut node = self;
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segment == "**" && segments.peek().is_none() {
                node.rest = Some(key);
                return;
            }
            node = node.below.entry(segment).or_default();
        }
        node.end = Some(key);
    }
}

#[derive(Default)]
struct Search<'a> {
    /// The segments so far, of a path that both sides cover.
    path: Vec<&'a str>,
    found: Vec<Crossing<'a>>,
}

/// Which side has covered more so far.
#[derive(Clone, Copy)]
struct Wider {
    one: bool,
    other: bool,
}

impl<'a> Search<'a> {
    /// Among routes that are alike so far: a `**` here contains all the others.
    fn within(&mut self, node: &Node<'a>) {
        for (segment, below) in &node.below {
            self.path.push(literal(segment));
            self.within(below);
            if let Some(any) = node.below.get("*").filter(|_| *segment != "*") {
                self.between(any, below, Wider { one: true, other: false });
            }
            self.path.pop();
        }
    }

    /// Between the routes of two sides that have overlapped so far.
    fn between(&mut self, one: &Node<'a>, other: &Node<'a>, wider: Wider) {
        if self.found.len() >= MOST {
            return;
        }
        for (one, other) in [(one.end, other.end), (one.rest, other.rest)] {
            if let (Some(one), Some(other), true) = (one, other, wider.one && wider.other) {
                self.add(one, other);
            }
        }
        // A `**` contains whatever follows on the other side, so only what came before can make them cross.
        if let Some(one) = one.rest.filter(|_| wider.other) {
            self.beside_rest(other, &mut |search, other| search.add(one, other));
        }
        if let Some(other) = other.rest.filter(|_| wider.one) {
            self.beside_rest(one, &mut |search, one| search.add(one, other));
        }
        for (segment, one) in &one.below {
            if *segment == "*" {
                for (segment, other) in &other.below {
                    self.step(segment, one, other, Wider { one: wider.one || *segment != "*", ..wider });
                }
                continue;
            }
            if let Some(other) = other.below.get(segment) {
                self.step(segment, one, other, wider);
            }
            if let Some(other) = other.below.get("*") {
                self.step(segment, one, other, Wider { other: true, ..wider });
            }
        }
    }

    fn step(&mut self, segment: &'a str, one: &Node<'a>, other: &Node<'a>, wider: Wider) {
        self.path.push(literal(segment));
        self.between(one, other, wider);
        self.path.pop();
    }

    /// Visits every route of this side but the `**` right here.
    fn beside_rest(&mut self, node: &Node<'a>, visit: &mut impl FnMut(&mut Self, &'a str)) {
        node.end.into_iter().for_each(|key| visit(self, key));
        for (segment, below) in &node.below {
            if self.found.len() >= MOST {
                return;
            }
            self.path.push(literal(segment));
            self.beside_rest(below, visit);
            below.rest.into_iter().for_each(|key| visit(self, key));
            self.path.pop();
        }
    }

    fn add(&mut self, one: &'a str, other: &'a str) {
        if self.found.len() < MOST {
            self.found.push((one, other, format!("/{}", self.path.join("/"))));
        }
    }
}

fn literal(segment: &str) -> &str {
    if segment == "*" { "x" } else { segment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_cross_where_neither_contains_the_other() {
        for (one, other, path) in [
            ("/a/*/c", "/a/b/*", "/a/b/c"),
            ("/*/c", "/a/**", "/a/c"),
            ("h/*/c", "h/a/*", "/a/c"),
            ("/*/b/**", "/a/**", "/a/b"),
            ("/*/b/*", "/a/*/c", "/a/b/c"),
            ("/*/b/**", "/a/*/**", "/a/b"),
        ] {
            let found = find([one, other].into_iter());
            assert_eq!(found.len(), 1, "{one} {other} {found:?}");
            assert_eq!(found[0].2, path);
            assert_eq!(find([other, one].into_iter()).len(), 1, "{one} {other}");
        }
    }

    #[test]
    fn routes_that_are_nested_or_apart_do_not_cross() {
        for routes in [
            ["/**", "/a/*"],
            ["/a/*", "/a/b"],
            ["/a/*", "/b/*"],
            ["/a/**", "/a/b/**"],
            ["/*/**", "/a/**"],
            ["/*/c/**", "/a/c"],
            ["h/*/c", "/a/*"],
        ] {
            assert_eq!(find(routes.into_iter()), [], "{routes:?}");
        }
    }

    #[test]
    fn of_many_only_some_are_told() {
        let keys: Vec<String> = (0..100).map(|n| format!("/*/x{n}")).chain(["/a/**".to_owned()]).collect();
        assert_eq!(find(keys.iter().map(String::as_str)).len(), MOST);
    }
}
