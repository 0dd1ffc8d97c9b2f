//! `vestibule doctor`: whether what the configuration names is there and works, one line for each.

use std::io::ErrorKind;
use std::net::{TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::time::timeout;

use super::{Exit, Global, print, print_error, traces};
use crate::clock::Clock;
use crate::cluster::tell_once;
use crate::config::Config;
use crate::fetch::Fetch;
use crate::listen::{self, Tls, unix_path};
use crate::mail::Outbox;
use crate::route::Router;
use crate::store::{self, Address as StoreAddress, Store};
use crate::upstream::Address;

/// How to say it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 1 when something is wrong. Changes nothing, but for making the store's file.")]
pub struct Args {
    /// One JSON object per line: check, state, detail
    #[arg(long)]
    json: bool,
}

/// What came of a look at something.
struct Finding {
    check: String,
    state: State,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    Odd,
    Wrong,
}

/// Looks at everything.
pub fn run(args: &Args, global: &Global) -> Exit {
    let config = match global.config() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let notes = config.notes.iter().map(|note| Finding::new("config", State::Odd, note.message.clone()));
    let mut findings: Vec<Finding> = notes.collect();
    findings.push(Finding::new("config", State::Fine, global.path().display().to_string()));
    findings.extend(listeners(&config));
    findings.extend(certificate(&config.listen.tls, SystemTime::now()));
    match super::run::runtime() {
        Ok(runtime) => findings.extend(runtime.block_on(online(&config))),
        Err(exit) => return exit,
    }
    for finding in &findings {
        let exit = print(&finding.line(args.json));
        if exit != Exit::Fine {
            return exit;
        }
    }
    if findings.iter().any(|finding| finding.state == State::Wrong) { Exit::Refused } else { Exit::Fine }
}

/// Looks at what `check --online` looks at: everything that is somewhere else. A line for each; what is wrong goes to
/// standard error.
pub(super) fn reach(config: &Config, json: bool) -> Exit {
    let findings = match super::run::runtime() {
        Ok(runtime) => runtime.block_on(online(config)),
        Err(exit) => return exit,
    };
    let mut worst = Exit::Fine;
    for finding in &findings {
        let is_wrong = finding.state == State::Wrong;
        if is_wrong && !json {
            print_error(&format!("error: {}: {}", finding.check, finding.detail));
        } else if print(&finding.line(json)) != Exit::Fine {
            return Exit::Refused;
        }
        if is_wrong {
            worst = Exit::Refused;
        }
    }
    worst
}

impl Finding {
    fn new(check: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        Self { check: check.into(), state, detail: detail.into() }
    }

    fn line(&self, json: bool) -> String {
        let state = match self.state {
            State::Fine => "fine",
            State::Odd => "odd",
            State::Wrong => "wrong",
        };
        if json {
            return json!({ "check": self.check, "state": state, "detail": self.detail }).to_string();
        }
        format!("{state:6} {:10} {}", self.check, self.detail)
    }
}

/// Whether the addresses can be listened on, or are listened on already, which a running server does.
fn listeners(config: &Config) -> Vec<Finding> {
    let admin = config.admin.iter().flat_map(|admin| &admin.addresses);
    let all = config.listen.addresses.iter().chain(admin);
    let look = |address: &String| match address.to_socket_addrs().map(|mut all| all.next()) {
        Ok(Some(found)) => match TcpListener::bind(found) {
            Ok(_) => Finding::new("listen", State::Fine, format!("{address} is free")),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Finding::new(
                "listen",
                State::Odd,
                format!("{address} is in use; by a running vestibule, if all is well"),
            ),
            Err(error) => Finding::new("listen", State::Wrong, format!("{address}: {error}")),
        },
        _ => Finding::new("listen", State::Wrong, format!("{address} has no address here")),
    };
    all.map(|place| match unix_path(place) {
        Some(path) => {
            let (state, detail) = socket_file(path);
            Finding::new("listen", state, format!("{place} {detail}"))
        }
        None => look(place),
    })
    .collect()
}

/// Whether the certificate in the files of the configuration is good for a while. One that an authority issues is the
/// server's own business.
fn certificate(tls: &Tls, now: SystemTime) -> Option<Finding> {
    let Tls::Files { certificate, key } = tls else { return None };
    // Files that cannot be used are a fault of the configuration.
    let ends = listen::examine(certificate, key).ok()??;
    let days = |span: Duration| span.as_secs() / DAY;
    let (state, detail) = match ends.duration_since(now) {
        Ok(left) if left < SOON => (State::Odd, format!("ends in {} days", days(left))),
        Ok(left) => (State::Fine, format!("is good for {} days", days(left))),
        Err(past) => (State::Wrong, format!("ended {} days ago", days(past.duration()))),
    };
    Some(Finding::new("tls", state, format!("{} {detail}", certificate.display())))
}

/// Whether a Unix socket can be listened on.
fn socket_file(path: &Path) -> (State, &'static str) {
    match UnixStream::connect(path).map_err(|error| error.kind()) {
        Ok(_) => (State::Odd, "is in use; by a running vestibule, if all is well"),
        Err(ErrorKind::NotFound) if path.parent().is_some_and(Path::is_dir) => (State::Fine, "is free"),
        Err(ErrorKind::NotFound) => (State::Wrong, "is in a folder that is not there"),
        Err(ErrorKind::PermissionDenied) => (State::Odd, "is there, and not open to this account"),
        Err(_) if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) => {
            (State::Fine, "is left from a server that is gone, and is taken over")
        }
        Err(_) => (State::Wrong, "is a file that is no socket"),
    }
}

