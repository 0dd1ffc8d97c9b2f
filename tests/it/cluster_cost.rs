//! What several instances cost the way of a request: nothing.

use std::time::Duration;

use crate::support::redis::Server;
use crate::support::{RecordingUpstream, Site, Vestibule, postgres};

const RULES: &str = "listen = [\"127.0.0.1:0\"]\nworkers = 1\n[observe]\nlog = { level = \"warn\" }\n\
                     [providers.local-userpass]\n[routes]\n\"/**\" = { all = \"signed_in\" }\n";
/// Requests of a round: what the processor did is told in hundredths of a second.
const MANY: usize = if cfg!(debug_assertions) { 4_000 } else { 40_000 };
const ROUNDS: usize = 6;

/// Processor time of so many requests with a session that is known.
async fn spent(server: &Vestibule, cookie: &str) -> Duration {
    let mut raw = server.raw().await;
    let request = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookie}\r\n\r\n");
    let before = server.processor_time();
    for _ in 0..MANY {
        assert_eq!(raw.ask(&request).await.status, 200);
    }
    server.processor_time() - before
}

#[tokio::test]
#[ignore = "a measurement: cargo test --release --test it -- --ignored --nocapture cluster_cost::"]
async fn a_warm_session_costs_the_same_on_postgresql_and_redis_as_on_sqlite() {
    let (Some(postgres), Some(redis)) = (postgres::shared(), Server::start(&[])) else { return };
    let app = RecordingUpstream::start();
    let many = format!("{RULES}[store]\nurl = \"{}\"\n[cluster]\nredis = \"{}\"\n", postgres.url(), redis.url());
    let mut servers = Vec::new();
    for rules in [RULES, &many] {
        let server = Site::new(&app, rules).user("ann@example.com", &[]).start().await;
        let client = server.client();
        client.sign_in("ann@example.com").await;
        servers.push((server, client.cookie()));
    }
    let mut spent_by = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (number, (server, cookie)) in servers.iter().enumerate() {
            let spent = spent(server, cookie).await;
            // The first round warms up.
            if round > 0 {
                spent_by[number].push(spent);
            }
        }
    }
    // The least disturbed round of each.
    let least = spent_by.map(|all| all.into_iter().min().unwrap().as_secs_f64() / MANY as f64 * 1e6);
    let ratio = least[1] / least[0];
    println!(
        "a warm request: {:.1} µs of a core on SQLite, {:.1} µs on PostgreSQL and Redis ({:.0} a second for each core), ratio \
         {ratio:.3}",
        least[0],
        least[1],
        1e6 / least[1]
    );
    assert!(ratio <= 1.05, "{ratio}");
}
