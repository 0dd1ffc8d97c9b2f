use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::FixedState;
use foldhash::quality::RandomState;

use crate::limit::{Row, Shared};
use crate::secret::Digest;

/// Failures in a row, counted apart for each name, in bounded memory: when there is no room, the shortest rows are
/// forgotten, so that a flood of made-up names does not take a long row away.
///
/// A try counts before it is made, and success begins anew: of many at the same moment no more than the limit are made.
pub struct Streaks {
    most: u32,
    parts: Box<[Mutex<HashMap<u64, u32, FixedState>>]>,
    room: usize,
    hasher: RandomState,
    shared: Option<Arc<dyn Shared>>,
    refused: AtomicU64,
}

/// The limit whose rows these are.
pub(super) const SIGN_IN: &str = "sign_in";
/// Parts are locked one by one.
const PARTS: usize = 16;
/// Names in a part: 100,000 in all.
const ROOM: usize = 6250;

impl Streaks {
    /// Counts from now on; after so many failures in a row a name gets no more tries.
    pub fn new(most: u32) -> Self {
        Self::with_room(most, PARTS, ROOM)
    }

    fn with_room(most: u32, parts: usize, room: usize) -> Self {
        let parts = (0..parts).map(|_| Mutex::default()).collect();
        Self { most, parts, room, hasher: RandomState::default(), shared: None, refused: AtomicU64::new(0) }
    }

    /// The same, begun anew for other instances, too.
    #[must_use]
    pub(super) fn shared(self, shared: Arc<dyn Shared>) -> Self {
        Self { shared: Some(shared), ..self }
    }

    /// These names' rows as other instances know them.
    pub(super) fn rows(&self, names: &[&str]) -> Vec<Row> {
        names.iter().map(|name| Row { owner: owner(name), most: self.most }).collect()
    }

    /// A try was not to be made, as others say.
    pub(super) fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a try of this name here. `false`: it may not be made.
    pub(super) fn charge(&self, name: &str) -> bool {
        let number = self.hasher.hash_one(name);
        let mut part = self.part(number);
        if let Some(row) = part.get_mut(&number) {
            if *row >= self.most {
                return false;
            }
            *row += 1;
            return true;
        }
        if part.len() >= self.room {
            let shortest = part.values().copied().min().unwrap_or_default();
            part.retain(|_, row| *row > shortest);
        }
        part.insert(number, 1);
        true
    }

    /// How many tries were not to be made so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Begins anew for this name: the right password was given, or a new one set.
    pub fn forget(&self, name: &str) {
        let number = self.hasher.hash_one(name);
        self.part(number).remove(&number);
        if let Some(shared) = &self.shared {
            shared.forget(SIGN_IN, owner(name));
        }
    }

    fn part(&self, number: u64) -> std::sync::MutexGuard<'_, HashMap<u64, u32, FixedState>> {
        // The map uses the lower bits.
        let part = &self.parts[(number >> 32) as usize % self.parts.len()];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By a name that is the same everywhere.
fn owner(name: &str) -> Digest {
    Digest::of(format!("row {name}"))
}

impl fmt::Debug for Streaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaks").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(streaks: &Streaks, name: &str, tries: usize) -> usize {
        (0..tries).filter(|_| streaks.charge(name)).count()
    }

    #[test]
    fn sec_rate_05_a_row_ends_at_the_limit_and_a_success_begins_anew() {
        let streaks = Streaks::new(100);
        assert_eq!(made(&streaks, "ann", 2_000), 100);
        assert_eq!(made(&streaks, "bob", 99), 99);
        streaks.forget("ann");
        assert_eq!(made(&streaks, "ann", 2_000), 100);
        assert_eq!(made(&streaks, "bob", 5), 1);
    }

    #[test]
    fn sec_rate_05_a_flood_of_names_takes_no_long_row_away() {
        let streaks = Streaks::with_room(10, 1, 100);
        assert_eq!(made(&streaks, "ann", 8), 8);
        for number in 0..10_000 {
            assert!(streaks.charge(&format!("made-up-{number}")));
        }
        assert_eq!(made(&streaks, "ann", 5), 2);
        assert!(streaks.part(0).len() <= 100);
    }

    #[test]
    fn sec_rate_05_of_many_at_once_no_more_than_the_limit_are_made() {
        let streaks = Streaks::new(10);
        let made = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope
                    .spawn(|| made.fetch_add(usize::from(streaks.charge("ann")), std::sync::atomic::Ordering::Relaxed));
            }
        });
        assert_eq!(made.into_inner(), 10);
    }
}
