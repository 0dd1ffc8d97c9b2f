use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What has happened between this instance and the others, counted since the start.
#[derive(Debug, Default)]
pub struct Numbers {
    answered: AtomicU64,
    unanswered: AtomicU64,
    micros: AtomicU64,
    sent: AtomicU64,
    seen: AtomicU64,
    missed: AtomicU64,
    lag_micros: AtomicU64,
}

impl Numbers {
    /// Commands that Redis was asked and answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Commands that it did not answer, or by an error.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// How long those that were answered took in all.
    pub fn answering(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
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

    /// How long a message takes from here through Redis and back; measured once a second.
    pub fn lag(&self) -> Duration {
        Duration::from_micros(self.lag_micros.load(Ordering::Relaxed))
    }

    pub(super) fn add_answer(&self, took: Duration) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros(took), Ordering::Relaxed);
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
        self.lag_micros.store(micros(lag), Ordering::Relaxed);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
