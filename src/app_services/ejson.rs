//! MongoDB Extended JSON v2: what SDKs send in canonical form becomes relaxed. Numbers become numbers, what plain JSON
//! has no word for (`$oid`, `$binary`, `$numberDecimal` …) stays as it is written.

use serde_json::{Map, Number, Value, json};

use crate::clock::Timestamp;

/// A wrapper that does not hold what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} holds something else in the body's Extended JSON")]
pub(super) struct Malformed(&'static str);

/// The fields of an object, each relaxed. The object itself is none of the wrappers.
///
/// # Errors
/// See [`Malformed`].
pub(super) fn relaxed_fields(fields: Map<String, Value>) -> Result<Map<String, Value>, Malformed> {
    fields.into_iter().map(|(name, value)| Ok((name, relaxed(value)?))).collect()
}

/// The value in relaxed form. Whole numbers beyond 2^53 keep their wrapper: as a number they would become another.
///
/// # Errors
/// See [`Malformed`].
pub(super) fn relaxed(value: Value) -> Result<Value, Malformed> {
    match value {
        Value::Array(items) => items.into_iter().map(relaxed).collect::<Result<_, _>>().map(Value::Array),
        Value::Object(fields) => match wrapped(&fields)? {
            Some(value) => Ok(value),
            None => relaxed_fields(fields).map(Value::Object),
        },
        plain => Ok(plain),
    }
}

/// The id in `{"$oid": …}` or in plain text.
pub(super) fn object_id(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.as_object().filter(|fields| fields.len() == 1)?.get("$oid")?.as_str())
}

/// What a wrapper stands for; none, if it is no wrapper that changes.
fn wrapped(fields: &Map<String, Value>) -> Result<Option<Value>, Malformed> {
    let mut entries = fields.iter();
    let (Some((name, inner)), None) = (entries.next(), entries.next()) else { return Ok(None) };
    Ok(Some(match name.as_str() {
        "$numberInt" => parsed::<i32>(inner).map(Value::from).ok_or(Malformed("$numberInt"))?,
        "$numberLong" => {
            let number = parsed::<i64>(inner).ok_or(Malformed("$numberLong"))?;
            if number.unsigned_abs() < MOST_EXACT { Value::from(number) } else { return Ok(Some(wrapper(fields))) }
        }
        "$numberDouble" => double(inner).ok_or(Malformed("$numberDouble"))?,
        "$date" => date(inner).ok_or(Malformed("$date"))?,
        "$oid" => match inner.as_str() {
            Some(text) if is_object_id(text) => wrapper(fields),
            _ => return Err(Malformed("$oid")),
        },
        "$undefined" => Value::Null,
        // What is inside these is no value of its own.
        "$binary" | "$numberDecimal" | "$regularExpression" | "$timestamp" | "$code" | "$symbol" | "$minKey"
        | "$maxKey" | "$uuid" => wrapper(fields),
        _ => return Ok(None),
    }))
}

fn wrapper(fields: &Map<String, Value>) -> Value {
    Value::Object(fields.clone())
}

fn parsed<T: std::str::FromStr>(inner: &Value) -> Option<T> {
    inner.as_str()?.parse().ok()
}

fn double(inner: &Value) -> Option<Value> {
    let text = inner.as_str()?;
    match text {
        // JSON has no number for these.
        "Infinity" | "-Infinity" | "NaN" => Some(json!({ "$numberDouble": text })),
        _ => text.parse().ok().and_then(Number::from_f64).map(whole).map(Value::Number),
    }
}

/// `1.0` as `1`: what reads it need not tell the two apart, and what writes it does not.
fn whole(number: Number) -> Number {
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 && float.abs() < MOST_EXACT as f64 && !float.is_sign_negative() => {
            Number::from(float as u64)
        }
        _ => number,
    }
}

