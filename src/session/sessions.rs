use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::account::audit::{Action, Event};
use crate::account::{User, api_key};
use crate::clock::Clock;
use crate::id::{SessionId, UserId};
use crate::provider::API_KEY;
use crate::public_url::PublicUrl;
use crate::secret::{self, Digest, Secret};
use crate::session::assertion;
use crate::session::cache::Cache;
use crate::session::credential::{self, Claim};
use crate::session::keyring::{KeyRing, Lives};
use crate::session::lookup::{self, Flights};
use crate::session::revocations::Subject;
use crate::session::shelf;
use crate::session::uses::Uses;
use crate::session::{Caller, Device, Neighbours, Session, Settings};
use crate::store::{self, Store};
use crate::tally::Tallies;

/// Opens, finds and ends sessions, and finds whom other credentials speak for.
///
/// Clones share everything. What ends here takes effect at the next request in this process, and within
/// [`Settings::cache`] in others on the same store, or as soon as [`Neighbours`] tell them.
#[derive(Clone)]
pub struct Sessions(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) issuer: String,
    pub(super) cache: Cache,
    pub(super) flights: Flights,
    pub(super) ring: KeyRing,
    /// To be written down.
    pub(super) uses: Uses,
    /// Who tells the other instances.
    pub(super) neighbours: OnceLock<Arc<dyn Neighbours>>,
    /// Look-ups: [`KNOWN`] and [`READ`].
    pub(super) looks: Tallies,
    /// Documents that instances leave for each other: see [`Shelf`](crate::session::Shelf).
    pub(super) shelved: Tallies,
}

/// Looks that the cache answered.
pub(super) const KNOWN: usize = 0;
/// Looks that needed the store.
pub(super) const READ: usize = 1;

/// Longer credentials are refused before anything is computed from them.
pub(super) const LONGEST: usize = 8 << 10;
/// How many of what is over go at a time.
const SWEPT: usize = 1000;

