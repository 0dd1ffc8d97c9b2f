//! One instance at a time does what two must not do at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::link::{Answer, Link};
use crate::secret;
use crate::session::Turn;

/// Whoever dies in the middle keeps the others waiting no longer than this.
const HELD: Duration = Duration::from_secs(10);
/// Who waited for so long goes on without a turn: waiting is for the others' sake, and they had their time.
const PATIENCE: Duration = Duration::from_secs(6);
/// Between two looks whether it is over.
const LOOK: Duration = Duration::from_millis(40);

/// Waits for its turn; none while Redis is away, or when the others take too long.
pub(super) async fn take(link: Arc<Link>, what: String) -> Option<Turn> {
    let key = format!("{}:turn:{what}", link.settings().name);
    let owner: String = secret::random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
    let deadline = Instant::now() + PATIENCE;
    let mut command = redis::cmd("SET");
    command.arg(&key).arg(&owner).arg("NX").arg("PX").arg(u64::try_from(HELD.as_millis()).unwrap_or(u64::MAX));
    while Instant::now() < deadline {
        match link.ask::<Option<String>>(&command).await {
            Answer::Is(Some(_)) => {
                return Some(Turn::new(Box::pin(async move { give_back(&link, &key, &owner).await })));
            }
            Answer::Is(None) => sleep(LOOK).await,
            Answer::NoScript | Answer::None => return None,
        }
    }
    None
}

/// Only its own: another may have it by now, if it was kept for too long.
async fn give_back(link: &Link, key: &str, owner: &str) {
    const OWN: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
    let mut command = redis::cmd("EVAL");
    command.arg(OWN).arg(1).arg(key).arg(owner);
    // Unanswered, it ends by itself.
    let _: Answer<u64> = link.ask(&command).await;
}
