use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::Shutdown;

/// SIGTERM or SIGINT begins the shutdown, a SIGINT after that forces it. Never returns by itself.
///
/// # Errors
/// When the signals cannot be received.
pub async fn watch_signals(shutdown: Shutdown) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => {
                tracing::info!("SIGTERM: ending");
                shutdown.begin();
            }
            _ = interrupt.recv() => {
                if shutdown.is_ready() {
                    tracing::info!("SIGINT: ending; once more ends at once");
                    shutdown.begin();
                } else {
                    shutdown.force();
                }
            }
        }
    }
}
