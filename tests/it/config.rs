//! What the configuration says of every mistake, and what the command makes of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use vestibule::config::{self, Code};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config")
}

/// The report of a file, or its notes; `# env NAME=value` lines in it are its environment.
fn report(text: &str, name: &str) -> String {
    let environment = text.lines().filter_map(|line| line.strip_prefix("# env ")?.split_once('='));
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    match config::parse(text, name, environment) {
        Ok(config) => config.notes.iter().map(|note| format!("{note}\n")).collect(),
        Err(report) => format!("{report}\n"),
    }
}

fn cases() -> Vec<PathBuf> {
    let files = std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    cases.sort();
    cases
}

/// `UPDATE_GOLDEN=1` writes what is said today.
#[test]
fn every_mistake_is_told_with_its_place_and_the_way_out() {
    let mut differing = Vec::new();
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let said = report(&std::fs::read_to_string(&case).unwrap(), &name);
        let kept = case.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&kept, &said).unwrap();
        }
        if said != std::fs::read_to_string(&kept).unwrap_or_default() {
            differing.push(format!("{name} says now:\n{said}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_code_that_text_can_cause_is_shown_by_a_case() {
    let texts: String =
        cases().iter().map(|case| std::fs::read_to_string(case.with_extension("txt")).unwrap()).collect();
    // A file that is not there and one that everybody can read are no text.
    let elsewhere = [Code::NoFile, Code::SecretExposed];
    let missing: BTreeSet<_> =
        Code::ALL.iter().filter(|code| !elsewhere.contains(code) && !texts.contains(code.id())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(cases().len() >= 25);
}

fn vestibule(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(arguments).current_dir(folder).env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn check_ends_with_3_and_one_json_object_per_problem() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("vestibule.toml"), "upstraem = 1\ncase = \"guad\"\n").unwrap();
    let output = vestibule(folder.path(), &["check", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["code"], "VB0105");
    assert_eq!(
        (lines[1]["file"].as_str(), lines[1]["line"].as_u64(), lines[1]["column"].as_u64()),
        (Some("vestibule.toml"), Some(2), Some(8))
    );
    assert_eq!(lines[1]["help"][0], "did you mean \"guard\"?");
}

#[test]
fn check_of_a_good_file_ends_with_0() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("v.toml"), "upstream = \"http://127.0.0.1:3000\"").unwrap();
    let output = vestibule(folder.path(), &["check", "--config", "v.toml"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "v.toml: fine\n"));
}

#[test]
fn without_a_file_the_ways_on_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = vestibule(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    for way in ["no vestibule.toml here", "vestibule demo", "vestibule init", "vestibule run --to ADDRESS"] {
        assert!(said.contains(way), "{said}");
    }
}

#[test]
fn init_writes_a_file_that_check_takes_and_never_overwrites_one() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["init", "--upstream", "http://127.0.0.1:3000", "--sign-up", "open", "--read", "guest"];
    let output = vestibule(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let written = std::fs::read_to_string(folder.path().join("vestibule.toml")).unwrap();
    assert!(text(&output.stdout).contains(&written));
    assert_eq!(vestibule(folder.path(), &["check"]).status.code(), Some(0));
    assert_eq!(vestibule(folder.path(), &arguments).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(folder.path().join("vestibule.toml")).unwrap(), written);
}

#[test]
fn init_without_a_terminal_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(vestibule(folder.path(), &["init"]).status.code(), Some(2));
    assert!(!folder.path().join("vestibule.toml").exists());
}

#[test]
fn a_wrong_use_ends_with_2_and_a_suggestion() {
    let output = vestibule(Path::new("."), &["chekc"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("check"));
}

#[test]
fn schema_and_completions_need_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&vestibule(folder.path(), &["schema"]).stdout).unwrap();
    assert_eq!(schema["properties"]["session"]["properties"]["idle_timeout"]["default"], "12h");
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&vestibule(folder.path(), &["completions", shell]).stdout).contains("vestibule"));
    }
}

#[test]
fn every_code_is_explained() {
    for code in Code::ALL {
        let output = vestibule(Path::new("."), &["check", "--explain", code.id()]);
        assert!(text(&output.stdout).starts_with(code.id()), "{code}");
    }
    assert_eq!(vestibule(Path::new("."), &["check", "--explain", "VB9999"]).status.code(), Some(2));
}
