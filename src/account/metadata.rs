//! What of a provider's answer is kept of a user.

use serde_json::{Map, Value};

/// An entry of `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataField {
    /// Where it is in the provider's answer: dots lead into objects, `\.` is a dot in a name.
    pub path: String,
    /// Its name in `data`.
    pub field: String,
    /// Without it nobody is let in.
    pub required: bool,
}

/// Why an answer does not do; the text is for the log and holds no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A required field is not there.
    #[error("`{0}` is required and not there")]
    Missing(String),
    /// A field has more than 4,096 characters.
    #[error("`{0}` has more than 4096 characters")]
    TooLong(String),
}

impl MetadataField {
    /// The value at this path under the name of its last step, as it may be there.
    pub fn named(path: &str) -> Self {
        let field = steps(path).pop().unwrap_or_default();
        Self { path: path.to_owned(), field, required: false }
    }
}

/// What these fields take from an answer. Values keep their types, lists and objects are taken whole; null and
/// empty text are nothing.
///
/// # Errors
/// See [`Unfit`].
pub fn map(fields: &[MetadataField], claims: &Map<String, Value>) -> Result<Map<String, Value>, Unfit> {
    let mut data = Map::new();
    for entry in fields {
        match at(claims, &entry.path).filter(|value| !is_nothing(value)) {
            Some(value) if is_too_long(value) => return Err(Unfit::TooLong(entry.path.clone())),
            Some(value) => drop(data.insert(entry.field.clone(), value.clone())),
            None if entry.required => return Err(Unfit::Missing(entry.path.clone())),
            None => {}
        }
    }
    Ok(data)
}

/// The value at a path. A name that is an address, dots and all, is found as it stands.
pub fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let steps = steps(path);
    let (first, rest) = steps.split_first()?;
    let inside = claims.get(first).and_then(|value| rest.iter().try_fold(value, |value, step| value.get(step)));
    inside.or_else(|| claims.get(path))
}

/// The steps of a path.
fn steps(path: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut escaped = false;
    for c in path.chars() {
        match (c, escaped) {
            ('\\', false) => escaped = true,
            ('.', false) => steps.push(String::new()),
            _ => {
                escaped = false;
                if let Some(step) = steps.last_mut() {
                    step.push(c);
                }
            }
        }
    }
    steps
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// Whether a value has more than 4,096 characters.
pub fn is_too_long(value: &Value) -> bool {
    let length = match value {
        Value::String(text) => text.chars().count(),
        other => other.to_string().chars().count(),
    };
    length > LONGEST
}

/// As App Services had it.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapped(fields: &[MetadataField], claims: Value) -> Result<Value, Unfit> {
        map(fields, claims.as_object().unwrap()).map(Value::Object)
    }

    #[test]
    fn a_path_leads_into_objects_and_knows_dots_in_names() {
        let claims = json!({ "a": { "b.c": 1, "d": { "e": 2 } }, "https://x.test/roles": 3, "f\\": 4, "g.h": 5, "g": { "h": 6 } });
        let claims = claims.as_object().unwrap();
        for (path, value) in [
            (r"a.b\.c", Some(1)),
            ("a.d.e", Some(2)),
            (r"https://x\.test/roles", Some(3)),
            ("https://x.test/roles", Some(3)),
            (r"f\\", Some(4)),
            (r"g\.h", Some(5)),
            ("g.h", Some(6)),
            ("a.b.c", None),
            ("a.d.e.f", None),
            ("a..d", None),
            ("", None),
        ] {
            assert_eq!(at(claims, path), value.map(|value| json!(value)).as_ref(), "{path}");
        }
    }

    #[test]
    fn fields_are_renamed_and_keep_their_types() {
        let fields = [
            MetadataField { path: "profile.given_name".into(), field: "first_name".into(), required: true },
            MetadataField::named("profile.age"),
            MetadataField::named(r"x\.y"),
            MetadataField::named("tags"),
            MetadataField::named("nothing"),
            MetadataField::named("empty"),
        ];
        let claims = json!({
            "profile": { "given_name": "Ann", "age": 7 }, "x.y": true, "tags": ["a", "b"], "nothing": null, "empty": "",
            "secret": 1,
        });
        let data = json!({ "first_name": "Ann", "age": 7, "x.y": true, "tags": ["a", "b"] });
        assert_eq!(mapped(&fields, claims), Ok(data));
    }

    #[test]
    fn what_is_required_is_there_and_nothing_is_too_long() {
        let required = [MetadataField { required: true, ..MetadataField::named("name") }];
        for absent in [json!({}), json!({ "name": null }), json!({ "name": "" })] {
            assert_eq!(mapped(&required, absent), Err(Unfit::Missing("name".into())));
        }
        let long = |characters: usize| mapped(&required, json!({ "name": "ü".repeat(characters) }));
        assert!(long(4096).is_ok());
        assert_eq!(long(4097), Err(Unfit::TooLong("name".into())));
        assert!(mapped(&[MetadataField::named("name")], json!({})).is_ok());
    }
}
