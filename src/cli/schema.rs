//! `vestibule schema`.

use super::{Exit, Global, print};
use crate::config;

/// Takes nothing.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the JSON Schema of the configuration.
pub fn run(_: &Args, _: &Global) -> Exit {
    print(&format!("{:#}", config::schema()))
}
