//! For tests: where instances meet, and what a stranger who reaches it can do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::session::{Finding, Neighbours, Putting, Subject, TakingTurn, Turn};

/// Clones share everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct MeetingPlace {
    held: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl MeetingPlace {
    /// What lies there, to be read and changed.
    pub(crate) fn held(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.held.lock().unwrap()
    }
}

impl Neighbours for MeetingPlace {
    fn tell(&self, _: Subject) {}

    fn turn(&self, _: String) -> TakingTurn<'_> {
        let turn = self.turn.clone();
        Box::pin(async move {
            let held = turn.lock_owned().await;
            Some(Turn::new(Box::pin(async move { drop(held) })))
        })
    }

    fn look_up(&self, key: String) -> Finding<'_> {
        Box::pin(std::future::ready(self.held().get(&key).cloned()))
    }

    fn put(&self, key: String, value: Vec<u8>, _: Duration) -> Putting<'_> {
        self.held().insert(key, value);
        Box::pin(std::future::ready(()))
    }
}
