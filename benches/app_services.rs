//! Signing in as a guest, refreshing a session and finding one that nobody asked about before, among a thousand users
//! and a million, on SQLite.
//!
//! `cargo bench --bench app_services` prints calls a second, by how much the million is slower (at most 1.5 times is
//! what is wanted), and how long a cold look-up takes (99 of 100 within a millisecond). The two sites take turns, so that
//! what else the machine does meets both.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Request};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use vestibule::app::App;
use vestibule::body::Body;
use vestibule::client::{Client, Scheme};
use vestibule::clock::{Clock, Timestamp};
use vestibule::config;
use vestibule::secret::Digest;
use vestibule::visit::{RequestId, Visit};

const ROOT: &str = "/api/client/v2.0";
const SIZES: [u64; 2] = [1_000, 1_000_000];
/// How often each site has its turn.
const TURNS: usize = 15;
/// Calls of a turn, and how many of them at once.
const CALLS: usize = 1_024;
const AT_ONCE: usize = 32;
/// Look-ups of sessions that are in no cache.
const LOOKS: u64 = 20_000;

fn main() {
    let runtime = Runtime::new().unwrap();
    let sites = SIZES.map(|users| Arc::new(Site::open(&runtime, users)));
    let mut calls = [
        ("signing in as a guest", Deed::Login, [Vec::new(), Vec::new()]),
        ("refreshing, a thousand at work", Deed::RefreshAtWork, Default::default()),
        ("refreshing, anybody", Deed::RefreshAnybody, Default::default()),
    ];
    for _ in 0..TURNS {
        for (number, site) in sites.iter().enumerate() {
            for (_, deed, rates) in &mut calls {
                rates[number].push(runtime.block_on(turn(site, *deed)));
            }
        }
    }
    for (name, _, [few, many]) in &mut calls {
        let (few, many) = (middle(few), middle(many));
        println!(
            "{name}: {few:.0}/s among {}, {many:.0}/s among {}: {:.2} times slower",
            SIZES[0],
            SIZES[1],
            few / many
        );
    }
    let mut spans = runtime.block_on(sites[1].cold_looks());
    spans.sort_unstable();
    let at = |share: f64| spans[(spans.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "cold look-up of a session among {}: p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs",
        SIZES[1],
        at(0.5),
        at(0.99),
        at(0.999)
    );
    for site in &sites {
        let begun = Instant::now();
        runtime.block_on(site.app.maintain());
        println!("house-keeping among {}: {:.1} ms", site.users, begun.elapsed().as_secs_f64() * 1e3);
    }
}

#[derive(Clone, Copy)]
enum Deed {
    Login,
    /// By the same thousand in either site: what the size of the store costs.
    RefreshAtWork,
    /// By whoever: among a million each is the first use of a session in a while, which is noted in the store.
    RefreshAnybody,
}

/// Calls a second.
async fn turn(site: &Arc<Site>, deed: Deed) -> f64 {
    let begun = Instant::now();
    let callers = (0..AT_ONCE).map(|_| {
        let site = Arc::clone(site);
        tokio::spawn(async move {
            for _ in 0..CALLS / AT_ONCE {
                match deed {
                    Deed::Login => site.login().await,
                    Deed::RefreshAtWork => site.refresh(site.at_work()).await,
                    Deed::RefreshAnybody => site.refresh(site.anybody()).await,
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    CALLS as f64 / begun.elapsed().as_secs_f64()
}

fn middle(rates: &mut [f64]) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

struct Site {
    _folder: TempDir,
    app: App,
    users: u64,
    next: AtomicU64,
}

impl Site {
    /// With so many guests, each with a session, written past the store for speed.
    fn open(runtime: &Runtime, users: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.db");
        let text = format!(
            "upstream = \"http://127.0.0.1:1\"\n[store]\nurl = \"sqlite:{}\"\n[limits]\nguest.per_address = \"off\"\n\
             requests.per_user = \"off\"\n[app_services]\napp_id = \"blog-abcde\"\n[providers.anon-user]\n",
            path.display()
        );
        let config = config::parse(&text, "bench.toml", []).unwrap();
        let app = runtime.block_on(App::open(config, Some(([127, 0, 0, 1], 8080).into()))).unwrap();
        fill(&mut Connection::open(&path).unwrap(), users);
        Self { _folder: folder, app, users, next: AtomicU64::new(0) }
    }

    async fn login(&self) {
        let path = format!("{ROOT}/app/blog-abcde/auth/providers/anon-user/login");
        assert!(self.call(&path, None).await["access_token"].is_string());
    }

    async fn refresh(&self, user: u64) {
        let token = refresh_token(user);
        assert!(self.call(&format!("{ROOT}/auth/session"), Some(&token)).await["access_token"].is_string());
    }

    /// Anybody: a large odd step visits the users in no order that a cache could learn.
    fn anybody(&self) -> u64 {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.users
    }

    /// One of a thousand who are spread over all.
    fn at_work(&self) -> u64 {
        self.anybody() % SIZES[0] * (self.users / SIZES[0])
    }

    async fn call(&self, path: &str, token: Option<&str>) -> Value {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().unwrap();
        if let Some(token) = token {
            let bearer = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
            request.headers_mut().insert("authorization", bearer);
        }
        let address = [127, 0, 0, 1].into();
        let client = Client { peer: address, address, scheme: Scheme::Http, trusted: false };
        let visit = Visit::new(request, RequestId::from_number(1), client);
        let (response, _) = self.app.house().app_services.as_ref().unwrap().serve(*visit).await;
        assert!(response.status().is_success(), "{response:?}");
        serde_json::from_slice(&response.into_body().read(1 << 20).await.ok().unwrap()).unwrap()
    }

    /// How long it takes to find out whose a cookie is, for sessions that were never asked about.
    async fn cold_looks(&self) -> Vec<Duration> {
        let sessions = &self.app.house().sessions;
        let step = self.users / LOOKS;
        let mut spans = Vec::new();
        for number in 0..LOOKS {
            // A prime step: everyone once, and neighbours in time are none in the file.
            let token = cookie(number * 7_919 % LOOKS * step);
            let begun = Instant::now();
            let found = sessions.by_cookie(&token).await.unwrap();
            spans.push(begun.elapsed());
            assert!(found.is_some());
        }
        spans
    }
}

/// A guest has two sessions: one of an app, and one of a browser.
fn fill(connection: &mut Connection, users: u64) {
    // A month ago: nobody is idle for too long yet.
    let made = Clock::system().now() - Duration::from_hours(30 * 24);
    let transaction = connection.transaction().unwrap();
    {
        let mut user = transaction
            .prepare(
                "INSERT INTO users (id, kind, data, custom_data, roles, disabled, created_at, version) \
                 VALUES (?1, 'guest', '{}', '{}', '[]', 0, ?2, 1)",
            )
            .unwrap();
        let mut identity = transaction
            .prepare(
                "INSERT INTO identities (user_id, position, provider, issuer, subject, created_at) \
                 VALUES (?1, 0, 'anon-user', '', lower(hex(?1)), ?2)",
            )
            .unwrap();
        let mut session = transaction
            .prepare(
                "INSERT INTO sessions (id, user_id, provider, token, user_agent, created_at, last_seen_at, \
                 idle_expires_at, expires_at) VALUES (?1, ?2, 'anon-user', ?3, 'node', ?4, ?4, \
                 ?4 + 5184000000, ?4 + 5184000000)",
            )
            .unwrap();
        for number in 0..users {
            let at = made.millis();
            let id = id(made, "user", number);
            user.execute((id, at)).unwrap();
            identity.execute((id, at)).unwrap();
            let app = Digest::of(format!("static refresh token\0{}", refresh_token(number)));
            session.execute((self::id(made, "app", number), id, app.as_bytes(), at)).unwrap();
            session.execute((self::id(made, "browser", number), id, cookie(number).as_bytes(), at)).unwrap();
        }
    }
    transaction.commit().unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

/// As ids are made: the time first, then chance.
fn id(made: Timestamp, kind: &str, number: u64) -> [u8; 12] {
    let mut id = [0; 12];
    let second = u32::try_from(made.seconds()).unwrap() + u32::try_from(number).unwrap();
    id[..4].copy_from_slice(&second.to_be_bytes());
    id[4..].copy_from_slice(&Digest::of(format!("{kind} {number}")).as_bytes()[..8]);
    id
}

/// Of the form they have, so that all is asked of it that is asked of others.
fn refresh_token(number: u64) -> String {
    // {"typ":"rt+jwt","alg":"ES256","kid":"k"}
    format!("eyJ0eXAiOiJydCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30.{number}")
}

fn cookie(number: u64) -> Digest {
    Digest::of(format!("cookie of {number}"))
}
