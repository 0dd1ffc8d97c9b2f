//! Counting on the way of a request: cores do not wait for each other, and nothing is allocated.
//!
//! Whoever has something to count owns what it counts with, and whoever shows figures reads them there. So there is no
//! registry to look into, and nothing of a request can become the name of a figure.

mod durations;
mod reloads;
mod tallies;
mod traffic;

pub use durations::{Durations, Spread};
pub use reloads::Reloads;
pub use tallies::Tallies;
pub use traffic::{Counted, Outcome, Traffic};
