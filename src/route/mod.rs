//! Who may do what, where: the route table and its decisions. Pure: no clock, no store, no network.

mod spec;
mod who;

pub use spec::{Action, ActionError, Case, Policy, Relax, Spec, Tables};
pub use who::{EmailPattern, Who, WhoError};
