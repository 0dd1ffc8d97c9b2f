//! Looks after store, keys and guests while there is a gate.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::inner::Inner;

/// Begins with it. Ends by itself once the gate is gone.
pub(super) fn keep(runtime: &Handle, inner: &Arc<Inner>) {
    let task = runtime.spawn(rounds(Arc::downgrade(inner)));
    inner.ends(task.abort_handle());
}

async fn rounds(inner: Weak<Inner>) {
    let mut rounds = tokio::time::interval(ROUND);
    loop {
        rounds.tick().await;
        let Some(app) = inner.upgrade().map(|inner| inner.app().clone()) else { return };
        app.maintain().await;
    }
}

const ROUND: Duration = Duration::from_secs(30);
