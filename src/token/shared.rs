use std::time::Duration;

use http::Uri;

use crate::session::{Left, Shelf, Turn};

/// The key set of one issuer as instances leave it for each other, and the failure to fetch it.
#[derive(Debug)]
pub(super) struct Shared {
    shelf: Shelf,
    set: String,
    failure: String,
}

impl Shared {
    pub(super) fn new(shelf: Shelf, uri: &Uri) -> Self {
        Self { shelf, set: format!("set\0{uri}"), failure: format!("failure\0{uri}") }
    }

    /// The set, if it was fetched within this span.
    pub(super) async fn find(&self, within: Duration) -> Option<Left> {
        self.shelf.find(&self.set, within).await
    }

    /// How long ago it could not be fetched, if that was within this span.
    pub(super) async fn find_failure(&self, within: Duration) -> Option<Duration> {
        self.shelf.find(&self.failure, within).await.map(|left| left.age)
    }

    pub(super) async fn leave(&self, set: &[u8], keep: Duration) {
        self.shelf.leave(&self.set, set, keep).await;
    }

    pub(super) async fn leave_failure(&self, keep: Duration) {
        self.shelf.leave(&self.failure, b"", keep).await;
    }

    /// The right to fetch it alone.
    pub(super) async fn turn(&self) -> Option<Turn> {
        self.shelf.turn(&self.set).await
    }
}
