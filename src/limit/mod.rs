//! Rate limits: how often somebody may do something, counted per key in bounded memory.

mod limiter;
mod pair;
mod settings;
mod shared;
mod steady;
mod streak;
mod table;

pub use limiter::{Key, Limiter, Limits, TooOften};
pub use pair::PairLimiter;
pub use settings::{Pair, Rate, Requests, Settings, Timeouts};
pub use shared::{Budget, Counting, CountingTry, Over, Row, Shared};
pub(crate) use steady::Steady;
pub use streak::Streaks;
