//! The pages' templates: ours, and the operator's in place of them.

use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::language::Language;

/// Compiled templates. Text of a request is only ever a value in them, never a template.
#[derive(Debug)]
pub(super) struct Templates(Vec<Spoken>);

/// All of them in one language.
#[derive(Debug)]
struct Spoken {
    language: Language,
    built_in: Environment<'static>,
    /// With the operator's files in place of ours of the same name.
    own: Option<Environment<'static>>,
}

/// What is wrong with the operator's templates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it cannot be read.
    #[error("pages.templates: {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// A link that leads out of the folder.
    #[error("pages.templates: {0}: leads out of the folder")]
    Outside(PathBuf),
    /// A file that replaces none of ours, so that it would never be seen.
    #[error("pages.templates: {file}: no page has this name (have: {have}); a part of pages begins with _", file = .0.display(), have = names().join(", "))]
    Unknown(PathBuf),
    /// It is not well formed.
    #[error("{file}:{line}: {why}", file = .file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the template compiler says.
        why: String,
    },
}

impl Templates {
    /// Ours, and the `.html` files right in this folder in place of them; every one is compiled now.
    pub(super) fn load(folder: Option<&Path>, languages: &[Language]) -> Result<Self, Vec<Error>> {
        languages.iter().map(|language| Spoken::load(folder, *language)).collect::<Result<_, _>>().map(Self)
    }

    /// The page with this name. If the operator's template fails on this visitor's values, ours is shown
    /// instead, so that nobody is locked out by a slip in it.
    pub(super) fn render(&self, name: &str, values: &Value, language: Language) -> Option<String> {
        let spoken = self.0.iter().find(|spoken| spoken.language == language).or(self.0.first())?;
        spoken.render(name, values)
    }
}

impl Spoken {
    fn load(folder: Option<&Path>, language: Language) -> Result<Self, Vec<Error>> {
        let mut built_in = environment(language);
        for (name, source) in BUILT_IN {
            built_in.add_template(name, source).map_err(|error| vec![broken(Path::new(name), &error)])?;
        }
        let Some(folder) = folder else { return Ok(Self { language, built_in, own: None }) };
        let mut own = built_in.clone();
        let mut errors = Vec::new();
        for file in files(folder).map_err(|error| vec![error])? {
            if let Err(error) = add(&mut own, folder, &file) {
                errors.push(error);
            }
        }
        if errors.is_empty() { Ok(Self { language, built_in, own: Some(own) }) } else { Err(errors) }
    }

    fn render(&self, name: &str, values: &Value) -> Option<String> {
        if let Some(own) = &self.own {
            match render(own, name, values) {
                Ok(page) => return Some(page),
                Err(error) => tracing::error!(%error, template = name, "a template failed; the built-in page is shown"),
            }
        }
        match render(&self.built_in, name, values) {
            Ok(page) => Some(page),
            Err(error) => {
                tracing::error!(%error, template = name, "a built-in page failed");
                None
            }
        }
    }
}

fn environment(language: Language) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let mut syntax = environment.syntax().to_builder();
    if let Ok(syntax) = syntax.trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    language.speak(&mut environment);
    environment.set_fuel(Some(FUEL));
    // Debug information would put what visitors typed into the log.
    environment.set_debug(false);
    environment
}

fn render(environment: &Environment<'_>, name: &str, values: &Value) -> Result<String, minijinja::Error> {
    environment.get_template(name)?.render(values)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error| Error::Read(folder.to_owned(), error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "html") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn add(environment: &mut Environment<'static>, folder: &Path, file: &Path) -> Result<(), Error> {
    let unreadable = |error| Error::Read(file.to_owned(), error);
    let home = folder.canonicalize().map_err(unreadable)?;
    let place = file.canonicalize().map_err(unreadable)?;
    if !place.starts_with(&home) {
        return Err(Error::Outside(file.to_owned()));
    }
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.starts_with('_') && !BUILT_IN.iter().any(|(ours, _)| *ours == name) {
        return Err(Error::Unknown(file.to_owned()));
    }
    let source = std::fs::read_to_string(&place).map_err(unreadable)?;
    environment.add_template_owned(name.to_owned(), source).map_err(|error| broken(file, &error))
}

fn broken(file: &Path, error: &minijinja::Error) -> Error {
    let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Error::Broken { file: file.to_owned(), line: error.line().unwrap_or(1), why }
}

fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// Far more than the longest account page needs, and an end to a template that loops.
const FUEL: u64 = 1_000_000;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("templates/", $name)))),*] };
}

const BUILT_IN: &[(&str, &str)] = built_in![
    "account.html",
    "confirm.html",
    "error.html",
    "field.html",
    "frame.html",
    "key.html",
    "login.html",
    "logout.html",
    "mail_sent.html",
    "onward.html",
    "refused.html",
    "register.html",
    "reset.html",
    "send.html",
    "signed_out.html",
];

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    const EN: [Language; 1] = [Language::English];

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn a_file_of_the_folder_replaces_the_page_of_its_name() {
        let folder = folder(&[
            ("key.html", "{% include '_part.html' %}{{ name }}"),
            ("_part.html", "own: "),
            ("readme.txt", "{{ broken"),
        ]);
        let templates = Templates::load(Some(folder.path()), &EN).unwrap();
        let page = templates.render("key.html", &context! { name => "<b>" }, Language::English).unwrap();
        assert_eq!(page, "own: &lt;b&gt;");
    }

    #[test]
    fn a_broken_template_is_named_with_its_line_and_all_are_named_at_once() {
        let folder = folder(&[("key.html", "fine\n{% if x %}\n"), ("login.html", "a\nb\n{{ }}\n"), ("logn.html", "x")]);
        let errors = Templates::load(Some(folder.path()), &EN).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 3, "{text:?}");
        assert!(text[1].contains("login.html:3:"), "{text:?}");
        assert!(text[2].contains("logn.html: no page has this name (have: account.html,"), "{text:?}");
    }

    #[test]
    fn a_template_that_fails_on_a_visitor_falls_back_to_ours() {
        for source in
            ["{{ no_such_value }}", "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}"]
        {
            let folder = folder(&[("field.html", source)]);
            let templates = Templates::load(Some(folder.path()), &EN).unwrap();
            let page = templates.render("field.html", &context! {}, Language::English).unwrap();
            assert!(!page.contains('x'), "{page}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_out_of_the_folder_is_refused() {
        let outside = folder(&[("secret.html", "secret")]);
        let inside = folder(&[]);
        std::os::unix::fs::symlink(outside.path().join("secret.html"), inside.path().join("key.html")).unwrap();
        let errors = Templates::load(Some(inside.path()), &EN).unwrap_err();
        assert!(matches!(errors[..], [Error::Outside(_)]), "{errors:?}");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(matches!(Templates::load(Some(Path::new("/no/such/folder")), &EN).unwrap_err()[..], [Error::Read(..)]));
    }
}
