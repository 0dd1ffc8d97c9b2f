//! Sessions: one sign-in on one device, kept in the store and read through a cache.

mod caller;
mod record;
mod settings;

pub use caller::Caller;
pub use record::{Device, Session};
pub use settings::Settings;
