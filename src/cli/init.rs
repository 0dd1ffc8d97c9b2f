//! `vestibule init`: the first file.

use std::fs::OpenOptions;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use clap::ValueEnum;

use super::{Exit, Global, print, print_error};
use crate::config;
use crate::public_url::PublicUrl;
use crate::upstream::Address;

/// What the file says. On a terminal, what is not given is asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app behind: http://host:port or unix:/path
    #[arg(long, value_name = "ADDRESS")]
    upstream: Option<Address>,
    /// What visitors type [default: http://localhost:8080]
    #[arg(long, value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// Who may make an account [default: closed]
    #[arg(long, value_enum)]
    sign_up: Option<SignUp>,
    /// Who may read; writing needs an account [default: signed-in]
    #[arg(long, value_enum)]
    read: Option<Readers>,
    /// Ask nothing; what is not given is at its default
    #[arg(long)]
    no_input: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SignUp {
    /// Everybody
    Open,
    /// Whom you send a link
    Invite,
    /// Nobody: you make accounts
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Readers {
    /// Everybody, without any account
    Anyone,
    /// Everybody, each with a guest account
    Guest,
    /// Whoever has an account
    SignedIn,
}

/// The answers, given or at their defaults.
#[derive(Debug)]
struct Answers {
    upstream: Address,
    public_url: Option<PublicUrl>,
    sign_up: SignUp,
    read: Readers,
}

/// Writes the file and shows it; refuses where one is already.
pub fn run(args: &Args, global: &Global) -> Exit {
    let path = global.path();
    if path.exists() {
        return refuse(&path, "is already there; --config FILE names another");
    }
    let answers = match answers(args) {
        Ok(answers) => answers,
        Err(exit) => return exit,
    };
    let text = answers.file();
    // What is written here must be what `run` takes.
    if let Err(report) = config::parse(&text, &path.display().to_string(), []) {
        print_error(&report.to_string());
        return Exit::Bug;
    }
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
        return refuse(&path, &format!("cannot be written: {error}"));
    }
    let named = global.config.as_ref().map_or_else(String::new, |path| format!(" --config {}", path.display()));
    print(&format!("{}:\n\n{text}\nNext: vestibule run{named}", path.display()))
}

fn refuse(path: &Path, why: &str) -> Exit {
    print_error(&format!("{} {why}", path.display()));
    Exit::Refused
}

fn answers(args: &Args) -> Result<Answers, Exit> {
    let asks = !args.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !asks {
        let upstream = args.upstream.clone().ok_or_else(|| {
            print_error("init needs --upstream, such as --upstream http://127.0.0.1:3000");
            Exit::Usage
        })?;
        return Ok(Answers {
            upstream,
            public_url: args.public_url.clone(),
            sign_up: args.sign_up.unwrap_or(SignUp::Closed),
            read: args.read.unwrap_or(Readers::SignedIn),
        });
    }
    let upstream = "The app behind";
    Ok(Answers {
        upstream: given(&args.upstream, || {
            ask(upstream, "http://127.0.0.1:3000", |text| text.parse().map_err(text_of))
        })?,
        public_url: match &args.public_url {
            Some(url) => Some(url.clone()),
            None => ask("What visitors type (empty: this machine only)", "", |text| match text {
                "" => Ok(None),
                text => text.parse().map(Some).map_err(text_of),
            })?,
        },
        sign_up: given(&args.sign_up, || choose("Who may make an account", "closed"))?,
        read: given(&args.read, || choose("Who may read", "signed-in"))?,
    })
}

fn given<T: Clone>(argument: &Option<T>, ask: impl FnOnce() -> Result<T, Exit>) -> Result<T, Exit> {
    argument.clone().map_or_else(ask, Ok)
}

fn choose<T: ValueEnum>(question: &str, default: &str) -> Result<T, Exit> {
    let words: Vec<_> = T::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
    let words: Vec<&str> = words.iter().map(|word| word.get_name()).collect();
    ask(&format!("{question} ({})", words.join(", ")), default, |text| {
        T::from_str(text, true).map_err(|_| format!("one of: {}", words.join(", ")))
    })
}

/// Asks until the answer can be read; an empty one is the default.
fn ask<T>(question: &str, default: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, Exit> {
    loop {
        let hint = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        drop(write!(std::io::stderr(), "{question}{hint}: "));
        let mut line = String::new();
        // The end of input is no answer: writing a file then would surprise.
        if std::io::stdin().lock().read_line(&mut line).unwrap_or(0) == 0 {
            return Err(Exit::Refused);
        }
        let answer = if line.trim().is_empty() { default } else { line.trim() };
        match read(answer) {
            Ok(value) => return Ok(value),
            Err(why) => print_error(&why),
        }
    }
}

fn text_of(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Answers {
    fn file(&self) -> String {
        let mut text = String::new();
        if let Some(url) = &self.public_url {
            text += &format!("public_url = \"{url}\"\n");
        }
        // Debug form quotes and escapes a path the way TOML reads it.
        text += &format!("upstream = {:?}\n", self.upstream.to_string());
        if self.read == Readers::Guest {
            text += "\n[providers.anon-user]\n";
        }
        let sign_up = word(self.sign_up);
        text += &format!("\n[providers.local-userpass]\nsign_up = \"{sign_up}\"  # open, invite or closed\n");
        let rule = match self.read {
            Readers::Anyone => "{ read = \"anyone\", write = \"signed_in\" }",
            Readers::Guest => "{ read = \"guest\", write = \"signed_in\" }",
            Readers::SignedIn => "{ all = \"signed_in\" }",
        };
        text + &format!("\n[routes]\n\"/**\" = {rule}\n")
    }
}

fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|word| word.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_answers_is_a_configuration_without_notes() {
        for sign_up in SignUp::value_variants() {
            for read in Readers::value_variants() {
                for public_url in [None, Some("https://blog.example.com".parse().unwrap())] {
                    let upstream = "unix:/run/my app.sock".parse().unwrap();
                    let text = Answers { upstream, public_url, sign_up: *sign_up, read: *read }.file();
                    let config = config::parse(&text, "vestibule.toml", []).unwrap_or_else(|report| panic!("{report}"));
                    assert_eq!(config.notes, [], "{text}");
                }
            }
        }
    }
}