impl Sessions {
    /// Begins to serve the sessions of a store; `public_url` is the issuer of tokens. The first to open a store
    /// makes its signing keys.
    ///
    /// # Errors
    /// When the store does not answer, or holds a signing key that is none.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Clock,
        settings: Settings,
        public_url: &PublicUrl,
    ) -> Result<Self, store::Error> {
        let cache = Cache::new(&settings, clock.clone());
        let issuer = public_url.origin().to_owned();
        let lives = Lives {
            token: settings.access_token.max(assertion::LIFETIME),
            session: settings.max_lifetime.max(settings.refresh_token),
        };
        let ring = KeyRing::open(store.clone(), lives, clock.now()).await?;
        let (flights, uses, looks) = (Flights::default(), Uses::default(), Tallies::new(2));
        let (neighbours, shelved) = (OnceLock::new(), shelf::tallies());
        let inner = Inner { store, clock, settings, issuer, cache, flights, ring, uses, looks, shelved, neighbours };
        Ok(Self(Arc::new(inner)))
    }

    /// Whom the session cookie with this digest speaks for, if that is known without asking the store.
    /// One read of the cache; the limits of the session are checked to the moment.
    pub fn cached(&self, token: &Digest) -> Option<Arc<Caller>> {
        self.0.cached(token)
    }

    /// Whom the session cookie with this digest speaks for; nobody, when it is unknown or has ended.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn by_cookie(&self, token: &Digest) -> Result<Option<Arc<Caller>>, store::Error> {
        self.0.resolve(*token, Claim::Token(*token)).await
    }

    /// Whom this API key speaks for, if that is known without asking the store.
    pub fn cached_key(&self, text: &str) -> Option<Arc<Caller>> {
        if text.len() > LONGEST { None } else { self.0.cached(&credential::key(text)) }
    }

    /// Whom this API key speaks for; nobody, when it is malformed, unknown, disabled or has ended.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn by_key(&self, text: &str) -> Result<Option<Arc<Caller>>, store::Error> {
        if text.len() > LONGEST {
            return Ok(None);
        }
        let name = credential::key(text);
        if let Some(caller) = self.0.cached(&name) {
            return Ok(Some(caller));
        }
        let Some((id, digest)) = api_key::parse(text) else { return Ok(None) };
        self.0.resolve(name, Claim::Key { id, digest }).await
    }

    /// Opens a browser's session with a new token and answers with it: the value of the cookie. Beyond
    /// [`Settings::max_per_user`] the one used longest ago ends.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn start(&self, user: &User, provider: &str, device: Device) -> Result<Secret, store::Error> {
        self.start_named(user, provider, device).await.map(|(_, token)| token)
    }

    /// The same, with the name of the new session.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_named(
        &self,
        user: &User,
        provider: &str,
        device: Device,
    ) -> Result<(SessionId, Secret), store::Error> {
        let token = secret::token();
        let settings = &self.0.settings;
        let limits = Limits { idle: settings.idle_timeout, whole: settings.max_lifetime };
        // Exposed to be digested: the store never sees the token.
        let (id, digest) = (SessionId::generate(self.0.clock.now()), Digest::of(token.expose()));
        self.add(id, user, provider, device, digest, limits).await?;
        Ok((id, token))
    }

    /// Ends a session, its access tokens included. `false`: there was none.
    ///
    /// # Errors
    /// When the store does not answer; then the session may go on.
    pub async fn end(&self, id: SessionId) -> Result<bool, store::Error> {
        self.end_noting(id, Vec::new()).await
    }

    /// The same, and writes these events if there was one.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    pub async fn end_noting(&self, id: SessionId, events: Vec<Event>) -> Result<bool, store::Error> {
        let inner = self.0.clone();
        carry_through(async move {
            let ended = inner.store.end_session_with(id, &events).await;
            inner.revoke(Subject::Session(id));
            ended
        })
        .await
    }

    /// Ends all sessions of a user but `except`; answers with how many.
    ///
    /// # Errors
    /// When the store does not answer; then they may go on.
    pub async fn end_all(&self, user: UserId, except: Option<SessionId>) -> Result<usize, store::Error> {
        self.end_all_noting(user, except, Vec::new()).await
    }

    /// The same, and writes these events if any ended.
    ///
    /// # Errors
    /// As [`end_all`](Self::end_all).
    pub async fn end_all_noting(
        &self,
        user: UserId,
        except: Option<SessionId>,
        events: Vec<Event>,
    ) -> Result<usize, store::Error> {
        let inner = self.0.clone();
        carry_through(async move {
            let ended = inner.store.end_sessions_of_with(user, except, &events).await;
            inner.revoke(Subject::User(user));
            ended.map(|ended| ended.len())
        })
        .await
    }

    /// How many look-ups the cache answered so far, and how many needed the store.
    pub fn looks(&self) -> (u64, u64) {
        (self.0.looks.count(KNOWN), self.0.looks.count(READ))
    }

    /// Whether there is a key to sign tokens with, for readiness.
    pub fn can_sign(&self) -> bool {
        self.0.ring.can_sign(self.0.clock.now())
    }

    /// Forgets what is cached of a user and of its keys: to be called after any change to either. The next
    /// request reads the store.
    pub fn forget_user(&self, user: UserId) {
        self.0.revoke(Subject::User(user));
    }

    /// Does what is due from time to time (once a minute is enough): makes and reads signing keys, removes
    /// ended sessions and links.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn maintain(&self) -> Result<(), store::Error> {
        self.0.ring.rotate(self.0.clock.now()).await?;
        while self.0.store.sweep(self.0.clock.now(), SWEPT).await? >= SWEPT {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    pub(super) async fn add(
        &self,
        id: SessionId,
        user: &User,
        provider: &str,
        mut device: Device,
        token: Digest,
        limits: Limits,
    ) -> Result<Session, store::Error> {
        let now = self.0.clock.now();
        device.user_agent = device.user_agent.chars().take(USER_AGENT).collect();
        let expires_at = now + limits.whole;
        let session = Session {
            id,
            user_id: user.id,
            provider: provider.to_owned(),
            token,
            previous: None,
            device,
            created_at: now,
            last_seen_at: now,
            idle_expires_at: (now + limits.idle).min(expires_at),
            expires_at,
        };
        // Who comes with a key leaves no other trace: nothing of the user changes.
        let by_key = provider == API_KEY;
        let events = by_key.then(|| Event::new(Action::SIGN_IN, user.id, now).after("provider", provider));
        self.0.store.add_session_with(&session, self.0.settings.max_per_user, events.as_slice()).await?;
        // Another session of the user may have ended for this one.
        self.forget_user(user.id);
        Ok(session)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}

/// How long a new session may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Without use.
    pub(super) idle: Duration,
    /// In any case.
    pub(super) whole: Duration,
}

/// What is kept of a `User-Agent`, in characters.
const USER_AGENT: usize = 256;

/// Runs to its end even when whoever asked for it goes away: between the store and the cache nobody may stop.
pub(super) async fn carry_through<T: Send + 'static>(
    deed: impl Future<Output = Result<T, store::Error>> + Send + 'static,
) -> Result<T, store::Error> {
    tokio::spawn(deed).await.unwrap_or_else(|_| Err(lookup::abandoned()))
}
