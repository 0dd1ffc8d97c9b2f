use std::sync::Arc;

use tokio::sync::watch;

/// Ends a server step by step; clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

/// How far a server is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It still serves everybody, and says that it is not ready, so that balancers look elsewhere.
    Draining,
    /// It takes no new connections, and ends the old ones after their requests in progress.
    Closing,
    /// It ends at once.
    Forced,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request was answered.
    Finished,
    /// Requests were broken off, since they took too long or somebody insisted.
    Forced,
}

impl Shutdown {
    /// A server that serves.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Serving)))
    }

    /// Begins to end: the phases follow each other as `[shutdown]` says.
    pub fn begin(&self) {
        self.advance(Phase::Draining);
    }

    /// Ends at once.
    pub fn force(&self) {
        self.advance(Phase::Forced);
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Whether new requests are welcome: what a readiness probe is told.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Serving
    }

    /// Completes when this phase is reached, or a later one.
    pub async fn reached(&self, phase: Phase) {
        // The sender is this very value, so the channel cannot be closed.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }

    pub(super) fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let forward = phase > *now;
            *now = phase.max(*now);
            forward
        });
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_go_forward() {
        let shutdown = Shutdown::new();
        assert!(shutdown.is_ready());
        shutdown.begin();
        assert_eq!((shutdown.phase(), shutdown.is_ready()), (Phase::Draining, false));
        shutdown.force();
        shutdown.begin();
        assert_eq!(shutdown.phase(), Phase::Forced);
        shutdown.reached(Phase::Closing).await;
    }
}
