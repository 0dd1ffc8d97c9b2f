use super::reader::Reader;

/// `[observe]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Observe {
    /// `observe.log`.
    pub log: Log,
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

/// `[observe]`.
pub(super) fn read(r: &mut Reader<'_>) -> Observe {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let d = Log::default();
    let log = r.table("log", "The log: one line per request and event, on standard error.", |r| Log {
        format: r.word("format", &formats, d.format, "Lines for people, or one JSON object per line."),
        level: r.word("level", &LEVELS, d.level, "The least level that is written; RUST_LOG goes before it."),
    });
    Observe { log }
}
