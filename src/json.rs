//! JSON from outside: not too deep, not too wide, no name twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why text is not taken as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than 32 levels or 10,000 names.
    #[error("deeper or wider than anything that is meant")]
    TooComplex,
    /// No JSON, another kind of value than is wanted, or an object in which a name stands twice: whoever reads
    /// the first and whoever reads the last would disagree.
    #[error("not JSON of the form that is needed")]
    Syntax,
}

/// The value these bytes hold.
///
/// # Errors
/// See [`Error`].
pub fn value(bytes: &[u8]) -> Result<Value, Error> {
    if !is_small(bytes, NAMES) {
        return Err(Error::TooComplex);
    }
    serde_json::from_slice(bytes).map(|Strict(value)| value).map_err(|_| Error::Syntax)
}

/// The object these bytes hold, of at most 1,000 names: what a client sends.
///
/// # Errors
/// See [`Error`].
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    if !is_small(bytes, NAMES_OF_A_CLIENT) {
        return Err(Error::TooComplex);
    }
    match value(bytes)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::Syntax),
    }
}

/// A value in which no object has a name twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Once).map(Self)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(fields))
    }
}

/// Counts levels and names before anything is built from them.
fn is_small(bytes: &[u8], most_names: usize) -> bool {
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
        if depth > DEPTH || names > most_names {
            return false;
        }
    }
    true
}

const DEPTH: usize = 32;
const NAMES: usize = 10_000;
const NAMES_OF_A_CLIENT: usize = 1000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_object_is_read() {
        let fields = object(br#" {"a":"x\"{[:","b":{"c":[1]}} "#).unwrap();
        assert_eq!(fields["a"], "x\"{[:");
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn any_value_is_read_as_it_stands() {
        let text = r#"[null,true,-3,18446744073709551615,1.5,"x",[],{"a":{"b":[{}]}}]"#;
        assert_eq!(value(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(value(b"1e300").unwrap(), json!(1e300));
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
            "{\"a\":[{\"b\":1,\"b\":1}]}",
            "{'a':1}",
            "{\"a\":1e999}",
        ] {
            assert_eq!(object(text.as_bytes()).err(), Some(Error::Syntax), "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}").err(), Some(Error::Syntax));
    }

    #[test]
    fn depth_and_width_end() {
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(object(deep(32).as_bytes()).is_ok());
        assert_eq!(object(deep(33).as_bytes()).err(), Some(Error::TooComplex));
        let wide =
            |names: usize| format!("{{{}}}", (0..names).map(|n| format!("\"n{n}\":0")).collect::<Vec<_>>().join(","));
        assert!(object(wide(1000).as_bytes()).is_ok());
        assert_eq!(object(wide(1001).as_bytes()).err(), Some(Error::TooComplex));
        assert!(value(wide(10_000).as_bytes()).is_ok());
        assert_eq!(value(wide(10_001).as_bytes()).err(), Some(Error::TooComplex));
    }
}
