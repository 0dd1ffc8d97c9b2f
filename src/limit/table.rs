use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use governor::clock;
use governor::nanos::Nanos;
use governor::state::StateStore;

use crate::clock::Clock;
use crate::limit::Steady;

/// What is counted for each key, in bounded memory.
///
/// In each part there is room for so many keys. When it is taken, those go first that have their whole budget
/// back and so are as good as new. When that does not help, newcomers share one budget until it does: nobody
/// becomes unlimited, and who was there before keeps what it has.
pub(super) struct Table {
    parts: Box<[Mutex<Part>]>,
    room: usize,
    /// After which one use is given back, in nanoseconds.
    period: u64,
}

/// The moments from which each key has its whole budget, in nanoseconds.
#[derive(Default)]
struct Part {
    keys: HashMap<u64, u64, FixedState>,
    newcomers: Option<u64>,
    /// Not before this moment is it worth looking for room again.
    look_at: u64,
}

/// [`Clock`] as the limits' arithmetic reads it.
#[derive(Debug)]
pub(super) struct Ticks(Steady);

/// Parts are locked one by one.
const PARTS: usize = 16;
/// Keys in a part: 100,000 in all.
const ROOM: usize = 6250;
/// A part without room is looked through at most so often.
const LOOK: u64 = 1_000_000_000;

impl Table {
    /// For a limit that gives one use back after each `period`.
    pub(super) fn new(period: Duration) -> Self {
        Self::with_room(period, PARTS, ROOM)
    }

    /// With room for so many keys in each of the parts.
    pub(super) fn with_room(period: Duration, parts: usize, room: usize) -> Self {
        let parts = (0..parts.max(1)).map(|_| Mutex::default()).collect();
        Self { parts, room, period: u64::try_from(period.as_nanos()).unwrap_or(u64::MAX) }
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // Keys are hashes already; the upper bits choose the part, the map uses the lower ones.
        let part = &self.parts[(*key >> 32) as usize % self.parts.len()];
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = part.keys.get_mut(key) {
            let (answer, new) = f(Some(Nanos::from(*full_at)))?;
            *full_at = new.as_u64();
            return Ok(answer);
        }
        let (answer, new) = f(None)?;
        let new = new.as_u64();
        if part.keys.len() >= self.room {
            // One use from nothing: what it takes to come back began now.
            part.make_room(new.saturating_sub(self.period));
        }
        if part.keys.len() < self.room {
            part.keys.insert(*key, new);
            return Ok(answer);
        }
        let (answer, new) = f(part.newcomers.map(Nanos::from))?;
        part.newcomers = Some(new.as_u64());
        Ok(answer)
    }
}

impl Part {
    /// Lets those go that have their whole budget back.
    fn make_room(&mut self, now: u64) {
        if now >= self.look_at {
            self.keys.retain(|_, full_at| *full_at > now);
            self.look_at = now.saturating_add(LOOK);
        }
    }
}

impl Ticks {
    pub(super) fn new(clock: Clock) -> Self {
        Self(Steady::new(clock))
    }
}

impl clock::Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_millis(u64::try_from(self.0.now().millis()).unwrap_or_default()))
    }
}
