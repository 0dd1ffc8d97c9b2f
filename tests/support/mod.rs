//! What the tests drive the binary with: the process itself, an upstream that records, clients that distrust.

pub mod acme;
pub mod answer;
pub mod balancer;
pub mod browser;
pub mod client;
pub mod forwarder;
pub mod h2;
pub mod idp;
pub mod log;
pub mod mailbox;
pub mod overheard;
#[path = "../../src/store/postgres_server.rs"]
pub mod postgres;
pub mod raw;
#[path = "../../src/cluster/redis_server.rs"]
pub mod redis;
pub mod reply;
pub mod secure;
#[path = "../../src/token/signer.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests inside, which use the rest")]
pub mod signer;
pub mod site;
pub mod tools;
pub mod traefik;
pub mod trip;
pub mod upstream;
pub mod vestibule;

pub use answer::{Answer, Gate};
pub use browser::Browser;
pub use client::Client;
pub use forwarder::Forwarder;
pub use idp::FakeIdp;
pub use overheard::Overheard;
pub use raw::{RawClient, RawUpstream};
pub use reply::Reply;
pub use signer::Signer;
pub use site::Site;
pub use upstream::RecordingUpstream;
pub use vestibule::Vestibule;

use std::time::Duration;

/// After so long a test gives up: a watchdog, not a pace. Nothing that works comes near it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for the future, and fails the test by these words when it never comes.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing for {} s", PATIENCE.as_secs()),
    }
}
