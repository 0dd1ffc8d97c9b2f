//! A port that stays while what is behind it comes and goes.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens until the test ends.
pub struct Forwarder {
    address: SocketAddr,
    behind: watch::Sender<Behind>,
}

#[derive(Clone, Copy)]
enum Behind {
    /// Not yet there: whoever comes waits.
    Awaited,
    /// Gone: whoever comes is turned away.
    Gone,
    At(SocketAddr),
}

impl Forwarder {
    /// With nothing behind it yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (behind, watched) = watch::channel(Behind::Awaited);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut watched = watched.clone();
                tokio::spawn(async move {
                    let behind = watched.wait_for(|behind| !matches!(behind, Behind::Awaited)).await.map(|one| *one);
                    let Ok(Behind::At(place)) = behind else { return };
                    let Ok(mut server) = TcpStream::connect(place).await else { return };
                    // Kept connections end with what was behind them.
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = watched.changed() => {}
                    }
                });
            }
        });
        Self { address, behind }
    }

    /// `http://127.0.0.1:4711`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leads to this place from now on.
    pub fn leads_to(&self, place: SocketAddr) {
        self.behind.send_replace(Behind::At(place));
    }

    /// Leads nowhere from now on.
    pub fn is_down(&self) {
        self.behind.send_replace(Behind::Gone);
    }
}
