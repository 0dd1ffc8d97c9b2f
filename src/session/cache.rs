use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState;
use moka::policy::EvictionPolicy;

use crate::account::User;
use crate::account::api_key::ApiKey;
use crate::clock::{Clock, Timestamp};
use crate::id::{KeyId, SessionId};
use crate::limit::Steady;
use crate::secret::Digest;
use crate::session::recent;
use crate::session::revocations::Revocations;
use crate::session::{Caller, Session, Settings, Vouched};

/// What the store said about credentials a moment ago, by the digest of the whole credential.
#[derive(Debug)]
pub(super) struct Cache {
    found: moka::sync::Cache<Digest, Arc<Entry>, RandomState>,
    /// Apart from the others and small: guesses do not push out who is at work.
    unknown: moka::sync::Cache<Digest, Timestamp, RandomState>,
    believed: Duration,
    unknown_believed: Duration,
    time: Steady,
    /// What was revoked here and takes effect at once.
    pub(super) revocations: Revocations,
    /// Tells it from the other caches of the process.
    number: u64,
}

/// A good credential: whom it speaks for and how long.
#[derive(Debug)]
pub(super) struct Entry {
    /// In which cache, and under which name.
    name: (u64, Digest),
    /// Whom it speaks for.
    pub(super) caller: Arc<Caller>,
    /// What is touched when it is used.
    pub(super) origin: Origin,
    expires_at: Timestamp,
    idle_expires_at: AtomicI64,
    seen_at: AtomicI64,
    loaded_at: Timestamp,
    revocations: AtomicU64,
}

/// Where a credential comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    Session {
        id: SessionId,
        /// What a use adds to its life.
        idle: Duration,
        /// Beyond which nothing does.
        expires_at: Timestamp,
    },
    Key(KeyId),
    /// Of somebody else, who keeps no account of its use with us.
    Vouched,
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A refused credential is refused unasked for so long at most.
const UNKNOWN: Duration = Duration::from_secs(5);
/// How many of them are remembered.
const UNKNOWN_KEPT: u64 = 10_000;
/// Entries outlive their belief, so that a caller who has not changed keeps what was built for it.
const KEPT: Duration = Duration::from_secs(90);

impl Cache {
    pub(super) fn new(settings: &Settings, clock: Clock) -> Self {
        let unknown_believed = settings.cache.min(UNKNOWN);
        let found = moka::sync::Cache::builder()
            .max_capacity(settings.cache_entries)
            // Who was here last comes again: whoever just signed in must not have to earn a place.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(settings.cache.max(KEPT))
            .build_with_hasher(RandomState::default());
        let unknown = moka::sync::Cache::builder()
            .max_capacity(UNKNOWN_KEPT)
            .time_to_live(UNKNOWN)
            .build_with_hasher(RandomState::default());
        let time = Steady::new(clock);
        let believed = settings.cache;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { found, unknown, believed, unknown_believed, time, revocations: Revocations::default(), number }
    }

    /// The entry, if it is believed still, was not revoked and has not ended.
    pub(super) fn good(&self, name: &Digest, now: Timestamp) -> Option<Arc<Entry>> {
        let at = self.time.at(now);
        let good =
            |entry: &Entry| at.since(entry.loaded_at) < self.believed && self.stands(entry) && entry.is_live(now);
        if let Some(entry) = recent::find(self.number, name)
            && good(&entry)
        {
            return Some(entry);
        }
        let entry = self.found.get(name)?;
        if !good(&entry) {
            return None;
        }
        recent::keep(name, &entry);
        Some(entry)
    }

    /// Whether nothing about the entry was revoked since it was read.
    pub(super) fn stands(&self, entry: &Entry) -> bool {
        let count = self.revocations.count();
        let read_at = entry.revocations.load(Ordering::Relaxed);
        if read_at == count {
            return true;
        }
        let spared = self.revocations.spare(read_at, entry.caller.user.id, entry.caller.session);
        if spared {
            entry.revocations.fetch_max(count, Ordering::Relaxed);
        }
        spared
    }

    /// Whether the store did not know it a moment ago.
    pub(super) fn is_unknown(&self, name: &Digest, now: Timestamp) -> bool {
        let asked = self.unknown.get(name);
        asked.is_some_and(|at| self.time.at(now).since(at) < self.unknown_believed)
    }

    /// Notes that the store does not know it.
    pub(super) fn put_unknown(&self, name: Digest) {
        if !self.unknown_believed.is_zero() {
            self.unknown.insert(name, self.time.now());
        }
    }

