//! What the operator's commands share: the store of the configuration, opened beside a running server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Exit, Global, print_error};
use crate::account::User;
use crate::account::audit::{self, By, Origin};
use crate::account::email::Email;
use crate::clock::Clock;
use crate::cluster;
use crate::config::Config;
use crate::id::UserId;
use crate::provider;
use crate::session::{Finding, Neighbours, Putting, Subject, TakingTurn};
use crate::store::{self, Address, Along, Saved, Store};

/// The end of `--help` of every family that changes something.
pub(super) const HELP: &str =
    "Works also while the server runs; it follows within `session.cache`, with [cluster] at once.";

/// What a command works with.
pub(super) struct Operator {
    pub(super) config: Config,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) changed: Arc<Changed>,
}

/// Whom running servers have to read again.
#[derive(Debug, Default)]
pub(super) struct Changed(Mutex<Vec<Subject>>);

impl Neighbours for Changed {
    fn tell(&self, subject: Subject) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(subject);
    }

    fn turn(&self, _: String) -> TakingTurn<'_> {
        Box::pin(std::future::ready(None))
    }

    fn look_up(&self, _: String) -> Finding<'_> {
        Box::pin(std::future::ready(None))
    }

    fn put(&self, _: String, _: Vec<u8>, _: Duration) -> Putting<'_> {
        Box::pin(std::future::ready(()))
    }
}

/// Opens the store and does this with it. What goes wrong is printed.
pub(super) fn act(global: &Global, deed: impl AsyncFnOnce(&Operator) -> Result<Exit, Failure>) -> Exit {
    let operator = match Operator::open(global) {
        Ok(operator) => operator,
        Err(exit) => return exit,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Refused(format!("no runtime: {error}")).print(),
    };
    let origin = Origin { request_id: None, by: By::Operator("cli".to_owned()) };
    let outcome = runtime.block_on(audit::on_behalf(origin, deed(&operator)));
    // Also after a failure: part of it may be done.
    runtime.block_on(operator.tell_servers());
    outcome.unwrap_or_else(|failure| failure.print())
}

impl Operator {
    fn open(global: &Global) -> Result<Self, Exit> {
        let config = global.config_for_operator()?;
        if config.store == Address::Memory {
            print_error("error: the store is in the memory of the server; no command reaches it");
            print_error("help: url = \"sqlite:vestibule.db\" under [store] keeps users in a file");
            return Err(Exit::Store);
        }
        let store = store::open(&config.store).map_err(|error| {
            print_error(&format!("error: {error}"));
            print_error(&format!("help: {}", error.help()));
            Exit::Store
        })?;
        Ok(Self { config, store, clock: Clock::system(), changed: Arc::default() })
    }

    /// The user of this id or e-mail address.
    pub(super) async fn user(&self, name: &str) -> Result<User, Failure> {
        let found = match (name.parse(), Email::parse(name)) {
            (Ok(id), _) => self.store.user(id).await?,
            (Err(_), Ok(email)) => self.store.user_by_email(email.key()).await?,
            (Err(_), Err(_)) => {
                return Err(Failure::Usage(format!(
                    "{name:?} is neither an id of 24 hexadecimal digits nor an e-mail"
                )));
            }
        };
        found.ok_or_else(|| Failure::Refused(format!("there is no user {name}")))
    }

    /// The id of this user, who may be gone already.
    pub(super) async fn user_id(&self, name: &str) -> Result<UserId, Failure> {
        match name.parse() {
            Ok(id) => Ok(id),
            Err(_) => Ok(self.user(name).await?.id),
        }
    }

    /// Reads the user, changes it and saves it with what goes along; again when the server was quicker.
    pub(super) async fn change(
        &self,
        name: &str,
        mut change: impl FnMut(&mut User),
        along: impl Fn(&User, &User) -> Along,
    ) -> Result<User, Failure> {
        for _ in 0..TRIES {
            let before = self.user(name).await?;
            let mut user = before.clone();
            change(&mut user);
            if self.store.save_user_with(&user, &along(&before, &user)).await? == Saved::Done {
                self.changed.tell(Subject::User(user.id));
                return Ok(user);
            }
        }
        Err(Failure::Refused(format!("{name} changes all the time; try again")))
    }

    /// Refuses what needs the secrets below these keys, where they are not.
    pub(super) fn expect_secrets(&self, below: &[&str]) -> Result<(), Failure> {
        let needed = |key: &&String| below.iter().any(|table| key.starts_with(table));
        match self.config.absent.iter().find(needed) {
            None => Ok(()),
            Some(key) => {
                Err(Failure::Refused(format!("the secret of `{key}` is not here; `vestibule check` says why")))
            }
        }
    }

    /// Tells running servers whom they have to read again.
    async fn tell_servers(&self) {
        let changed = std::mem::take(&mut *self.changed.0.lock().unwrap_or_else(PoisonError::into_inner));
        if let (Some(key), false) =
            (self.config.absent.iter().find(|key| key.starts_with("cluster.")), changed.is_empty())
        {
            print_error(&format!("note: the secret of `{key}` is not here; servers follow within `session.cache`"));
            return;
        }
        let (Some(cluster), false) = (&self.config.cluster, changed.is_empty()) else { return };
        if !cluster::tell_once(cluster, &changed).await {
            print_error("note: Redis does not answer; servers follow within `session.cache`");
        }
    }

    /// Refuses a role that the configuration does not declare: a typo would give nothing to nobody.
    pub(super) fn expect_roles(&self, roles: &[String]) -> Result<(), Failure> {
        let declared = &self.config.roles;
        let Some(role) = roles.iter().find(|role| !declared.contains(*role)) else { return Ok(()) };
        let have = declared.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Err(Failure::Refused(match have.as_str() {
            "" => format!(
                "no role is named {role:?}: `roles` in the configuration declares none; roles = [{role:?}] does"
            ),
            have => format!("no role is named {role:?} (have: {have})"),
        }))
    }
}

const TRIES: usize = 16;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The arguments make no sense, whatever is in the store.
    Usage(String),
    /// The answer is no.
    Refused(String),
    /// The store does not answer.
    Store(store::Error),
}

impl Failure {
    pub(super) fn print(self) -> Exit {
        let (text, exit) = match self {
            Self::Usage(text) => (text, Exit::Usage),
            Self::Refused(text) => (text, Exit::Refused),
            Self::Store(error) => (error.to_string(), Exit::Store),
        };
        print_error(&format!("error: {text}"));
        exit
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<provider::Error> for Failure {
    fn from(error: provider::Error) -> Self {
        match error {
            provider::Error::Store(error) => Self::Store(error),
            provider::Error::Conflict("email.taken") => Self::Refused("there is an account of this address".into()),
            error => Self::Refused(error.to_string()),
        }
    }
}
