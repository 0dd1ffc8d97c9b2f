//! What was done to accounts, by whom: events that are written together with the deed and never changed.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Fields, Identity, User};
use crate::clock::Timestamp;
use crate::id::UserId;

/// Something that was done. No field holds a secret: neither passwords and their hashes nor keys, tokens and codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The name of the request that asked for it.
    pub request_id: Option<String>,
    /// Who did it.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// To whom.
    pub subject: Option<UserId>,
    /// What was there before, as far as it changed.
    pub before: Fields,
    /// What is there now instead.
    pub after: Fields,
}

impl Event {
    /// Something done to this user now, by whoever the task works for: see [`on_behalf`].
    pub fn new(action: Action, subject: UserId, now: Timestamp) -> Self {
        let origin = ORIGIN.try_with(Clone::clone).ok();
        let (request_id, actor) = match origin {
            Some(Origin { request_id, by }) => (request_id, by.actor(subject)),
            None => (None, Actor::System),
        };
        let (before, after) = (Fields::new(), Fields::new());
        Self { at: now, request_id, actor, action, subject: Some(subject), before, after }
    }

    /// Notes what was there.
    #[must_use]
    pub fn before(mut self, field: &str, value: impl Serialize) -> Self {
        self.before.set(field, value);
        self
    }

    /// Notes what is there.
    #[must_use]
    pub fn after(mut self, field: &str, value: impl Serialize) -> Self {
        self.after.set(field, value);
        self
    }

    /// Tells the log. Stores do, once the deed is done.
    pub fn tell(&self) {
        let (before, after) = (Value::from(self.before.clone()), Value::from(self.after.clone()));
        tracing::info!(
            target: "vestibule::audit",
            request = self.request_id.as_deref().unwrap_or_default(),
            actor = %self.actor,
            action = self.action.word(),
            subject = %self.subject.map(|id| id.to_string()).unwrap_or_default(),
            %before,
            %after,
            "audit"
        );
    }
}

/// An event as it was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in the log.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

/// What was done: a word of the log, such as `identity.link`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Action(Cow<'static, str>);

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)+) => {
        impl Action {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($word));)+
        }
    };
}

actions! {
    /// An account was made.
    REGISTER = "user.register";
    /// An address was proved.
    CONFIRM = "user.confirm";
    /// Somebody signed in.
    SIGN_IN = "session.start";
    /// Somebody signed out.
    SIGN_OUT = "session.end";
    /// Sessions were ended by somebody else, or from another device.
    SESSION_REVOKE = "session.revoke";
    /// An identity was added.
    LINK = "identity.link";
    /// An identity was taken away.
    UNLINK = "identity.unlink";
    /// A user became part of another.
    MERGE = "user.merge";
    /// The password was changed by who knows it.
    PASSWORD_CHANGE = "password.change";
    /// The password was set by a link.
    PASSWORD_RESET = "password.reset";
    /// The e-mail address was changed.
    EMAIL_CHANGE = "email.change";
    /// A key was made.
    KEY_CREATE = "key.create";
    /// A key was disabled.
    KEY_DISABLE = "key.disable";
    /// A disabled key counts again.
    KEY_ENABLE = "key.enable";
    /// A key was removed.
    KEY_DELETE = "key.delete";
    /// Roles were given or taken away.
    ROLES = "user.roles";
    /// The app's data about the user was replaced.
    CUSTOM_DATA = "user.custom_data";
    /// The user was disabled.
    DISABLE = "user.disable";
    /// The user may sign in again.
    ENABLE = "user.enable";
    /// The user was removed.
    DELETE = "user.delete";
}

impl Action {
    /// The action of this word, as a store has it.
    pub fn of(word: String) -> Self {
        Self(Cow::Owned(word))
    }

    /// Its word.
    pub fn word(&self) -> &str {
        &self.0
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user, signed in or by a link that proves who it is.
    User(UserId),
    /// The operator, by this way: `cli`, or the name of a key.
    Operator(String),
    /// The program itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::System => f.write_str("system"),
        }
    }
}

impl Actor {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("user", id)) => id.parse().ok().map(Self::User),
            Some(("operator", name)) => Some(Self::Operator(name.to_owned())),
            None if text == "system" => Some(Self::System),
            _ => None,
        }
    }
}

/// For whom a task works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The name of the request.
    pub request_id: Option<String>,
    /// Who sent it.
    pub by: By,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Somebody at the front door: the user who is signed in, else whoever the deed is about.
    Visitor(Option<UserId>),
    /// The operator, by this way.
    Operator(String),
}

impl By {
    fn actor(self, subject: UserId) -> Actor {
        match self {
            Self::Visitor(caller) => Actor::User(caller.unwrap_or(subject)),
            Self::Operator(name) => Actor::Operator(name),
        }
    }
}

tokio::task_local! {
    static ORIGIN: Origin;
}

/// Does something for somebody: every event that is made meanwhile says so. What is spawned works for nobody.
pub async fn on_behalf<F: Future>(origin: Origin, deed: F) -> F::Output {
    ORIGIN.scope(origin, deed).await
}

/// How events name an identity.
#[doc(hidden)]
pub fn identity(identity: &Identity) -> Value {
    let Identity { provider, issuer, subject, .. } = identity;
    serde_json::json!({ "provider": provider, "issuer": issuer, "subject": subject })
}

/// What events tell of a user that goes or comes.
#[doc(hidden)]
pub fn user(user: &User) -> Value {
    serde_json::json!({
        "id": user.id,
        "kind": user.kind,
        "email": user.email(),
        "roles": user.roles,
        "identities": user.identities.iter().map(identity).collect::<Vec<_>>(),
    })
}
