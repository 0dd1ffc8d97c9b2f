use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::watch;

use super::compact::Compact;
use super::shared::Shared;
use super::{Algorithm, Bad, Key, Refused};
use crate::clock::{Clock, Timestamp};
use crate::fetch::Fetch;
use crate::json;
use crate::limit::Steady;
use crate::session::Shelf;

/// Where the keys of an issuer come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A key set (RFC 7517 §5) at this address, fetched when it is needed.
    Jwks {
        /// Its address.
        uri: Uri,
        /// The way there; [`Fetch::named_by`] if a document named the address.
        fetch: Fetch,
        /// A set with more usable keys than these is not taken at all: see [`MOST_KEYS`].
        most: usize,
        /// Where instances leave it for each other, so that one fetches for all; none: each fetches for itself.
        shelf: Option<Shelf>,
    },
    /// These keys.
    Keys(Vec<Key>),
}

impl KeySource {
    /// How many keys of use for these algorithms there are. A key set is fetched now.
    ///
    /// # Errors
    /// Why there are none: lower case, no full stop.
    pub async fn usable(self, algorithms: &[Algorithm], clock: Clock) -> Result<usize, String> {
        match Keys::new(self, algorithms, clock) {
            Keys::Fixed(keys) => Ok(keys.len()),
            Keys::Fetched(set) => set.fetched().await.map(|(keys, _)| keys.len()),
        }
    }
}

/// How many keys a set of an issuer with many may have, where nothing else is configured.
pub const MOST_KEYS: usize = 64;

/// The kind of the shelf for key sets.
pub const JWKS: &str = "jwks";

/// The keys of an issuer, as far as they are known.
#[derive(Debug)]
pub(super) enum Keys {
    Fixed(Arc<[Key]>),
    Fetched(Arc<KeySet>),
}

/// A key set that is fetched: kept for an hour, good for another while its issuer does not answer, and fetched
/// again for a key that is not in it, once in a while (SEC-JWT-06).
#[derive(Debug)]
pub(super) struct KeySet {
    uri: Uri,
    fetch: Fetch,
    shared: Option<Shared>,
    most: usize,
    algorithms: Vec<Algorithm>,
    time: Steady,
    known: ArcSwapOption<Known>,
    fetching: Mutex<Fetching>,
}

#[derive(Debug)]
struct Known {
    keys: Arc<[Key]>,
    fetched_at: Timestamp,
}

#[derive(Debug, Default)]
struct Fetching {
    begun_at: Option<Timestamp>,
    /// Closed when it is over.
    flight: Option<watch::Receiver<()>>,
}

impl Keys {
    pub(super) fn new(source: KeySource, algorithms: &[Algorithm], clock: Clock) -> Self {
        match source {
            KeySource::Keys(keys) => Self::Fixed(keys.into()),
            KeySource::Jwks { uri, fetch, most, shelf } => Self::Fetched(Arc::new(KeySet {
                shared: shelf.map(|shelf| Shared::new(shelf, &uri)),
                uri,
                fetch: fetch.at_most(LARGEST),
                most,
                algorithms: algorithms.to_vec(),
                time: Steady::new(clock),
                known: ArcSwapOption::empty(),
                fetching: Mutex::default(),
            })),
        }
    }

    /// The keys that may have signed the token: at least one of them fits.
    pub(super) async fn for_token(&self, token: &Compact<'_>) -> Result<Arc<[Key]>, Refused> {
        match self {
            Self::Fixed(keys) if fit(keys, token) => Ok(keys.clone()),
            Self::Fixed(_) => Err(Bad::UnknownKey.into()),
            Self::Fetched(set) => set.for_token(token).await,
        }
    }

    /// The keys after another look, if that brought others: for a token that names no key.
    pub(super) async fn after(&self, tried: &Arc<[Key]>) -> Option<Arc<[Key]>> {
        let Self::Fetched(set) = self else { return None };
        set.fetch_again().await;
        let known = set.known.load_full()?;
        (!Arc::ptr_eq(&known.keys, tried)).then(|| known.keys.clone())
    }

    /// The names of the keys, if they are known for good and each has one.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        match self {
            Self::Fixed(keys) => keys.iter().map(Key::kid).collect(),
            Self::Fetched(_) => None,
        }
    }
}

impl KeySet {
    async fn for_token(self: &Arc<Self>, token: &Compact<'_>) -> Result<Arc<[Key]>, Refused> {
        // A second time, if what another instance has left is older than the key that is looked for.
        for _ in 0..2 {
            if let Some(keys) = self.within(KEPT).filter(|keys| fit(keys, token)) {
                return Ok(keys);
            }
            self.fetch_again().await;
        }
        // While the issuer is down its old keys are better than none, for a while.
        let Some(keys) = self.within(KEPT + STALE) else {
            return Err(Refused::CannotTell("the keys of the issuer are not there".to_owned()));
        };
        if fit(&keys, token) { Ok(keys) } else { Err(Bad::UnknownKey.into()) }
    }

