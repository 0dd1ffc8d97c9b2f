//! What programs build on: the documented signatures of the library name few crates of others, so that a new version of
//! any other one breaks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ALLOWED: [&str; 7] = ["axum", "bytes", "http", "http-body", "serde", "tower-layer", "tower-service"];

#[test]
fn documented_signatures_name_no_other_crate_than_these() {
    let foreign = foreign_crates();
    assert!(foreign.contains("serde_json") && !foreign.contains("http"), "{foreign:?}");
    let mut faults = Vec::new();
    for file in documented_files() {
        let source = std::fs::read_to_string(&file).unwrap();
        let named = offences(&source, &foreign).into_iter();
        faults.extend(named.map(|offence| format!("{}: {offence}", file.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_foreign_type_is_found_wherever_a_signature_has_it() {
    let foreign = BTreeSet::from(["serde_json".to_owned()]);
    let found = |source: &str| offences(&format!("use serde_json::{{Map, Value}};\n{source}"), &foreign).len();
    for source in [
        "impl A {\n    pub fn a(&self) -> Value {",
        "pub async fn a(\n    b: u8,\n    c: &Map<String, u8>,\n) {",
        "pub fn a() -> serde_json::Number {",
        "pub struct A {\n    pub a: Value,\n}",
        "pub struct A(pub Value);",
        "pub enum A {\n    B(Value),\n}",
        "pub trait A {\n    fn a(&self) -> Value;\n}",
        "pub type A = Value;",
        "pub struct A;\nimpl From<Value> for A {",
    ] {
        assert_eq!(found(source), 1, "{source}");
    }
    for source in [
        "impl A {\n    pub fn a(&self) -> u8 {\n        let b: Value = 7;",
        "#[doc(hidden)]\npub fn a() -> Value {",
        "pub(super) fn a() -> Value {",
        "fn a() -> Value {",
        "pub struct A(Value);",
        "pub struct A {\n    a: Value,\n}",
        "struct A;\nimpl From<Value> for A {",
        "pub struct A;\n#[doc(hidden)]\nimpl From<Value> for A {",
    ] {
        assert_eq!(found(source), 0, "{source}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The crates this one is built on, as they are written in a source, without those that may be named.
fn foreign_crates() -> BTreeSet<String> {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let all = manifest["dependencies"].as_table().unwrap().keys();
    all.filter(|name| !ALLOWED.contains(&name.as_str())).map(|name| name.replace('-', "_")).collect()
}

/// The sources of modules that the front page of the library shows.
fn documented_files() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for (folder, front) in
        [(PathBuf::new(), "lib.rs"), ("account".into(), "account/mod.rs"), ("session".into(), "session/mod.rs")]
    {
        let source = std::fs::read_to_string(root().join("src").join(front)).unwrap();
        let lines: Vec<&str> = source.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) else { continue };
            let path = root().join("src").join(&folder).join(name);
            match is_hidden(&lines, at) {
                true => found.retain(|file| *file != path.with_extension("rs")),
                false => found.extend(sources(&path)),
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn sources(module: &Path) -> Vec<PathBuf> {
    let file = module.with_extension("rs");
    if file.exists() {
        return vec![file];
    }
    let Ok(folder) = module.read_dir() else { return Vec::new() };
    let files =
        folder.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let is_shown = |path: &PathBuf| !["test", "conformance"].iter().any(|word| path.to_string_lossy().contains(word));
    files.filter(|path| is_shown(&path.file_name().unwrap().into())).collect()
}

/// Signatures of public items that name one of these crates, or something that was imported from one.
fn offences(source: &str, foreign: &BTreeSet<String>) -> Vec<String> {
    let source = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let imported = imported(source, foreign);
    let lines: Vec<&str> = source.lines().collect();
    let shown = lines.iter().enumerate().filter(|(at, _)| !is_hidden(&lines, *at));
    let signatures = shown.filter_map(|(at, _)| signature(source, &lines, at));
    let names = |signature: &String| {
        let words: Vec<&str> = signature.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        words.iter().any(|word| imported.contains_key(word))
            || foreign.iter().any(|name| signature.contains(&format!("{name}::")))
    };
    signatures.filter(names).collect()
}

/// What stands for which crate in this source.
fn imported<'a>(source: &'a str, foreign: &BTreeSet<String>) -> BTreeMap<&'a str, &'a str> {
    let uses = source.split("\nuse ").flat_map(|part| part.strip_prefix("use ").or(Some(part)));
    let uses = uses.filter_map(|part| part.split(';').next()?.split_once("::"));
    let of_others = uses.filter(|(name, _)| foreign.contains(*name));
    let words = of_others.flat_map(|(name, rest)| {
        rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).map(move |word| (word, name))
    });
    words.filter(|(word, _)| word.starts_with(char::is_uppercase)).collect()
}

/// The signature that begins in this line, if it is one that programs may see.
fn signature(source: &str, lines: &[&str], at: usize) -> Option<String> {
    let line = lines[at].trim_start();
    let public = line.strip_prefix("pub ");
    let until = |ends: &[char]| {
        let mut whole = String::new();
        for line in &lines[at..] {
            whole.push_str(line.trim());
            whole.push(' ');
            if line.trim_end().ends_with(ends) {
                break;
            }
        }
        whole
    };
    let body = || lines[at..].iter().take_while(|line| !line.starts_with('}')).copied().collect::<Vec<_>>();
    match public {
        Some(rest) if rest.starts_with("enum ") => Some(body().join(" ")),
        Some(rest) if rest.starts_with("trait ") => {
            Some(body().into_iter().filter(|line| !line.trim_start().starts_with("///")).collect::<Vec<_>>().join(" "))
        }
        Some(rest) if rest.starts_with("struct ") => {
            let whole = until(&['{', ';']);
            let fields = whole.split_once('(').map_or("", |(_, fields)| fields);
            let named = whole.split('(').next().unwrap_or_default();
            Some(format!("{named} {}", fields.split(',').filter(|field| field.contains("pub ")).collect::<String>()))
        }
        Some(rest) if ["fn ", "async fn ", "const ", "type ", "static "].iter().any(|word| rest.starts_with(word)) => {
            Some(until(&['{', ';', '}']))
        }
        Some(rest) if rest.split_once(": ").is_some_and(|(name, _)| !name.contains(' ')) => Some(until(&[','])),
        None if line.starts_with("impl") && !lines[at].starts_with(' ') => {
            let whole = until(&['{']);
            let of = whole.split(" for ").last()?.trim_start_matches("impl").trim();
            let name: String = of.chars().take_while(|c| c.is_alphanumeric()).collect();
            let own = ["struct", "enum", "trait"].iter().any(|word| source.contains(&format!("pub {word} {name}")));
            own.then_some(whole)
        }
        _ => None,
    }
}

/// Whether the attributes above a line take it out of the documentation.
fn is_hidden(lines: &[&str], at: usize) -> bool {
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    above.take_while(|line| line.starts_with("#[") || line.starts_with("///")).any(|line| line == "#[doc(hidden)]")
}
