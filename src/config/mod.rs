//! The configuration: one TOML file, every mistake in it reported at once with its place and the way out.
//!
//! Reading a key declares it (`reader`), so the table of known keys, the suggestions, the JSON Schema and the
//! names of environment variables cannot differ from what is read.

mod admin;
mod app_services;
mod cluster;
mod code;
mod crossing;
mod custom_token;
mod embedded;
mod environment;
mod fault;
mod function;
mod headers;
mod known;
mod limits;
mod listen;
mod loops;
mod mail;
mod mask;
mod metadata;
mod notes;
mod oauth;
mod observe;
mod origins;
mod outgoing;
mod pages;
mod place;
mod policies;
mod providers;
mod proxies;
mod reader;
#[cfg(test)]
mod reference_tests;
mod report;
mod root;
mod route_key;
mod routes;
mod schema;
mod secret;
mod session;
#[cfg(test)]
mod slip_tests;
mod store;
mod suggest;
#[cfg(test)]
mod tests;
mod tls;
mod tree;
mod unit;
mod unknown;
mod upstreams;
mod value;
mod who;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

pub use code::Code;
pub use embedded::Embedded;
pub use observe::{Log, LogFormat, LogLevel, Observe, Otlp};
pub use report::{Problem, Report};
pub use schema::schema;

use crate::account::password::Cost;
use crate::layer::{Alias, IdentityHeaders, TrustedProxies, UnderscoreHeaders};
use crate::public_url::PublicUrl;
use crate::upstream;
use reader::{Reader, Reading};
use report::Source;
use secret::Secrets;
use tree::Table;

/// Where the file is, unless somebody says otherwise.
pub const DEFAULT_FILE: &str = "vestibule.toml";

/// A configuration without faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `public_url`; absent: `http://localhost` and the first port listened on.
    pub public_url: Option<PublicUrl>,
    /// `listen`, `workers`, `[tls]` and `[shutdown]`.
    pub listen: crate::listen::Settings,
    /// `upstream`, for routes that name none.
    pub upstream: Option<upstream::Address>,
    /// `[upstreams]`: how those over TLS are verified.
    pub upstreams: upstream::TlsSettings,
    /// `prefix`: begins with a slash and ends without one. Default `/.auth`.
    pub prefix: String,
    /// `aliases`.
    pub aliases: Vec<Alias>,
    /// `roles`.
    pub roles: BTreeSet<String>,
    /// `return_to`: origins; `https://*.example.com` covers every name one label below.
    pub return_to: Vec<String>,
    /// `hosts`, in the form in which hosts are compared; empty means any.
    pub hosts: Vec<String>,
    /// `underscore_headers`.
    pub underscore_headers: UnderscoreHeaders,
    /// `[trusted_proxies]`.
    pub trusted_proxies: TrustedProxies,
    /// `[store]`.
    pub store: crate::store::Address,
    /// `[cluster]`; absent: one instance, or several that hear of each other through the store alone.
    pub cluster: Option<crate::cluster::Settings>,
    /// `[session]`.
    pub session: crate::session::Settings,
    /// `[functions]`.
    pub functions: crate::function::Settings,
    /// `[limits]`.
    pub limits: crate::limit::Settings,
    /// `[identity_headers]`.
    pub identity_headers: IdentityHeaders,
    /// `[mail]`.
    pub mail: crate::mail::Settings,
    /// `[outgoing]`.
    pub outgoing: crate::fetch::Settings,
    /// `[pages]`.
    pub pages: crate::portal::Settings,
    /// `[admin]`; absent: no operator's listener.
    pub admin: Option<crate::admin::Settings>,
    /// `[app_services]`; absent: off.
    pub app_services: Option<crate::app_services::Settings>,
    /// `[observe]`.
    pub observe: Observe,
    /// `[providers]`.
    pub providers: crate::provider::Settings,
    /// `[routes]`, `[policies]` and `case`.
    pub routes: crate::route::Tables,
    /// What a new password hash costs. No file says it: only the kit of tests makes it cheap.
    pub(crate) hash_cost: Cost,
    /// What is no mistake but worth a line at every start.
    pub notes: Vec<Problem>,
    /// Keys whose secrets are not there, with something useless in their place: [`load_for_operator`] alone leaves any.
    pub absent: BTreeSet<String>,
}

impl Config {
    /// Whether anything in it runs a function in JavaScript.
    pub fn runs_javascript(&self) -> bool {
        app_services::runs_javascript(self)
    }

