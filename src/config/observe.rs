use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use super::code::Code;
use super::fault::{Fault, Trouble};
use super::known::Kind;
use super::reader::Reader;
use super::value::{TEN_YEARS, not_empty, quoted};
use crate::secret::Secret;

/// `[observe]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Observe {
    /// `observe.log`.
    pub log: Log,
    /// `observe.audit`.
    pub audit: Audit,
    /// `observe.otlp`; without it nothing is traced.
    pub otlp: Option<Otlp>,
}

/// `observe.otlp`: traces, sent to a collector by OTLP over HTTP (protobuf).
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// The collector; traces go to `v1/traces` below it.
    pub endpoint: Uri,
    /// Under which name it knows this service.
    pub service_name: String,
    /// Which share of requests is traced, 0 to 1.
    pub sample: f64,
    /// Header fields that it wants.
    pub headers: Vec<(HeaderName, Secret)>,
}

impl Otlp {
    /// What cannot change while it runs.
    pub fn collector(&self) -> (&Uri, &str, &[(HeaderName, Secret)]) {
        (&self.endpoint, &self.service_name, &self.headers)
    }

    /// Where traces go (OTLP 1.7, OTLP/HTTP request).
    pub fn traces(&self) -> String {
        format!("{}/v1/traces", self.endpoint.to_string().trim_end_matches('/'))
    }
}

/// `observe.audit`: what was done to accounts, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Entries that are older are removed. Default 400 days.
    pub keep: Duration,
}

impl Default for Audit {
    fn default() -> Self {
        Self { keep: Duration::from_hours(400 * 24) }
    }
}

/// `observe.log`: one line per request and event, on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least level that is written; `RUST_LOG` goes before it.
    pub level: LogLevel,
}

/// `observe.log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// `observe.log.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what is odd.
    Warn,
    /// And every request.
    #[default]
    Info,
    /// And how it was decided.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub fn as_str(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("info", |(name, _)| name)
    }
}

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const DAY: Duration = Duration::from_hours(24);

/// `[observe]`.
pub(super) fn read(r: &mut Reader<'_>) -> Observe {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let d = Log::default();
    let log = r.table("log", "The log: one line per request and event, on standard error.", |r| Log {
        format: r.word("format", &formats, d.format, "Lines for people, or one JSON object per line."),
        level: r.word("level", &LEVELS, d.level, "The least level that is written; RUST_LOG goes before it."),
    });
    let keep = Audit::default().keep;
    let audit = r.table("audit", "The log of what was done to accounts; it is in the store.", |r| Audit {
        keep: r.span("keep", keep, DAY..=TEN_YEARS, "Entries that are older are removed; at least a day."),
    });
    let doc = "Traces, sent to a collector by OTLP over HTTP (protobuf). Without it nothing is traced.";
    Observe { log, audit, otlp: r.optional("otlp", doc, otlp).flatten() }
}

fn otlp(r: &mut Reader<'_>) -> Option<Otlp> {
    let doc = "The collector; traces go to v1/traces below it.";
    let endpoint = r.parsed("endpoint", (Kind::Text("http://127.0.0.1:4318"), None), doc, |text| {
        let form = || Trouble::new(Code::Form, "`endpoint` is an address: http://127.0.0.1:4318 or https://host/path");
        let uri: Uri = text.parse().map_err(|_| form())?;
        if uri.query().is_none() && uri.host().is_some() { Ok(uri) } else { Err(form()) }
    });
    if let Some(endpoint) = &endpoint {
        r.asks("endpoint", endpoint);
    } else if !r.has("endpoint") {
        r.fault(Fault::new(Code::Missing, "`otlp` needs `endpoint`", r.place.clone()));
    }
    let doc = "Under which name the collector knows this service.";
    let kind = (Kind::Text(SERVICE), Some(quoted(SERVICE)));
    let name = r.parsed("service_name", kind, doc, |text| Ok(not_empty("service_name", text)?.to_owned()));
    let doc = "Which part of all requests is traced; a trusted proxy that has decided already is followed.";
    let sample = r.share("sample", 1.0, doc);
    let doc = "Header fields that the collector wants, such as authorization = { env = \"…\" }.";
    let headers = r.table("headers", doc, headers);
    Some(Otlp { endpoint: endpoint?, service_name: name.unwrap_or_else(|| SERVICE.to_owned()), sample, headers })
}

fn headers(r: &mut Reader<'_>) -> Vec<(HeaderName, Secret)> {
    let values: BTreeMap<String, Secret> = r.named_secrets("The value of the header field of this name.");
    let mut headers = Vec::new();
    for (name, value) in values {
        match (HeaderName::try_from(&name), HeaderValue::try_from(value.expose())) {
            (Ok(header), Ok(_)) => headers.push((header, value)),
            (Err(_), _) => {
                r.fault(Fault::new(Code::Form, format!("`{name}` is no name of a header field"), r.place_of(&name)));
            }
            (_, Err(_)) => {
                let message = format!("what `{name}` refers to is no value of a header field");
                r.fault(Fault::new(Code::Form, message, r.place_of(&name)));
            }
        }
    }
    headers
}

const SERVICE: &str = "vestibule";
