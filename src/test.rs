//! For the tests of an app: a gate that lets one sign in as anybody, read the mails, and move the clock.
//!
//! ```
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use axum::{Router, routing::get};
//! use tower::ServiceExt as _;
//! use vestibule::Identity;
//! use vestibule::test::{Person, TestVestibule};
//!
//! let gate = TestVestibule::new("roles = [\"editor\"]\n[routes]\n\"/**\" = { all = \"role:editor\" }").await?;
//! let ann = gate.sign_in(Person::new("ann@example.com").role("editor")).await?;
//!
//! let app = Router::new().route("/", get(async |who: Identity| who.email().unwrap_or_default().to_owned()));
//! let request = http::Request::get("/").header("host", "localhost").header("cookie", ann.cookie());
//! let request = request.body(axum::body::Body::empty())?;
//! let response = gate.gate().protect(app).oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeSet;
use std::fmt;
#[cfg(feature = "conformance")]
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use serde::Serialize;

use crate::account::{Identity as Account, Kind, User};
use crate::clock::{Clock, Timestamp};
use crate::gate::{Builder, Error, Vestibule};
use crate::id::{KeyId, UserId};
use crate::mail::Sent;
use crate::provider::server_key::{self, NewKey, Owner};
use crate::provider::{self, ANON_USER, API_KEY, LOCAL_USERPASS};
use crate::secret::Secret;
use crate::session::Device;
use crate::store;

/// Holds a store of one's own to what every store has to do: some seventy claims, from "an address is unique whatever its
/// case" to "of many rotations of one token one is done", each on an empty store that `make` makes. Needs the feature
/// `conformance`.
///
/// ```
/// use vestibule::store::Store;
///
/// async fn it_is_a_store<MyStore: Store + Default>() {
///     vestibule::test::conforms(async || MyStore::default()).await;
/// }
/// ```
///
/// # Panics
/// When a claim does not hold; standard error says which.
#[cfg(feature = "conformance")]
pub async fn conforms<S: store::Store>(make: impl AsyncFn() -> S) {
    store::conformance::run(&async || Arc::new(make().await) as Arc<dyn store::Store>).await;
}

/// A gate for tests: its store is memory, its clock stands still, its mails stay in a list, and hashes of passwords are
/// cheap.
///
/// It is a type of its own, and no [`Vestibule`] becomes one: what serves an app for real has no way to sign somebody in
/// without a credential.
#[derive(Debug)]
pub struct TestVestibule {
    gate: Vestibule,
    clock: Clock,
}

impl TestVestibule {
    /// By a configuration as text, with `http://localhost` as public address unless the text says otherwise. Nothing is
    /// read from the environment.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub async fn new(toml: &str) -> Result<Self, Error> {
        Self::build(Vestibule::builder().toml(toml)).await
    }

    /// The same by a builder. Its store, clock and mailer are replaced.
    ///
    /// # Errors
    /// Everything that is wrong with what it says.
    pub async fn build(builder: Builder) -> Result<Self, Error> {
        let clock = Clock::manual(START);
        let gate = builder.for_tests(clock.clone()).build().await?;
        Ok(Self { gate, clock })
    }

    /// The gate, for whatever puts the app together.
    pub fn gate(&self) -> &Vestibule {
        &self.gate
    }

    /// Signs somebody in who needs no credential: a new user each time.
    ///
    /// # Errors
    /// A role that is not declared, or a provider that is not switched on: nobody could have it outside of a test.
    pub async fn sign_in(&self, person: impl Into<Person>) -> Result<SignedIn, Unreal> {
        let Person { mut user, provider } = person.into();
        self.check_roles(&user.roles)?;
        let settings = &self.gate.app().house().config.providers;
        let provider = match provider {
            Some(name) if is_on(settings, &name) => name,
            Some(name) => return Err(Unreal::Provider(name)),
            None if user.kind == Kind::Guest => ANON_USER.to_owned(),
            None => LOCAL_USERPASS.to_owned(),
        };
        let (now, app) = (self.clock.now(), self.gate.app());
        (user.id, user.created_at, user.last_sign_in_at) = (UserId::generate(now), now, Some(now));
        let mut account = Account::new(&provider, "", &user.id.to_string(), now);
        account.verified_email = user.email().map(str::to_owned);
        account.data = user.data.clone();
        user.identities.push(account);
        if app.store().save_user(&user).await? != store::Saved::Done {
            return Err(store::Error::Conflict("the new user is there already".to_owned()).into());
        }
        let house = app.house();
        let cookie = house.sessions.start(&user, &provider, Device::default()).await?;
        let tokens = house.sessions.start_tokens(&user, &provider, Device::default()).await?;
        let cookie = Secret::new(format!("{}={}", house.cookie.as_str(), cookie.expose()));
        Ok(SignedIn { id: user.id, cookie, bearer: tokens.access_token })
    }

    /// A key of the operator for a machine with these roles: the value of `X-API-Key`. Rules call it `service`.
    ///
    /// # Errors
    /// A role that is not declared, or a name of other than 1 to 64 characters.
    pub async fn service<R: Into<String>>(
        &self,
        name: &str,
        roles: impl IntoIterator<Item = R>,
    ) -> Result<HeaderValue, Unreal> {
        let roles = roles.into_iter().map(Into::into).collect();
        self.check_roles(&roles)?;
        let now = self.clock.now();
        let new = NewKey { id: KeyId::generate(now), name, owner: Owner::Service(roles), expires_at: None };
        match server_key::make(self.gate.app().store(), new, now).await {
            Ok((_, _, key)) => Ok(value(key.expose())),
            Err(provider::Error::Store(error)) => Err(error.into()),
            Err(_) => Err(Unreal::Name(name.to_owned())),
        }
    }

    fn check_roles(&self, roles: &BTreeSet<String>) -> Result<(), Unreal> {
        let declared = &self.gate.app().house().config.roles;
        match roles.iter().find(|role| !declared.contains(*role)) {
            Some(role) => Err(Unreal::Role(role.clone())),
            None => Ok(()),
        }
    }

    /// The mails that were sent, oldest first.
    pub fn outbox(&self) -> Vec<Sent> {
        self.gate.app().mailer().sent()
    }

    /// Moves the clock on. What has ended by then counts no more.
    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }
}

