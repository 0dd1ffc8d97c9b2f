//! Stands for the engine in a program that was built without it: every file is refused before anything runs.

use super::wire::Bound;
use super::wire::{Level, Order, Report};

pub(super) fn run(_: &Order, _: impl Fn() -> bool + 'static, _: impl Fn(Level, String) + 'static) -> Report {
    Report::Stopped(Bound::Memory)
}

pub(super) fn check(_: &str, _: &str) -> Result<(), Fault> {
    let message = "this program was built without the feature `javascript`".to_owned();
    Err(Fault { line: None, message })
}

/// Why a file is refused.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) line: Option<u32>,
    pub(super) message: String,
}
