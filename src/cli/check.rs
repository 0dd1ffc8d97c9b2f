//! `vestibule check`: offline, everything that is wrong at once.

use super::{Exit, Global, print, print_error};
use crate::config::{Code, Config, Problem};

/// How to say it.
#[derive(Debug, clap::Args)]
#[command(after_help = "--json prints one object per line: code, file, line, column, message, help. \
                        Notes (VB0390 to VB0399) hinder nothing. With --online: check, state, detail.")]
pub struct Args {
    /// One JSON object per problem
    #[arg(long)]
    json: bool,
    /// Reach store, mail, issuers and upstreams, too: a line for each, exit 1 if one does not answer
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
        (Ok(config), json) => match args.online.then(|| super::doctor::reach(&config, json)) {
            None | Some(Exit::Fine) => fine(&config, json, global),
            Some(exit) => exit,
        },
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

fn fine(config: &Config, json: bool, global: &Global) -> Exit {
    if json {
        return lines(&config.notes);
    }
    let notes: String = config.notes.iter().map(|note| format!("{note}\n\n")).collect();
    print(&format!("{notes}{}: fine", global.path().display()))
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

/// In lines that a terminal shows whole.
fn wrapped(text: &str) -> String {
    let (mut lines, mut length) = (String::new(), 0);
    for word in text.split(' ') {
        let width = word.chars().count();
        match length {
            0 => {}
            length if length + width >= WIDTH => lines.push('\n'),
            _ => lines.push(' '),
        }
        length = if length == 0 || length + width >= WIDTH { width } else { length + 1 + width };
        lines.push_str(word);
    }
    lines
}

const WIDTH: usize = 100;

fn explain(code: &str) -> Exit {
    match Code::parse(code) {
        Some(code) => print(&wrapped(&format!("{code}: {}", code.explanation()))),
        None => {
            print_error(&format!("there is no code {code:?}; they look like VB0101"));
            Exit::Usage
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_fits_a_terminal_and_loses_nothing() {
        for code in Code::ALL {
            let shown = wrapped(code.explanation());
            assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
            assert_eq!(shown.replace('\n', " "), code.explanation());
        }
    }
}
