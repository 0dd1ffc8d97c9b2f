//! Sessions: one sign-in on one device, kept in the store and read through a cache.

mod assertion;
mod attempt;
mod cache;
mod caller;
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

pub use attempt::Travel;
pub use caller::Caller;
pub use inspect::{Good, Inspected};
pub use neighbours::{Ear, Finding, Neighbours, Putting, TakingTurn, Turn};
pub use record::{AppDevice, Device, ProviderSession, Session};
pub use revocations::Subject;
pub use sessions::Sessions;
pub use settings::Settings;
pub use shelf::{Left, Shelf};
pub use static_tokens::StaticTokens;
pub use tokens::Tokens;
pub use vouched::{Realm, Vouched};