/// From 1970 to 9999 as text (RFC 3339), else as the number of milliseconds.
fn date(inner: &Value) -> Option<Value> {
    let text = match inner {
        Value::String(text) => return Some(json!({ "$date": text })),
        Value::Object(fields) if fields.len() == 1 => fields.get("$numberLong")?,
        _ => return None,
    };
    let millis: i64 = parsed(text)?;
    if !(0..AFTER_9999).contains(&millis) {
        return Some(json!({ "$date": inner }));
    }
    let moment = Timestamp::from_millis(millis);
    Some(json!({ "$date": if millis % 1000 == 0 { moment.rfc3339() } else { moment.rfc3339_millis() } }))
}

fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// 2^53: up to it every whole number is one of its own (RFC 8259 §6).
const MOST_EXACT: u64 = 1 << 53;
/// The first millisecond of the year 10000.
const AFTER_9999: i64 = 253_402_300_800_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(canonical: Value, expected: Value) {
        assert_eq!(relaxed(canonical), Ok(expected.clone()));
        assert_eq!(relaxed(expected.clone()), Ok(expected), "relaxed form stays");
    }

    #[test]
    fn numbers_become_numbers() {
        becomes(json!({ "$numberInt": "-7" }), json!(-7));
        becomes(json!({ "$numberLong": "5000000000" }), json!(5_000_000_000_i64));
        becomes(json!({ "$numberDouble": "1.5" }), json!(1.5));
        becomes(json!({ "$numberDouble": "2.0" }), json!(2));
        becomes(json!({ "$numberDouble": "-0.0" }), json!(-0.0));
        becomes(json!([{ "a": { "$numberInt": "1" } }, "x", true, null]), json!([{ "a": 1 }, "x", true, null]));
    }

    #[test]
    fn what_json_cannot_say_keeps_its_wrapper() {
        for value in [
            json!({ "$numberLong": "9223372036854775807" }),
            json!({ "$numberDouble": "NaN" }),
            json!({ "$numberDouble": "-Infinity" }),
            json!({ "$oid": "5f1a2b3c4d5e6f7a8b9c0d1e" }),
            json!({ "$numberDecimal": "1.10" }),
            json!({ "$binary": { "base64": "AQI=", "subType": "00" } }),
            json!({ "$date": { "$numberLong": "-1" } }),
            json!({ "$date": { "$numberLong": "253402300800000" } }),
        ] {
            becomes(value.clone(), value);
        }
    }

    #[test]
    fn dates_become_text() {
        becomes(json!({ "$date": { "$numberLong": "0" } }), json!({ "$date": "1970-01-01T00:00:00Z" }));
        becomes(json!({ "$date": { "$numberLong": "1500" } }), json!({ "$date": "1970-01-01T00:00:01.500Z" }));
    }

    #[test]
    fn a_wrapper_has_one_name() {
        becomes(json!({ "$numberInt": "1", "x": { "$numberInt": "2" } }), json!({ "$numberInt": "1", "x": 2 }));
        becomes(json!({ "number": "1" }), json!({ "number": "1" }));
        assert_eq!(relaxed(json!({ "$undefined": true })), Ok(Value::Null));
    }

    #[test]
    fn a_wrapper_holds_what_it_says() {
        for (name, inner) in [
            ("$numberInt", json!("x")),
            ("$numberInt", json!(1)),
            ("$numberInt", json!("5000000000")),
            ("$numberLong", json!("1.5")),
            ("$numberDouble", json!("one")),
            ("$date", json!({ "$numberLong": "x" })),
            ("$oid", json!("zz")),
        ] {
            assert_eq!(relaxed(json!({ name: inner })), Err(Malformed(name)), "{inner}");
        }
    }

    #[test]
    fn an_object_id_is_taken_in_both_spellings() {
        assert_eq!(object_id(&json!("5f1a")), Some("5f1a"));
        assert_eq!(object_id(&json!({ "$oid": "5f1a" })), Some("5f1a"));
        assert_eq!(object_id(&json!({ "$oid": "5f1a", "x": 1 })), None);
        assert_eq!(object_id(&json!(7)), None);
    }
}
