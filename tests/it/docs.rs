//! What the documents tell people to write is taken as it stands.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::site::BINARY;

/// The documents with examples of configuration.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    docs.chain([root.join("README.md")]).collect()
}

/// The TOML blocks of a document, with the line each begins at.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match line.trim() {
            "```toml" => {
                inside = true;
                blocks.push((number + 1, String::new()));
            }
            "```" => inside = false,
            line if inside => {
                let block = &mut blocks.last_mut().unwrap().1;
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

/// The commands of the first console block under this heading, without their comments.
fn commands(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let block = section.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let words = |line: &str| line.split(" #").next().unwrap().split_whitespace().map(str::to_owned).collect();
    block.lines().map(words).collect()
}

/// What stands between `before` and the next quotation mark.
fn named<'t>(text: &'t str, before: &str) -> BTreeSet<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Checks a block in a folder that has the files it names, with the variables it names.
fn check(block: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    for name in named(block, "{ file = \"") {
        file(name, rcgen::KeyPair::generate().unwrap().serialize_pem().as_str());
    }
    fs::create_dir(folder.path().join("functions")).unwrap();
    for name in named(block, "javascript = \"") {
        file(name, "exports = async function () { return 'a'; };");
    }
    let upstream = if block.contains("upstream") { "" } else { "upstream = \"http://127.0.0.1:3000\"\n" };
    file("vestibule.toml", &format!("{upstream}{block}"));
    let mut check = Command::new(BINARY);
    check.env_clear().args(["check", "--config", "vestibule.toml"]).current_dir(folder.path());
    for name in named(block, "env = \"") {
        check.env(name, "a-secret-of-the-length-that-secrets-have");
    }
    let output = check.output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn the_commands_for_a_site_of_ones_own_work_one_after_the_other() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let commands = commands(&readme, "Your own site");
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &Vec<String>| {
        assert_eq!(words[0], "vestibule");
        let mut command = Command::new(BINARY);
        command.env_clear().args(&words[1..]).current_dir(folder.path()).stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success() || words[1] == "explain", "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (last, others) = commands.split_last().unwrap();
    // It would not end; that it starts with such a file is shown elsewhere.
    assert_eq!(last, &["vestibule", "run"]);
    let said: Vec<_> = others.iter().map(run).collect();
    assert_eq!(said.len(), 4, "{commands:?}");
    assert!(said[2].contains("/.auth/") && said[3].starts_with("refused") && said[3].contains("401"), "{said:?}");
}

#[test]
fn every_example_of_the_documents_is_a_good_configuration() {
    let mut count = 0;
    for document in documents() {
        for (line, block) in blocks(&fs::read_to_string(&document).unwrap()) {
            count += 1;
            if let Err(report) = check(&block) {
                panic!("{}:{line}\n{report}", document.display());
            }
        }
    }
    assert!(count >= 15, "{count} examples");
    assert!(check("[providers.githup]\nclient_id = \"a\"\n").is_err());
}
