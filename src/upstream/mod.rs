//! The app behind: connections to it, and what a request looks like when it gets there.

mod address;

pub use address::{Address, AddressError};
