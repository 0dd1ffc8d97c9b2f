//! Where requests come in: sockets, TLS, limits of a connection.

mod settings;

pub use settings::{Settings, Tls};
