//! `vestibule check`: offline, everything that is wrong at once.

use super::{Exit, Global, print, print_error};
use crate::config::{Code, Config, Problem};

/// How to say it.
#[derive(Debug, clap::Args)]
#[command(after_help = "--json prints one object per line: code, file, line, column, message, help. \
                        Notes (VB0390 to VB0399) hinder nothing.")]
pub struct Args {
    /// One JSON object per problem
    #[arg(long)]
    json: bool,
    /// Reach store, mail and upstream, too
    #[arg(long)]
    online: bool,
    /// Say more about a code, such as VB0101
    #[arg(long, value_name = "CODE", conflicts_with = "json")]
    explain: Option<String>,
}

/// Reads the configuration as `run` would, and starts nothing. Fine although there are notes.
pub fn run(args: &Args, global: &Global) -> Exit {
    if let Some(code) = &args.explain {
        return explain(code);
    }
    match (global.load(), args.json) {
        (Ok(config), _) if args.online && !all_reached(&config) => Exit::Refused,
        (Ok(config), true) => lines(&config.notes),
        (Ok(config), false) => {
            let notes: String = config.notes.iter().map(|note| format!("{note}\n\n")).collect();
            print(&format!("{notes}{}: fine", global.path().display()))
        }
        (Err(report), true) => match lines(&report.problems) {
            Exit::Fine => Exit::Config,
            exit => exit,
        },
        (Err(report), false) => {
            print_error(&report.to_string());
            Exit::Config
        }
    }
}

/// Whether everything that is somewhere else answers; says what does not.
fn all_reached(config: &Config) -> bool {
    match super::doctor::troubles(config) {
        Ok(troubles) => {
            troubles.iter().for_each(|trouble| print_error(&format!("error: {trouble}")));
            troubles.is_empty()
        }
        Err(_) => false,
    }
}

fn lines(problems: &[Problem]) -> Exit {
    for problem in problems {
        let exit = serde_json::to_string(problem).map_or(Exit::Bug, |line| print(&line));
        if exit != Exit::Fine {
            return exit;
        }
    }
    Exit::Fine
}

fn explain(code: &str) -> Exit {
    match Code::parse(code) {
        Some(code) => print(&format!("{code}: {}", code.explanation())),
        None => {
            print_error(&format!("there is no code {code:?}; they look like VB0101"));
            Exit::Usage
        }
    }
}
