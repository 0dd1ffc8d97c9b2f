//! `vestibule store`: moving users and sessions to another store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;

use super::{Exit, Global, print, print_error};
use crate::config::Config;
use crate::secret::Secret;
use crate::store::{self, Address, PostgresSettings, PostgresUrl, Store};

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Copy everything to another store; may be broken off and run again
    ///
    /// FROM and TO are addresses as in `store.url`, or the word `config`, which is the store of the configuration. No
    /// server may run on either meanwhile. A target that holds other users is refused, and so is a row that is there
    /// and differs.
    Copy {
        /// Where it is
        from: String,
        /// Where it goes
        to: String,
        /// A file with the password of a postgres: address that holds none
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

/// Does it.
pub fn run(args: &Args, global: &Global) -> Exit {
    let Command::Copy { from, to, password_file } = &args.command;
    match copy(from, to, password_file.as_ref(), global) {
        Ok(()) => Exit::Fine,
        Err((message, exit)) => {
            print_error(&message);
            exit
        }
    }
}

fn copy(from: &str, to: &str, password: Option<&PathBuf>, global: &Global) -> Result<(), (String, Exit)> {
    let failed = |message: String, exit| (format!("error: {message}"), exit);
    let password = password.map(|path| {
        let text = std::fs::read_to_string(path).map(zeroize::Zeroizing::new);
        let text = text.map_err(|error| failed(format!("{}: {error}", path.display()), Exit::Usage))?;
        Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
    });
    let password = password.transpose()?;
    let (from, to) = (address(from, password.as_ref(), global)?, address(to, password.as_ref(), global)?);
    if from == to {
        return Err(failed("FROM and TO are the same store".into(), Exit::Usage));
    }
    if let Address::Sqlite(path) = &from
        && !path.is_file()
    {
        return Err(failed(format!("there is no store {}", path.display()), Exit::Store));
    }
    let open = |address: &Address| -> Result<Arc<dyn Store>, _> {
        store::open(address).map_err(|error| failed(format!("{error}\nhelp: {}", error.help()), Exit::Store))
    };
    let (from, to) = (open(&from)?, open(&to)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(format!("no runtime: {error}"), Exit::Refused))?;
    let copied = runtime.block_on(store::copy(&*from, &*to)).map_err(|error| match error {
        store::CopyError::Store(error) => failed(error.to_string(), Exit::Store),
        error => failed(error.to_string(), Exit::Refused),
    })?;
    print(&format!("copied {} rows; {} were there already, and equal", copied.added, copied.found));
    Ok(())
}

/// An address on the command line. Memory is no place to copy to or from.
fn address(text: &str, password: Option<&Secret>, global: &Global) -> Result<Address, (String, Exit)> {
    if text == "config" {
        let Config { store, .. } =
            global.config_for_operator().map_err(|exit| ("error: no store is named".to_owned(), exit))?;
        return match store {
            Address::Memory => Err(("error: the store of the configuration is memory".into(), Exit::Usage)),
            store => Ok(store),
        };
    }
    let usage = |message: String| (format!("error: {message}"), Exit::Usage);
    match text.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(Address::Sqlite(path.into())),
        Some(("postgres" | "postgresql", _)) => {
            let url = PostgresUrl::parse(text).map_err(|error| usage(error.to_string()))?;
            if url.has_password() {
                return Err(usage("an address on the command line is seen by everybody; use --password-file".into()));
            }
            // Nobody waits for an answer here.
            let statement_timeout = Duration::from_mins(1);
            let settings =
                PostgresSettings { password: password.cloned(), statement_timeout, ..PostgresSettings::new(url) };
            Ok(Address::Postgres(Box::new(settings)))
        }
        _ => Err(usage("a store is \"sqlite:PATH\", \"postgres://user@host/database\" or \"config\"".into())),
    }
}
