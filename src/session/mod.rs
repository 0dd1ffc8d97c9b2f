//! Sessions: one sign-in on one device, kept in the store and read through a cache.

mod assertion;
mod attempt;
mod cache;
mod caller;
#[doc(hidden)]
pub mod cookie;
mod credential;
mod family;
mod inspect;
mod keyring;
mod known_device;
mod lookup;
mod memento;
mod neighbours;
mod over;
mod recent;
mod record;
mod revocations;
mod sessions;
mod settings;
mod shelf;
mod static_tokens;
mod tokens;
mod uses;
mod vouched;

#[cfg(test)]
pub(crate) mod meeting_place;
#[cfg(test)]
mod tests_clocks;
#[cfg(test)]
mod tests_keys;
#[cfg(test)]
mod tests_limits;
#[cfg(test)]
mod tests_lookup;
#[cfg(test)]
mod tests_over;
#[cfg(test)]
mod tests_reuse;
#[cfg(test)]
mod tests_shelf;
#[cfg(test)]
mod tests_tokens;
#[cfg(test)]
mod watched;

pub use record::{AppDevice, Device, ProviderSession, Session};

// Whatever else is for the house itself: it has no promise.
#[doc(hidden)]
pub use attempt::Travel;
#[doc(hidden)]
pub use caller::Caller;
#[doc(hidden)]
pub use inspect::{Good, Inspected};
#[doc(hidden)]
pub use neighbours::{Ear, Finding, Neighbours, Putting, TakingTurn, Turn};
#[doc(hidden)]
pub use revocations::Subject;
#[doc(hidden)]
pub use sessions::Sessions;
#[doc(hidden)]
pub use settings::Settings;
#[doc(hidden)]
pub use shelf::{Left, Shelf};
#[doc(hidden)]
pub use static_tokens::StaticTokens;
#[doc(hidden)]
pub use tokens::Tokens;
#[doc(hidden)]
pub use vouched::{Realm, Vouched};
