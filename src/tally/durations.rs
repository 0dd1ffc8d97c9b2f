use std::time::Duration;

use super::Tallies;

/// How long something took, in classes from 10 µs to 10 s.
#[derive(Debug)]
pub struct Durations(Tallies);

/// What a [`Durations`] holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// All spans together, in seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// The upper end of each class in seconds, the last without end, and how many fell into it.
    pub classes: Vec<(f64, u64)>,
}

impl Durations {
    /// Nothing so far.
    pub fn new() -> Self {
        Self(Tallies::new(BOUNDS.len() + 2))
    }

    /// Counts a span.
    pub fn note(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.0.add(BOUNDS.partition_point(|bound| *bound < nanos), 1);
        self.0.add(SUM, nanos);
    }

    /// What was counted so far.
    pub fn spread(&self) -> Spread {
        let ends = BOUNDS.iter().map(|bound| *bound as f64 / 1e9).chain([f64::INFINITY]);
        let classes: Vec<_> = ends.enumerate().map(|(class, end)| (end, self.0.count(class))).collect();
        let count = classes.iter().map(|(_, count)| count).sum();
        Spread { sum: self.0.count(SUM) as f64 / 1e9, count, classes }
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self::new()
    }
}

/// Nanoseconds.
const BOUNDS: [u64; 19] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// After the classes, the last of which has no end.
const SUM: usize = BOUNDS.len() + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_falls_into_the_class_that_ends_at_or_after_it() {
        let durations = Durations::new();
        for micros in [0, 10, 11, 20_000_000] {
            durations.note(Duration::from_micros(micros));
        }
        let spread = durations.spread();
        assert_eq!(spread.count, 4);
        assert_eq!(spread.classes[..3], [(1e-5, 2), (2.5e-5, 1), (5e-5, 0)]);
        assert_eq!(spread.classes.last(), Some(&(f64::INFINITY, 1)));
        assert!((spread.sum - 20.000_021).abs() < 1e-9, "{}", spread.sum);
    }
}
