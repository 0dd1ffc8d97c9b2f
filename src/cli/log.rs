//! The log: one record a line, as text, as JSON, or as the demo's short form.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{IsTerminal as _, Write as _};
use std::str::FromStr as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, registry};

use crate::cli::traces::Traces;
use crate::clock::{Clock, Timestamp};

/// The form of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
    /// For the demo: status, method, path, who (by these names), which rule, our share of the time.
    Demo(HashMap<String, String>),
}

/// Starts the log on standard error, and hands spans over to `traces`. `RUST_LOG` overrides the level.
pub(super) fn start(form: Form, level: &str, traces: Option<&Traces>) {
    begin(form, &format!("{level},vestibule::audit=info"), traces);
}

/// The same for the demo, which shows one line for each request or check.
pub fn start_without_audit(form: Form, level: &str) {
    begin(form, &format!("{level},vestibule::audit=off"), None);
}

fn begin(form: Form, filter: &str, traces: Option<&Traces>) {
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(filter)).unwrap_or_default();
    // Spans are not for the log, whatever its level.
    let filter = filter.add_directive(Directive::from_str(NO_SPANS).unwrap_or_default());
    let records = Records { form, clock: Clock::system() };
    // A second start (in a test) leaves the first one in place.
    let started = match traces {
        // One filter for all: a span that nobody takes costs a look at a flag.
        None => registry().with(filter).with(records).try_init(),
        Some(traces) => registry().with(records.with_filter(filter)).with(traces.layer()).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log had been started before");
    }
}

struct Records {
    form: Form,
    clock: Clock,
}

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = self.clock.now();
        let line = match self.form {
            Form::Json => json(now, *meta.level(), meta.target(), fields),
            Form::Text => text(now, *meta.level(), meta.target(), &fields),
            Form::Demo(ref names) if meta.target() == "vestibule::request" => demo(now, &fields, names),
            Form::Demo(_) => text(now, *meta.level(), meta.target(), &fields),
        };
        let mut out = match self.form {
            Form::Demo(_) => Out::Standard(std::io::stdout().lock()),
            Form::Text | Form::Json => Out::Error(std::io::stderr().lock()),
        };
        // A log that cannot be written must not end the service.
        let _ = out.write(line.as_bytes());
    }
}

enum Out {
    Standard(std::io::StdoutLock<'static>),
    Error(std::io::StderrLock<'static>),
}

impl Out {
    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Standard(out) => out.write_all(line),
            Self::Error(out) => out.write_all(line),
        }
    }
}

/// The fields of a record, each harmless and at most 1 KiB.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), Value::String(harmless(value))));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), Value::String(harmless(&format!("{value:?}")))));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.0.push((field.name(), Value::String(harmless(&text))));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // To the microsecond: more digits say nothing.
        self.0.push((field.name(), ((value * 1e3).round() / 1e3).into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }
}

/// Text in which nothing ends the record, moves a terminal's cursor or turns the reading direction.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if out.len() >= LONGEST {
            out.push('…');
            break;
        }
        match c {
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}' => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn json(now: Timestamp, level: Level, target: &str, fields: Fields) -> String {
    let mut record = Map::new();
    record.insert("time".to_owned(), now.rfc3339_millis().into());
    record.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
    record.insert("target".to_owned(), target.into());
    let value = |value: Value| match (target, &value) {
        // What changed is JSON already, unless it was too long.
        ("vestibule::audit", Value::String(text)) if text.starts_with('{') => {
            serde_json::from_str(text).unwrap_or(value)
        }
        _ => value,
    };
    record.extend(fields.0.into_iter().map(|(name, found)| (name.to_owned(), value(found))));
    format!("{}\n", Value::Object(record))
}

fn text(now: Timestamp, level: Level, target: &str, fields: &Fields) -> String {
    let mut line = format!("{} {:5} {target}", now.rfc3339_millis(), level.as_str());
    if let Some(Value::String(message)) = fields.get("message") {
        let _ = write!(line, ": {message}");
    }
    for (name, value) in fields.0.iter().filter(|(name, _)| *name != "message") {
        let _ = match value {
            // Quoted where a blank would make two of it.
            Value::String(text) if text.contains([' ', '"', '=']) || text.is_empty() => {
                write!(line, " {name}={text:?}")
            }
            Value::String(text) => write!(line, " {name}={text}"),
            other => write!(line, " {name}={other}"),
        };
    }
    line.push('\n');
    line
}

fn demo(now: Timestamp, fields: &Fields, names: &HashMap<String, String>) -> String {
    let status = fields.get("status").and_then(Value::as_u64).unwrap_or_default();
    let number = |name: &str| fields.get(name).and_then(Value::as_f64).unwrap_or_default();
    let who = match (fields.text("user"), fields.text("kind"), fields.text("provider")) {
        ("", _, _) => "nobody".to_owned(),
        (_, "guest", _) => "a guest".to_owned(),
        (user, _, provider) => format!("{} ({provider})", names.get(user).map_or(user, String::as_str)),
    };
    let rule = match (fields.text("rule"), fields.text("reason")) {
        ("", "") => "our own page".to_owned(),
        (rule, "") => rule.to_owned(),
        ("", reason) => reason.to_owned(),
        (rule, _) => format!("needs {rule}"),
    };
    let paint = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let colour = match (paint, status) {
        (false, _) => ("", ""),
        (true, 400..) => ("\x1b[31m", "\x1b[0m"),
        (true, _) => ("\x1b[32m", "\x1b[0m"),
    };
    let time = &now.rfc3339()[11..19];
    let (ms, own) = (number("ms"), number("own_ms"));
    format!(
        "{time}  {}{status}{}  {:4} {:24} {who:34} {rule:28} {ms:.1} ms (vestibule {own:.1})\n",
        colour.0,
        colour.1,
        fields.text("method"),
        fields.text("path"),
    )
}

const LONGEST: usize = 1 << 10;
const NO_SPANS: &str = "vestibule::span=off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_log_01_nothing_a_client_sends_makes_a_second_record() {
        let evil = "bob\r\n{\"level\":\"info\"}\u{1b}[2J\u{2028}\u{202e}x";
        let fields = || Fields(vec![("user", Value::String(harmless(evil)))]);
        let line = text(Timestamp::default(), Level::INFO, "t", &fields());
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains(['\u{1b}', '\r', '\u{2028}', '\u{202e}']));
        let line = json(Timestamp::default(), Level::INFO, "t", fields());
        assert_eq!(line.matches('\n').count(), 1);
        assert!(serde_json::from_str::<Value>(&line).is_ok());
    }

    #[test]
    fn a_field_has_an_end() {
        assert!(harmless(&"x".repeat(1 << 20)).len() <= LONGEST + 4);
        assert_eq!(harmless("Zoë, 日本"), "Zoë, 日本");
    }
}
