//! Functions in JavaScript, as App Services ran them: `exports = async function (payload) { … }`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::wire::{Bounds, Order, Report};
use super::workers::{Lost, Workers};
use super::{Call, Failure, engine};
use crate::provider::Facts;
use crate::secret::Secret;

/// A file whose grammar is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    file: Arc<str>,
    source: Arc<str>,
}

/// Why a file is no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// The line, counted from 1, as far as it is known.
    pub line: Option<u32>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
}

impl Script {
    /// Reads a file of at most 256 KiB, and runs nothing of it.
    ///
    /// # Errors
    /// When it cannot be read, when its grammar is wrong, when it exports nothing.
    pub fn load(path: &Path) -> Result<Self, Unreadable> {
        let unread = |message: String| Unreadable { line: None, message };
        let length = std::fs::metadata(path).map_err(|error| unread(error.to_string()))?.len();
        if length > LONGEST {
            return Err(unread("a function has at most 256 KiB".to_owned()));
        }
        let bytes = std::fs::read(path).map_err(|error| unread(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| unread("it is not UTF-8".to_owned()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self::parse(&name, &text)
    }

    /// The text of a file of this name.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(file: &str, source: &str) -> Result<Self, Unreadable> {
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        engine::check(source, file).map_err(|fault| Unreadable { line: fault.line, message: fault.message })?;
        if !source.contains("exports") {
            let message = "it exports nothing: write exports = async function (…) { … }".to_owned();
            return Err(Unreadable { line: None, message });
        }
        Ok(Self { file: file.into(), source: source.into() })
    }

    /// What the file is called.
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// A script and what it runs with.
#[derive(Clone, Debug)]
pub(super) struct JavaScript {
    script: Script,
    values: BTreeMap<String, Secret>,
    workers: Workers,
}

impl JavaScript {
    pub(super) fn new(script: Script, values: BTreeMap<String, Secret>, workers: Workers) -> Self {
        Self { script, values, workers }
    }

    pub(super) async fn run(&self, name: &Arc<str>, call: Call) -> Result<Option<Value>, Failure> {
        let report = self.workers.run(name, self.order(call)).await.map_err(|lost| match lost {
            Lost::Late => stopped(name, "time"),
            Lost::Busy => Failure::CannotTell("too many functions wait".to_owned()),
            Lost::Died => Failure::CannotTell("the worker ended in the middle".to_owned()),
        })?;
        match report {
            Report::Returned(None) => Ok(None),
            Report::Returned(Some(text)) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| Failure::CannotTell(format!("what it returned cannot be read: {error}"))),
            Report::Threw { message, place } => Err(Failure::Refused { message, place }),
            Report::Stopped(bound) => Err(stopped(name, bound.as_str())),
            Report::Unfit(why) => Err(Failure::CannotTell(why)),
            Report::Line(..) => Err(Failure::CannotTell("the worker said nothing".to_owned())),
        }
    }

    fn order(&self, call: Call) -> Order {
        let settings = self.workers.settings();
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        // Into the memory of the function, which is what they are for.
        let values: Map<String, Value> =
            self.values.iter().map(|(name, value)| (name.clone(), value.expose().into())).collect();
        Order {
            source: self.script.source.to_string(),
            file: self.script.file.to_string(),
            arguments: call.arguments,
            context: json!({
                "values": values,
                "request": request(call.facts.as_ref()),
                "user": call.user.unwrap_or_else(system),
            }),
            bounds: Bounds {
                cpu_millis: u64::try_from(settings.cpu.as_millis()).unwrap_or(u64::MAX),
                memory: size(settings.memory),
                stack: size(settings.stack),
                output: size(settings.output),
            },
        }
    }
}

/// `context.request`, by our names and by those of App Services.
fn request(facts: Option<&Facts>) -> Value {
    let Some(facts) = facts else { return json!({}) };
    let (address, agent) = (facts.address.to_string(), &facts.user_agent);
    json!({
        "id": facts.request_id,
        "address": address,
        "user_agent": agent,
        "remoteIPAddress": address,
        "httpUserAgent": agent,
    })
}

/// `context.user` where Vestibule itself calls.
fn system() -> Value {
    json!({ "id": "", "type": "system", "data": {}, "custom_data": {}, "identities": [] })
}

fn stopped(name: &str, limit: &'static str) -> Failure {
    tracing::warn!(event = "script.limit", function = name, limit, "a function went too far and was stopped");
    Failure::CannotTell(format!("it was stopped at its limit of {limit}"))
}

/// Bytes of a file.
const LONGEST: u64 = 256 << 10;
