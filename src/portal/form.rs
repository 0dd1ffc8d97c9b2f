//! Forms and query strings: `application/x-www-form-urlencoded` (WHATWG URL §5).

use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use crate::rejection::Reason;

/// The fields of a form.
///
/// # Errors
/// A field sent twice, too many fields, or text that is not UTF-8: whoever reads first or last would disagree.
pub(super) fn fields(bytes: &[u8]) -> Result<Map<String, Value>, Reason> {
    let mut fields = Map::new();
    for (count, pair) in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
        if count == MOST {
            return Err(Reason::Malformed("form.too_many_fields"));
        }
        let (name, value) = split(pair);
        let name = decoded(name).ok_or(Reason::Malformed("form.encoding"))?;
        let value = decoded(value).ok_or(Reason::Malformed("form.encoding"))?;
        if fields.contains_key(&name) {
            return Err(Reason::Malformed("form.field_twice"));
        }
        fields.insert(name, Value::String(value));
    }
    Ok(fields)
}

/// The first parameter of this name in a query, if it can be read.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.as_bytes().split(|byte| *byte == b'&').map(split);
    pairs.filter(|(key, _)| decoded(key).as_deref() == Some(name)).find_map(|(_, value)| decoded(value))
}

/// The query without the parameters of this name, as it was spelled.
pub(super) fn without(query: Option<&str>, name: &str) -> String {
    let others = query.unwrap_or_default().split('&').filter(|pair| {
        let (key, _) = split(pair.as_bytes());
        !pair.is_empty() && decoded(key).as_deref() != Some(name)
    });
    others.collect::<Vec<_>>().join("&")
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[]),
    }
}

fn decoded(bytes: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_once() {
        let fields = fields(b"email=ann%40example.com&password=a+b%2Bc%2525&empty=&flag").unwrap();
        assert_eq!(fields["email"], "ann@example.com");
        assert_eq!(fields["password"], "a b+c%25");
        assert_eq!((&fields["empty"], &fields["flag"]), (&"".into(), &"".into()));
    }

    #[test]
    fn what_two_readers_would_read_differently_is_refused() {
        assert_eq!(fields(b"email=a&email=b").err(), Some(Reason::Malformed("form.field_twice")));
        assert_eq!(fields(b"email=a&%65mail=b").err(), Some(Reason::Malformed("form.field_twice")));
        assert_eq!(fields(b"email=%ff").err(), Some(Reason::Malformed("form.encoding")));
        let many: String = (0..=MOST).map(|number| format!("f{number}=&")).collect();
        assert_eq!(fields(many.as_bytes()).err(), Some(Reason::Malformed("form.too_many_fields")));
    }

    #[test]
    fn a_parameter_is_the_first_of_its_name() {
        assert_eq!(parameter(Some("x=1&rd=%2Fa%3Fb&rd=/c"), "rd").as_deref(), Some("/a?b"));
        assert_eq!(parameter(Some("rdx=1"), "rd"), None);
        assert_eq!(parameter(None, "rd"), None);
    }
}
