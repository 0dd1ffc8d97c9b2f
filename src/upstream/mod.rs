//! The app behind: connections to it, and what a request looks like when it gets there.

mod address;
mod connect;
mod expect;
pub mod forward;
mod forwarded;
mod http2;
mod patience;
mod pool;
mod reply;
mod tls;
mod trailers;
mod tunnel;
mod upload;

pub use address::{Address, AddressError};
pub use http2::is_grpc;
pub use pool::{Error, Pool, Upstreams};
pub use tls::{Tls, TlsError, TlsSettings};