fn is_on(settings: &provider::Settings, name: &str) -> bool {
    match name {
        ANON_USER => settings.anon_user.is_some(),
        LOCAL_USERPASS => settings.local_userpass.is_some(),
        API_KEY => settings.api_key.is_some(),
        _ => settings.others.contains_key(name),
    }
}

/// Why nobody was signed in: a test of what cannot be outside of tests would prove nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unreal {
    /// No account can have this role.
    #[error("role `{0}` is not declared in `roles`, so no account can have it")]
    Role(String),
    /// Nobody can sign in by this provider.
    #[error("provider `{0}` is not switched on, so nobody can sign in by it")]
    Provider(String),
    /// No key can have this name.
    #[error("{0:?} cannot be the name of a key: it has 1 to 64 characters")]
    Name(String),
    /// The store in memory refused.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Somebody to sign in as.
#[derive(Clone)]
pub struct Person {
    user: User,
    /// None: the one that is usual for such a user.
    provider: Option<String>,
}

impl Person {
    /// A full account with this address, proved.
    pub fn new(email: &str) -> Self {
        let mut person = Self::of(Kind::User);
        person.user.data.insert("email".to_owned(), email.into());
        person
    }

    /// A guest.
    pub fn guest() -> Self {
        Self::of(Kind::Guest)
    }

    fn of(kind: Kind) -> Self {
        Self { user: User::new(UserId::from_bytes([0; 12]), kind, START), provider: None }
    }

    /// Has this role.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.user.roles.insert(role.to_owned());
        self
    }

    /// Has this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.field("name", name)
    }

    /// Has this in its metadata; what is no JSON is left out.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.user.data.insert(name.to_owned(), value);
        }
        self
    }

    /// Has this in the data of the app's own, which an operator sets; what is no JSON is null.
    #[must_use]
    pub fn custom_data(mut self, name: &str, value: impl Serialize) -> Self {
        self.user.custom_data.set(name, value);
        self
    }

    /// Signs in by the provider of this name. Default: `local-userpass`, of guests `anon-user`, switched on or not.
    #[must_use]
    pub fn by(self, provider: &str) -> Self {
        Self { provider: Some(provider.to_owned()), ..self }
    }
}

impl From<&str> for Person {
    fn from(email: &str) -> Self {
        Self::new(email)
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("kind", &self.user.kind).field("email", &self.user.email()).finish()
    }
}

/// Somebody who is signed in: twice, in a browser and in a program.
#[derive(Clone, Debug)]
pub struct SignedIn {
    id: UserId,
    cookie: Secret,
    bearer: Secret,
}

impl SignedIn {
    /// The user's id.
    pub fn id(&self) -> UserId {
        self.id
    }

    /// The value of `Cookie`, as the browser sends it.
    pub fn cookie(&self) -> HeaderValue {
        value(self.cookie.expose())
    }

    /// The value of `Authorization`, as a program sends it: good for `session.access_token`.
    pub fn bearer(&self) -> HeaderValue {
        value(&format!("Bearer {}", self.bearer.expose()))
    }
}

fn value(text: &str) -> HeaderValue {
    // Cookies and tokens are base64url and dots.
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// 2027-01-15, at 08:00 UTC.
const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
