use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::link::{Answer, Link, State};

/// Keys in Redis that are to go: rows of failures that a success has ended. While Redis is away they wait, so that
/// nobody comes back to failures from before.
#[derive(Default)]
pub(super) struct Forgotten {
    waiting: Mutex<BTreeSet<String>>,
    there: Notify,
}

/// What waits while Redis is away, at most; beyond that rows end by themselves.
const KEPT: usize = 4096;
/// Between two tries for one key.
const PAUSE: Duration = Duration::from_millis(250);

impl Forgotten {
    /// Will go as soon as it can.
    pub(super) fn add(&self, key: String) {
        let mut waiting = self.waiting();
        if waiting.len() < KEPT {
            waiting.insert(key);
        }
        drop(waiting);
        self.there.notify_one();
    }

    /// Removes what waits, one after the other, whenever Redis is there. Never ends by itself.
    pub(super) async fn remove(&self, link: &Link) {
        let mut state = link.state();
        loop {
            let next = self.waiting().pop_first();
            let Some(key) = next else {
                self.there.notified().await;
                continue;
            };
            let mut command = redis::cmd("DEL");
            command.arg(&key);
            loop {
                if state.wait_for(|state| *state == State::Up).await.is_err() {
                    return;
                }
                if let Answer::Is(_) = link.ask::<u64>(&command).await {
                    break;
                }
                // It may be there and refuse.
                sleep(PAUSE).await;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
