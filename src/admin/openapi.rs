//! What `/api` answers, as an OpenAPI 3.1 document; the table is also what tells unknown paths from unknown methods.

use serde_json::{Map, Value, json};

struct Endpoint {
    path: &'static str,
    methods: &'static [(&'static str, &'static str, &'static str)],
    allow: &'static str,
}

/// The document.
pub(super) fn document() -> Value {
    let paths = ENDPOINTS.iter().map(|endpoint| (format!("/api{}", endpoint.path), endpoint.operations()));
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Vestibule, for operators", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "bearer": [] }],
        "paths": Value::Object(paths.collect()),
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

/// The methods of a path, if there is such a path.
pub(super) fn allowed(path: &[&str]) -> Option<&'static str> {
    let fits = |endpoint: &&Endpoint| {
        let parts: Vec<&str> = endpoint.path.split('/').skip(1).collect();
        parts.len() == path.len() && parts.iter().zip(path).all(|(part, asked)| part.starts_with('{') || part == asked)
    };
    ENDPOINTS.iter().find(fits).map(|endpoint| endpoint.allow)
}

impl Endpoint {
    fn operations(&self) -> Value {
        let named = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Vec<Value> =
            named.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text() })).collect();
        let each = |(method, summary, schema): &(&str, &str, &str)| {
            let mut parameters = parameters.clone();
            if *schema == "List" && !self.path.contains('{') {
                for name in ["after", "limit"] {
                    parameters.push(json!({ "name": name, "in": "query", "schema": text() }));
                }
            }
            let mut operation = json!({ "summary": summary, "parameters": parameters, "responses": responses(schema) });
            if let Some(body) = body(method, self.path) {
                operation["requestBody"] = json!({ "content": { "application/json": { "schema": body } } });
            }
            ((*method).to_owned(), operation)
        };
        Value::Object(self.methods.iter().map(each).collect())
    }
}

fn responses(schema: &str) -> Value {
    let problem = json!({ "description": "refused", "content": { "application/problem+json": {} } });
    let fine = match schema {
        "" => json!({ "204": { "description": "done" } }),
        schema => {
            let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
            json!({ "2XX": { "description": "done", "content": { "application/json": { "schema": schema } } } })
        }
    };
    let mut all = fine;
    all["default"] = problem;
    all
}

fn body(method: &str, path: &str) -> Option<Value> {
    let fields: &[(&str, &str)] = match (method, path) {
        ("post", "/users") => &[("email", "string"), ("password", "string"), ("roles", "array")],
        ("patch", "/users/{user}") => {
            &[("disabled", "boolean"), ("roles", "array"), ("custom_data", "object"), ("email", "string")]
        }
        ("post", "/keys") => &[("name", "string"), ("user", "string"), ("roles", "array"), ("expires_in", "integer")],
        ("patch", "/keys/{key}") => &[("disabled", "boolean")],
        _ => return None,
    };
    Some(object(fields))
}

fn schemas() -> Value {
    let user = [
        ("id", "string"),
        ("kind", "string"),
        ("disabled", "boolean"),
        ("email", "string"),
        ("verified_email", "string"),
        ("name", "string"),
        ("roles", "array"),
        ("identities", "array"),
        ("has_password", "boolean"),
        ("data", "object"),
        ("custom_data", "object"),
        ("created_at", "string"),
        ("last_sign_in_at", "string"),
    ];
    let key = [
        ("id", "string"),
        ("name", "string"),
        ("user_id", "string"),
        ("disabled", "boolean"),
        ("created_at", "string"),
        ("expires_at", "string"),
        ("last_used_at", "string"),
        ("key", "string"),
    ];
    json!({
        "User": object(&user),
        "Key": object(&key),
        "List": object(&[("items", "array"), ("next", "string")]),
        "Ended": object(&[("ended", "integer")]),
        "Document": object(&[]),
    })
}

fn object(fields: &[(&str, &str)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, kind)| ((*name).to_owned(), json!({ "type": [kind, "null"] }))).collect();
    json!({ "type": "object", "properties": properties })
}

fn text() -> Value {
    json!({ "type": "string" })
}

const ENDPOINTS: &[Endpoint] = &[
    Endpoint { path: "/openapi.json", methods: &[("get", "This document", "Document")], allow: "GET, HEAD" },
    Endpoint {
        path: "/users",
        methods: &[("get", "Users by id; ?email= finds one", "List"), ("post", "Make an account", "User")],
        allow: "GET, HEAD, POST",
    },
    Endpoint {
        path: "/users/{user}",
        methods: &[
            ("get", "A user by id or e-mail address", "User"),
            ("patch", "Change a user", "User"),
            ("delete", "Remove a user with all that is theirs", ""),
        ],
        allow: "GET, HEAD, PATCH, DELETE",
    },
    Endpoint {
        path: "/users/{user}/sessions",
        methods: &[("get", "Where a user is signed in", "List"), ("delete", "End all of them", "Ended")],
        allow: "GET, HEAD, DELETE",
    },
    Endpoint { path: "/users/{user}/keys", methods: &[("get", "A user's API keys", "List")], allow: "GET, HEAD" },
    Endpoint { path: "/sessions", methods: &[("get", "Sessions of everybody", "List")], allow: "GET, HEAD" },
    Endpoint { path: "/sessions/{session}", methods: &[("delete", "End a session", "")], allow: "DELETE" },
    Endpoint {
        path: "/keys",
        methods: &[("get", "All API keys", "List"), ("post", "Make a key; it is shown this once", "Key")],
        allow: "GET, HEAD, POST",
    },
    Endpoint {
        path: "/keys/{key}",
        methods: &[("patch", "Disable or enable a key", "Key"), ("delete", "Remove a key and its service", "")],
        allow: "PATCH, DELETE",
    },
    Endpoint {
        path: "/audit",
        methods: &[("get", "What was done, by whom; ?user= and ?since= (Unix seconds) narrow it", "List")],
        allow: "GET, HEAD",
    },
];
