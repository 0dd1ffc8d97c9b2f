//! JSON bodies: one object, not too deep, not too wide, no name twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::rejection::Reason;

/// The object a body holds.
///
/// # Errors
/// [`Reason::Malformed`] for anything else than one object within the limits (32 levels, 1,000 names), and for
/// a name that stands twice in it: whoever reads the first or the last would disagree.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Reason> {
    if !is_small(bytes) {
        return Err(Reason::Malformed("json.too_complex"));
    }
    let Object(fields) = serde_json::from_slice(bytes).map_err(|_| Reason::Malformed("json.syntax"))?;
    Ok(fields)
}

struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Once)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Object(fields))
    }
}

/// Counts levels and names before anything is built from them.
fn is_small(bytes: &[u8]) -> bool {
    let (mut depth, mut names) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' => names += 1,
            _ => {}
        }
        if depth > DEPTH || names > NAMES {
            return false;
        }
    }
    true
}

const DEPTH: usize = 32;
const NAMES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_is_read() {
        let fields = object(br#" {"a":"x\"{[:","b":{"c":[1]}} "#).unwrap();
        assert_eq!(fields["a"], "x\"{[:");
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            "",
            "[]",
            "null",
            "\"x\"",
            "{",
            "{}x",
            "{\"a\":1}{}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "{'a':1}",
        ] {
            assert_eq!(object(text.as_bytes()).err(), Some(Reason::Malformed("json.syntax")), "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}").err(), Some(Reason::Malformed("json.syntax")));
    }

    #[test]
    fn depth_and_width_end() {
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(object(deep(32).as_bytes()).is_ok());
        assert_eq!(object(deep(33).as_bytes()).err(), Some(Reason::Malformed("json.too_complex")));
        let wide =
            |names: usize| format!("{{{}}}", (0..names).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
        assert!(object(wide(1000).as_bytes()).is_ok());
        assert_eq!(object(wide(1001).as_bytes()).err(), Some(Reason::Malformed("json.too_complex")));
    }
}
