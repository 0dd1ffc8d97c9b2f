//! `vestibule run`: the service.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Error};
use crate::cli::log::{self, Form};
use crate::cli::reload::{self, Source};
use crate::cli::traces::{self, Traces};
use crate::cli::{Exit, Global, print, print_error, supervisor};
use crate::config::{Config, LogFormat, Report};
use crate::listen::{self, Bound, Outcome, Shutdown};
use crate::live::Live;
use crate::store::{Address, Alone, Presence};
use crate::upstream;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app behind, such as http://127.0.0.1:3000: needs no configuration file
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    to: Option<upstream::Address>,
    /// Listen here in place of what the configuration says
    #[arg(long, value_name = "HOST:PORT")]
    listen: Vec<String>,
}

/// Runs until it is told to end.
pub fn run(args: &Args, global: &Global) -> Exit {
    let config = match load(args, global) {
        Ok(config) => config,
        Err(report) => {
            print_error(&report.to_string());
            return Exit::Config;
        }
    };
    let form = match config.observe.log.format {
        LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let traces = match traces(&config, &runtime) {
        Ok(traces) => traces,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return Exit::Config;
        }
    };
    log::start(form, config.observe.log.level.as_str(), traces.as_ref());
    for note in &config.notes {
        tracing::warn!("{}", note.message);
    }
    let bound = match bind(&config) {
        Ok(bound) => bound,
        Err(exit) => return exit,
    };
    let operators = match bind_operators(&config) {
        Ok(operators) => operators,
        Err(exit) => return exit,
    };
    let exit = runtime.block_on(serve(config, bound, operators, args, global));
    match traces {
        // Whoever forces the end does not wait for anything.
        Some(traces) if exit != Exit::Forced => runtime.block_on(traces.end()),
        _ => {}
    }
    exit
}

/// What sends traces, if they are wanted.
fn traces(config: &Config, runtime: &Runtime) -> Result<Option<Traces>, traces::Error> {
    let Some(otlp) = &config.observe.otlp else { return Ok(None) };
    Traces::new(otlp, &config.outgoing, runtime.handle().clone()).map(Some)
}

/// The configuration by the command line and the file; a reload reads it the same way.
fn load(args: &Args, global: &Global) -> Result<Config, Report> {
    match &args.to {
        Some(upstream) => Config::for_upstream(upstream.clone()).listening_on(&args.listen),
        None => global.load_listening(&args.listen),
    }
}

/// Opens the listeners of a configuration, or says why not.
pub(super) fn bind(config: &Config) -> Result<Bound, Exit> {
    open(&config.listen)
}

/// Opens the operator's listener, if there is to be one.
fn bind_operators(config: &Config) -> Result<Option<Bound>, Exit> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let settings = listen::Settings { addresses: admin.addresses.clone(), workers: 1, ..Default::default() };
    open(&settings).map(Some)
}

fn open(settings: &listen::Settings) -> Result<Bound, Exit> {
    listen::bind(settings).map_err(|error| {
        print_error(&format!("error: {error}"));
        if let Some(help) = error.help() {
            print_error(&format!("help: {help}"));
        }
        Exit::Listen
    })
}

/// The runtime of everything but the workers.
pub(super) fn runtime() -> Result<Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        print_error(&format!("error: no runtime: {error}"));
        Exit::Refused
    })
}

/// Says why an app cannot run, and with which code to end.
pub(super) fn cannot_run(error: &Error) -> Exit {
    print_error(&format!("error: {error}"));
    match error {
        Error::Open(open) => {
            let help = open.help();
            if !help.is_empty() {
                print_error(&format!("help: {help}"));
            }
            Exit::Store
        }
        Error::Store(_) => Exit::Store,
        Error::Routes(_)
        | Error::Pages(_)
        | Error::Provider(_)
        | Error::Fetch(_)
        | Error::Mail(_)
        | Error::Upstream(_)
        | Error::NoPublicUrl(_) => Exit::Config,
    }
}

async fn serve(config: Config, bound: Bound, operators: Option<Bound>, args: &Args, global: &Global) -> Exit {
    let places = bound.places().to_vec();
    let scheme = bound.scheme().as_str();
    let live = match App::open(config, bound.address()).await {
        Ok(app) => Live::new(app),
        Err(error) => return cannot_run(&error),
    };
    let _presence = claim(&live.app().house().config.store);
    let shutdown = Shutdown::new();
    let signals = tokio::spawn(listen::watch_signals(shutdown.clone()));
    let hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            print_error(&format!("error: no signals: {error}"));
            return Exit::Refused;
        }
    };
    match live.app().first_account_link().await {
        Ok(None) => {}
        Ok(Some(link)) => {
            print(&format!("no account yet; make the first one here (works once): {link}"));
        }
        Err(error) => {
            print_error(&format!("error: {error}"));
            return Exit::Store;
        }
    }
    for place in &places {
        let scheme = if place.address().is_some() { format!("{scheme}://") } else { String::new() };
        print(&format!("listening on {scheme}{place}"));
    }
    for address in operators.iter().flat_map(Bound::places) {
        print(&format!("listening on http://{address} for operators"));
    }
    supervisor::ready();
    let ending = tokio::spawn(supervisor::tell_of_the_end(shutdown.clone()));
    let source = Source { file: args.to.is_none().then(|| global.path()), load: || load(args, global) };
    let outcome = tokio::select! {
        outcome = serve_both(live.clone(), bound, operators, shutdown) => outcome,
        never = reload::watch(live, source, hangups) => match never {},
    };
    signals.abort();
    ending.abort();
    match outcome {
        Outcome::Finished => Exit::Fine,
        Outcome::Forced => Exit::Forced,
    }
}

/// Tells other servers on the same SQLite file that this one is there, and the operator that one is there already.
fn claim(store: &Address) -> Option<Presence> {
    match Presence::claim(store) {
        Alone::Yes(presence) => Some(presence),
        Alone::No => {
            tracing::warn!(
                "another server uses this store: each counts its limits alone, and hears of what ended at the other \
                 within `session.cache`; several servers belong on PostgreSQL"
            );
            None
        }
        Alone::Unknown => None,
    }
}

/// Both end by the same signal; probes are answered until the last.
async fn serve_both(live: Arc<Live>, bound: Bound, operators: Option<Bound>, shutdown: Shutdown) -> Outcome {
    let front = bound.front(&shutdown);
    let visitors = live.clone().serve(bound, App::entrance, shutdown.clone());
    let Some(operators) = operators else { return visitors.await };
    let (visitors, operators) = tokio::join!(visitors, live.serve_operators(operators, front, shutdown));
    if operators == Outcome::Forced { operators } else { visitors }
}
