use std::time::Duration;

use super::Program;

/// `[limits] functions`: how far one call of a function in JavaScript may go, and how many run at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Processor time of one call, which holds for built-ins of the language, too. Default 100 ms.
    pub cpu: Duration,
    /// Time of one call in all, waiting for its turn included. Default 3 s.
    pub time: Duration,
    /// Memory of one call in bytes. Default 32 MiB.
    pub memory: u64,
    /// Stack of one call in bytes. Default 256 KiB.
    pub stack: u64,
    /// What one call may return, in bytes of JSON. Default 256 KiB.
    pub output: u64,
    /// Processes that run functions; 0 means one per core, at most four. Default 0.
    pub workers: usize,
    /// The program that runs them; the one that runs now, unless it is a program this library is in.
    pub program: Option<Program>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(100),
            time: Duration::from_secs(3),
            memory: 32 << 20,
            stack: 256 << 10,
            output: 256 << 10,
            workers: 0,
            program: None,
        }
    }
}

/// The largest stack a function may have, in bytes.
pub const MOST_STACK: usize = 4 << 20;
