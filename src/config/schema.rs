//! The table of known keys as a JSON Schema, for editors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::known::{self, Kind, Known};

/// The JSON Schema of the file. It stays within draft 4, which is what editors of TOML understand.
pub fn schema() -> Value {
    let known = known::all();
    let mut root = Branch::default();
    for key in known {
        root.insert(&key.path, key);
    }
    let mut schema = root.object();
    schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-04/schema#"));
    schema.insert("title".to_owned(), json!("Vestibule"));
    schema.insert("definitions".to_owned(), definitions());
    Value::Object(schema)
}

/// A table and what is below it.
#[derive(Default)]
struct Branch<'a> {
    key: Option<&'a Known>,
    below: BTreeMap<&'a str, Branch<'a>>,
}

impl<'a> Branch<'a> {
    fn insert(&mut self, path: &'a [String], key: &'a Known) {
        match path {
            [] => self.key = Some(key),
            [name, rest @ ..] => self.below.entry(name).or_default().insert(rest, key),
        }
    }

    fn schema(&self) -> Value {
        let Some(key) = self.key else { return Value::Object(self.object()) };
        let mut schema = match &key.kind {
            Kind::Table => self.object(),
            Kind::WhoOrTable => one_of([who(), Value::Object(self.object())]),
            kind => into_map(of_kind(kind)),
        };
        schema.insert("title".to_owned(), json!(key.dotted()));
        schema.insert("description".to_owned(), json!(key.doc));
        if let Some(default) = key.default.as_deref().and_then(as_json) {
            schema.insert("default".to_owned(), default);
        }
        Value::Object(schema)
    }

    fn object(&self) -> Map<String, Value> {
        let (mut properties, mut patterns, mut others) = (Map::new(), Map::new(), json!(false));
        for (name, branch) in &self.below {
            match *name {
                "*" => others = branch.schema(),
                "METHOD" => drop(patterns.insert("^[A-Z-]+$".to_owned(), branch.schema())),
                name => drop(properties.insert(name.to_owned(), branch.schema())),
            }
        }
        into_map(json!({
            "type": "object",
            "properties": properties,
            "patternProperties": patterns,
            "additionalProperties": others,
        }))
    }
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text(example) => json!({ "type": "string", "examples": [example] }),
        Kind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Span => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["15m"] }),
        Kind::Size => json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$", "examples": ["1MiB"] }),
        Kind::Share => json!({ "type": "string", "pattern": "^[0-9]+([.][0-9]+)?%$", "examples": ["5%"] }),
        Kind::Rate => json!({ "type": "string", "pattern": "^[0-9]+/[0-9]*(ms|s|m|h|d)$", "examples": ["10/15m"] }),
        Kind::Words(words) => json!({ "type": "string", "enum": words }),
        Kind::Off(kind) => Value::Object(one_of([json!({ "type": "string", "enum": ["off"] }), of_kind(kind)])),
        Kind::Secret => reference("secret"),
        Kind::TextOrSecret => Value::Object(one_of([json!({ "type": "string" }), reference("secret")])),
        Kind::List(kind) => json!({ "type": "array", "items": of_kind(kind) }),
        Kind::OneOrMany(kind) => {
            Value::Object(one_of([of_kind(kind), json!({ "type": "array", "items": of_kind(kind), "minItems": 1 })]))
        }
        Kind::Who | Kind::WhoOrTable => who(),
        Kind::Metadata => metadata(),
        Kind::TokenKey => token_key(),
        Kind::Table => json!({ "type": "object" }),
    }
}

fn metadata() -> Value {
    let name = json!({ "type": "string", "minLength": 1 });
    let properties = json!({ "path": name, "field": name, "required": { "type": "boolean" } });
    let table =
        json!({ "type": "object", "properties": properties, "required": ["path"], "additionalProperties": false });
    json!({ "anyOf": [name, table] })
}

fn token_key() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let properties = json!({ "kid": text, "secret": reference("secret"), "public_key": text });
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn who() -> Value {
    reference("who")
}

/// Draft 4 ignores whatever stands beside a `$ref`, so that stands alone.
fn reference(definition: &str) -> Value {
    json!({ "allOf": [{ "$ref": format!("#/definitions/{definition}") }] })
}

fn definitions() -> Value {
    let name = json!({ "type": "string", "minLength": 1 });
    let source = |source: &str| {
        let properties = json!({ source: name });
        json!({ "type": "object", "properties": properties, "required": [source], "additionalProperties": false })
    };
    let reference = json!({ "anyOf": [source("env"), source("file"), source("credential")] });
    let person = json!({
        "anyOf": [
            { "type": "string", "enum": ["anyone", "guest", "signed_in", "service", "nobody"] },
            { "type": "string", "pattern": "^(role|provider|policy):.+$|^email:[^@]+@[^@]+$|^data:[^=]+=.*$" },
        ]
    });
    let secret = "Where a secret is: a variable, a file, or a credential of systemd; of a list the first is used.";
    json!({
        "secret": {
            "description": secret,
            "anyOf": [reference, { "type": "array", "items": reference, "minItems": 1 }],
        },
        "who": {
            "description": "One, or a list: any of these.",
            "anyOf": [person, { "type": "array", "items": person, "minItems": 1 }],
        },
    })
}

fn one_of(kinds: [Value; 2]) -> Map<String, Value> {
    Map::from_iter([("anyOf".to_owned(), json!(kinds))])
}

fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn as_json(default: &str) -> Option<Value> {
    let table: toml::Table = format!("v = {default}").parse().ok()?;
    serde_json::to_value(table.get("v")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_kind_default_and_meaning_of_a_key() {
        let schema = schema();
        let idle = &schema["properties"]["session"]["properties"]["idle_timeout"];
        assert_eq!(idle["default"], "12h");
        assert_eq!(idle["type"], "string");
        assert_eq!(idle["description"], "A session that is not used for so long ends.");
        let sign_up = &schema["properties"]["providers"]["properties"]["local-userpass"]["properties"]["sign_up"];
        assert_eq!(sign_up["enum"], json!(["open", "invite", "closed"]));
        assert_eq!(schema["properties"]["limits"]["properties"]["streams"]["default"], 100);
    }

    #[test]
    fn a_misspelt_key_is_none_of_it() {
        let schema = schema();
        assert_eq!(schema["additionalProperties"], false);
        let route = &schema["properties"]["routes"]["additionalProperties"];
        assert_eq!(route["additionalProperties"], false);
        assert!(route["properties"]["read"].is_object() && route["patternProperties"]["^[A-Z-]+$"].is_object());
    }
}
