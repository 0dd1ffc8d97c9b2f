//! What sessions and sign-ins take where several instances share a PostgreSQL: the figures of `docs/scaling.md`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use vestibule::account::password::{Hasher, Verified};
use vestibule::account::{Kind, User};
use vestibule::clock::Clock;
use vestibule::id::UserId;
use vestibule::secret::Secret;
use vestibule::session::{Device, Sessions};
use vestibule::store::{Address, PostgresSettings, PostgresUrl, open};

use crate::support::redis::Server;
use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Site, Vestibule, postgres};

fn rules(store: &str, redis: &str) -> String {
    format!(
        "listen = [\"127.0.0.1:0\"]\n[store]\nurl = \"{store}\"\n[cluster]\nredis = \"{redis}\"\n[session]\ncache = \"5m\"\n\
         [limits]\nsign_in = {{ per_account = \"1000000/1h\", per_address = \"1000000/1h\" }}\n\
         [observe]\nlog = {{ level = \"warn\" }}\n[providers.local-userpass]\n[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n"
    )
}

/// Users with a session each; the values of their cookies.
async fn mint(url: &str, count: usize) -> Vec<String> {
    let mut settings = PostgresSettings::new(PostgresUrl::parse(url).unwrap());
    settings.statement_timeout = Duration::from_secs(60);
    let (store, clock) = (open(&Address::Postgres(Box::new(settings))).unwrap(), Clock::system());
    let home = "http://app.localhost".parse().unwrap();
    let sessions = Sessions::open(store.clone(), clock.clone(), Default::default(), &home).await.unwrap();
    let mut cookies = Vec::new();
    for batch in 0..count / 50 {
        let made = (0..50).map(async |number| {
            let mut user = User::new(UserId::generate(clock.now()), Kind::User, clock.now());
            let number = batch * 50 + number;
            let data = json!({ "email": format!("user-{number}@example.com"), "name": format!("User {number}") });
            user.data = data.as_object().cloned().unwrap().into();
            user.roles.insert("journalist".to_owned());
            store.save_user(&user).await.unwrap();
            sessions.start(&user, "local-userpass", Device::default()).await.unwrap().expose().to_owned()
        });
        cookies.extend(join_all(made).await);
    }
    cookies
}

/// How long each request took, in the order of the cookies.
async fn visit(server: &Vestibule, cookies: &[String]) -> Vec<Duration> {
    let mut raw = server.raw().await;
    let mut took = Vec::with_capacity(cookies.len());
    for cookie in cookies {
        let request = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\nCookie: vestibule={cookie}\r\n\r\n");
        let begun = Instant::now();
        assert_eq!(raw.ask(&request).await.status, 200);
        took.push(begun.elapsed());
    }
    took
}

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64() * 1e6
}

const SESSIONS: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release --test it -- --ignored --nocapture cluster_sizing::"]
async fn what_a_session_takes_in_memory_and_in_postgresql() {
    let (Some(postgres), Some(redis)) = (postgres::Server::start(&[]), Server::start(&[])) else { return };
    let (app, url) = (RecordingUpstream::start(), postgres.url());
    let server = Site::new(&app, &rules(&url, &redis.url())).start().await;
    let cookies = mint(&url, SESSIONS).await;
    let schema = url.rsplit("%3D").next().unwrap();
    let size = |table: &str| -> u64 {
        let all = format!("SELECT pg_total_relation_size('{schema}.{table}') / {SESSIONS}");
        postgres.sql("postgres", &all).parse().unwrap()
    };
    postgres.sql("postgres", "VACUUM FULL");
    let (sessions, users) = (size("sessions"), size("users"));
    let empty = server.resident();
    let cold = visit(&server, &cookies).await;
    let full = server.resident();
    let warm = visit(&server, &cookies).await;
    let each = (full - empty) / SESSIONS as u64;
    println!(
        "an instance: {} MiB, and {each} bytes for each session it knows ({} in a GiB); PostgreSQL: {sessions} bytes for a \
         session and {users} for its user, indexes included ({} sessions in a GiB); a request takes {:.0} µs with a session \
         that is not known and {:.0} µs with one that is (medians)",
        empty >> 20,
        (1 << 30) / each.max(1),
        (1 << 30) / sessions,
        median(cold),
        median(warm)
    );
}

/// Sign-ins of a round.
const MANY: usize = 60;
const ROUNDS: usize = 6;
/// How many sign in at the same time.
const AT_ONCE: usize = 4;

/// So many a second, of these.
async fn rate(deed: impl AsyncFn(usize)) -> f64 {
    let begun = Instant::now();
    join_all((0..AT_ONCE).map(async |first| {
        for number in (first..MANY).step_by(AT_ONCE) {
            deed(number).await;
        }
    }))
    .await;
    MANY as f64 / begun.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release --test it -- --ignored --nocapture cluster_sizing::"]
async fn sign_ins_are_bounded_by_the_hash_and_not_by_the_store() {
    let (Some(postgres), Some(redis)) = (postgres::Server::start(&["fsync = on"]), Server::start(&[])) else { return };
    let app = RecordingUpstream::start();
    let mut site = Site::new(&app, &rules(&postgres.url(), &redis.url()));
    let email = |number: usize| format!("v{}@example.com", number % AT_ONCE);
    for number in 0..AT_ONCE {
        site = site.user(&email(number), &[]);
    }
    let server = site.start().await;
    let hasher = Arc::new(Hasher::new(0));
    let password = Secret::new(PASSWORD);
    let stored = hasher.hash(&password).await.unwrap();
    let (mut alone, mut signed_in, mut spent) = (0.0_f64, 0.0_f64, f64::MAX);
    for _ in 0..ROUNDS {
        // One after the other, so that both meet the same machine; the least disturbed round of each counts.
        alone = alone.max(
            rate(async |_| assert_eq!(hasher.verify(&password, Some(&stored)).await.unwrap(), Verified::Match)).await,
        );
        let before = server.processor_time();
        let by_server = rate(async |number| {
            let account = json!({ "email": email(number), "password": PASSWORD });
            server.client().post("/.auth/login/local-userpass").json(&account).await.is(200);
        });
        signed_in = signed_in.max(by_server.await);
        spent = spent.min((server.processor_time() - before).as_secs_f64() * 1e3 / MANY as f64);
    }
    let ratio = signed_in / alone;
    println!(
        "{signed_in:.1} sign-ins a second on PostgreSQL and Redis, {alone:.1} hashes a second alone, ratio {ratio:.3}; a sign-in \
         costs {spent:.1} ms of a core ({:.0} for each core)",
        1e3 / spent
    );
    assert!(ratio >= 0.9, "{ratio}");
}
