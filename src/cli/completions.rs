//! `vestibule completions SHELL`.

use clap_complete::Shell;

use super::{Exit, Global, print};

/// Which shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell that is to complete commands
    shell: Shell,
}

/// Prints the script that teaches a shell our commands.
pub fn run(args: &Args, _: &Global) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "vestibule", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}
