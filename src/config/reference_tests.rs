//! Holds `config/full.toml` to the code.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::known::{self, Kind, Known};
use super::{Code, Config, parse};
use crate::provider::Settings as Providers;
use crate::route::{Action, Spec, Who};

const FULL: &str = include_str!("../../config/full.toml");

/// The file with every example switched on.
fn with_examples() -> String {
    FULL.lines().map(|line| if is_example(line) { &line[2..] } else { line }).collect::<Vec<_>>().join("\n")
}

fn is_example(line: &str) -> bool {
    if line.starts_with("# [") {
        return true;
    }
    let Some((key, _)) = line.strip_prefix("# ").and_then(|line| line.split_once(" =")) else { return false };
    let bare = |b: u8| b.is_ascii_lowercase() || matches!(b, b'_' | b'-');
    key.starts_with('"') && key.ends_with('"') || key.bytes().all(bare)
}

/// Every value below a path; `*` is any name, `METHOD` any in capitals.
fn values<'a>(table: &'a Table, path: &[String]) -> Vec<&'a Value> {
    let [name, rest @ ..] = path else { return Vec::new() };
    let matches = |key: &str| match name.as_str() {
        "*" => true,
        "METHOD" => key.bytes().all(|b| b.is_ascii_uppercase()),
        name => key == name,
    };
    let found = table.iter().filter(|(key, _)| matches(key)).map(|(_, value)| value);
    if rest.is_empty() {
        return found.collect();
    }
    found.filter_map(Value::as_table).flat_map(|table| values(table, rest)).collect()
}

#[test]
fn every_key_is_there_at_its_default_or_as_an_example() {
    let full: Table = FULL.parse().unwrap();
    let all: Table = with_examples().parse().unwrap();
    for Known { path, default, kind, .. } in known::all() {
        let name = path.join(".");
        // What several types of providers have in common is shown with one of them.
        let mut anywhere = path.clone();
        if path.len() > 2 && path[0] == "providers" {
            anywhere[1] = "*".to_owned();
        }
        assert!(!values(&all, &anywhere).is_empty(), "{name} is missing");
        let Some(default) = default else { continue };
        let table = &path[..path.len() - 1];
        // A table that is an example as a whole shows values in place of defaults.
        if path.iter().any(|name| name == "*") || (!table.is_empty() && values(&full, table).is_empty()) {
            continue;
        }
        let default: Table = format!("v = {default}").parse().unwrap();
        // What is off has no live line; its example shows the defaults.
        let is_off = (2..path.len()).any(|end| values(&full, &path[..end]).is_empty());
        assert_eq!(values(if is_off { &all } else { &full }, path), [&default["v"]], "{name}");
        assert_ne!(*kind, Kind::Table, "{name}");
    }
}

#[test]
fn every_key_has_its_comment() {
    for line in FULL.lines().filter(|line| is_example(line) || !line.starts_with(['#', '[']) && !line.is_empty()) {
        let value = line.trim_start_matches("# ");
        assert!(value.contains("  # ") || value.contains(" # "), "{line}");
    }
}

#[test]
fn it_means_the_same_as_an_empty_file() {
    let config = parse(FULL, "full.toml", []).unwrap_or_else(|report| panic!("{report}"));
    let mut expected = Config::for_upstream("http://127.0.0.1:3000".parse().unwrap());
    expected.providers = Providers {
        anon_user: Some(Default::default()),
        local_userpass: Some(Default::default()),
        api_key: Some(Default::default()),
        ..Default::default()
    };
    expected.admin = Some(Default::default());
    let actions = vec![(Action::All, vec![Who::SignedIn])];
    expected.routes.specs = vec![Spec { key: "/**".to_owned(), actions, ..Spec::default() }];
    assert_eq!(config, expected);
}

#[test]
fn its_examples_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["ca.pem", "cert.pem", "key.pem", "client.pem", "AuthKey.p8", "logo.svg", "templates", "admin.token"];
    for name in files {
        let path = folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(["idp.internal".to_owned()]).unwrap();
        let text = match name {
            "client.pem" | "AuthKey.p8" => made.signing_key.serialize_pem(),
            "ca.pem" => made.cert.pem(),
            _ => "brass weather vane 8811 on the roof".to_owned(),
        };
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    std::fs::create_dir(folder.path().join("functions")).unwrap();
    std::fs::write(folder.path().join("functions/auth.js"), "exports = () => 'ann-1'").unwrap();
    let secrets = [
        "ACME_KEY",
        "OTLP_AUTHORIZATION",
        "SMTP_PASSWORD",
        "HOOK_SECRET",
        "PEPPER",
        "STORE_PASSWORD",
        "REDIS_PASSWORD",
        "SENTINEL_PASSWORD",
        "OIDC_SECRET",
        "GOOGLE_SECRET",
        "FACEBOOK_SECRET",
        "GITHUB_SECRET",
        "MICROSOFT_SECRET",
    ];
    let environment: BTreeMap<_, _> =
        secrets.map(|name| (name.to_owned(), format!("correct horse {name}"))).into_iter().collect();
    let text = with_examples()
        .replace("directory = ", "# directory = ")
        .replace("rediss://vestibule@redis.example.com:6379", "rediss-sentinel://vestibule@a,b,c/main")
        .replace("keys = [{", "# keys = [{")
        .replace("confirm         = \"mail\"", "confirm = \"function\"")
        .replace("reset           = \"mail\"", "reset = \"function\"")
        .replace("javascript = \"functions/auth.js\", values = { pepper = { env = \"PEPPER\" } }, webhook", "webhook")
        .replace("roles      = []", "roles = [\"journalist\", \"editor\"]");
    let name = folder.path().join("full.toml").display().to_string();
    let config = parse(&text, &name, environment).unwrap_or_else(|report| panic!("{report}"));
    let codes: Vec<Code> = config.notes.iter().map(|note| note.code).collect();
    assert_eq!(codes, []);
}
