//! Secrets are never in the file: it only says where they are.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::place::Place;
use super::reader::Reader;
use super::suggest::nearest;
use super::tree::{Node, Table, Value};
use super::value::{as_text, not_empty};
use crate::secret::{self, Secret};

/// Which secrets have to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Secrets {
    /// Every one: a server needs them.
    #[default]
    All,
    /// What opens the store: an operator's shell has hardly any other.
    OfStore,
}

const SOURCES: [&str; 3] = ["env", "file", "credential"];
const WAY_OUT: &str = "write { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" } (systemd)";
const LONGEST: u64 = 64 << 10;
/// What people try first, and what documentation prints.
const SAMPLES: [&str; 12] = [
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "password",
    "passwort",
    "example",
    "test",
    "admin",
    "12345678",
    "123456",
    "letmein",
];

enum Reference<'a> {
    Variable(&'a str),
    File(PathBuf),
    Credential(&'a str),
}

impl<'a> Reader<'a> {
    /// A secret; of a list the first.
    pub(super) fn secret(&mut self, key: &str, doc: &'static str) -> Option<Secret> {
        let entry = self.take(key, Kind::Secret, None, doc)?;
        self.secret_in(key, &entry.node)
    }

    /// Secrets that take turns: the first is used, all count.
    pub(super) fn secrets(&mut self, key: &str, doc: &'static str) -> Option<Vec<Secret>> {
        let entry = self.take(key, Kind::Secret, None, doc)?;
        self.secrets_in(key, &entry.node)
    }

    /// All keys of this table: free names, each with text or a secret.
    pub(super) fn values(&mut self, doc: &'static str) -> BTreeMap<String, Secret> {
        let entries = self.matching("*", (Kind::TextOrSecret, doc), |_| true);
        let values = entries.into_iter().filter_map(|entry| {
            let value = match &entry.node.value {
                Value::Text(text) => Secret::new(text.as_str()),
                _ => self.secret_in(&entry.key, &entry.node)?,
            };
            Some((entry.key.clone(), value))
        });
        values.collect()
    }

    /// All keys of this table: free names, each with a secret.
    pub(super) fn named_secrets(&mut self, doc: &'static str) -> BTreeMap<String, Secret> {
        let entries = self.matching("*", (Kind::Secret, doc), |_| true);
        let secrets = entries.into_iter();
        secrets.filter_map(|entry| Some((entry.key.clone(), self.secret_in(&entry.key, &entry.node)?))).collect()
    }

    /// Text, or a secret where the text holds a password.
    pub(super) fn text_or_secret<T>(
        &mut self,
        key: &str,
        default: Option<String>,
        doc: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Trouble>,
    ) -> Option<T> {
        let entry = self.take(key, Kind::TextOrSecret, default, doc)?;
        let node = &entry.node;
        if let Value::Table(_) | Value::List(_) = node.value {
            let secret = self.secret_in(key, node)?;
            // What stands for it here is no address.
            return if self.is_absent(key) { None } else { self.accept(&node.place, parse(secret.expose())) };
        }
        let result = as_text(key, node).and_then(parse);
        self.accept(&node.place, result)
    }

    /// A file with a secret that is read again and again, by its path.
    pub(super) fn secret_file(&mut self, key: &str, doc: &'static str) -> Option<PathBuf> {
        let entry = self.take(key, Kind::Secret, None, doc)?;
        let place = &entry.node.place;
        let result = self.reference(key, &entry.node).and_then(|reference| match reference {
            Reference::Variable(_) => {
                let message = format!("`{key}` is read again when it changes, so it needs a file");
                Err(Trouble::new(Code::SecretForm, message)
                    .help("write { file = \"path\" } or { credential = \"name\" }"))
            }
            Reference::File(path) => read(&path).map(|_| path),
            Reference::Credential(name) => {
                let path = self.credential(name)?;
                read(&path).map(|_| path)
            }
        });
        self.accept(place, self.or_stand_in(key, result, PathBuf::new))
    }

    /// Whatever was found. Where it is not there and is not needed, something in its place that opens nothing, so that
    /// the rest of the file reads as it does where it is.
    fn or_stand_in<T>(&self, key: &str, found: Result<T, Trouble>, stand_in: fn() -> T) -> Result<T, Trouble> {
        let needed = self.reading.secrets == Secrets::All || self.is_of("store");
        match found {
            Err(trouble) if trouble.code == Code::SecretMissing && !needed => {
                self.reading.miss(self.below(key).join("."));
                Ok(stand_in())
            }
            found => found,
        }
    }

    /// Whether something else stands for the secret of this key, which is not there and has not to be.
    pub(super) fn is_absent(&self, key: &str) -> bool {
        self.reading.misses(&self.below(key).join("."))
    }

    /// A secret in a node; of a list the first.
    pub(super) fn secret_in(&self, key: &str, node: &'a Node) -> Option<Secret> {
        self.secrets_in(key, node)?.into_iter().next()
    }

    /// All of them, or nothing when one is faulty.
    fn secrets_in(&self, key: &str, node: &'a Node) -> Option<Vec<Secret>> {
        let nodes = match &node.value {
            Value::List(items) if items.is_empty() => {
                self.fault(
                    Fault::new(Code::SecretForm, format!("`{key}` lists no secret"), node.place.clone()).help(WAY_OUT),
                );
                return None;
            }
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let secrets: Vec<Option<Secret>> = nodes
            .iter()
            .map(|node| {
                let result = self.reference(key, node).and_then(|reference| self.fetch(key, reference));
                let result = self.or_stand_in(key, result, secret::token);
                self.accept(&node.place, result.and_then(strong))
            })
            .collect();
        secrets.into_iter().collect()
    }

    fn reference(&self, key: &str, node: &'a Node) -> Result<Reference<'a>, Trouble> {
        if let Place::Variable(name) = &node.place {
            return Ok(Reference::Variable(name));
        }
        match &node.value {
            Value::Table(table) => self.source(key, table),
            Value::List(_) => Err(Trouble::new(Code::SecretForm, format!("`{key}` is a list in a list")).help(WAY_OUT)),
            _ => {
                self.reading.hide(&node.place);
                Err(Trouble::new(Code::SecretLiteral, format!("`{key}` holds the secret itself")).help(WAY_OUT))
            }
        }
    }

    fn source(&self, key: &str, table: &'a Table) -> Result<Reference<'a>, Trouble> {
        let wrong = |message: String| Trouble::new(Code::SecretForm, message);
        let [entry] = table.entries.as_slice() else {
            for entry in &table.entries {
                self.hide_unless_source(&entry.key, &entry.node.place);
            }
            return Err(wrong(format!("`{key}` needs exactly one source")).help(WAY_OUT));
        };
        let text = as_text(&entry.key, &entry.node).and_then(|text| not_empty(&entry.key, text))?;
        match entry.key.as_str() {
            "env" => Ok(Reference::Variable(text)),
            "file" => Ok(Reference::File(self.reading.resolve(text))),
            "credential" => Ok(Reference::Credential(text)),
            other => {
                self.hide_unless_source(other, &entry.node.place);
                let trouble = wrong(format!("`{other}` is no source of a secret"));
                Err(match nearest(other, SOURCES) {
                    Some(near) => trouble.help(format!("did you mean `{near}`?")),
                    None => trouble.help(WAY_OUT),
                })
            }
        }
    }

    fn hide_unless_source(&self, key: &str, place: &Place) {
        if !SOURCES.contains(&key) {
            self.reading.hide(place);
        }
    }

    fn fetch(&self, key: &str, reference: Reference<'_>) -> Result<Secret, Trouble> {
        match reference {
            Reference::Variable(name) => match self.reading.variable(name).filter(|text| !text.is_empty()) {
                Some(text) => Ok(Secret::new(text)),
                None => {
                    let message = format!("environment variable `{name}` is not set or is empty");
                    Err(Trouble::new(Code::SecretMissing, message).help(format!(
                        "set it where the service is started (systemd: Environment= or LoadCredential=; \
                         Kubernetes: secretKeyRef), or change `{}` to {{ file = … }}",
                        self.below(key).join(".")
                    )))
                }
            },
            Reference::File(path) => read(&path),
            Reference::Credential(name) => read(&self.credential(name)?),
        }
    }

    fn credential(&self, name: &str) -> Result<PathBuf, Trouble> {
        if name.contains('/') || name.starts_with('.') {
            return Err(Trouble::new(Code::SecretForm, format!("\"{name}\" is not the name of a credential")));
        }
        let folder = self.reading.variable("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
        folder.map(|folder| Path::new(folder).join(name)).ok_or_else(|| {
            let message = format!("credential `{name}` is not there: nothing gave any credentials to this process");
            Trouble::new(Code::SecretMissing, message).help(format!("systemd: LoadCredential={name}:/path/to/file"))
        })
    }
}

/// Reads a file with a secret; one newline at its end does not count.
fn read(path: &Path) -> Result<Secret, Trouble> {
    let unread = |error: std::io::Error| {
        Trouble::new(Code::SecretMissing, format!("cannot read {}: {error}", path.display()))
            .help("the account that Vestibule runs as must be able to read it")
    };
    let file = std::fs::File::open(path).map_err(unread)?;
    refuse_exposed(path, &file.metadata().map_err(unread)?)?;
    let mut text = zeroize::Zeroizing::new(String::new());
    file.take(LONGEST).read_to_string(&mut text).map_err(unread)?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(Trouble::new(Code::SecretMissing, format!("{} is empty", path.display())));
    }
    Ok(Secret::new(secret))
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &std::fs::Metadata) -> Result<(), Trouble> {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.is_file() && metadata.permissions().mode() & 0o007 != 0 {
        let message = format!("every account of this machine can get at {}", path.display());
        return Err(Trouble::new(Code::SecretExposed, message).help(format!("chmod 0640 {}", path.display())));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &std::fs::Metadata) -> Result<(), Trouble> {
    Ok(())
}

/// SEC-CONF-01: samples and repeated characters are no secrets.
fn strong(secret: Secret) -> Result<Secret, Trouble> {
    let text = secret.expose().trim();
    let repeated = text.chars().next().is_none_or(|first| text.chars().all(|c| c == first));
    if repeated || SAMPLES.iter().any(|sample| sample.eq_ignore_ascii_case(text)) {
        let message = "this secret is one of those that everybody tries first";
        return Err(Trouble::new(Code::SecretWeak, message).help("make one: openssl rand -base64 32"));
    }
    Ok(secret)
}
