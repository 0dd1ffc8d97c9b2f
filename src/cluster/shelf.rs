//! Where one instance puts what the others can use, too. What lies there is judged by whoever reads it.

use std::time::Duration;

use super::link::{Answer, Link};

/// What lies under this key; none while Redis is away.
pub(super) async fn look_up(link: &Link, key: String) -> Option<Vec<u8>> {
    let mut command = redis::cmd("GET");
    command.arg(place(link, &key));
    match link.ask::<Option<Vec<u8>>>(&command).await {
        Answer::Is(found) => found,
        Answer::NoScript | Answer::None => None,
    }
}

/// Puts it there for so long; nothing happens while Redis is away.
pub(super) async fn put(link: &Link, key: String, value: Vec<u8>, keep: Duration) {
    let mut command = redis::cmd("SET");
    command.arg(place(link, &key)).arg(value).arg("PX").arg(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
    // Unanswered, the others make it themselves.
    let _: Answer<()> = link.ask(&command).await;
}

fn place(link: &Link, key: &str) -> String {
    format!("{}:shelf:{key}", link.settings().name)
}