    /// Keeps what the store said. A caller about whom nothing changed stays the same one, with its headers.
    pub(super) fn put(&self, name: Digest, mut entry: Entry) -> Arc<Entry> {
        if let Some(old) = self.found.get(&name)
            && old.caller.is_same(&entry.caller)
        {
            entry.caller = old.caller.clone();
        }
        entry.name = (self.number, name);
        let entry = Arc::new(entry);
        self.found.insert(name, entry.clone());
        entry
    }

    /// The moment on the same scale, a few milliseconds late at most.
    pub(super) fn lately(&self) -> Timestamp {
        self.time.lately()
    }

    /// A moment for [`Entry::loaded_at`]; take it before reading.
    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }
}

/// When a read began: by the time, and by what had been revoked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at: Timestamp,
    pub(super) revocations: u64,
}

impl Entry {
    /// A session that was found, with its user; a token of it may end before `until`.
    pub(super) fn session(session: Session, user: User, idle: Duration, until: Timestamp, read: Reading) -> Self {
        let origin = Origin::Session { id: session.id, idle, expires_at: session.expires_at };
        let mut caller = Caller::new(user, session.provider, Some(session.id), session.created_at);
        caller.device = session.device.app.and_then(|app| app.id);
        Self {
            name: NOWHERE,
            caller: Arc::new(caller),
            origin,
            expires_at: session.expires_at.min(until),
            idle_expires_at: AtomicI64::new(session.idle_expires_at.millis()),
            seen_at: AtomicI64::new(session.last_seen_at.millis()),
            loaded_at: read.at,
            revocations: AtomicU64::new(read.revocations),
        }
    }

    /// A key that was found, with its user.
    pub(super) fn key(key: &ApiKey, user: User, read: Reading) -> Self {
        // Nobody proves who he is by using a key: nothing that asks for a recent sign-in is open to it.
        let mut caller = Caller::new(user, "api-key".to_owned(), None, Timestamp::default());
        caller.key = Some(key.id);
        Self {
            name: NOWHERE,
            caller: Arc::new(caller),
            origin: Origin::Key(key.id),
            expires_at: key.expires_at.unwrap_or(NEVER),
            idle_expires_at: AtomicI64::new(NEVER.millis()),
            seen_at: AtomicI64::new(key.last_used_at.unwrap_or_default().millis()),
            loaded_at: read.at,
            revocations: AtomicU64::new(read.revocations),
        }
    }

    /// Somebody else's credential, with the user it was found to speak for.
    pub(super) fn vouched(vouched: &dyn Vouched, user: User, read: Reading) -> Self {
        // Nobody proves here who he is by sending it: nothing that asks for a recent sign-in is open to it.
        let mut caller = Caller::new(user, vouched.provider().to_owned(), None, Timestamp::default());
        caller.expires_at = Some(vouched.expires_at());
        Self {
            name: NOWHERE,
            caller: Arc::new(caller),
            origin: Origin::Vouched,
            expires_at: vouched.expires_at(),
            idle_expires_at: AtomicI64::new(NEVER.millis()),
            // No use is written down.
            seen_at: AtomicI64::new(NEVER.millis()),
            loaded_at: read.at,
            revocations: AtomicU64::new(read.revocations),
        }
    }

    /// Whether that cache keeps it under this name.
    pub(super) fn is_named(&self, cache: u64, name: &Digest) -> bool {
        self.name.0 == cache && self.name.1 == *name
    }

    /// Which cache keeps it.
    #[cfg(test)]
    pub(super) fn cache(&self) -> u64 {
        self.name.0
    }

    /// Whether it has not ended.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at && now.millis() < self.idle_expires_at.load(Ordering::Relaxed)
    }

    /// Whether the last use that was written down is so long ago.
    pub(super) fn is_due(&self, now: Timestamp, interval: Duration) -> bool {
        now.since(Timestamp::from_millis(self.seen_at.load(Ordering::Relaxed))) >= interval
    }

    /// Takes it upon the caller to write the use at `now` down: of many at once exactly one.
    pub(super) fn claim(&self, now: Timestamp, interval: Duration) -> bool {
        let seen = self.seen_at.load(Ordering::Relaxed);
        now.since(Timestamp::from_millis(seen)) >= interval
            && self.seen_at.compare_exchange(seen, now.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Moves the idle limit on.
    pub(super) fn extend(&self, idle_expires_at: Timestamp) {
        self.idle_expires_at.fetch_max(idle_expires_at.millis(), Ordering::Relaxed);
    }
}

/// Of an entry that no cache has yet: they count from 1.
const NOWHERE: (u64, Digest) = (0, Digest::from_bytes([0; 32]));
/// Past every date that is written with four digits.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);
