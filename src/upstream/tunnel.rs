use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

/// Carries bytes both ways until both ends have closed, one of them breaks, or `cut` completes. An end that closes
/// only its own direction still hears the other.
pub(super) async fn run(client: OnUpgrade, server: OnUpgrade, cut: impl Future<Output = ()>) {
    let (client, server) = match tokio::try_join!(client, server) {
        Ok(ends) => ends,
        Err(error) => {
            tracing::debug!(%error, "upgrade did not come about");
            return;
        }
    };
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    tokio::select! {
        ended = copy_bidirectional(&mut client, &mut server) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "tunnel broke");
            }
        }
        () = cut => tracing::debug!("tunnel cut"),
    }
}