async fn online(config: &Config) -> Vec<Finding> {
    let mut findings = vec![store(config).await, clock(), mail(config).await];
    if let Some(settings) = &config.cluster {
        findings.push(cluster(settings).await);
    }
    findings.extend(issuers(config).await);
    if let Some(otlp) = &config.observe.otlp {
        findings.push(match traces::probe(otlp, &config.outgoing).await {
            Ok(()) => Finding::new("traces", State::Fine, format!("{} takes them", otlp.traces())),
            Err(error) => Finding::new("traces", State::Wrong, error),
        });
    }
    match Router::new(&config.routes) {
        Ok(router) => {
            for address in router.upstreams() {
                findings.push(upstream(address).await);
            }
        }
        Err(faults) => findings.extend(
            faults.iter().map(|fault| Finding::new("routes", State::Wrong, format!("{}: {}", fault.key, fault.kind))),
        ),
    }
    findings
}

async fn store(config: &Config) -> Finding {
    if config.store == StoreAddress::Memory {
        return Finding::new("store", State::Odd, "is in memory and ends with the process");
    }
    let opened: Result<Arc<dyn Store>, _> = store::open(&config.store);
    let store = match opened {
        Ok(store) => store,
        Err(error) => return Finding::new("store", State::Wrong, format!("{error}; {}", error.help())),
    };
    match timeout(PATIENCE, store.ping()).await {
        Ok(Ok(())) => Finding::new("store", State::Fine, "answers and takes writes"),
        Ok(Err(error)) => Finding::new("store", State::Wrong, error.to_string()),
        Err(_) => Finding::new("store", State::Wrong, slow()),
    }
}

/// Nothing fails without it, so it is no fault.
async fn cluster(settings: &crate::cluster::Settings) -> Finding {
    match tell_once(settings, &[]).await {
        true => Finding::new("cluster", State::Fine, format!("{} passes messages on", settings.address)),
        false => Finding::new("cluster", State::Odd, format!("{} does not answer, or refuses us", settings.address)),
    }
}

/// Those that providers send people to, or whose keys sign the tokens that are taken.
async fn issuers(config: &Config) -> Vec<Finding> {
    let fetch = match Fetch::new(&config.outgoing) {
        Ok(fetch) => fetch,
        Err(error) => return vec![Finding::new("outgoing", State::Wrong, error.to_string())],
    };
    let asked = config.providers.ask_issuers(&fetch, &Clock::system()).await.into_iter();
    asked
        .map(|asked| match asked.outcome {
            Ok(told) => Finding::new("issuer", State::Fine, format!("{}: {told}", asked.provider)),
            Err(why) => Finding::new("issuer", State::Wrong, format!("{}: {why}", asked.provider)),
        })
        .collect()
}

/// Tokens, links and sessions end by this clock: one that was never set would end them all, or none.
fn clock() -> Finding {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    match now.as_secs() {
        EARLIEST.. => Finding::new("clock", State::Fine, Clock::system().now().rfc3339()),
        _ => Finding::new("clock", State::Wrong, "it is before this program was made: set the clock"),
    }
}

async fn mail(config: &Config) -> Finding {
    match &config.mail.outbox {
        Outbox::Directory(folder) => folder_is_there(folder),
        Outbox::Smtp(smtp) => {
            let Some((host, port)) = server(&smtp.url) else {
                return Finding::new("mail", State::Wrong, "smtp.url names no server");
            };
            reached("mail", &format!("{host}:{port}")).await
        }
        _ => Finding::new("mail", State::Odd, "mails are printed: there is neither smtp nor directory under [mail]"),
    }
}

fn folder_is_there(folder: &Path) -> Finding {
    match folder.metadata() {
        Ok(found) if !found.is_dir() => {
            Finding::new("mail", State::Wrong, format!("{} is no folder", folder.display()))
        }
        Ok(found) if found.permissions().readonly() => {
            Finding::new("mail", State::Wrong, format!("{} cannot be written", folder.display()))
        }
        Ok(_) => Finding::new("mail", State::Fine, format!("{} is there", folder.display())),
        Err(_) => Finding::new("mail", State::Fine, format!("{} is made with the first mail", folder.display())),
    }
}

fn server(url: &str) -> Option<(String, u16)> {
    let url = url::Url::parse(url).ok()?;
    let default = if url.scheme() == "smtps" { 465 } else { 587 };
    Some((url.host_str()?.to_owned(), url.port().unwrap_or(default)))
}

async fn upstream(address: &Address) -> Finding {
    let shown = address.to_string();
    if let Some(path) = shown.strip_prefix("unix:") {
        return match timeout(PATIENCE, tokio::net::UnixStream::connect(path)).await {
            Ok(Ok(_)) => Finding::new("upstream", State::Fine, format!("{shown} takes connections")),
            Ok(Err(error)) => Finding::new("upstream", State::Wrong, format!("{shown}: {error}")),
            Err(_) => Finding::new("upstream", State::Wrong, format!("{shown}: {}", slow())),
        };
    }
    let authority = url::Url::parse(&shown)
        .ok()
        .and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    reached("upstream", &authority.unwrap_or(shown)).await
}

async fn reached(check: &str, address: &str) -> Finding {
    match timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Finding::new(check, State::Fine, format!("{address} takes connections")),
        Ok(Err(error)) => Finding::new(check, State::Wrong, format!("{address}: {error}")),
        Err(_) => Finding::new(check, State::Wrong, format!("{address}: {}", slow())),
    }
}

fn slow() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

const PATIENCE: Duration = Duration::from_secs(5);
const DAY: u64 = 24 * 60 * 60;
/// Whoever renews certificates has done so by then.
const SOON: Duration = Duration::from_hours(14 * 24);
/// 2026-01-01.
const EARLIEST: u64 = 1_767_225_600;
