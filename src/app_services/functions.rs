//! Functions that signed-in users call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, text};
use super::refusal::Refusal;
use super::{Answer, AppServices};
use crate::body::Body;
use crate::function::{self, Failure, Function, Script, Workers};
use crate::session::Caller;

/// A folder of functions as App Services exports it: `name.js`, and `config.json` which says which of them are private.
/// With a `config.json` only what it lists can be called; without one every file can.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Folder(BTreeMap<String, Script>);

/// What of a folder cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", place.display())]
pub struct FolderError {
    /// The file or folder.
    pub place: PathBuf,
    /// What is wrong with it: lower case, no full stop.
    pub message: String,
}

/// An entry of `config.json`.
#[derive(Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    private: bool,
}

/// The functions that can be called.
pub(super) struct Functions(BTreeMap<String, Function>);

impl Folder {
    /// Reads every function that users may call, and runs none.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Vec<FolderError>> {
        let fault = |place: &Path, message: String| FolderError { place: place.to_owned(), message };
        let mut files = BTreeMap::new();
        find(path, "", 0, &mut files).map_err(|error| vec![fault(path, error.to_string())])?;
        let config = path.join("config.json");
        if config.exists() {
            let listed = std::fs::read(&config).map_err(|error| error.to_string());
            let listed =
                listed.and_then(|text| serde_json::from_slice::<Vec<Listed>>(&text).map_err(|error| error.to_string()));
            let listed = listed.map_err(|message| vec![fault(&config, message)])?;
            let lost = listed.iter().find(|entry| !files.contains_key(&entry.name));
            if let Some(entry) = lost {
                return Err(vec![fault(&config, format!("there is no file for its function \"{}\"", entry.name))]);
            }
            files.retain(|name, _| listed.iter().any(|entry| entry.name == *name && !entry.private));
        }
        let (mut scripts, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, file) in files {
            match Script::load(&file) {
                Ok(script) => drop(scripts.insert(name, script)),
                Err(error) => faults.push(fault(&file, error.message)),
            }
        }
        if faults.is_empty() { Ok(Self(scripts)) } else { Err(faults) }
    }

    /// Takes these out: what decides about sign-ins is not for those who sign in.
    #[must_use]
    pub fn without<'a>(mut self, scripts: impl Iterator<Item = &'a Script>) -> Self {
        let scripts: Vec<_> = scripts.collect();
        self.0.retain(|_, script| !scripts.contains(&&*script));
        self
    }
}

impl Functions {
    pub(super) fn new(folder: Folder, workers: Workers) -> Self {
        let function = |(name, script): (String, Script)| {
            let function = Function::javascript(&name, script, BTreeMap::new(), workers.clone());
            (name, function)
        };
        Self(folder.0.into_iter().map(function).collect())
    }
}

impl AppServices {
    /// Runs a function for a user and answers with what it returns.
    pub(super) async fn call_function(&self, call: &Call, body: Body, caller: &Caller) -> Answer {
        let fields = call.object(body).await?;
        let name = text(&fields, "name")?;
        if let Some(service) = fields.get("service").and_then(Value::as_str) {
            let shown: String = service.chars().filter(|c| !c.is_control()).take(100).collect();
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "ServiceNotFound",
                format!("service not found: '{shown}'"),
            ));
        }
        let function = self.functions.0.get(name).ok_or_else(|| {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
            Refusal::new(StatusCode::NOT_FOUND, "FunctionNotFound", format!("function not found: '{shown}'"))
        })?;
        let arguments = match fields.get("arguments") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(arguments)) => arguments.clone(),
            Some(_) => return Err(Refusal::parameter("'arguments' must be an array")),
        };
        let asked = function::Call {
            provider: String::new(),
            arguments,
            user: Some(self.context_user(&caller.user)),
            facts: Some(call.facts()),
        };
        match function.run(asked).await {
            Ok(result) => Ok(super::json(StatusCode::OK, &result.unwrap_or_else(|| json!({ "$undefined": true })))),
            Err(Failure::Refused { message, place }) => {
                tracing::info!(request = %call.id, function = name, place, "a function threw");
                Err(Refusal::new(StatusCode::BAD_REQUEST, FAILED, message))
            }
            Err(Failure::CannotTell(why)) => {
                tracing::warn!(request = %call.id, function = name, why, "a function did not answer");
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, FAILED, "the function did not come to its end"))
            }
        }
    }
}

/// Every `.js` file with the name functions are called by: its path without the ending.
fn find(folder: &Path, prefix: &str, depth: usize, files: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // Modules that functions import are no functions.
        if path.is_dir() && depth < DEEPEST && name != "node_modules" && !name.starts_with('.') {
            find(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
        } else if let Some(name) = name.strip_suffix(".js") {
            files.insert(format!("{prefix}{name}"), path.clone());
        }
    }
    Ok(())
}

const FAILED: &str = "FunctionExecutionError";
const DEEPEST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let names = Folder::load(folder.path()).map(|folder| folder.0.into_keys().collect());
        names.map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    const GOOD: &str = "exports = () => 1";

    #[test]
    fn without_a_list_every_file_is_a_function() {
        let names = folder(&[("a.js", GOOD), ("deep/b.js", GOOD), ("readme.md", ""), ("node_modules/m/c.js", "x")]);
        assert_eq!(names, Ok(vec!["a".to_owned(), "deep/b".to_owned()]));
    }

    #[test]
    fn with_a_list_only_what_it_names_and_does_not_keep_private() {
        let list = r#"[{"name":"a","private":false},{"name":"b","private":true,"can_evaluate":{}}]"#;
        let names = folder(&[("config.json", list), ("a.js", GOOD), ("b.js", GOOD), ("c.js", GOOD)]);
        assert_eq!(names, Ok(vec!["a".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let faults = folder(&[("a.js", "exports = (")]).unwrap_err();
        assert!(faults[0].contains("a.js: "), "{faults:?}");
        let faults = folder(&[("config.json", r#"[{"name":"gone"}]"#)]).unwrap_err();
        assert!(faults[0].ends_with("there is no file for its function \"gone\""), "{faults:?}");
        assert!(folder(&[("config.json", "{}")]).is_err());
    }
}
