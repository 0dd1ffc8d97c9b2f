//! `vestibule demo`: a small blog behind the real stack, with accounts made up for the run.

use std::collections::HashMap;

use crate::account::email::Email;
use crate::account::{Identity, Kind, PasswordCredential, User};
use crate::app::App;
use crate::cli::demo_idp::{self, Idp};
use crate::cli::demo_outbox::Outbox;
use crate::cli::log::{self, Form};
use crate::cli::{Exit, demo_blog, demo_check, demo_requests, print, print_error, run};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::id::UserId;
use crate::listen::{self, Bound, Outcome, Shutdown};
use crate::live::Live;
use crate::mail;
use crate::secret::{self, Secret};
use crate::store::{self, Saved};
use crate::upstream::Address;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; a taken port gives way to the next free one
    #[arg(long, default_value = "localhost:8080", value_name = "HOST:PORT")]
    listen: String,
    /// Make the requests and a whole sign-in, then end: 0 when all went as it should
    #[arg(long)]
    check: bool,
    /// Print the configuration file behind the demo
    #[arg(long)]
    print_config: bool,
}

/// Who is there, and how they sign in.
pub(super) struct Cast {
    pub(super) ann: Secret,
    pub(super) max: Secret,
    pub(super) key: Secret,
    /// Of the partner, for somebody it knows.
    pub(super) token: Secret,
    names: HashMap<String, String>,
}

/// Runs the demo.
pub fn run(args: &Args) -> Exit {
    if args.print_config {
        return print(FILE.trim_end());
    }
    let runtime = match run::runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    runtime.block_on(demo(args))
}

async fn demo(args: &Args) -> Exit {
    let blog = match demo_blog::serve().await {
        Ok(blog) => blog,
        Err(error) => {
            print_error(&format!("error: no port for the blog: {error}"));
            return Exit::Listen;
        }
    };
    let idp = match Idp::bind().await {
        Ok(idp) => idp,
        Err(error) => {
            print_error(&format!("error: the identity providers of the demo cannot be played: {error}"));
            return Exit::Listen;
        }
    };
    let file = FILE.replace(demo_idp::PLACEHOLDER, &idp.origin());
    let mut config = match config::parse(&file, "demo.toml", idp.secrets()) {
        Ok(config) => config,
        Err(report) => {
            print_error(&report.to_string());
            return Exit::Bug;
        }
    };
    let upstream = Address::Tcp { host: blog.ip().to_string(), port: blog.port() };
    config.mail.outbox = mail::Outbox::Memory;
    config.upstream = Some(upstream.clone());
    config.routes.upstream = Some(upstream);
    // A check must not depend on what else runs on this machine.
    config.listen.addresses = vec![if args.check { "127.0.0.1:0".to_owned() } else { args.listen.clone() }];
    let bound = match bind(&mut config) {
        Ok(bound) => bound,
        Err(exit) => return exit,
    };
    let Some(first) = bound.address() else { return Exit::Listen };
    let live = match App::open(config, Some(first)).await {
        Ok(app) => Live::new(app),
        Err(error) => return run::cannot_run(&error),
    };
    let origin = live.app().public_url().origin().to_owned();
    let token = idp.partner_token();
    idp.serve(&origin);
    let cast = match people(&live.app(), token).await {
        Ok(cast) => cast,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return Exit::Store;
        }
    };
    let shutdown = Shutdown::new();
    let handler = |app: &App| Outbox::before(app.entrance(), app.mailer().clone());
    if args.check {
        log::start_without_audit(Form::Text, "warn");
        let served = tokio::spawn(live.clone().serve(bound, handler, shutdown.clone()));
        let exit = demo_check::check(first, &origin, &cast).await;
        shutdown.force();
        drop(served.await);
        return exit;
    }
    log::start_without_audit(Form::Demo(cast.names.clone()), "info");
    print(&banner(&origin, &cast));
    let signals = tokio::spawn(listen::watch_signals(shutdown.clone()));
    let outcome = live.serve(bound, handler, shutdown).await;
    signals.abort();
    match outcome {
        Outcome::Finished => Exit::Fine,
        Outcome::Forced => Exit::Forced,
    }
}

/// Opens the listener; where the port is taken, at the next free one of the ten above it.
fn bind(config: &mut Config) -> Result<Bound, Exit> {
    let wanted = config.listen.addresses.first().cloned().unwrap_or_default();
    let (host, port) = wanted.rsplit_once(':').unwrap_or((&wanted, "8080"));
    let first: u16 = port.parse().unwrap_or_default();
    for step in 1..=10 {
        match listen::bind(&config.listen) {
            Err(listen::Error::InUse { .. }) if first != 0 => {
                let next = first.saturating_add(step);
                print_error(&format!("note: {} is taken, trying {host}:{next}", config.listen.addresses.join(", ")));
                config.listen.addresses = vec![format!("{host}:{next}")];
            }
            Ok(bound) => return Ok(bound),
            Err(_) => break,
        }
    }
    run::bind(config)
}

