//! Mails: what they say, and the ways they leave.

mod settings;

pub use settings::{Outbox, Settings, Smtp};
