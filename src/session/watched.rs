//! For tests: a house with a store whose reads are counted and can be held up, and a clock moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::account::api_key::{self, ApiKey};
use crate::account::audit::{Entry, Event};
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Kind, User};
use crate::clock::{Clock, Timestamp};
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::{Digest, Secret};
use crate::session::{Device, ProviderSession, Session, Sessions, Settings};
use crate::store::{
    self, Address, Along, Answer, AtProvider, AuditFilter, Error, Rotated, Saved, SigningKey, Store, Use,
};

/// One or more instances on one store.
pub(super) struct House {
    pub(super) store: Arc<Watched>,
    pub(super) clock: Clock,
    pub(super) sessions: Sessions,
}

impl House {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let store = Arc::new(Watched::default());
        let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
        let sessions = instance(&store, &clock, settings).await;
        Self { store, clock, sessions }
    }

    /// Another process on the same store.
    pub(super) async fn neighbour(&self) -> Sessions {
        instance(&self.store, &self.clock, Settings::default()).await
    }

    pub(super) async fn user(&self) -> User {
        let user = User::new(UserId::generate(self.clock.now()), Kind::User, self.clock.now());
        assert_eq!(self.store.save_user(&user).await.unwrap(), Saved::Done);
        self.store.user(user.id).await.unwrap().unwrap()
    }

    /// Writes a change of the user, as any process may.
    pub(super) async fn change(&self, id: UserId, change: impl FnOnce(&mut User)) {
        let mut user = self.store.user(id).await.unwrap().unwrap();
        change(&mut user);
        assert_eq!(self.store.save_user(&user).await.unwrap(), Saved::Done);
    }

    pub(super) async fn key(&self, user: UserId, change: impl FnOnce(&mut ApiKey)) -> Secret {
        let id = KeyId::generate(self.clock.now());
        let secret = api_key::mint(id);
        let mut key = ApiKey {
            id,
            user_id: user,
            name: "key".to_owned(),
            digest: Digest::of(secret.expose()),
            created_at: self.clock.now(),
            expires_at: None,
            last_used_at: None,
            disabled: false,
        };
        change(&mut key);
        assert!(self.store.add_key(&key, 20).await.unwrap());
        secret
    }

    /// A signed-in user and the digest of its cookie.
    pub(super) async fn signed_in(&self) -> (User, Digest) {
        let user = self.user().await;
        let token = self.sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
        (user, Digest::of(token.expose()))
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) async fn knows(&self, token: &Digest) -> bool {
        knows(&self.sessions, token).await
    }

    /// Until what was begun beside the requests is done.
    pub(super) async fn settle(&self) {
        while !self.sessions.0.uses.are_settled() {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) async fn knows(sessions: &Sessions, token: &Digest) -> bool {
    sessions.by_cookie(token).await.unwrap().is_some()
}

pub(super) async fn instance(store: &Arc<Watched>, clock: &Clock, settings: Settings) -> Sessions {
    let url = "https://blog.example.com".parse().unwrap();
    Sessions::open(store.clone(), clock.clone(), settings, &url).await.unwrap()
}

/// A store in memory that counts what it is asked, and can be down or slow to answer.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Arc<dyn Store>,
    /// Reads of sessions and keys.
    pub(super) reads: AtomicUsize,
    /// Uses written down.
    pub(super) touches: AtomicUsize,
    pub(super) down: AtomicBool,
    /// A read takes one before it answers, with what it read before.
    pub(super) answers: Semaphore,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            inner: store::open(&Address::Memory).unwrap(),
            reads: AtomicUsize::default(),
            touches: AtomicUsize::default(),
            down: AtomicBool::default(),
            answers: Semaphore::new(1_000_000),
        }
    }
}

impl Watched {
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    fn up(&self) -> Result<(), Error> {
        match self.down.load(Ordering::Relaxed) {
            true => Err(Error::Unavailable("it is down".to_owned())),
            false => Ok(()),
        }
    }

    fn read<'a, T: Send + 'a>(&'a self, read: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.up()?;
            let found = read.await;
            self.answers.acquire().await.unwrap().forget();
            found
        })
    }

    fn touch<'a>(&'a self, touch: Answer<'a, ()>) -> Answer<'a, ()> {
        Box::pin(async move {
            self.up()?;
            touch.await
        })
    }
}

macro_rules! as_inside {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name<'a>(&'a self, $($arg: $type),*) -> Answer<'a, $answer> { self.inner.$name($($arg),*) })*
    };
}

