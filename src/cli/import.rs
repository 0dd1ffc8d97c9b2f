//! `vestibule import`: accounts and settings that were somewhere else before.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::import_users::Importer;
use super::operator::{self, Failure, Operator};
use super::{
    Exit, Global, import_app_services, import_firebase, import_htpasswd, import_oauth2_proxy, import_supabase, print,
    print_error,
};

/// What to take over, and from where.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Repeating it does no harm: whoever is there already stays as they are. What cannot be taken is \
                        listed with its line or name; docs/migrating.md says more."
)]
pub struct Args {
    #[command(subcommand)]
    from: From,
    /// Say what would be taken, and change nothing
    #[arg(long, global = true)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum From {
    /// The exported folder of an App Services app, with users.json and api_keys.json of its Admin API; prints the TOML
    AppServices {
        /// The folder with auth/providers.json
        path: PathBuf,
        /// Users as the Admin API lists them, all pages in one array [default: users.json in the folder]
        #[arg(long, value_name = "FILE")]
        users: Option<PathBuf>,
        /// The documents of the custom user data collection, one per line or in an array
        #[arg(long, value_name = "FILE")]
        custom_data: Option<PathBuf>,
        /// The issuer (iss) of the custom tokens
        #[arg(long, value_name = "ISS", default_value = "")]
        token_issuer: String,
    },
    /// The configuration file of oauth2-proxy; prints the TOML
    Oauth2Proxy {
        /// oauth2-proxy.cfg
        path: PathBuf,
    },
    /// The users of a Firebase project (firebase auth:export users.json)
    Firebase {
        /// users.json
        path: PathBuf,
        /// The project's hash parameters, as the console shows them
        #[arg(long, value_name = "FILE")]
        parameters: Option<PathBuf>,
    },
    /// The users of a Supabase project: auth.users as JSON, one row per line or in an array
    Supabase {
        /// users.json
        path: PathBuf,
    },
    /// An Apache password file whose names are e-mail addresses
    Htpasswd {
        /// .htpasswd
        path: PathBuf,
        /// Give everybody this role, one that the configuration declares; may be repeated
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
    },
}

/// Does it.
pub fn run(args: &Args, global: &Global) -> Exit {
    if let From::Oauth2Proxy { path } = &args.from {
        return match read(path).and_then(|text| import_oauth2_proxy::toml(&text)) {
            Ok(toml) => printed(&toml.text, &toml.notes),
            Err(failure) => failure.print(),
        };
    }
    operator::act(global, async |operator: &Operator| {
        let mut importer = Importer::new(operator, args.dry_run);
        let mut toml = None;
        match &args.from {
            From::AppServices { path, users, custom_data, token_issuer } => {
                let export = import_app_services::Export { path, users, custom_data, token_issuer };
                toml = Some(export.take(&mut importer).await?);
            }
            From::Oauth2Proxy { .. } => {}
            From::Firebase { path, parameters } => {
                let parameters = parameters.as_deref().map(read).transpose()?;
                import_firebase::take(&read(path)?, parameters.as_deref(), &mut importer).await?;
            }
            From::Supabase { path } => import_supabase::take(&read(path)?, &mut importer).await?,
            From::Htpasswd { path, roles } => {
                operator.expect_roles(roles)?;
                import_htpasswd::take(&read(path)?, roles, &mut importer).await?;
            }
        }
        let exit = match toml {
            Some(toml) => print(toml.trim_end()),
            None => Exit::Fine,
        };
        importer.report();
        Ok(exit)
    })
}

/// A file as text.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

/// A configuration, and what of the source is not in it.
pub(super) struct Toml {
    pub(super) text: String,
    pub(super) notes: Vec<String>,
}

fn printed(text: &str, notes: &[String]) -> Exit {
    notes.iter().for_each(|note| print_error(&format!("note: {note}")));
    print(text.trim_end())
}
