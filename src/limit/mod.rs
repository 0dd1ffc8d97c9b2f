//! Rate limits: how often somebody may do something, counted per key in bounded memory.

mod limiter;
mod settings;
mod steady;
mod streak;
mod table;

pub use limiter::{Key, Limiter, Limits, PairLimiter};
pub use settings::{Pair, Rate, Requests, Settings, Timeouts};
pub(crate) use steady::Steady;
pub use streak::Streaks;
