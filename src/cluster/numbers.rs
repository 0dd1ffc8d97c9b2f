use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::tally::Durations;

/// What has happened between this instance and the others, counted since the start.
#[derive(Debug, Default)]
pub struct Numbers {
    /// How long Redis took to answer.
    pub answers: Durations,
    unanswered: AtomicU64,
    sent: AtomicU64,
    seen: AtomicU64,
    missed: AtomicU64,
    lag_micros: AtomicU64,
}

impl Numbers {
    /// Commands that it did not answer, or by an error.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Revocations that the others were told about.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Revocations that the others told about.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// How often everybody was read from the store again because messages may have been missed.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// How long the last message took from here through Redis and back; measured twice a second.
    pub fn lag(&self) -> Duration {
        Duration::from_micros(self.lag_micros.load(Ordering::Relaxed))
    }

    pub(super) fn add_silence(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn add_seen(&self) {
        self.seen.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_lag(&self, lag: Duration) {
        self.lag_micros.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
