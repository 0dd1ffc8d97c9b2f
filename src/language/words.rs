use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::Language;

/// What this English text is in that language; the text itself where there is no translation.
///
/// A text with values in it (`use at least 8 characters`) is found by its form (`use at least {} characters`). A form
/// without letters (`{}. {}`) joins texts that have translations of their own.
pub fn translated(language: Language, text: &str) -> Cow<'_, str> {
    match table(language) {
        None => Cow::Borrowed(text),
        Some(table) => table.find(text).map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

/// The text with these in the places of `{}`.
pub(super) fn fill(form: &str, values: &[impl AsRef<str>]) -> String {
    let mut pieces = form.split("{}");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    let mut values = values.iter();
    for piece in pieces {
        filled.push_str(values.next().map_or("{}", AsRef::as_ref));
        filled.push_str(piece);
    }
    filled
}

struct Table {
    texts: HashMap<&'static str, &'static str>,
    /// The longest first: the more it says the better it fits.
    forms: Vec<(&'static str, &'static str)>,
}

impl Table {
    /// One entry on each line: the English text, an arrow, the translation.
    fn read(text: &'static str) -> Self {
        let texts: HashMap<_, _> = text.lines().filter_map(|line| line.split_once(" → ")).collect();
        let mut forms: Vec<_> = texts.iter().map(|(key, value)| (*key, *value)).collect();
        forms.retain(|(key, _)| key.contains("{}"));
        forms.sort_by_key(|(key, _)| (std::cmp::Reverse(key.len()), *key));
        Self { texts, forms }
    }

    fn find(&self, text: &str) -> Option<String> {
        if let Some(found) = self.texts.get(text) {
            return Some((*found).to_owned());
        }
        self.forms.iter().find_map(|(form, translation)| {
            let values = matched(form, text)?;
            let joins = !form.contains(char::is_alphabetic);
            let values: Option<Vec<_>> = match joins {
                true => values.into_iter().map(|value| self.find(value)).collect(),
                false => Some(values.into_iter().map(str::to_owned).collect()),
            };
            Some(fill(translation, &values?))
        })
    }
}

/// What stands in the places of the form, if the text has it.
fn matched<'a>(form: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut pieces = form.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut values = Vec::new();
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let end = match (pieces.peek(), piece) {
            (None, "") => rest.len(),
            (None, last) => rest.len().checked_sub(last.len()).filter(|end| rest.get(*end..) == Some(last))?,
            (Some(_), piece) => rest.find(piece)?,
        };
        if end == 0 {
            return None;
        }
        values.push(&rest[..end]);
        rest = &rest[end + piece.len()..];
    }
    Some(values)
}

fn table(language: Language) -> Option<&'static Table> {
    static GERMAN: OnceLock<Table> = OnceLock::new();
    match language {
        Language::English => None,
        Language::German => Some(GERMAN.get_or_init(|| Table::read(include_str!("de.txt")))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Text literals that follow one of these words in the files of a folder.
    fn said(folder: &str, ending: &str, after: &[&str]) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut found = BTreeSet::new();
        for file in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if !name.ends_with(ending) || name.contains("tests") {
                continue;
            }
            let source = std::fs::read_to_string(&file).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap();
            for word in after {
                for (at, _) in source.match_indices(word) {
                    let rest = &source[at + word.len()..];
                    found.extend(rest.split_once('"').map(|(text, _)| text.to_owned()));
                }
            }
        }
        found
    }

    /// What fields are called, and what the buttons say that show a password.
    fn labels() -> Vec<String> {
        let calls = said_between("src/portal/templates", "_field(", ") }}");
        let texts = |call: &str| -> Vec<String> {
            let texts = call.split('"').skip(1).step_by(2);
            texts.filter(|text| text.starts_with(|c: char| c.is_ascii_uppercase())).map(str::to_owned).collect()
        };
        let mut labels: Vec<String> = calls.iter().flat_map(|call| texts(call)).collect();
        let shown = calls.iter().filter(|call| call.contains("password\"") || call.contains("\"key\", \"key\""));
        labels.extend(shown.flat_map(|call| texts(call).first().map(|label| format!("Show {}", label.to_lowercase()))));
        labels
    }

    fn said_between(folder: &str, start: &str, end: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let files = folder.read_dir().unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let pieces = |source: String| -> Vec<String> {
            let found = source.match_indices(start).map(|(at, _)| source[at..].split(end).next().unwrap().to_owned());
            found.collect()
        };
        files.flat_map(pieces).collect()
    }

    /// Every text that a page or a mail can say.
    fn all() -> BTreeSet<String> {
        let mut all = said("src/portal/templates", ".html", &[" t(\"", "(t(\"", "~ t(\"", "=\"{{ t(\""]);
        all.extend(labels());
        all.extend(said("src/mail/templates", "", &[" t(\""]));
        let told = said("src/portal", ".rs", &["=> Some(\"", "Problem::at(\"email\", \"", "Problem::at(\"key\", \""]);
        let told =
            told.into_iter().chain(said("src/portal", ".rs", &["Problem::at(\"code\", \"", "Problem::at(text, \""]));
        all.extend(told.filter(|text| text.ends_with('.')));
        all.extend(said("src/account", ".rs", &["#[error(\"use ", "#[error(\"this "]).into_iter().map(|rest| {
            let text = if rest.starts_with("at ") { format!("use {rest}") } else { format!("this {rest}") };
            text.replace("{min}", "{}")
        }));
        // What ends with a blank is the beginning of a label above.
        all.retain(|text| text.contains(char::is_alphabetic) && !text.ends_with(' '));
        all
    }

    #[test]
    fn every_text_exists_in_every_language() {
        let all = all();
        assert!(all.len() > 100, "{}", all.len());
        for language in Language::ALL {
            let Some(table) = table(language) else { continue };
            let missing: Vec<_> = all.iter().filter(|text| table.find(text).is_none()).collect();
            assert!(missing.is_empty(), "{} lacks {missing:#?}", language.code());
        }
    }

    #[test]
    fn a_translation_has_the_values_of_its_text() {
        for (key, value) in &table(Language::German).unwrap().texts {
            let places = |text: &str| text.matches("{}").count();
            assert!(places(key) >= places(value), "{key}: {value}");
            assert!(!value.is_empty() && value.trim() == *value, "{key}: {value}");
        }
    }

    #[test]
    fn texts_with_values_and_joined_texts_are_found_by_their_form() {
        let german = |text| translated(Language::German, text).into_owned();
        assert_eq!(german("use at least 12 characters"), "mindestens 12 Zeichen");
        assert_eq!(german("Password: use at least 12 characters."), "Passwort: mindestens 12 Zeichen.");
        assert_eq!(german("22 Nov 2026, 16:30 UTC"), "22. Nov. 2026, 16:30 UTC");
        assert_eq!(german("nobody has translated this"), "nobody has translated this");
        assert_eq!(translated(Language::English, "Sign in"), "Sign in");
    }
}
