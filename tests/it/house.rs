//! The house's own rules: who may import whom, how long a file is, which packages may come in.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

/// Modules from the ground up: each may import its own level and what is below it.
const LEVELS: [&[&str]; 11] = [
    &[
        "client",
        "clock",
        "secret",
        "body",
        "gather",
        "head",
        "id",
        "json",
        "language",
        "limit",
        "own",
        "public_url",
        "request_id",
        "spare",
        "span",
        "tally",
        "unreadable",
        "visitor",
    ],
    &["account"],
    &["route", "store", "session", "token", "fetch", "acme", "upstream", "provider", "function", "mail", "cluster"],
    &["rejection", "visit"],
    &["portal", "app_services", "admin"],
    &["layer"],
    &["config", "listen"],
    &["stack"],
    &["app", "ground", "live"],
    &["gate"],
    &["cli", "main", "test"],
];

/// What a pure module may import besides the two lowest levels.
const PURE: [(&str, &[&str]); 1] = [("route", &["route", "upstream"])];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under a folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path, ending)),
            false if path.to_string_lossy().ends_with(ending) => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

/// `src/account/user.rs` → `account`; `src/secret.rs` → `secret`.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules a source names by `use crate::…`, tests included, groups taken apart.
fn imports(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("use crate::") {
        let rest = &source[at + "use crate::".len()..];
        let rest = &rest[..rest.find(';').unwrap_or(rest.len())];
        match rest.strip_prefix('{') {
            None => found.push(first_word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && depth == 0 && c.is_alphabetic() => {
                            found.push(first_word(&group[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&module))
}

#[test]
fn imports_go_one_way() {
    let mut faults = Vec::new();
    for file in files(&root().join("src"), ".rs") {
        let name = module(&file);
        if name == "lib" {
            continue;
        }
        let Some(own) = level(&name) else {
            faults.push(format!("{}: module {name} stands on no level", file.display()));
            continue;
        };
        for import in imports(&read_to_string(&file).unwrap()) {
            // A name that is no module (a macro, an item of the crate's root) stands at the door: anyone may use it.
            let Some(other) = level(&import) else { continue };
            let pure = PURE.iter().find(|(pure, _)| *pure == name);
            let fine = match pure {
                Some((_, besides)) => other <= 1 || besides.contains(&import.as_str()),
                None => other <= own,
            };
            if !fine {
                faults.push(format!("{}: {name} (level {own}) imports {import} (level {other})", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_import_reader_sees_groups_and_nested_paths() {
    let source = "use crate::secret::Secret;\n    use crate::{body::Body, session::{self, Caller},\n clock};\nuse cratesomething;";
    assert_eq!(imports(source), ["secret", "body", "session", "clock"]);
}

#[test]
fn files_are_short_and_folders_one_level_deep() {
    let mut faults = Vec::new();
    for file in files(&root().join("src"), ".rs") {
        let lines = read_to_string(&file).unwrap().lines().count();
        if lines > 400 {
            faults.push(format!("{}: {lines} lines", file.display()));
        }
        if file.strip_prefix(root().join("src")).unwrap().components().count() > 2 {
            faults.push(format!("{}: more than one folder deep", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Packages whose types users of the library meet; axum's behind its feature.
const SHOWN: [&str; 11] =
    ["std", "http", "http_body", "bytes", "tower_layer", "tower_service", "serde", "axum", "crate", "super", "self"];

/// The names that a source imports from packages which stay inside, and those packages.
fn inner_names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let source = format!("\n{source}");
    for line in source.split("\nuse ").skip(1).filter_map(|part| part.split(";\n").next()) {
        let package = first_word(line);
        if !line.contains("::") || package.is_empty() || SHOWN.contains(&package.as_str()) {
            continue;
        }
        names.push(format!("{package}::"));
        let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        names.extend(words.filter(|word| word.starts_with(|c: char| c.is_uppercase())).map(str::to_owned));
    }
    names
}

#[test]
fn the_library_shows_no_types_of_packages_that_stay_inside() {
    let src = root().join("src");
    let mut shown = files(&src.join("gate"), ".rs");
    shown.push(src.join("test.rs"));
    let mut count = 0;
    for file in shown {
        let source = read_to_string(&file).unwrap();
        let inner = inner_names(source.split("\n/// ").next().unwrap());
        for line in source.lines().map(str::trim_start) {
            let is_public = ["pub fn ", "pub async fn ", "pub struct ", "pub enum ", "pub trait ", "pub type "];
            if !is_public.iter().any(|start| line.starts_with(start)) {
                continue;
            }
            count += 1;
            // What a struct holds stays inside; its fields are not public.
            let line = if line.starts_with("pub struct ") { line.split('(').next().unwrap() } else { line };
            let words: Vec<_> = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).collect();
            let found = inner.iter().find(|name| words.iter().any(|word| word == name || word.starts_with(&**name)));
            assert!(found.is_none(), "{}: {found:?} in {line}", file.display());
        }
    }
    assert!(count > 60, "{count}");
    assert_eq!(inner_names("use serde_json::{Map, Value};\nuse http::Uri;\n"), ["serde_json::", "Map", "Value"]);
}

#[test]
fn no_second_tls_library_comes_in() {
    let lock: Table = read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let names: Vec<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"rustls"), "the lock file was read");
    for banned in ["openssl", "openssl-sys", "native-tls", "hyper-tls", "tokio-native-tls", "tokio-openssl"] {
        assert!(!names.contains(&banned), "{banned} is in Cargo.lock");
    }
    // Lock files name what no build uses, too; what is built is what counts for these.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    assert!(tree.lines().any(|line| line.starts_with("aws-lc-rs ")), "{tree}");
    for banned in ["ring ", "rsa ", "openssl "] {
        assert!(!tree.lines().any(|line| line.starts_with(banned)), "{banned}is built");
    }
}

#[test]
fn every_package_stands_at_or_above_its_security_floor() {
    let floors: BTreeMap<&str, [u64; 3]> = BTreeMap::from([
        ("h2", [0, 4, 16]),
        ("rustls", [0, 23, 18]),
        ("rustls-webpki", [0, 103, 13]),
        ("aws-lc-sys", [0, 39, 0]),
        ("bytes", [1, 11, 1]),
        ("tokio", [1, 44, 2]),
        ("time", [0, 3, 47]),
        ("idna", [1, 0, 3]),
        ("url", [2, 5, 4]),
        ("tracing-subscriber", [0, 3, 20]),
        ("jsonwebtoken", [10, 3, 0]),
        ("lettre", [0, 11, 22]),
        ("tungstenite", [0, 20, 1]),
    ]);
    let lock: Table = read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let Some(floor) = floors.get(name) else { continue };
        let plain = version.split(['-', '+']).next().unwrap();
        let numbers: Vec<u64> = plain.split('.').map(|number| number.parse().unwrap()).collect();
        assert!(numbers.as_slice() >= floor.as_slice(), "{name} {version} is below {floor:?}");
    }
}

#[test]
fn every_dependency_says_who_uses_it() {
    let manifest = read_to_string(root().join("Cargo.toml")).unwrap();
    let mut inside = false;
    let mut before = "";
    let mut seen = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains(" = ") && !line.starts_with('#') {
            assert!(before.starts_with("# "), "no comment above {line}");
            seen += 1;
        }
        before = line;
    }
    assert!(seen > 10, "the manifest was read");
}

#[test]
fn no_registry_or_machine_is_named_in_the_check_script() {
    let script = read_to_string(root().join(".ci/run")).unwrap();
    for name in ["crates.io", "npmjs", "pypi", "debian.org", "github", "/root", "/home"] {
        assert!(!script.contains(name), "{name} in .ci/run");
    }
}
