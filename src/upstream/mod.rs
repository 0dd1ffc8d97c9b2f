//! The app behind: connections to it, and what a request looks like when it gets there.

mod address;
#[cfg(feature = "server")]
mod answer;
#[cfg(feature = "server")]
mod chunks;
#[cfg(feature = "server")]
mod connect;
#[cfg(feature = "server")]
mod connections;
#[cfg(feature = "server")]
mod expect;
mod fault;
#[cfg(feature = "server")]
mod first;
#[cfg(feature = "server")]
mod flow;
pub mod forward;
mod forwarded;
mod grpc;
#[cfg(feature = "server")]
mod http2;
#[cfg(feature = "server")]
mod kept;
#[cfg(feature = "server")]
mod line;
#[cfg(feature = "server")]
mod patience;
#[cfg_attr(not(feature = "server"), path = "pool_absent.rs")]
mod pool;
#[cfg(feature = "server")]
#[cfg(test)]
mod pool_tests;
#[cfg(feature = "server")]
mod reply;
mod round;
#[cfg(feature = "server")]
mod stream;
#[cfg(feature = "server")]
mod tls;
mod tls_settings;
#[cfg_attr(not(feature = "server"), allow(dead_code, reason = "trailers go through the server alone"))]
mod trailers;
#[cfg(feature = "server")]
mod tunnel;
#[cfg(feature = "server")]
mod upload;

pub use address::{Address, AddressError};
pub use fault::Error;
pub use grpc::is_grpc;
pub use pool::{Pool, Upstreams};
pub use round::Round;
pub use tls_settings::{Tls, TlsError, TlsSettings};
