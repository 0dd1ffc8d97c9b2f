//! The app behind: connections to it, and what a request looks like when it gets there.

mod address;
mod connect;
mod expect;
pub mod forward;
mod forwarded;
mod gather;
mod pool;
mod reply;
mod trailers;
mod tunnel;
mod upload;

pub use address::{Address, AddressError};
pub(crate) use gather::poll_write_gathered;
pub use pool::{Error, Pool, Upstreams};
