use std::io;

/// Why there is no answer of an upstream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It takes no connections.
    #[error("no connection: {0}")]
    Down(#[source] io::Error),
    /// Its answer did not begin within `limits.timeouts.upstream`.
    #[error("no answer in time")]
    Timeout,
    /// It took the request and ended the connection, or answered what is not HTTP.
    #[error("no answer: {0}")]
    Broken(#[source] crate::body::Error),
    /// The client broke off, or framed its body badly; not the upstream's fault.
    #[error("the body of the request broke off: {0}")]
    Request(#[source] hyper::Error),
    /// The request does not say where it goes, and the upstream has no name of its own.
    #[error("no authority")]
    Authority,
    /// There is no upstream of this number.
    #[error("no upstream number {0}")]
    Unknown(usize),
}