impl Store for Watched {
    fn session_by_token(&self, token: Digest) -> Answer<'_, Option<(Session, User)>> {
        self.read(self.inner.session_by_token(token))
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<(Session, User)>> {
        self.read(self.inner.session(id))
    }

    fn key(&self, id: KeyId) -> Answer<'_, Option<(ApiKey, User)>> {
        self.read(self.inner.key(id))
    }

    fn touch_sessions(&self, uses: Vec<Use>) -> Answer<'_, ()> {
        self.touches.fetch_add(uses.len(), Ordering::Relaxed);
        self.touch(self.inner.touch_sessions(uses))
    }

    fn touch_key(&self, id: KeyId, used: Timestamp) -> Answer<'_, ()> {
        self.touches.fetch_add(1, Ordering::Relaxed);
        self.touch(self.inner.touch_key(id, used))
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<User>> {
        self.inner.user(id)
    }

    fn users(&self, after: Option<UserId>, limit: usize) -> Answer<'_, Vec<User>> {
        self.inner.users(after, limit)
    }

    fn take_one_time_by_code<'a>(
        &'a self,
        purpose: Purpose,
        email_key: &'a str,
        code: Digest,
        max_attempts: u32,
        now: Timestamp,
    ) -> Answer<'a, Option<OneTime>> {
        self.inner.take_one_time_by_code(purpose, email_key, code, max_attempts, now)
    }

    as_inside! {
        fn user_by_identity(provider: &'a str, issuer: &'a str, subject: &'a str) -> Option<User>;
        fn user_by_email(email_key: &'a str) -> Option<User>;
        fn import_user(user: &'a User) -> bool;
        fn save_user_with(user: &'a User, along: &'a Along) -> Saved;
        fn delete_user_with(id: UserId, events: &'a [Event]) -> bool;
        fn merge_users(into: &'a User, from: &'a User, along: &'a Along) -> Saved;
        fn add_audit(events: &'a [Event]) -> ();
        fn audit(filter: AuditFilter, after: Option<u64>, limit: usize) -> Vec<Entry>;
        fn sweep_audit(before: Timestamp, limit: usize) -> usize;
        fn waiting(purpose: Purpose, now: Timestamp, limit: usize) -> Vec<OneTime>;
        fn sweep_guests(before: Timestamp, limit: usize) -> usize;
        fn add_session_with(session: &'a Session, max_per_user: usize, events: &'a [Event]) -> ();
        fn sessions_of(user: UserId) -> Vec<Session>;
        fn sessions(after: Option<SessionId>, limit: usize) -> Vec<Session>;
        fn rotate_token(old: Digest, new: Digest, now: Timestamp, idle_expires_at: Timestamp) -> Rotated;
        fn end_session_with(id: SessionId, events: &'a [Event]) -> bool;
        fn end_sessions_of_with(user: UserId, except: Option<SessionId>, events: &'a [Event]) -> Vec<SessionId>;
        fn sweep(now: Timestamp, limit: usize) -> usize;
        fn add_key_with(key: &'a ApiKey, max_per_user: usize, events: &'a [Event]) -> bool;
        fn keys(user: Option<UserId>) -> Vec<ApiKey>;
        fn set_key_disabled_with(id: KeyId, disabled: bool, events: &'a [Event]) -> bool;
        fn delete_key_with(id: KeyId, events: &'a [Event]) -> bool;
        fn add_one_time(one_time: &'a OneTime) -> ();
        fn save_provider_session(saved: &'a ProviderSession) -> ();
        fn provider_session(id: SessionId) -> Option<ProviderSession>;
        fn sessions_at_provider(named: &'a AtProvider) -> Vec<SessionId>;
        fn one_time(token: Digest, now: Timestamp) -> Option<OneTime>;
        fn take_one_time(token: Digest, now: Timestamp) -> Option<OneTime>;
        fn one_times(purpose: Purpose, email_key: &'a str, now: Timestamp) -> Vec<OneTime>;
        fn every_one_time(after: u64, limit: usize) -> Vec<(u64, OneTime)>;
        fn void_one_times(email_key: Option<&'a str>, user: Option<UserId>) -> usize;
        fn signing_keys() -> Vec<SigningKey>;
        fn add_signing_key(key: &'a SigningKey, newest: Option<&'a str>) -> bool;
        fn sweep_signing_keys(now: Timestamp) -> usize;
        fn count_users(kind: Kind) -> u64;
        fn ping() -> ();
    }
}
