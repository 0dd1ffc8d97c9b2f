use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{Clock, Timestamp};

/// Time that goes on when the clock is turned back.
///
/// Spans inside the process (how long a cache is believed, when a limit lets somebody in again) are measured
/// on it: on the clock itself a correction by an hour would lock everybody out, or keep a revoked session
/// alive, for that hour.
#[derive(Debug)]
pub(crate) struct Steady {
    clock: Clock,
    latest: AtomicI64,
    offset: AtomicI64,
    turning: Mutex<()>,
}

/// Threads read the clock and arrive here in any order; what differs by less is no correction.
const JITTER: i64 = 1000;

impl Steady {
    /// Starts at what the clock shows.
    pub(crate) fn new(clock: Clock) -> Self {
        let latest = AtomicI64::new(clock.now().millis());
        Self { clock, latest, offset: AtomicI64::new(0), turning: Mutex::new(()) }
    }

    /// The moment now.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(self.clock.now())
    }

    /// The moment now or a few milliseconds ago.
    pub(crate) fn lately(&self) -> Timestamp {
        self.at(self.clock.lately())
    }

    /// The moment when the clock shows `wall`, just read from it.
    pub(crate) fn at(&self, wall: Timestamp) -> Timestamp {
        let moment = wall.millis().saturating_add(self.offset.load(Ordering::Relaxed));
        let latest = self.latest.load(Ordering::Relaxed);
        if moment > latest {
            self.latest.fetch_max(moment, Ordering::Relaxed);
            return Timestamp::from_millis(moment);
        }
        if latest - moment > JITTER {
            self.turn(wall);
        }
        Timestamp::from_millis(latest)
    }

    #[cold]
    fn turn(&self, wall: Timestamp) {
        let _alone = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = wall.millis().saturating_add(self.offset.load(Ordering::Relaxed));
        let behind = self.latest.load(Ordering::Relaxed).saturating_sub(moment);
        if behind > JITTER {
            self.offset.fetch_add(behind, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_turned_back_neither_stops_nor_turns_it() {
        let clock = Clock::manual(Timestamp::from_seconds(10_000));
        let steady = Steady::new(clock.clone());
        clock.advance(Duration::from_secs(5));
        assert_eq!(steady.now(), Timestamp::from_seconds(10_005));
        clock.rewind(Duration::from_secs(3600));
        assert_eq!(steady.now(), Timestamp::from_seconds(10_005));
        clock.advance(Duration::from_secs(7));
        assert_eq!(steady.now(), Timestamp::from_seconds(10_012));
    }

    #[test]
    fn it_follows_a_clock_that_is_not_turned() {
        let clock = Clock::manual(Timestamp::from_seconds(10_000));
        let steady = Steady::new(clock.clone());
        clock.advance(Duration::from_hours(20 * 365 * 24));
        assert_eq!(steady.now(), clock.now());
    }
}
