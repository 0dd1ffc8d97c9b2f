//! What instances on the same store tell each other and count together, through Redis or Valkey.
//!
//! Nothing here admits anybody: messages only make an instance ask the store again, counts only refuse, and documents
//! count by a seal that only instances on the same store can make. So a Redis that is away, slow or in strange hands
//! costs time and shared limits, never a wrong permission.

mod address;
mod budgets;
mod connect;
mod forgotten;
mod link;
mod messages;
mod numbers;
#[cfg(test)]
mod redis_server;
mod settings;
mod shelf;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_places;
mod turn;
mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use address::{Address, AddressError};
pub use messages::tell_once;
pub use numbers::Numbers;
pub use settings::Settings;

use crate::limit::{Budget, Counting, CountingTry, Row, Shared};
use crate::secret::Digest;
use crate::session::{Finding, Neighbours, Putting, Sessions, Subject, TakingTurn};
use forgotten::Forgotten;
use link::Link;
use messages::Outgoing;

/// The other instances, as far as they can be reached. Clones share everything; with the last the connections end.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    link: Arc<Link>,
    outgoing: Arc<Outgoing>,
    forgotten: Arc<Forgotten>,
    keeper: tokio::task::AbortHandle,
}

impl Cluster {
    /// Begins to look for Redis, and waits for the first answer as long as a connection may take. It is looked for as
    /// long as the cluster is there, whether or not it is found now.
    pub async fn join(settings: &Settings) -> Self {
        if settings.address.is_exposed() {
            let server = &settings.address;
            tracing::warn!(event = "cluster.exposed", %server, "Redis is spoken to in the clear: rediss:// is encrypted");
        }
        let link = Arc::new(Link::new(settings.clone()));
        let (outgoing, forgotten) = (Arc::new(Outgoing::default()), Arc::new(Forgotten::default()));
        let mut first = link.state();
        let keeper = tokio::spawn(watch::keep(link.clone(), outgoing.clone(), forgotten.clone())).abort_handle();
        let known = first.wait_for(|state| state.is_known());
        // Not found in time is told by the keeper.
        let _ = tokio::time::timeout(settings.connect_timeout, known).await;
        Self(Arc::new(Inner { link, outgoing, forgotten, keeper }))
    }

    /// Connects sessions with those of the other instances: what ends here ends there, and the other way round.
    pub fn connect(&self, sessions: &Sessions) {
        self.0.outgoing.add_ear(sessions.ear());
        sessions.announce_to(Arc::new(self.clone()));
    }

    /// Whether Redis is there; if not, the service is degraded.
    pub fn is_up(&self) -> bool {
        self.0.link.is_up()
    }

    /// What has happened so far, for metrics.
    pub fn numbers(&self) -> &Numbers {
        self.0.link.numbers()
    }
}

impl Neighbours for Cluster {
    fn tell(&self, subject: Subject) {
        self.0.outgoing.add(subject);
    }

    fn turn(&self, what: String) -> TakingTurn<'_> {
        Box::pin(turn::take(self.0.link.clone(), what))
    }

    fn look_up(&self, key: String) -> Finding<'_> {
        Box::pin(shelf::look_up(&self.0.link, key))
    }

    fn put(&self, key: String, value: Vec<u8>, keep: Duration) -> Putting<'_> {
        Box::pin(shelf::put(&self.0.link, key, value, keep))
    }
}

impl Shared for Cluster {
    fn count<'a>(&'a self, limit: &'static str, budgets: &'a [Budget]) -> Counting<'a> {
        Box::pin(budgets::count(&self.0.link, limit, budgets))
    }

    fn count_try<'a>(&'a self, limit: &'static str, budgets: &'a [Budget], rows: &'a [Row]) -> CountingTry<'a> {
        Box::pin(budgets::count_try(&self.0.link, limit, budgets, rows))
    }

    fn forget(&self, limit: &'static str, owner: Digest) {
        self.0.forgotten.add(budgets::row(&self.0.link.settings().name, limit, owner));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("address", &self.0.link.settings().address).finish_non_exhaustive()
    }
}

/// Between two looks for a Redis that is away.
const LOOK: Duration = Duration::from_millis(250);
