//! What a service manager is told that waits to be told: systemd with `Type=notify` or `notify-reload` (sd_notify(3)).
//! Without `NOTIFY_SOCKET` in the environment there is none.

use sd_notify::NotifyState;

use crate::listen::{Phase, Shutdown};

/// Requests are answered from now on.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] ends that, whatever came of it.
pub(super) fn reloading() {
    // Since version 253 the one without the other fails the reload.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager cannot be told of the reload"),
    }
}

/// Tells of the end as soon as it begins.
pub(super) async fn tell_of_the_end(shutdown: Shutdown) {
    shutdown.reached(Phase::Draining).await;
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