    /// The same at these addresses, or why not: what `run --to ADDRESS --listen HOST:PORT` needs. None: as it is.
    ///
    /// # Errors
    /// A [`Report`], when an upstream is one of them.
    pub fn listening_on(mut self, addresses: &[String]) -> Result<Self, Report> {
        if !addresses.is_empty() {
            self.listen.addresses = addresses.to_vec();
        }
        let faults = self.upstream.iter().filter_map(|upstream| loops::fault(&self, upstream, place::Place::Whole));
        match faults.collect::<Vec<_>>() {
            faults if faults.is_empty() => Ok(self),
            faults => Err(Source { name: "--to", text: "", hidden: &[] }.report(faults)),
        }
    }

    /// Everything at its default, before this app: what `run --to ADDRESS` needs.
    pub fn for_upstream(upstream: upstream::Address) -> Self {
        let reading = Reading::default();
        let mut config = root::read(&mut Reader::root(&reading));
        config.routes.upstream = Some(upstream.clone());
        config.upstream = Some(upstream);
        config
    }
}

/// Reads the file at `path`, else at `VESTIBULE_CONFIG`, else `vestibule.toml` in the current folder.
///
/// # Errors
/// A [`Report`] of everything that is wrong with it.
pub fn load(path: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, Report> {
    load_listening(path, environment, &[])
}

/// The same, listening at these addresses in place of those that the file names, unless there are none.
///
/// # Errors
/// As [`load`].
pub fn load_listening(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    listen: &[String],
) -> Result<Config, Report> {
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    let (name, text) = file(path, &environment)?;
    parse_with(&text, &name, environment, Beside { listen: listen.to_vec(), ..Beside::default() })
}

/// The same for a command that works with the store: of all secrets only those of `[store]` have to be there.
///
/// # Errors
/// As [`load`].
pub fn load_for_operator(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Report> {
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    let (name, text) = file(path, &environment)?;
    parse_with(&text, &name, environment, Beside { secrets: Secrets::OfStore, ..Beside::default() })
}

/// The file's name and what it says.
fn file(path: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<(String, String), Report> {
    let named = environment.get("VESTIBULE_CONFIG").filter(|path| !path.is_empty()).map(Path::new);
    let path = path.or(named).unwrap_or(Path::new(DEFAULT_FILE));
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| unread(&name, &error))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let message = format!("{name} is not UTF-8: byte {} is odd", error.utf8_error().valid_up_to() + 1);
            Err(Report::unread(&name, message, Vec::new()))
        }
    }
}

/// Reads this text as the file of that name; relative paths begin at the file's folder.
///
/// # Errors
/// A [`Report`] of everything that is wrong with it.
pub fn parse(
    text: &str,
    name: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Report> {
    parse_with(text, name, environment, Beside::default())
}

/// What counts besides the file and the environment.
#[derive(Default)]
struct Beside {
    embedded: Option<Embedded>,
    listen: Vec<String>,
    secrets: Secrets,
}

fn parse_with(
    text: &str,
    name: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    beside: Beside,
) -> Result<Config, Report> {
    // Some editors begin a file with this mark; TOML does not know it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    let (mut tree, broken) = Table::parse(text);
    if !broken.is_empty() {
        let hidden = mask::in_broken(text);
        return Err(Source { name, text, hidden: &hidden }.report(broken));
    }
    let known = known::all();
    environment::overlay(&mut tree, &environment, known);
    let mut reading = Reading::new(tree, Path::new(name), environment);
    (reading.embedded, reading.listen, reading.secrets) = (beside.embedded, beside.listen, beside.secrets);
    let mut reader = Reader::root(&reading);
    let mut config = root::read(&mut reader);
    reader.close();
    environment::unknown(&reading.environment, known, |name| reading.has_asked(name))
        .into_iter()
        .for_each(|fault| reading.fault(fault));
    config.absent = reading.missed();
    let (faults, hidden) = reading.into_findings();
    let source = Source { name, text, hidden: &hidden };
    if faults.iter().any(|fault| !fault.code.is_note()) {
        return Err(source.report(faults));
    }
    config.notes = source.report(faults).problems;
    Ok(config)
}

/// A duration as the file writes them: `30s`, `15m`, `12h`, `90d`.
///
/// # Errors
/// How one is written, when this is none.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    unit::parse_span(text).ok_or_else(|| "a duration has a unit, such as 30s, 15m, 12h or 90d".to_owned())
}

fn unread(name: &str, error: &std::io::Error) -> Report {
    if error.kind() == std::io::ErrorKind::NotFound && name == DEFAULT_FILE {
        let help = "`vestibule demo` shows a working one, `vestibule init` writes one, `vestibule run --to ADDRESS` \
                    needs none";
        return Report::unread(name, format!("no {DEFAULT_FILE} here"), vec![help.to_owned()]);
    }
    Report::unread(name, format!("cannot read {name}: {error}"), Vec::new())
}

fn default_providers() -> crate::provider::Settings {
    crate::provider::Settings { local_userpass: Some(Default::default()), ..Default::default() }
}
