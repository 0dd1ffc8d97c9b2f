//! Whether it lives, and whether it can do its work: for orchestrators and balancers, without a credential.

use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::json;

use super::Admin;
use super::answer::json;
use crate::body::Body;

impl Admin {
    /// Whether requests can be decided now: the store answers, tokens can be signed, and nobody has told us to end.
    /// An upstream that is down is named and does not count: without us its visitors would see even less.
    pub(super) async fn ready(&self, is_serving: bool) -> Response<Body> {
        let store = tokio::time::timeout(PATIENCE, self.store.ping()).await;
        let store = match store {
            Ok(Ok(())) => "ok",
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: the store does not answer");
                "down"
            }
            Err(_) => "slow",
        };
        let keys = if self.sessions.can_sign() { "ok" } else { "missing" };
        let serving = if is_serving { "ok" } else { "ending" };
        let is_ready = [store, keys, serving].iter().all(|state| *state == "ok");
        let down: Vec<String> =
            self.upstreams.states().filter(|(_, up)| !up).map(|(address, _)| address.to_string()).collect();
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        // Without it everything goes on, less well: see `docs/scaling.md`.
        let cluster = self.cluster.as_ref().map(|cluster| if cluster.is_up() { "ok" } else { "away" });
        let state = match (is_ready, down.is_empty() && cluster != Some("away")) {
            (true, true) => "ready",
            (true, false) => "degraded",
            (false, _) => "not ready",
        };
        let mut checks =
            json!({ "store": store, "signing_keys": keys, "serving": serving, "upstreams_down": down.len() });
        if let Some(cluster) = cluster {
            checks["cluster"] = cluster.into();
        }
        json(status, &json!({ "status": state, "checks": checks }))
    }
}

/// A probe that waits longer is counted as failed by whoever asks.
const PATIENCE: Duration = Duration::from_secs(2);
