//! Ways to sign in of the program's own.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::provider::{self, Deciding};

pub use crate::provider::Facts;

/// Says whose account it is, from credentials of any kind: a directory, a ticket, another system's session.
///
/// Clients post a JSON object to `/.auth/login/{name}`; the verdict makes a user of the account, or finds the one it
/// belongs to. [`Builder::provider_fn`](super::Builder::provider_fn) takes a closure that does the same.
///
/// ```
/// use vestibule::custom::{Account, Credentials, Facts, Provider, Verdict};
///
/// struct Club;
///
/// impl Provider for Club {
///     async fn sign_in(&self, credentials: Credentials, _: Facts) -> Verdict {
///         match credentials.text("card") {
///             Some("4711") => Verdict::Yes(Account::new("member-17").name("Ann")),
///             Some(_) => Verdict::No("no such card".to_owned()),
///             None => Verdict::No("no card".to_owned()),
///         }
///     }
/// }
/// # fn add(builder: vestibule::Builder) -> vestibule::Builder {
/// builder.provider("club", Club)
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no way to sign in",
    label = "no `vestibule::custom::Provider`",
    note = "implement `Provider` for it: `async fn sign_in(&self, Credentials, Facts) -> Verdict`",
    note = "a closure goes to `Builder::provider_fn`"
)]
pub trait Provider: Send + Sync + 'static {
    /// Decides about what a client sent. Whoever drops the future has lost interest: the client went away.
    fn sign_in(&self, credentials: Credentials, facts: Facts) -> impl Future<Output = Verdict> + Send;
}

/// What a provider has to say to credentials: three outcomes, no fourth.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// This account.
    Yes(Account),
    /// Nobody: 401. The text is for the log; the client does not see it.
    No(String),
    /// It cannot be known now: 503. Something that is needed does not answer; this is never a yes. The text is for the
    /// log.
    CannotTell(String),
}

/// The JSON object a client sent: nothing in it has been checked.
#[derive(Clone)]
pub struct Credentials(Map<String, Value>);

impl Credentials {
    /// A field that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A field of any type; `None` when it is absent or of another one.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.0.get(name)?).ok()
    }

    /// The whole of it; `None` when it is of another type.
    pub fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(Value::Object(self.0.clone())).ok()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An account at a provider, and what the provider tells of it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Account {
    subject: String,
    verified_email: Option<String>,
    data: Map<String, Value>,
    roles: BTreeSet<String>,
}

impl Account {
    /// The account of this name there: stable, never given to somebody else, never an e-mail address.
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), verified_email: None, data: Map::new(), roles: BTreeSet::new() }
    }

    /// Called so.
    pub fn name(self, name: &str) -> Self {
        self.field("name", name)
    }

    /// With this address, of which it is not known whether it is theirs.
    pub fn email(self, address: &str) -> Self {
        self.field("email", address)
    }

    /// With this address, which the provider has verified itself and vouches for.
    pub fn verified_email(mut self, address: &str) -> Self {
        self.verified_email = Some(address.to_owned());
        self.email(address)
    }

    /// With this in its metadata; what is no JSON is left out, with a line in the log.
    pub fn field(mut self, name: &str, value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => drop(self.data.insert(name.to_owned(), value)),
            Err(error) => tracing::error!(name, %error, "a field of an account is no JSON"),
        }
        self
    }

    /// With this role, while signed in by this provider. One that nobody declared counts for nothing, with a line in the
    /// log.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.insert(role.into());
        self
    }
}

/// The roles that are declared, once the configuration is read.
pub(super) type Declared = Arc<OnceLock<BTreeSet<String>>>;

/// One of these, as the house asks it.
pub(super) struct Asked<P> {
    provider: P,
    declared: Declared,
}

impl<P> Asked<P> {
    pub(super) fn new(provider: P, declared: &Declared) -> Self {
        Self { provider, declared: declared.clone() }
    }
}

impl<P> fmt::Debug for Asked<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

impl<P: Provider> provider::Provider for Asked<P> {
    fn sign_in<'a>(&'a self, credentials: &'a Map<String, Value>, facts: &'a Facts) -> Deciding<'a> {
        let asked = self.provider.sign_in(Credentials(credentials.clone()), facts.clone());
        Box::pin(async {
            let mut verdict = asked.await;
            if let Verdict::Yes(account) = &mut verdict {
                account.roles.retain(|role| self.is_declared(role));
            }
            verdict.into()
        })
    }
}

impl<P> Asked<P> {
    /// A role that no rule may name must not reach the app either: in a header, a comma in it would make two of it.
    fn is_declared(&self, role: &str) -> bool {
        let declared = self.declared.get().is_some_and(|declared| declared.contains(role));
        if !declared {
            tracing::error!(role, "an account was given a role that is not in `roles`: it counts for nothing");
        }
        declared
    }
}

/// A closure as a provider.
pub(super) struct Closure<F>(pub(super) F);

impl<F, R> Provider for Closure<F>
where
    F: Fn(Credentials, Facts) -> R + Send + Sync + 'static,
    R: Future<Output = Verdict> + Send,
{
    fn sign_in(&self, credentials: Credentials, facts: Facts) -> impl Future<Output = Verdict> + Send {
        (self.0)(credentials, facts)
    }
}

impl From<Verdict> for provider::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Yes(account) => Self::Yes(Box::new(provider::Account {
                subject: account.subject,
                verified_email: account.verified_email,
                data: account.data,
                roles: account.roles,
                ..provider::Account::default()
            })),
            Verdict::No(why) => Self::No(why),
            Verdict::CannotTell(why) => Self::CannotTell(why),
        }
    }
}
