//! What goes to and fro between the server and a worker process: JSON behind its length.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One call, as a worker gets it. It keeps nothing from one to the next.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The text of the file.
    pub(super) source: String,
    /// What the file is called in messages.
    pub(super) file: String,
    /// What the function is called with.
    pub(super) arguments: Vec<Value>,
    /// `context` inside: values, request, user.
    pub(super) context: Value,
    /// How far it may go.
    pub(super) bounds: Bounds,
}

/// The limits that a worker holds by itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Bounds {
    pub(super) cpu_millis: u64,
    pub(super) memory: usize,
    pub(super) stack: usize,
    pub(super) output: usize,
}

/// What a worker has to say.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Report {
    /// A line of `console`, while the function runs.
    Line(Level, String),
    /// The end: what it returned, as JSON; nothing if that has no JSON, such as `undefined`.
    Returned(Option<String>),
    /// The end: it threw.
    Threw {
        /// The message of what was thrown.
        message: String,
        /// Where, as far as that is known.
        place: String,
    },
    /// The end: it went too far.
    Stopped(Bound),
    /// The end: it is no function that could be called.
    Unfit(String),
}

/// How urgent a line of `console` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// What a function may not have more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// Processor time.
    Cpu,
    /// Time in all, waiting for a worker included.
    Time,
    /// Memory.
    Memory,
    /// Calls inside calls.
    Stack,
    /// The length of what it returns.
    Output,
}

impl Bound {
    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Output => "output",
        }
    }
}

/// Writes one of them and sends it off.
pub(super) fn write(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, what)?;
    let length = u32::try_from(frame.len() - 4).map_err(|_| io::ErrorKind::InvalidData)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one of at most so many bytes; `None` when the other side has closed.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read, most: usize) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame)?;
    Ok(Some(serde_json::from_slice(&frame)?))
}
