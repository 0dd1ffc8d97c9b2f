//! What the operator of several instances sees: which part is away, and the figures of each.

use serde_json::json;

use crate::support::redis::Server;
use crate::support::{Client, RecordingUpstream, Site, Vestibule, postgres, within};

const ADMIN: &str = "velvet-harbour-12-velvet-harbour-12";

fn rules(store: &str, redis: &str) -> String {
    format!(
        r#"
listen = ["127.0.0.1:0"]
public_url = "http://app.localhost"
[store]
url = "{store}"
connect_timeout = "500ms"
statement_timeout = "500ms"
[cluster]
redis = "{redis}"
[session]
cache = "1m"
[admin]
listen = "127.0.0.1:0"
token = {{ env = "ADMIN_TOKEN" }}
[providers.local-userpass]
[routes]
"/**" = {{ all = "signed_in" }}
"#
    )
}

struct Operator(Client);

impl Operator {
    fn of(server: &Vestibule) -> Self {
        Self(Client::new(server.addresses()[1], "http://127.0.0.1"))
    }

    /// Status, word, and the state of the store and of Redis.
    async fn ready(&self) -> (u16, String, String, String) {
        let reply = self.0.get("/readyz").await;
        let said = reply.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let checks = &said["checks"];
        (reply.status.as_u16(), text(&said["status"]), text(&checks["store"]), text(&checks["cluster"]))
    }

    /// The figure whose line begins like this.
    async fn figure(&self, line: &str) -> f64 {
        let all = self.0.get("/metrics").bearer(ADMIN).await.text();
        let found = all.lines().find_map(|text| text.strip_prefix(line)?.trim_start_matches("{}").strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in {all}")).trim().parse().unwrap()
    }

    async fn reaches(&self, line: &str, least: f64) {
        within(line, async { while self.figure(line).await < least {} }).await;
    }
}

fn state(status: u16, word: &str, store: &str, cluster: &str) -> (u16, String, String, String) {
    (status, word.to_owned(), store.to_owned(), cluster.to_owned())
}

#[tokio::test]
async fn readiness_names_what_is_away_and_figures_say_what_instances_do() {
    let (Some(mut postgres), Some(mut redis)) = (postgres::Server::start(&[]), Server::start(&[])) else { return };
    let app = RecordingUpstream::start();
    let rules = rules(&postgres.url(), &redis.url());
    let site = || Site::new(&app, &rules).env("ADMIN_TOKEN", ADMIN);
    let one = site().user("ann@example.com", &[]).start_listeners(2).await;
    let other = site().start_listeners(2).await;
    let (here, there) = (Operator::of(&one), Operator::of(&other));
    assert_eq!(here.ready().await, state(200, "ready", "ok", "ok"));

    let ann = one.client();
    ann.sign_in("ann@example.com").await;
    let twin = other.client();
    twin.keep(&ann.session_name(), &ann.session());
    let (hits, misses) =
        ("vestibule_session_cache_total{result=\"hit\"}", "vestibule_session_cache_total{result=\"miss\"}");
    assert_eq!((there.figure(hits).await, there.figure(misses).await), (0.0, 0.0));
    for _ in 0..3 {
        twin.get("/").script().await.is(200);
    }
    assert_eq!((there.figure(hits).await, there.figure(misses).await), (2.0, 1.0));
    let (sent, seen) =
        ["sent", "seen"].map(|way| format!("vestibule_cluster_revocations_total{{direction=\"{way}\"}}")).into();
    let (sent_before, seen_before) = (here.figure(&sent).await, there.figure(&seen).await);
    ann.post("/.auth/logout").submit(&[]).await.is(303);
    here.reaches(&sent, sent_before + 1.0).await;
    there.reaches(&seen, seen_before + 1.0).await;
    for kind in ["read", "write"] {
        assert!(here.figure(&format!("vestibule_store_seconds_count{{kind=\"{kind}\"}}")).await > 0.0);
        assert!(here.figure(&format!("vestibule_store_seconds_sum{{kind=\"{kind}\"}}")).await > 0.0);
    }
    assert_eq!(here.figure("vestibule_store_connections{state=\"most\"}").await, 16.0);
    assert!(here.figure("vestibule_store_connections{state=\"idle\"}").await >= 1.0);
    here.reaches("vestibule_cluster_seconds_count", 4.0).await;
    here.reaches("vestibule_cluster_lag_seconds", f64::MIN_POSITIVE).await;
    assert!(here.figure("vestibule_cluster_lag_seconds").await < 60.0);
    assert_eq!(here.figure("vestibule_cluster_up").await, 1.0);

    let missed = here.figure("vestibule_cluster_missed_total").await;
    redis.signal("STOP");
    one.log().line("Redis is away").await;
    assert_eq!(here.ready().await, state(200, "degraded", "ok", "away"));
    assert_eq!(here.figure("vestibule_cluster_up").await, 0.0);
    assert!(here.figure("vestibule_cluster_unanswered_total").await >= 1.0);
    postgres.signal("KILL");
    within("readiness to end", async { while here.ready().await.0 == 200 {} }).await;
    assert_eq!(here.ready().await, state(503, "not ready", "down", "away"));
    // Living is another question than being ready.
    here.0.get("/healthz").await.is(200);
    redis.signal("CONT");
    postgres.restart();
    within("readiness to come back", async { while here.ready().await != state(200, "ready", "ok", "ok") {} }).await;
    assert!(here.figure("vestibule_cluster_missed_total").await > missed);
    let refused = json!({ "email": "ann@example.com", "password": "wrong-password" });
    one.client().post("/.auth/login/local-userpass").json(&refused).await.is(401);
}
