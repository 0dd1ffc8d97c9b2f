use std::io;
use std::net::TcpListener as IdleTcp;
use std::os::unix::net::UnixListener as IdleUnix;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::yield_now;
use tokio_util::either::Either;

use super::socket::Stream;

/// A socket of one worker that nobody accepts on yet.
#[derive(Debug)]
pub(super) enum Idle {
    /// The worker's own: the kernel deals the connections out.
    Tcp(IdleTcp),
    /// The same for all workers: whoever is free first takes the next connection.
    Unix(IdleUnix),
}

/// A socket that connections are accepted on.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn new(idle: Idle) -> io::Result<Self> {
        Ok(match idle {
            Idle::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            Idle::Unix(socket) => Self::Unix(UnixListener::from_std(socket)?),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => Ok(Either::Left(socket.accept().await?.0)),
            Self::Unix(socket) => {
                // One that has much to do looks after that first, and leaves the next to another.
                yield_now().await;
                Ok(Either::Right(socket.accept().await?.0))
            }
        }
    }
}
