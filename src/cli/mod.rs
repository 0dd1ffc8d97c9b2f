//! The command line: one file per family of commands.
//!
//! A family is a file with `pub struct Args` (its arguments, `clap::Args`) and
//! `pub fn run(args: &Args, global: &Global) -> Exit`. It is added by its `mod` line here, a variant of
//! `Command` whose doc comment is its line in `--help`, and an arm in `main`. Configuration faults go through
//! [`Global::config`], output through [`print()`], so that exit codes and forms are the same everywhere.

pub mod audit;
pub mod check;
pub mod completions;
pub mod demo;
mod demo_blog;
mod demo_check;
mod demo_http;
mod demo_idp;
mod demo_idp_tokens;
mod demo_outbox;
mod demo_own;
mod demo_people;
mod demo_requests;
mod demo_visitor;
pub mod doctor;
mod exit;
pub mod explain;
pub mod import;
mod import_app_services;
mod import_firebase;
mod import_htpasswd;
mod import_oauth2_proxy;
mod import_server_keys;
mod import_supabase;
mod import_toml;
mod import_users;
pub mod init;
pub mod keys;
mod linking;
mod log;
mod new_user;
mod operator;
mod output;
mod pending;
mod reload;
pub mod run;
pub mod schema;
pub mod sessions;
pub mod store;
mod supervisor;
mod table;
mod traces;
pub mod users;

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{self, Config};
use crate::function;

pub use exit::Exit;
pub use output::{print, print_error};

/// The entrance hall for web apps: every request to the app behind it carries a verified identity, or does not arrive.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, after_help = exit::HELP, subcommand_required = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The configuration file [default: vestibule.toml]
    #[arg(long, global = true, value_name = "FILE", env = "VESTIBULE_CONFIG", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a small blog behind the door, with accounts made up for the run
    Demo(demo::Args),
    /// Stand in front of the app
    Run(run::Args),
    /// Write a first vestibule.toml
    Init(init::Args),
    /// Say everything that is wrong with the configuration
    Check(check::Args),
    /// Say what the rules make of a request, and why
    Explain(explain::Args),
    /// Accounts: list, add, disable, delete, roles, data
    Users(users::Args),
    /// API keys: create, list, disable, delete
    Keys(keys::Args),
    /// Who is signed in: list, revoke
    Sessions(sessions::Args),
    /// Look whether store, mail, upstream, listeners and clock work
    Doctor(doctor::Args),
    /// Take over accounts and settings from somewhere else
    Import(import::Args),
    /// Move everything to another store
    Store(store::Args),
    /// What was done to accounts, by whom
    Audit(audit::Args),
    /// Print the JSON Schema of the configuration, for editors
    Schema(schema::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Run functions in JavaScript for the server that started this
    #[command(hide = true, name = function::WORKER)]
    FunctionWorker,
}

/// Reads the arguments of this process and does what they say.
pub fn main() -> Exit {
    exit::hook_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let global = &cli.global;
    match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(args, global),
        Command::Explain(args) => explain::run(args, global),
        Command::Init(args) => init::run(args, global),
        Command::Check(args) => check::run(args, global),
        Command::Users(args) => users::run(args, global),
        Command::Keys(args) => keys::run(args, global),
        Command::Sessions(args) => sessions::run(args, global),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Import(args) => import::run(args, global),
        Command::Store(args) => store::run(args, global),
        Command::Audit(args) => audit::run(args, global),
        Command::Schema(args) => schema::run(args, global),
        Command::Completions(args) => completions::run(args, global),
        Command::FunctionWorker => match function::serve() {
            Ok(()) => Exit::Fine,
            // Nobody reads what it prints; the server sees the end.
            Err(_) => Exit::Refused,
        },
    }
}

impl Global {
    /// The configuration in force, or [`Exit::Config`] after every fault was printed.
    ///
    /// # Errors
    /// The exit code to end with.
    pub fn config(&self) -> Result<Config, Exit> {
        self.load().map_err(|report| {
            print_error(&report.to_string());
            Exit::Config
        })
    }

    /// The same for a command that works with the store alone: secrets of providers and of the mail may be elsewhere.
    ///
    /// # Errors
    /// The exit code to end with.
    pub fn config_for_operator(&self) -> Result<Config, Exit> {
        config::load_for_operator(self.config.as_deref(), environment()).map_err(|report| {
            print_error(&report.to_string());
            Exit::Config
        })
    }

    /// The configuration in force, or its faults.
    ///
    /// # Errors
    /// The faults.
    pub fn load(&self) -> Result<Config, config::Report> {
        self.load_listening(&[])
    }

    /// The same, listening at these addresses in place of the file's, unless there are none.
    ///
    /// # Errors
    /// The faults.
    pub fn load_listening(&self, listen: &[String]) -> Result<Config, config::Report> {
        config::load_listening(self.config.as_deref(), environment(), listen)
    }

    /// Where the configuration file is.
    pub fn path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| config::DEFAULT_FILE.into())
    }
}

/// The whole command line, for completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The environment as text. Ours stay although they are not Unicode, so that they are refused and not overlooked.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let value = match value.into_string() {
            Err(value) if name.starts_with("VESTIBULE_") => value.to_string_lossy().into_owned(),
            value => value.ok()?,
        };
        Some((name, value))
    })
}

fn usage(error: &clap::Error) -> Exit {
    // Help and version are asked for and go to standard output; the rest is a wrong use.
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
    match error.print() {
        Ok(()) => exit,
        Err(_) => Exit::Refused,
    }
}
