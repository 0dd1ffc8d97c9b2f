use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Extensions, Request};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::inner::Inner;
use super::pass::Pass;
use crate::account::Kind;
use crate::id::UserId;
use crate::session::Caller;
use crate::visit::Credential;

/// Who asks: what the identity headers say, with types. A clone costs three counters.
///
/// In axum it is an extractor, and `Option<Identity>` is one, too; elsewhere [`identity`] reads it from a request, and
/// [`Identity::of`] from its extensions.
#[derive(Clone)]
pub struct Identity {
    gate: Arc<Inner>,
    caller: Arc<Caller>,
    credential: Credential,
}

/// Whom a request speaks for that a gate has let in. `None`: nobody, or there is no gate in front.
///
/// ```
/// fn greet<B>(request: &http::Request<B>) -> String {
///     match vestibule::identity(request) {
///         Some(who) => format!("Hello, {}", who.name().unwrap_or("friend")),
///         None => "Hello, whoever you are".to_owned(),
///     }
/// }
/// # assert_eq!(greet(&http::Request::new(())), "Hello, whoever you are");
/// ```
pub fn identity<B>(request: &Request<B>) -> Option<&Identity> {
    Identity::of(request.extensions())
}

impl Identity {
    pub(super) fn new(gate: Arc<Inner>, caller: Arc<Caller>, credential: Credential) -> Self {
        Self { gate, caller, credential }
    }

    /// The same as [`identity`], from the extensions of a request, which other frameworks hand on.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        Pass::of(extensions)?.identity()
    }

    /// The user's id: for ever the same, whatever it signs in with.
    pub fn id(&self) -> UserId {
        self.caller.user.id
    }

    /// A full account, a guest, or a machine.
    pub fn kind(&self) -> Kind {
        self.caller.user.kind
    }

    /// Name of the provider of this sign-in.
    pub fn provider(&self) -> &str {
        &self.caller.provider
    }

    /// The e-mail address, proved or not.
    pub fn email(&self) -> Option<&str> {
        self.caller.user.email()
    }

    /// The e-mail address it has proved to hold.
    pub fn verified_email(&self) -> Option<&str> {
        self.caller.user.verified_email()
    }

    /// The name, as a provider told it.
    pub fn name(&self) -> Option<&str> {
        self.caller.user.name()
    }

    /// The roles of this sign-in, in alphabetical order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.caller.user.roles_by(&self.caller.provider).into_iter()
    }

    /// Whether [`roles`](Self::roles) has this one.
    pub fn has_role(&self, role: &str) -> bool {
        self.caller.user.has_role(role, &self.caller.provider)
    }

    /// A field of the metadata that providers told, if it is there and of this type.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.caller.user.data.get(name)?).ok()
    }

    /// The metadata as a whole; `None` when it is not of this type.
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        whole(&self.caller.user.data)
    }

    /// The data of the app's own that the operator has set; `None` when it is not of this type.
    pub fn custom_data<T: DeserializeOwned>(&self) -> Option<T> {
        whole(&self.caller.user.custom_data)
    }

    /// When its owner last proved who he is.
    pub fn signed_in_at(&self) -> SystemTime {
        let millis = u64::try_from(self.caller.signed_in_at.millis()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// How long ago that was, by the clock of the gate: ask for a new sign-in before what cannot be undone.
    pub fn session_age(&self) -> Duration {
        self.gate.app().clock().now().since(self.caller.signed_in_at)
    }

    /// Whether a browser sent the session's cookie by itself, and no program its token or key.
    pub fn is_by_cookie(&self) -> bool {
        self.credential == Credential::Cookie
    }

    /// Waits until it counts no more: signed out, disabled, deleted, its key withdrawn. For what goes on after a request
    /// was let in: end a WebSocket or an event stream with it.
    pub async fn ended(&self) {
        self.gate.app().house().sessions.over(&self.caller).await;
    }

    pub(super) fn gate(&self) -> &Arc<Inner> {
        &self.gate
    }

    pub(super) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id())
            .field("kind", &self.kind())
            .field("provider", &self.provider())
            .finish_non_exhaustive()
    }
}

fn whole<T: DeserializeOwned>(fields: &Map<String, Value>) -> Option<T> {
    T::deserialize(Value::Object(fields.clone())).ok()
}
