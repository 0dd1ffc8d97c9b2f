use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;

use crate::clock::{Clock, Timestamp};
use crate::limit::Steady;
use crate::secret::Digest;

/// What tokens were found to say, by their digests: so that the next time costs no signature. Bounded, and an hour
/// at most: a key that an issuer withdrew counts no longer than one that could not be looked at.
#[derive(Debug)]
pub struct Memory<V: Send + Sync + 'static> {
    kept: moka::sync::Cache<Digest, Kept<V>, RandomState>,
    time: Steady,
}

#[derive(Debug)]
struct Kept<V> {
    value: Arc<V>,
    size: u32,
    at: Timestamp,
}

impl<V> Clone for Kept<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), ..*self }
    }
}

impl<V: Send + Sync + 'static> Memory<V> {
    /// Empty. Holds 64 MiB of what was found.
    pub fn new(clock: Clock) -> Self {
        let kept = moka::sync::Cache::builder()
            .weigher(|_, kept: &Kept<V>| kept.size)
            .max_capacity(ROOM)
            .time_to_live(LONGEST)
            .build_with_hasher(RandomState::default());
        Self { kept, time: Steady::new(clock) }
    }

    /// What the token of this digest was found to say, if that was within the hour.
    pub fn find(&self, token: &Digest) -> Option<Arc<V>> {
        let kept = self.kept.get(token)?;
        (self.time.now().since(kept.at) < LONGEST).then_some(kept.value)
    }

    /// Keeps it; `size` is about how many bytes it takes.
    pub fn keep(&self, token: Digest, value: Arc<V>, size: usize) {
        let size = u32::try_from(size.saturating_add(OVERHEAD)).unwrap_or(u32::MAX);
        self.kept.insert(token, Kept { value, size, at: self.time.now() });
    }
}

const ROOM: u64 = 64 << 20;
const LONGEST: Duration = Duration::from_hours(1);
/// What an entry takes besides.
const OVERHEAD: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_forgotten_after_an_hour_and_when_there_is_too_much() {
        let clock = Clock::manual(Timestamp::from_seconds(1_795_363_200));
        let memory = Memory::new(clock.clone());
        let name = Digest::of("token");
        assert_eq!(memory.find(&name), None);
        memory.keep(name, Arc::new(7), 10);
        clock.advance(Duration::from_secs(3599));
        assert_eq!(memory.find(&name).as_deref(), Some(&7));
        clock.advance(Duration::from_secs(1));
        assert_eq!(memory.find(&name), None);
        memory.keep(name, Arc::new(8), 65 << 20);
        memory.kept.run_pending_tasks();
        assert_eq!(memory.find(&name), None);
    }
}
