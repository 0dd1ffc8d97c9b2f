//! The app behind: connections to it, and what a request looks like when it gets there.

mod address;
mod connect;
mod expect;
pub mod forward;
mod forwarded;
mod patience;
mod pool;
mod reply;
mod trailers;
mod tunnel;
mod upload;

pub use address::{Address, AddressError};
pub use pool::{Error, Pool, Upstreams};
