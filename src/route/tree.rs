use std::collections::HashMap;
use std::num::NonZeroU32;

use foldhash::fast::FixedState;
use smol_str::SmolStr;

use crate::route::key::{Host, Key, Segment};

type Map<V> = HashMap<SmolStr, V, FixedState>;

/// Finds the most specific key for a host and a path: left to right, a host before no host, a literal
/// segment before `*` before `**`. What it finds is an index into the caller's list.
///
/// The maps are filled from the configuration alone, so a fixed hash state cannot be attacked. Nodes are small: of ten
/// thousand routes each look-up meets some that no cache of the processor holds.
#[derive(Debug, Default)]
pub(super) struct Tree {
    any: Node,
    exact: Map<Node>,
    below: Map<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literal: Option<Box<Map<Node>>>,
    star: Option<Box<Node>>,
    here: Place,
    below: Place,
}

/// An index or none, in four bytes: the number after the index.
#[derive(Clone, Copy, Debug, Default)]
struct Place(Option<NonZeroU32>);

impl Place {
    fn of(index: u32) -> Self {
        Self(NonZeroU32::new(index.wrapping_add(1)))
    }

    fn index(self) -> Option<u32> {
        self.0.map(|number| number.get() - 1)
    }
}

impl Tree {
    /// Adds a key. The index of an equal one stays and is given back.
    pub(super) fn insert(&mut self, key: &Key, index: u32) -> Result<(), u32> {
        let root = match &key.host {
            Host::Any => &mut self.any,
            Host::Exact(name) => self.exact.entry(name.as_str().into()).or_default(),
            Host::Below(name) => self.below.entry(name.as_str().into()).or_default(),
        };
        let node = key.segments.iter().fold(root, |node, segment| match segment {
            Segment::Literal(text) => node.literal.get_or_insert_default().entry(text.as_str().into()).or_default(),
            Segment::Any => node.star.get_or_insert_default(),
        });
        let place = if key.below { &mut node.below } else { &mut node.here };
        match place.index() {
            Some(other) => Err(other),
            None => {
                *place = Place::of(index);
                Ok(())
            }
        }
    }

    /// The index for a canonical host and a canonical path.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<u32> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let rest = (!path.is_empty()).then_some(path);
        if let Some(found) = self.exact.get(host).and_then(|node| node.find(rest)) {
            return Some(found);
        }
        if !self.below.is_empty() {
            let mut name = host;
            while let Some((_, parent)) = name.split_once('.') {
                if let Some(found) = self.below.get(parent).and_then(|node| node.find(rest)) {
                    return Some(found);
                }
                name = parent;
            }
        }
        self.any.find(rest)
    }
}

impl Node {
    fn find(&self, rest: Option<&str>) -> Option<u32> {
        let Some(rest) = rest else { return self.here.index().or(self.below.index()) };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        let literal = self.literal.as_ref().and_then(|nodes| nodes.get(segment));
        literal
            .and_then(|node| node.find(after))
            .or_else(|| self.star.as_ref().filter(|_| !segment.is_empty()).and_then(|node| node.find(after)))
            .or(self.below.index())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(keys: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for (index, key) in keys.iter().enumerate() {
            let _ = tree.insert(&Key::parse(key).unwrap(), index as u32);
        }
        tree
    }

    #[test]
    fn the_most_specific_key_wins_wherever_it_stands() {
        let keys = ["/**", "/admin/**", "/a/*/c", "/a/b/*", "/a/**", "x.test/**", "*.y.test/admin", "/"];
        let found = |host: &str, path: &str| tree(&keys).find(host, path).map(|index| keys[index as usize]);
        assert_eq!(found("h", "/posts/1"), Some("/**"));
        assert_eq!(found("h", "/admin"), Some("/admin/**"));
        assert_eq!(found("h", "/admin/"), Some("/admin/**"));
        assert_eq!(found("h", "/administrator"), Some("/**"));
        assert_eq!(found("h", "/a/b/c"), Some("/a/b/*"));
        assert_eq!(found("h", "/a/x/c"), Some("/a/*/c"));
        assert_eq!(found("h", "/a/x/d"), Some("/a/**"));
        assert_eq!(found("h", "/"), Some("/"));
        assert_eq!(found("x.test", "/admin"), Some("x.test/**"));
        assert_eq!(found("z.y.test", "/admin"), Some("*.y.test/admin"));
        assert_eq!(found("y.test", "/admin"), Some("/admin/**"));
        assert_eq!(found("evily.test", "/admin"), Some("/admin/**"));
    }

    #[test]
    fn no_key_is_no_route() {
        assert_eq!(tree(&["/a", "x.test/**"]).find("h", "/b"), None);
        assert_eq!(tree(&["/a", "x.test/**"]).find("h", "/a"), Some(0));
    }

    #[test]
    fn the_same_key_twice_is_told() {
        let mut tree = tree(&["/a/b"]);
        assert_eq!(tree.insert(&Key::parse("/a/b/").unwrap(), 1), Err(0));
        assert_eq!(tree.insert(&Key::parse("/a/b/**").unwrap(), 1), Ok(()));
    }

    proptest! {
        #[test]
        fn a_shuffled_table_gives_the_same_verdicts(
            keys in proptest::collection::btree_set("(/[ab*]){1,3}(/\\*\\*)?", 1..12),
            path in "(/[abc]){0,4}/?",
            seed in any::<u64>(),
        ) {
            let keys: Vec<String> = keys.into_iter().collect();
            let names: Vec<&str> = keys.iter().map(String::as_str).collect();
            let mut shuffled = names.clone();
            let mut state = seed;
            for index in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                shuffled.swap(index, (state >> 33) as usize % (index + 1));
            }
            let one = tree(&names).find("h", &path).map(|index| names[index as usize]);
            let two = tree(&shuffled).find("h", &path).map(|index| shuffled[index as usize]);
            prop_assert_eq!(one, two);
        }
    }
}
