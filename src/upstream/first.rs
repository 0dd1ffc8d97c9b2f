use std::io;
use std::os::unix::net::UnixStream as UnixSocket;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::stream::Stream;
use super::{Address, connect, kept};

/// The first connection to an upstream, made before anybody asks: it shows whether the upstream is there, and waits a
/// while for the first request, whichever worker has it.
#[derive(Clone, Debug, Default)]
pub(super) struct First(Arc<Mutex<Option<Dialed>>>);

/// A connection of no runtime, on which nothing was said yet.
#[derive(Debug)]
enum Dialed {
    Tcp(std::net::TcpStream),
    Unix(UnixSocket),
}

impl First {
    /// Makes it in the background, and says how that went. Whoever needs a connection meanwhile waits for this one.
    pub(super) fn dial(&self, address: Address, limit: Duration, note: impl FnOnce(&io::Result<()>) + Send + 'static) {
        let first = self.clone();
        let Ok(mut place) = self.0.clone().try_lock_owned() else { return };
        tokio::spawn(async move {
            let dialed = connect::plain(&address, limit).await.and_then(Dialed::from_stream);
            let (dialed, outcome) = match dialed {
                Ok(dialed) => (Some(dialed), Ok(())),
                Err(error) => (None, Err(error)),
            };
            note(&outcome);
            *place = dialed;
            drop(place);
            sleep(kept::LONGEST).await;
            drop(first.0.lock().await.take());
        });
    }

    /// Takes it, if there is one that the upstream has not given up.
    pub(super) async fn take(&self) -> Option<Stream> {
        let dialed = self.0.lock().await.take()?;
        dialed.into_stream().ok().and_then(|mut stream| stream.is_quiet().then_some(stream))
    }
}

impl Dialed {
    fn from_stream(stream: Stream) -> io::Result<Self> {
        match stream {
            Stream::Tcp(stream) => stream.into_std().map(Self::Tcp),
            Stream::Unix(stream) => stream.into_std().map(Self::Unix),
            Stream::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Of the runtime that will use it.
    fn into_stream(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Stream::Tcp),
            Self::Unix(stream) => UnixStream::from_std(stream).map(Stream::Unix),
        }
    }
}
