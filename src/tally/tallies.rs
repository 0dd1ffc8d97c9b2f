use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A row of counters that many threads count with: each has cells of its own, so that no two write to the same line of
/// the cache.
#[derive(Debug)]
pub struct Tallies {
    /// How many counters there are.
    length: usize,
    /// How many cells a thread has: whole lines.
    stride: usize,
    cells: Box<[AtomicU64]>,
}

impl Tallies {
    /// So many counters at zero.
    pub fn new(length: usize) -> Self {
        let stride = length.max(1).next_multiple_of(LINE);
        Self { length, stride, cells: (0..stride * SHARDS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Counts on; a counter that is not there counts nothing.
    pub fn add(&self, counter: usize, by: u64) {
        if counter >= self.length {
            return;
        }
        let shard = SHARD.with(|shard| *shard) % SHARDS;
        self.cells[shard * self.stride + counter].fetch_add(by, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn count(&self, counter: usize) -> u64 {
        let cells = (0..SHARDS).filter_map(|shard| self.cells.get(shard * self.stride + counter));
        cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)))
    }

    /// How many counters there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

thread_local! {
    /// Which cells are this thread's.
    static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed);
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Threads beyond so many share cells.
const SHARDS: usize = 16;
/// Counters in two lines of 64 bytes: processors fetch them in pairs.
const LINE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_among_threads() {
        let tallies = Tallies::new(3);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..1000).for_each(|_| tallies.add(1, 2)));
            }
        });
        assert_eq!([0, 1, 2].map(|counter| tallies.count(counter)), [0, 40_000, 0]);
    }

    #[test]
    fn a_counter_that_is_not_there_takes_nothing_from_others() {
        let tallies = Tallies::new(2);
        tallies.add(2, 1);
        tallies.add(usize::MAX, 1);
        assert_eq!([0, 1].map(|counter| tallies.count(counter)), [0, 0]);
    }
}
