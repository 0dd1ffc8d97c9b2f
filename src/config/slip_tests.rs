//! Spoils every key and every word in every way one slip of the pen can, and expects the right suggestion.

use std::collections::BTreeSet;

use super::known::{self, Kind, Known};
use super::{Code, Problem, parse};
use crate::layer::Source;
use crate::route::Who;

/// The word with a letter dropped, doubled, or swapped with the next one.
fn slips(word: &str) -> BTreeSet<String> {
    let letters: Vec<char> = word.chars().collect();
    let at: Vec<usize> = (0..letters.len()).filter(|at| letters[*at].is_alphabetic()).collect();
    let spoil = |change: &dyn Fn(&mut Vec<char>)| {
        let mut letters = letters.clone();
        change(&mut letters);
        letters.into_iter().collect::<String>()
    };
    let mut slips = BTreeSet::new();
    for at in at {
        slips.insert(spoil(&|letters| {
            letters.remove(at);
        }));
        slips.insert(spoil(&|letters| letters.insert(at, letters[at])));
        if letters.get(at + 1).is_some_and(|next| next.is_alphabetic()) {
            slips.insert(spoil(&|letters| letters.swap(at, at + 1)));
        }
    }
    slips.remove(word);
    slips.remove("");
    slips
}

/// The path as TOML writes it, with a name for every free one.
fn written(path: &[String]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in path {
        names.push(match (name.as_str(), names.first().map(String::as_str)) {
            ("*", Some("routes")) => "\"/x\"".to_owned(),
            ("*", _) => "X-Name".to_owned(),
            ("METHOD", _) => "PATCH".to_owned(),
            (name, _) => name.to_owned(),
        });
    }
    names.join(".")
}

fn problems(text: &str) -> Vec<Problem> {
    match parse(text, "a.toml", []) {
        Ok(_) => Vec::new(),
        Err(report) => report.problems,
    }
}

/// Expects this help among the problems of this code.
fn expect_help(text: &str, code: Code, help: &str) {
    let found = problems(text);
    assert!(has_help(&found, code, help), "{text}\nwants {help}, has {found:#?}");
}

fn has_help(found: &[Problem], code: Code, help: &str) -> bool {
    let mut helps = found.iter().filter(|problem| problem.code == code).flat_map(|problem| &problem.help);
    helps.any(|line| line.starts_with(help))
}

/// The words of `type`.
fn types() -> impl Iterator<Item = &'static str> {
    let types = known::all().iter().find(|key| key.dotted() == "providers.*.type").unwrap();
    let Kind::Words(words) = &types.kind else { panic!("{types:?}") };
    words.iter().copied()
}

#[test]
fn every_misspelt_key_is_told_what_was_meant() {
    let all = known::all();
    let mut tried = 0;
    for Known { path, .. } in all.iter().filter(|key| !matches!(key.name(), "*" | "METHOD")) {
        let (name, table) = path.split_last().unwrap();
        for slip in slips(name) {
            let is_other_key =
                |known: &Known| known.name() == slip && (known.path.len() == 1 || known.path.starts_with(table));
            if all.iter().any(is_other_key) {
                continue;
            }
            let mut spoilt = table.to_vec();
            spoilt.push(slip);
            let (text, help) = (format!("{} = 1", written(&spoilt)), format!("did you mean `{name}`?"));
            match path[..] {
                // Which type has the table is not told by its path.
                [ref providers, ref any, _, _, ..] if providers == "providers" && any == "*" => {
                    let typed = |kind| format!("providers.X-Name.type = \"{kind}\"\n{text}");
                    assert!(types().any(|kind| has_help(&problems(&typed(kind)), Code::UnknownKey, &help)), "{text}");
                }
                _ => expect_help(&text, Code::UnknownKey, &help),
            }
            tried += 1;
        }
    }
    assert!(tried > 1000, "{tried}");
}

#[test]
fn every_misspelt_word_is_told_what_was_meant() {
    fn words(kind: &Kind) -> (Vec<&'static str>, Code) {
        match kind {
            Kind::Words(words) => (words.clone(), Code::Word),
            Kind::Off(kind) if matches!(**kind, Kind::Rate | Kind::Size | Kind::Span) => (vec!["off"], Code::Unit),
            _ => (Vec::new(), Code::Word),
        }
    }
    let mut tried = 0;
    for key in known::all() {
        let (words, code) = words(&key.kind);
        for word in &words {
            for slip in slips(word).iter().filter(|slip| !words.contains(&slip.as_str())) {
                let help = format!("did you mean \"{word}\"?");
                let text = format!("{} = \"{slip}\"", written(&key.path));
                match key.path[..] {
                    // Which type has the key is not told by its path.
                    [ref table, ref any, ref name] if table == "providers" && any == "*" && name != "type" => {
                        let typed = |kind| format!("providers.X-Name.type = \"{kind}\"\n{text}");
                        assert!(types().any(|kind| has_help(&problems(&typed(kind)), code, &help)), "{text}");
                    }
                    _ => expect_help(&text, code, &help),
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn every_misspelt_who_is_told_what_was_meant() {
    let names = "roles = [\"editor\"]\npolicies.staff = [\"signed_in\"]\n";
    let rest = |word: &str| match word {
        "role:" => "editor",
        "provider:" => "local-userpass",
        "policy:" => "staff",
        "email:" => "*@example.com",
        "data:" => "plan=pro",
        _ => "",
    };
    for word in Who::WORDS {
        for slip in slips(word) {
            let text = format!("{names}routes.\"/x\".all = \"{slip}{}\"", rest(word));
            expect_help(&text, Code::Who, &format!("did you mean \"{word}{}\"?", rest(word)));
        }
    }
    for (code, word, name) in [
        (Code::UndeclaredRole, "role", "editor"),
        (Code::UnknownPolicy, "policy", "staff"),
        (Code::AbsentProvider, "provider", "local-userpass"),
    ] {
        for slip in slips(name) {
            let text = format!("{names}routes.\"/x\".all = \"{word}:{slip}\"");
            expect_help(&text, code, &format!("did you mean \"{word}:{name}\"?"));
        }
        let text = format!("{names}routes.\"/x\".all = \"{name}\"");
        expect_help(&text, Code::Who, &format!("did you mean \"{word}:{name}\"?"));
    }
}

#[test]
fn every_misspelt_source_is_told_what_was_meant() {
    for word in Source::WORDS {
        let rest = if word.ends_with('.') { "plan" } else { "" };
        for slip in slips(word).iter().filter(|slip| slip.len() > 1) {
            let text = format!("identity_headers.set.X-Plan = \"{slip}{rest}\"");
            expect_help(&text, Code::Word, &format!("did you mean \"{word}{rest}\"?"));
        }
    }
    for source in ["env", "file", "credential"] {
        for slip in slips(source) {
            let text = format!("mail.smtp.password.{slip} = \"x\"");
            expect_help(&text, Code::SecretForm, &format!("did you mean `{source}`?"));
        }
    }
}

#[test]
fn every_misspelt_variable_is_told_what_was_meant() {
    for name in known::all().iter().filter_map(Known::variable) {
        let key = &name["VESTIBULE_".len()..];
        // Long names, and slow to compare: some of their slips will do.
        for slip in slips(key).iter().step_by(7) {
            let wrong = format!("VESTIBULE_{slip}");
            let report = match parse("", "a.toml", [(wrong.clone(), "1".to_owned())]) {
                Err(report) => report,
                Ok(_) => panic!("{wrong} was taken"),
            };
            let help = &report.problems[0].help[0];
            assert_eq!(*help, format!("did you mean {name}?"), "{wrong}");
        }
    }
}
