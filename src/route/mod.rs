//! Who may do what, where: the route table and its decisions. Pure: no clock, no store, no network.
//!
//! A [`Path`] has one canonical form; a [`Router`] finds the most specific route for it and answers a
//! [`Question`] with [`Authorized`], which nobody else can make, or with the reason why not.

mod key;
mod narrow;
mod path;
mod router;
mod rules;
mod spec;
mod tree;
mod who;

pub use key::{KeyError, canonical_host};
pub use narrow::{NamesNobody, Narrow};
pub use path::{Irregular, Malformed, Path};
pub use router::{Fault, FaultKind, Refused, Route, Router};
pub use rules::{Authorized, Denied, Question, Rule, RuleError, Subject};
pub use spec::{Action, ActionError, Case, Policy, Relax, Spec, Tables};
pub use who::{EmailPattern, Who, WhoError};
