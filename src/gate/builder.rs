use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::inner::Inner;
use super::provider::{Asked, Closure, Credentials, Declared, Facts, Provider, Verdict};
use super::{Error, Route, Vestibule, keeper};
use crate::account::password::Cost;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Embedded};
use crate::function::Program;
use crate::mail::{Outbox, Sent};
use crate::own::Own;
use crate::public_url::PublicUrl;
use crate::store::{self, Store};

/// Puts a gate together. Whatever the configuration file can say, [`toml`](Self::toml) takes as text; the rest is what
/// only a program can bring along.
#[must_use]
pub struct Builder {
    source: Source,
    public_url: Option<String>,
    environment: Option<BTreeMap<String, String>>,
    embedded: Embedded,
    declared: Declared,
    store: Option<Arc<dyn Store>>,
    clock: Clock,
    outbox: Option<Outbox>,
    worker: Option<Program>,
    is_test: bool,
}

enum Source {
    Text(String),
    File(PathBuf),
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            source: Source::Text(String::new()),
            public_url: None,
            environment: None,
            embedded: Embedded::default(),
            declared: Declared::default(),
            store: None,
            clock: Clock::system(),
            outbox: None,
            worker: None,
            is_test: false,
        }
    }

    /// The configuration as a file, in place of a text: see [`Vestibule::from_file`].
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.source = Source::File(path.as_ref().to_owned());
        self
    }

    /// The configuration as text, in the form of the file; a later one replaces it. Relative paths begin at the current
    /// folder. Default: empty, so that everything needs a signed-in account in `vestibule.db`.
    pub fn toml(mut self, text: impl Into<String>) -> Self {
        self.source = Source::Text(text.into());
        self
    }

    /// The address visitors type, such as `https://blog.example.com`: links, redirects and cookie flags come from it.
    /// Outranks `public_url` of the text. Default: `http://localhost` with the port of `listen`.
    pub fn public_url(mut self, address: impl Into<String>) -> Self {
        self.public_url = Some(address.into());
        self
    }

    /// Variables for secrets (`{ env = "NAME" }`) and for overrides (`VESTIBULE_…`). Default: those of the process; but
    /// what overrides a file does not override a text that stands in the program.
    pub fn environment<N: Into<String>, V: Into<String>>(mut self, all: impl IntoIterator<Item = (N, V)>) -> Self {
        self.environment = Some(all.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
        self
    }

    /// Roles that rules may name and accounts may have, besides `roles` of the text: 1 to 64 letters, digits and
    /// `- _ . / : @`.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.embedded.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// A line of `[routes]`, besides those of the text. The most specific key decides, in whatever order they are given; the
    /// same key twice is an error, and so is a role that nobody declared.
    pub fn route(mut self, route: Route) -> Self {
        self.embedded.routes.push(route.into_spec());
        self
    }

    /// A way to sign in of the program's own, under this name: 1 to 64 letters, digits and `-` `_`. Without `[providers]`
    /// in the text e-mail and password are on besides.
    pub fn provider(mut self, name: impl Into<String>, provider: impl Provider) -> Self {
        self.embedded.providers.insert(name.into(), Own(Arc::new(Asked::new(provider, &self.declared))));
        self
    }

    /// The same as a closure.
    ///
    /// ```
    /// use vestibule::custom::{Account, Verdict};
    ///
    /// let builder = vestibule::Vestibule::builder().provider_fn("club", async |credentials, _facts| {
    ///     match credentials.text("card") {
    ///         Some("4711") => Verdict::Yes(Account::new("member-17")),
    ///         _ => Verdict::No("no such card".to_owned()),
    ///     }
    /// });
    /// ```
    ///
    /// What it shares with the program it hands on to each future, as any of them may outlive the call; an `async move`
    /// closure cannot do that:
    ///
    /// ```
    /// use std::{collections::BTreeMap, sync::Arc};
    /// use vestibule::custom::{Account, Verdict};
    ///
    /// let cards = Arc::new(BTreeMap::from([("4711".to_owned(), "member-17")]));
    /// let builder = vestibule::Vestibule::builder().provider_fn("club", move |credentials, _facts| {
    ///     let cards = cards.clone();
    ///     async move {
    ///         match credentials.text("card").and_then(|card| cards.get(card)) {
    ///             Some(member) => Verdict::Yes(Account::new(*member)),
    ///             None => Verdict::No("no such card".to_owned()),
    ///         }
    ///     }
    /// });
    /// ```
    pub fn provider_fn<F, R>(self, name: impl Into<String>, decide: F) -> Self
    where
        F: Fn(Credentials, Facts) -> R + Send + Sync + 'static,
        R: Future<Output = Verdict> + Send + 'static,
    {
        self.provider(name, Closure(decide))
    }

    /// A store of the program's own, in place of `[store]`.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// The clock that everything goes by. Default: the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Takes every mail, in place of `[mail]`. It must not wait: whoever asked for a mail must not learn from the time
    /// of the answer whether there was one. Put it into a queue.
    pub fn mailer(mut self, take: impl Fn(Sent) + Send + Sync + 'static) -> Self {
        self.outbox = Some(Outbox::Own(Own(Arc::new(take))));
        self
    }

    /// The program that runs functions in JavaScript, and its arguments: the `vestibule` program with
    /// `function-worker`, or one whose `main` calls `vestibule::function::serve` and nothing else.
    pub fn worker(mut self, program: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        self.worker = Some(Program::new(program, arguments));
        self
    }

    /// Nothing outside the process is touched or read.
    pub(crate) fn for_tests(mut self, clock: Clock) -> Self {
        self.is_test = true;
        self.environment.get_or_insert_default();
        self.clock(clock)
    }

    /// Opens the store and puts everything together.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, at once; or what cannot be opened.
    pub async fn build(self) -> Result<Vestibule, Error> {
        let runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let (clock, config) = (self.clock.clone(), self.config()?);
        let app = App::open_at(config.clone(), Some(listening(&config)), clock).await?;
        let inner = Arc::new(Inner::new(app));
        keeper::keep(&runtime, &inner);
        Ok(Vestibule(inner))
    }

    fn config(self) -> Result<Config, Error> {
        if let Some(address) = self.public_url.as_ref().filter(|address| address.parse::<PublicUrl>().is_err()) {
            return Err(Error::PublicUrl(address.clone()));
        }
        let overridable = matches!(self.source, Source::File(_));
        let of_process =
            || std::env::vars().filter(|(name, _)| overridable || !name.starts_with("VESTIBULE_")).collect();
        let mut environment = self.environment.unwrap_or_else(of_process);
        environment.extend(self.public_url.map(|address| ("VESTIBULE_PUBLIC_URL".to_owned(), address)));
        let mut config = match &self.source {
            Source::Text(text) => self.embedded.parse(text, "the text of the builder", environment)?,
            Source::File(path) => self.embedded.load(Some(path), environment)?,
        };
        // A builder makes one gate: nothing is there yet.
        let _ = self.declared.set(config.roles.clone());
        if let Some(store) = self.store {
            config.store = store::Address::Own(Own(store));
        }
        if let Some(outbox) = self.outbox {
            config.mail.outbox = outbox;
        }
        if self.is_test {
            (config.store, config.mail.outbox) = (store::Address::Memory, Outbox::Memory);
            config.hash_cost = Cost::Trifling;
            config.public_url = config.public_url.or_else(|| "http://localhost".parse().ok());
        }
        if config.runs_javascript() && self.worker.is_none() {
            return Err(Error::NoWorker);
        }
        config.functions.program = self.worker;
        Ok(config)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the text: it may hold what should have been a reference to a secret.
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

/// Where the server listens, as far as `public_url` needs it.
fn listening(config: &Config) -> SocketAddr {
    let first = config.listen.addresses.first().and_then(|address| address.rsplit_once(':'));
    let port = first.and_then(|(_, port)| port.parse().ok()).unwrap_or_default();
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kit_of_tests_makes_hashes_cheap() {
        let builder = || Builder::new().toml("[store]\nurl = \"memory:\"");
        assert_eq!(builder().config().unwrap().hash_cost, Cost::Live);
        assert_eq!(builder().for_tests(Clock::system()).config().unwrap().hash_cost, Cost::Trifling);
    }
}
