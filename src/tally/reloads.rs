use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;

/// How often another configuration was to come into force.
#[derive(Debug)]
pub struct Reloads {
    taken: AtomicU64,
    rejected: AtomicU64,
    /// Milliseconds since 1970.
    last: AtomicU64,
}

impl Reloads {
    /// None yet; the first configuration is in force since then.
    pub fn since(start: Timestamp) -> Self {
        let last = AtomicU64::new(millis(start));
        Self { taken: AtomicU64::new(0), rejected: AtomicU64::new(0), last }
    }

    /// Another is in force since then.
    pub fn took(&self, at: Timestamp) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.last.store(millis(at), Ordering::Relaxed);
    }

    /// The old one stayed.
    pub fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// How many came into force, and how many did not.
    pub fn counted(&self) -> [(&'static str, u64); 2] {
        [("taken", self.taken.load(Ordering::Relaxed)), ("rejected", self.rejected.load(Ordering::Relaxed))]
    }

    /// Since when the one in force is, in seconds since 1970.
    pub fn last(&self) -> f64 {
        self.last.load(Ordering::Relaxed) as f64 / 1e3
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.millis()).unwrap_or_default()
}
