use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::runtime::Handle;

use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId};
use crate::session::sessions::Inner;
use crate::store::Use;

/// Uses of sessions and API keys that wait to be written down beside the requests.
///
/// What comes while the store is at work goes there together. If there is more than that, the store is left to others
/// for four times as long as it took: when somebody was seen is worth less than a sign-in that waits.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<Waiting>);

/// In the order of their ids, which is that of the tables: neighbours are written one after the other.
#[derive(Debug, Default)]
struct Waiting {
    sessions: BTreeMap<SessionId, Use>,
    keys: BTreeMap<KeyId, Timestamp>,
    /// Whether somebody writes them.
    attended: bool,
}

/// As many may wait; what comes then is not noted, and its next use tries again.
const MOST: usize = 16 << 10;
/// What is written at once: others wait for that long.
const BATCH: usize = 256;
/// How much longer than a write took the store is left alone.
const REST: u32 = 4;
/// A store that hardly answers is not left alone for longer.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// What was used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Used {
    Session(Use),
    Key(KeyId, Timestamp),
}

impl Uses {
    /// Whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.with(|waiting| waiting.sessions.len() + waiting.keys.len() < MOST)
    }

    /// Whether all is written.
    #[cfg(test)]
    pub(super) fn are_settled(&self) -> bool {
        self.with(|waiting| !waiting.attended)
    }

    /// Notes it; `true`: nobody writes yet.
    fn add(&self, used: Used) -> bool {
        self.with(|waiting| {
            match used {
                Used::Session(used) => drop(waiting.sessions.insert(used.session, used)),
                Used::Key(key, at) => drop(waiting.keys.insert(key, at)),
            }
            !std::mem::replace(&mut waiting.attended, true)
        })
    }

    /// What is to be written next.
    fn take(&self) -> (Vec<Use>, Vec<(KeyId, Timestamp)>) {
        self.with(|waiting| (first(&mut waiting.sessions, |(_, used)| used), first(&mut waiting.keys, |key| key)))
    }

    /// Whether nothing waits; nobody has to write then.
    fn end(&self) -> bool {
        self.with(|waiting| {
            waiting.attended = !(waiting.sessions.is_empty() && waiting.keys.is_empty());
            !waiting.attended
        })
    }

    fn with<T>(&self, deed: impl FnOnce(&mut Waiting) -> T) -> T {
        deed(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn first<K: Ord, V, T>(waiting: &mut BTreeMap<K, V>, form: fn((K, V)) -> T) -> Vec<T> {
    std::iter::from_fn(|| waiting.pop_first()).take(BATCH).map(form).collect()
}

/// Notes a use, and sees to it that it is written.
pub(super) fn note(inner: &Arc<Inner>, runtime: &Handle, used: Used) {
    if inner.uses.add(used) {
        let attendant = Attendant(inner.clone());
        runtime.spawn(async move { attendant.write().await });
    }
}

/// Writes until nothing waits. If its runtime ends before, the next use calls another.
struct Attendant(Arc<Inner>);

impl Attendant {
    async fn write(self) {
        loop {
            let begun = Instant::now();
            let (sessions, keys) = self.0.uses.take();
            let store = &self.0.store;
            let keys = join_all(keys.into_iter().map(|(key, at)| store.touch_key(key, at)));
            let mut written: Result<(), _> = keys.await.into_iter().collect();
            if !sessions.is_empty() {
                written = store.touch_sessions(sessions).await.and(written);
            }
            if let Err(error) = written {
                tracing::debug!(%error, "uses were not written down");
            }
            if self.0.uses.end() {
                return;
            }
            tokio::time::sleep((begun.elapsed() * REST).min(LONGEST_REST)).await;
        }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.0.uses.with(|waiting| waiting.attended = false);
    }
}