    /// The keys, if they were fetched within this span.
    fn within(&self, span: Duration) -> Option<Arc<[Key]>> {
        let known = self.known.load();
        let known = known.as_ref()?;
        (self.time.now().since(known.fetched_at) < span).then(|| known.keys.clone())
    }

    /// Fetches the set, or waits for whoever does. Nothing happens when it was tried a moment ago: names of keys
    /// are free to make up.
    async fn fetch_again(self: &Arc<Self>) {
        let Some(mut flight) = self.join() else { return };
        // It ends by being dropped.
        while flight.changed().await.is_ok() {}
    }

    fn join(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut fetching = self.fetching();
        if let Some(flight) = fetching.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return Some(flight.clone());
        }
        let now = self.time.now();
        if fetching.begun_at.is_some_and(|begun| now.since(begun) < FLOOR) {
            return None;
        }
        let (under_way, flight) = watch::channel(());
        *fetching = Fetching { begun_at: Some(now), flight: Some(flight.clone()) };
        let set = self.clone();
        // On its own: whoever asked first may go away.
        tokio::spawn(async move {
            set.renew().await;
            drop(under_way);
        });
        Some(flight)
    }

    /// Takes what another instance has fetched, else fetches.
    async fn renew(&self) {
        let Some(shared) = &self.shared else {
            self.fetch_now().await;
            return;
        };
        // A set that is here and not too old lacks a key: then only one that was fetched just now helps.
        let within = if self.within(KEPT).is_some() { FLOOR } else { KEPT };
        if self.take(shared, within).await {
            return;
        }
        let turn = shared.turn().await;
        // Whoever had it before may have fetched.
        if turn.is_none() || !self.take(shared, within).await {
            match self.fetch_now().await {
                Some(document) => shared.leave(&document, KEPT).await,
                None => shared.leave_failure(FLOOR).await,
            }
        }
        if let Some(turn) = turn {
            turn.end().await;
        }
    }

    /// Whether another instance has looked within this span: then its set counts here, or its failure.
    async fn take(&self, shared: &Shared, within: Duration) -> bool {
        if let Some(left) = shared.find(within).await
            && let Ok(keys) = json::value(&left.document).map_err(|_| String::new()).and_then(|set| self.read(&set))
        {
            let fetched_at = self.time.now() - left.age;
            self.fetching().begun_at = Some(fetched_at);
            self.known.store(Some(Arc::new(Known { keys, fetched_at })));
            return true;
        }
        let Some(age) = shared.find_failure(FLOOR).await else { return false };
        self.fetching().begun_at = Some(self.time.now() - age);
        true
    }

    /// Asks the issuer; the set as it came, if it can be used.
    async fn fetch_now(&self) -> Option<Bytes> {
        let fetched_at = self.time.now();
        match self.fetched().await {
            Ok((keys, document)) => {
                self.known.store(Some(Arc::new(Known { keys, fetched_at })));
                Some(document)
            }
            Err(why) => {
                let host = self.uri.authority().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(event = "jwks.unavailable", host, why, "a key set was not fetched: the old keys stay");
                None
            }
        }
    }

    async fn fetched(&self) -> Result<(Arc<[Key]>, Bytes), String> {
        let request = Request::get(&self.uri).header(ACCEPT, "application/json, application/jwk-set+json");
        let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = self.fetch.send(request).await.map_err(|error| error.to_string())?;
        if answer.status != StatusCode::OK {
            return Err(format!("status {}", answer.status.as_u16()));
        }
        let set = answer.json().map_err(|error| error.to_string())?;
        Ok((self.read(&set)?, answer.body))
    }

    fn read(&self, set: &Value) -> Result<Arc<[Key]>, String> {
        // App Services took the address of a single key, too.
        let jwks = match set.get("keys") {
            Some(keys) => keys.as_array().map(Vec::as_slice),
            None => set.get("kty").map(|_| std::slice::from_ref(set)),
        };
        let usable =
            jwks.ok_or("not a key set")?.iter().filter_map(|jwk| Key::from_jwk(jwk.as_object()?, &self.algorithms));
        let keys: Arc<[Key]> = usable.take(self.most + 1).collect();
        match keys.len() {
            0 => Err("no key in the set can be used".to_owned()),
            found if found > self.most => Err(format!("more than {} keys in the set (`max_keys`)", self.most)),
            _ => Ok(keys),
        }
    }

    fn fetching(&self) -> MutexGuard<'_, Fetching> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fit(keys: &[Key], token: &Compact<'_>) -> bool {
    keys.iter().any(|key| key.fits(token))
}

/// A set is taken for the issuer's for so long.
const KEPT: Duration = Duration::from_hours(1);
/// And for so long beyond, while the issuer does not answer.
const STALE: Duration = Duration::from_hours(1);
/// From the beginning of one fetch to the next.
const FLOOR: Duration = Duration::from_secs(30);
const LARGEST: usize = 512 << 10;