async fn people(app: &App, token: Secret) -> Result<Cast, store::Error> {
    let hasher = crate::account::password::Hasher::new(0);
    let mut names = HashMap::new();
    let mut passwords = Vec::new();
    let mut key = Secret::new("");
    for (name, role) in [("Ann", Some("journalist")), ("Max", None)] {
        let now = Clock::system().now();
        let password = made_up();
        let Ok(email) = Email::parse(&format!("{}@example.com", name.to_lowercase())) else { continue };
        let hash = hasher.hash(&password).await.map_err(|error| store::Error::Unavailable(error.to_string()))?;
        let mut user = User::new(UserId::generate(now), Kind::User, now);
        user.data.insert("email".to_owned(), email.as_str().into());
        user.data.insert("name".to_owned(), name.into());
        user.roles.extend(role.map(str::to_owned));
        let subject = UserId::generate(now).to_string();
        user.identities.push(Identity::new(crate::provider::LOCAL_USERPASS, "", &subject, now));
        user.password = Some(PasswordCredential { email, hash, verified: true, changed_at: now });
        if app.store().save_user(&user).await? != Saved::Done {
            return Err(store::Error::Corrupt(format!("no account for {name} could be made")));
        }
        names.insert(user.id.to_string(), name.to_lowercase());
        if role.is_some()
            && let Some(keys) = app.providers().api_key()
        {
            let made = keys.create(user.id, "demo", None).await;
            key = made.map_err(|error| store::Error::Unavailable(error.to_string()))?.1;
        }
        passwords.push(password);
    }
    let max = passwords.pop().unwrap_or_else(made_up);
    let ann = passwords.pop().unwrap_or_else(made_up);
    Ok(Cast { ann, max, key, token, names })
}

/// Words to read and type, made anew for each run.
fn made_up() -> Secret {
    let [one, two, three, _] = secret::random::<4>();
    let word = |words: &[&'static str], byte: u8| words[usize::from(byte) % words.len()];
    Secret::new(format!("{}-{}-{}", word(&FIRST, one), word(&SECOND, two), 10 + three % 90))
}

fn banner(origin: &str, cast: &Cast) -> String {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    // Shown once, to whoever started the demo: they are made up for it.
    let (ann, max) = (cast.ann.expose(), cast.max.expose());
    let tries: String = demo_requests::all(&cast.key, &cast.token)
        .iter()
        .map(|request| format!("    {}\n        → {}  {}\n", request.line(host), request.status, request.why))
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "\n  vestibule {version} — demo: a small blog behind the vestibule. Anyone may read, journalists may write.\n\n\
         \x20   Blog        {origin}/\n\
         \x20   Sign in     {origin}/.auth/login\n\
         \x20   Account     {origin}/.auth/account\n\
         \x20   Mail sent   {origin}/.auth/outbox       nothing leaves this machine\n\n\
         \x20   ann@example.com   journalist   {ann:<24} ┐ made up for this run,\n\
         \x20   max@example.com   no role      {max:<24} ┘ gone when you stop it\n\n\
         \x20   Google, Facebook, Apple, GitHub, Microsoft and Example Corp are played by the demo: no button needs a network.\n\
         \x20   Signed in as Ann, add one of them under Account; the newsroom of Example Corp may write, too.\n\n\
         \x20 Try, in another terminal:\n\
         {tries}\n\
         \x20 The file behind this demo: vestibule demo --print-config     Your own site: vestibule init     Ctrl-C stops.\n"
    )
}

const FILE: &str = include_str!("demo.toml");

const FIRST: [&str; 32] = [
    "copper", "velvet", "amber", "silver", "quiet", "golden", "marble", "cedar", "crimson", "misty", "polar", "rustic",
    "scarlet", "sunny", "tidal", "violet", "woven", "autumn", "bronze", "cobalt", "dusty", "early", "frosty", "gentle",
    "hazel", "ivory", "jade", "linen", "maple", "nimble", "olive", "pearl",
];
const SECOND: [&str; 32] = [
    "lantern", "harbour", "window", "garden", "bridge", "castle", "forest", "island", "kettle", "ladder", "meadow",
    "orchard", "pebble", "quarry", "river", "saddle", "temple", "valley", "willow", "anchor", "beacon", "candle",
    "dragon", "engine", "feather", "glacier", "hammer", "journal", "kitchen", "library", "mirror", "notebook",
];
