//! Rate limits: how often somebody may do something, counted per key in bounded memory.

mod settings;
mod steady;

pub use settings::{Pair, Rate, Requests, Settings, Timeouts};
pub(crate) use steady::Steady;
