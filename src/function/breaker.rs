//! Leaves alone for a while what has failed several times in a row.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// Lets calls through until several in a row have failed; then none for a while, and then one to try.
#[derive(Debug)]
pub(super) struct Breaker {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Nothing goes through before.
    until: Option<Timestamp>,
    trying: bool,
}

/// A call that may go through. Dropped without a word it says nothing about the other side.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    tries: bool,
}

impl Breaker {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Asks to make a call; `None`: not now.
    pub(super) fn pass(&self) -> Option<Pass<'_>> {
        let mut state = self.state();
        match state.until {
            None => Some(Pass { breaker: self, tries: false }),
            Some(until) if state.trying || self.clock.now() < until => None,
            Some(_) => {
                state.trying = true;
                Some(Pass { breaker: self, tries: true })
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The other side works.
    pub(super) fn well(self) {
        let mut state = self.breaker.state();
        // Of those that began before it broke, none can tell how it is now.
        if self.tries || state.until.is_none() {
            (state.failures, state.until) = (0, None);
        }
    }

    /// The other side failed.
    pub(super) fn ill(self) {
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        if self.tries || state.failures >= FAILURES && state.until.is_none() {
            state.until = Some(self.breaker.clock.now() + REST);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.tries {
            self.breaker.state().trying = false;
        }
    }
}

/// So many failures in a row are no chance.
const FAILURES: u32 = 5;
/// How long nothing goes through.
const REST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Clock::manual(Timestamp::from_seconds(1_700_000_000)))
    }

    fn fail(breaker: &Breaker, times: u32) {
        (0..times).for_each(|_| breaker.pass().unwrap().ill());
    }

    #[test]
    fn only_failures_in_a_row_break_it() {
        let breaker = breaker();
        fail(&breaker, FAILURES - 1);
        breaker.pass().unwrap().well();
        fail(&breaker, FAILURES - 1);
        assert!(breaker.pass().is_some());
        fail(&breaker, 1);
        assert!(breaker.pass().is_none());
    }

    #[test]
    fn after_a_rest_one_call_tries() {
        let breaker = breaker();
        fail(&breaker, FAILURES);
        breaker.clock.advance(REST);
        let tries = breaker.pass().unwrap();
        assert!(breaker.pass().is_none());
        tries.ill();
        assert!(breaker.pass().is_none());
        breaker.clock.advance(REST);
        breaker.pass().unwrap().well();
        assert!(breaker.pass().is_some() && breaker.pass().is_some());
    }

    #[test]
    fn a_try_that_was_given_up_leaves_room_for_another() {
        let breaker = breaker();
        fail(&breaker, FAILURES);
        breaker.clock.advance(REST);
        drop(breaker.pass().unwrap());
        assert!(breaker.pass().is_some());
    }

    #[test]
    fn a_call_from_before_does_not_close_it() {
        let breaker = breaker();
        let early = breaker.pass().unwrap();
        fail(&breaker, FAILURES);
        early.well();
        assert!(breaker.pass().is_none());
    }
}
