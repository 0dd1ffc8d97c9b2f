//! Ways to sign in.

mod settings;

pub use settings::{AnonUser, ApiKeys, Confirm, LocalUserpass, Settings, SignUp};
