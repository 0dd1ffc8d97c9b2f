use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::time::{Instant, sleep};

use super::http2::Shared;
use super::kept::{self, Kept};
use super::line::Line;
use super::pool::Link;

/// The connections of one worker.
pub(super) struct Connections {
    /// By the number of the upstream.
    pub(super) of: Box<[Of]>,
    /// Whether a task looks after those that wait.
    swept: AtomicBool,
}

/// The connections to one upstream.
#[derive(Default)]
pub(super) struct Of {
    pub(super) lines: Kept<Line>,
    pub(super) links: Kept<Link>,
    pub(super) http2: Shared,
}

impl Connections {
    /// None yet, to so many upstreams.
    pub(super) fn to(upstreams: usize) -> Arc<Self> {
        Arc::new(Self { of: (0..upstreams).map(|_| Of::default()).collect(), swept: AtomicBool::new(false) })
    }

    /// Closes what waits for too long, from now on until nothing is left.
    pub(super) fn look_after(self: &Arc<Self>) {
        if self.swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let all = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                sleep(kept::LONGEST / 4).await;
                match Weak::upgrade(&all) {
                    Some(all) if all.sweep(Instant::now()) => {}
                    Some(all) => {
                        all.swept.store(false, Ordering::Relaxed);
                        return;
                    }
                    None => return,
                }
            }
        });
    }

    /// Whether any is left.
    fn sweep(&self, now: Instant) -> bool {
        self.of.iter().fold(false, |left, of| of.lines.sweep(now) | of.links.sweep(now) | left)
    }
}
