use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::account::{Kind, User};
use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::session::cache::{Entry, Origin, Reading};
use crate::session::credential::Claim;
use crate::session::sessions::{Inner, KNOWN, READ};
use crate::session::uses::{self, Used};
use crate::session::{Caller, Session};
use crate::store::{self, Use};

/// Reads of the store that are under way, by the name of the credential: many requests, one read.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Digest, Flight>>);

#[derive(Clone, Debug)]
struct Flight {
    /// A read that began before a revocation is no answer to a request that came after it.
    revocations: u64,
    outcome: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<Option<Arc<Entry>>, Arc<store::Error>>;

/// A use is written down at most so often.
const TOUCH: Duration = Duration::from_secs(60);
/// A user that changes faster than it is read is not let in.
const TRIES: usize = 4;

impl Inner {
    /// What the cache knows: no store, no waiting.
    pub(super) fn cached(self: &Arc<Self>, name: &Digest) -> Option<Arc<Caller>> {
        let now = self.clock.lately();
        let entry = self.cache.good(name, now)?;
        self.looks.add(KNOWN, 1);
        self.touch(&entry, now);
        Some(entry.caller.clone())
    }

    /// Whom the credential speaks for: from the cache, or from one read of the store.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        name: Digest,
        claim: Claim,
    ) -> Result<Option<Arc<Caller>>, store::Error> {
        for _ in 0..TRIES {
            if let Some(caller) = self.cached(&name) {
                return Ok(Some(caller));
            }
            if self.cache.is_unknown(&name, self.clock.now()) {
                return Ok(None);
            }
            let mut outcome = self.join(name, claim.clone());
            let outcome = match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                Err(_) => None,
            };
            let Some(entry) = outcome.ok_or_else(abandoned)?.map_err(|error| again(&error))? else {
                return Ok(None);
            };
            let now = self.clock.now();
            if self.cache.stands(&entry) {
                self.touch(&entry, now);
                return Ok(entry.is_live(now).then(|| entry.caller.clone()));
            }
        }
        Err(changing())
    }

    /// The same as the store has it at this moment, whatever the cache believes.
    pub(super) async fn resolve_now(
        self: &Arc<Self>,
        name: Digest,
        claim: Claim,
    ) -> Result<Option<Arc<Caller>>, store::Error> {
        for _ in 0..TRIES {
            if self.cache.is_unknown(&name, self.clock.now()) {
                return Ok(None);
            }
            let revocations = self.cache.revocations.count();
            let Some(entry) = self.load(name, claim.clone(), revocations).await? else { return Ok(None) };
            if self.cache.stands(&entry) {
                self.touch(&entry, self.clock.now());
                return Ok(Some(entry.caller.clone()));
            }
        }
        Err(changing())
    }

    /// Joins the read under way, or begins one. It runs on its own: whoever asked first may go away.
    fn join(self: &Arc<Self>, name: Digest, claim: Claim) -> watch::Receiver<Option<Outcome>> {
        let revocations = self.cache.revocations.count();
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&name).filter(|flight| flight.revocations == revocations) {
            return flight.outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        flights.insert(name, Flight { revocations, outcome: outcome.clone() });
        // It needs the list when it drops, as it does at once where there is no runtime to spawn on.
        drop(flights);
        let landing = Landing { inner: self.clone(), name, outcome: outcome.clone() };
        tokio::spawn(async move {
            let found = landing.inner.load(name, claim, revocations).await;
            drop(landing);
            sender.send_replace(Some(found.map_err(Arc::new)));
        });
        outcome
    }

    async fn load(&self, name: Digest, claim: Claim, revocations: u64) -> Result<Option<Arc<Entry>>, store::Error> {
        self.looks.add(READ, 1);
        let read = Reading { at: self.cache.now(), revocations };
        let entry = match claim {
            Claim::Token(token) => {
                let Some((session, user)) = self.store.session_by_token(token).await? else {
                    return Ok(self.unknown(name));
                };
                if self.ended(&session).await || barred(&user) {
                    return Ok(None);
                }
                Entry::session(session, user, self.settings.idle_timeout, Timestamp::from_millis(i64::MAX), read)
            }
            Claim::Static(token) => {
                let Some((session, user)) = self.store.session_by_token(token).await? else {
                    return Ok(self.unknown(name));
                };
                // A guest's lasts as long as the guest; who is no guest any more uses it now and then.
                let unused = self.clock.now().since(session.last_seen_at) >= self.settings.refresh_token;
                if self.ended(&session).await || barred(&user) || (unused && user.kind != Kind::Guest) {
                    return Ok(None);
                }
                Entry::session(session, user, self.settings.refresh_token, Timestamp::from_millis(i64::MAX), read)
            }
            Claim::Access { user: owner, session, expires_at } => {
                let found = self.store.session(session).await?;
                let Some((session, user)) = found.filter(|(_, user)| user.id == owner) else {
                    return Ok(self.unknown(name));
                };
                if self.ended(&session).await || barred(&user) {
                    return Ok(None);
                }
                Entry::session(session, user, self.settings.refresh_token, expires_at, read)
            }
            Claim::Key { id, digest } => {
                let found = self.store.key(id).await?;
                let Some((key, user)) = found.filter(|(key, _)| key.digest.matches(&digest)) else {
                    return Ok(self.unknown(name));
                };
                if key.disabled || barred(&user) {
                    return Ok(None);
                }
                Entry::key(&key, user, read)
            }
            Claim::Vouched(vouched) => {
                let Some(user) = vouched.user().await?.filter(|user| !barred(user)) else { return Ok(None) };
                Entry::vouched(vouched.as_ref(), user, read)
            }
        };
        let live = entry.is_live(self.clock.now());
        Ok(live.then(|| self.cache.put(name, entry)))
    }

    fn unknown(&self, name: Digest) -> Option<Arc<Entry>> {
        self.cache.put_unknown(name);
        None
    }

    /// Whether the session is over. It goes at the first sight of that: a clock turned back later does not
    /// bring it back.
    pub(super) async fn ended(&self, session: &Session) -> bool {
        if session.is_live(self.clock.now()) {
            return false;
        }
        if let Err(error) = self.store.end_session(session.id).await {
            tracing::debug!(session = %session.id, %error, "an expired session was not removed");
        }
        true
    }

    /// Writes the use down if that is due, without keeping the request waiting.
    fn touch(self: &Arc<Self>, entry: &Entry, now: Timestamp) {
        // With a short idle limit a minute would be too coarse to keep somebody who is at work.
        let interval = TOUCH.min(self.settings.idle_timeout / 4);
        if !entry.is_due(now, interval) || !self.uses.has_room() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !entry.claim(now, interval) {
            return;
        }
        let used = match entry.origin {
            Origin::Session { id, idle, expires_at } => {
                let idle_expires_at = (now + idle).min(expires_at);
                entry.extend(idle_expires_at);
                Used::Session(Use { session: id, at: now, idle_expires_at })
            }
            Origin::Key(id) => Used::Key(id, now),
            Origin::Vouched => return,
        };
        uses::note(self, &runtime, used);
    }
}

/// Takes a read off the list when it is over, also when it was cut off.
struct Landing {
    inner: Arc<Inner>,
    name: Digest,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.inner.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(&self.name).is_some_and(|flight| flight.outcome.same_channel(&self.outcome)) {
            flights.remove(&self.name);
        }
    }
}

/// Whose credentials do not count here: an operator's open the operator's listener and nothing else.
fn barred(user: &User) -> bool {
    user.disabled || user.is_operator()
}

/// A task that did not come to its end.
pub(super) fn abandoned() -> store::Error {
    store::Error::Unavailable("the work was cut off".to_owned())
}

fn changing() -> store::Error {
    store::Error::Unavailable("what is read changes faster than it is read".to_owned())
}

fn again(error: &store::Error) -> store::Error {
    match error {
        store::Error::Unavailable(why) => store::Error::Unavailable(why.clone()),
        store::Error::Corrupt(what) => store::Error::Corrupt(what.clone()),
        store::Error::Conflict(what) => store::Error::Conflict(what.clone()),
    }
}
