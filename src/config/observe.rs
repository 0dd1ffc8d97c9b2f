use std::time::Duration;

use super::reader::Reader;
use super::value::TEN_YEARS;

/// `[observe]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Observe {
    /// `observe.log`.
    pub log: Log,
    /// `observe.audit`.
    pub audit: Audit,
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
    Observe { log, audit }
}
