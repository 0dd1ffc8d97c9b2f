//! The credentials of App Services' Data API: `apiKey`, `jwtTokenString`, or `email` and `password`, each a header field
//! of its own. They are read only where the client API is on.
//!
//! An e-mail address and a password come with every request, and checking them costs as much as a sign-in. So a pair that
//! was good is known by a MAC for an hour, and believed only while the store has the user with the same password.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName};
use tokio::sync::Mutex;

use crate::account::User;
use crate::account::email::Email;
use crate::clock::Timestamp;
use crate::limit::Limits;
use crate::provider::{self, LOCAL_USERPASS, Providers};
use crate::rejection::Reason;
use crate::secret::{self, Secret};
use crate::session::Caller;
use crate::store::{self, Store};

/// `apiKey`.
pub(super) const API_KEY: HeaderName = HeaderName::from_static("apikey");
/// `jwtTokenString`.
pub(super) const TOKEN: HeaderName = HeaderName::from_static("jwttokenstring");
pub(super) const EMAIL: HeaderName = HeaderName::from_static("email");
pub(super) const PASSWORD: HeaderName = HeaderName::from_static("password");

/// Checks pairs of address and password.
pub struct DataApi {
    providers: Providers,
    limits: Arc<Limits>,
    store: Arc<dyn Store>,
    key: hmac::Key,
    known: moka::sync::Cache<Mac, Arc<Caller>>,
    /// One check at a time for a pair: of many requests at once one is a try.
    turns: [Mutex<()>; TURNS],
}

/// Of a pair, under a key that this process alone has.
type Mac = [u8; 32];

/// An address and its password, as they were sent.
pub(super) struct Pair {
    email: String,
    password: Secret,
}

impl Pair {
    /// The pair of a request, if there is one: both fields, each once.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let one = |name: &HeaderName| {
            let mut lines = headers.get_all(name).iter();
            let line = lines.next()?.to_str().ok()?;
            lines.next().is_none().then(|| line.to_owned())
        };
        Some(Self { email: one(&EMAIL)?, password: Secret::new(one(&PASSWORD)?) })
    }
}

impl DataApi {
    /// Asks these.
    pub fn new(providers: Providers, limits: Arc<Limits>, store: Arc<dyn Store>) -> Self {
        Self {
            providers,
            limits,
            store,
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret::random::<32>()),
            known: moka::sync::Cache::builder().max_capacity(KEPT).time_to_live(KNOWN_FOR).build(),
            turns: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Whom the pair speaks for; nobody, if it is wrong.
    ///
    /// # Errors
    /// Too many tries, or nobody who could tell.
    pub(super) async fn caller(&self, address: IpAddr, pair: &Pair) -> Result<Option<Arc<Caller>>, Reason> {
        let (Some(local), Ok(email)) = (self.providers.local_userpass(), Email::parse(&pair.email)) else {
            return Ok(None);
        };
        // Neither holds a NUL: no two pairs run together to the same bytes.
        let mac = hmac::sign(&self.key, format!("{}\0{}", email.key(), pair.password.expose()).as_bytes());
        let mut name = Mac::default();
        name.copy_from_slice(mac.as_ref());
        if let Some(caller) = self.still(&name).await? {
            return Ok(Some(caller));
        }
        let _turn = self.turns[usize::from(name[0]) % TURNS].lock().await;
        if let Some(caller) = self.still(&name).await? {
            return Ok(Some(caller));
        }
        let counted = self.limits.try_password(address, &[email.key()]).await;
        counted.map_err(|over| Reason::RateLimited { limit: over.limit, retry_after: over.retry_after })?;
        let signed_in = match local.sign_in(email.as_str(), &pair.password).await {
            Ok(user) => {
                self.limits.failures.forget(email.key());
                Ok(self.keep(name, user))
            }
            Err(provider::Error::Store(error)) => Err(unavailable(&error)),
            Err(provider::Error::Busy) => Err(Reason::Overloaded),
            Err(_) => Err(Reason::BadCredential),
        };
        self.providers.sign_ins().note_end(LOCAL_USERPASS, signed_in.as_ref().err().map(Reason::status));
        match signed_in {
            Ok(caller) => Ok(Some(caller)),
            Err(Reason::BadCredential) => Ok(None),
            Err(reason) => Err(reason),
        }
    }

    /// Takes the pair out: no app behind gets to see a password.
    pub(super) fn scrub(headers: &mut HeaderMap) {
        headers.remove(EMAIL);
        headers.remove(PASSWORD);
    }

    /// A pair that was good, if the user may still sign in by it. The same caller, if nothing changed.
    async fn still(&self, name: &Mac) -> Result<Option<Arc<Caller>>, Reason> {
        let Some(caller) = self.known.get(name) else { return Ok(None) };
        let user = self.store.user(caller.user.id).await.map_err(|error| unavailable(&error))?;
        let hash = |user: &User| user.password.as_ref().map(|password| password.hash.clone());
        match user {
            Some(user) if user == caller.user => Ok(Some(caller)),
            Some(user) if !user.disabled && hash(&user) == hash(&caller.user) => Ok(Some(self.keep(*name, user))),
            _ => {
                self.known.invalidate(name);
                Ok(None)
            }
        }
    }

    fn keep(&self, name: Mac, user: User) -> Arc<Caller> {
        // Nobody proves who he is by what a program sends along: nothing that asks for a recent sign-in is open to it.
        let caller = Arc::new(Caller::new(user, LOCAL_USERPASS.to_owned(), None, Timestamp::default()));
        self.known.insert(name, caller.clone());
        caller
    }
}

fn unavailable(error: &store::Error) -> Reason {
    tracing::error!(%error, "a credential cannot be checked");
    Reason::Unavailable
}

/// Then the password is asked about again.
const KNOWN_FOR: Duration = Duration::from_hours(1);
/// How many pairs are known at most.
const KEPT: u64 = 10_000;
const TURNS: usize = 64;
