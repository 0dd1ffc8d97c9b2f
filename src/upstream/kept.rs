use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Connections that wait for their next request, the latest first.
pub(super) struct Kept<T>(Mutex<VecDeque<Idle<T>>>);

struct Idle<T> {
    connection: T,
    since: Instant,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// Takes one that `is_good` still, and how long it has waited.
    pub(super) fn take(&self, now: Instant, mut is_good: impl FnMut(&mut T) -> bool) -> Option<(T, Duration)> {
        let mut all = self.lock();
        while let Some(Idle { mut connection, since }) = all.pop_back() {
            let age = now.saturating_duration_since(since);
            if age < LONGEST && is_good(&mut connection) {
                return Some((connection, age));
            }
        }
        None
    }

    /// Keeps one from `now` on; whether it is the only one.
    pub(super) fn put(&self, connection: T, now: Instant) -> bool {
        let mut all = self.lock();
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back(Idle { connection, since: now });
        all.len() == 1
    }

    /// Closes those that have waited for too long; whether any is left.
    pub(super) fn sweep(&self, now: Instant) -> bool {
        let mut all = self.lock();
        all.retain(|idle| now.saturating_duration_since(idle.since) < LONGEST);
        !all.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a connection is kept without a request: less than the 5 s after which common app servers close theirs.
pub(super) const LONGEST: Duration = Duration::from_secs(4);
/// The most connections kept for one upstream by one worker.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_latest_comes_first_and_none_is_kept_for_long() {
        let kept = Kept::default();
        let start = Instant::now();
        assert!(kept.put(1, start));
        assert!(!kept.put(2, start + Duration::from_secs(1)));
        assert!(!kept.put(3, start + Duration::from_secs(2)));
        let at = start + Duration::from_secs(3);
        assert_eq!(kept.take(at, |number| *number != 3), Some((2, Duration::from_secs(2))));
        assert!(kept.sweep(start + LONGEST - Duration::from_millis(1)));
        assert!(!kept.sweep(start + LONGEST));
        assert_eq!(kept.take(at, |_| true), None);
        kept.put(4, start + Duration::from_secs(1));
        kept.put(5, start);
        assert_eq!(kept.take(start + LONGEST, |_| true), Some((4, LONGEST - Duration::from_secs(1))));
    }

    #[test]
    fn the_oldest_makes_room() {
        let kept = Kept::default();
        let now = Instant::now();
        for number in 0..=MOST {
            kept.put(number, now);
        }
        let mut all = std::iter::from_fn(|| kept.take(now, |_| true)).map(|(number, _)| number);
        assert_eq!((all.next(), all.last()), (Some(MOST), Some(1)));
    }
}
