//! The SQLite store: what a point read costs among few and many sessions, and a write alone and in company.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use vestibule::account::{Kind, User};
use vestibule::clock::Timestamp;
use vestibule::id::{SessionId, UserId};
use vestibule::secret::Digest;
use vestibule::session::{Device, Session};
use vestibule::store::{Address, Store, open};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn reads(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("session_by_token");
    for count in [1_000_u64, 1_000_000] {
        let (_folder, store) = filled(count);
        let mut turn = 0_u64;
        group.bench_function(format!("of {count}"), |bencher| {
            bencher.iter(|| {
                // A large odd step visits the sessions in no order that a cache could learn.
                turn = turn.wrapping_add(0x9e37_79b9_7f4a_7c15);
                runtime.block_on(store.session_by_token(token(turn % count))).unwrap().unwrap()
            });
        });
    }
    group.finish();
}

fn writes(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (_folder, store) = filled(1_000);
    let mut group = criterion.benchmark_group("save_user");
    group.measurement_time(Duration::from_secs(10));
    for company in [1_u64, 64] {
        group.throughput(criterion::Throughput::Elements(company));
        group.bench_function(format!("{company} at a time"), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let saves: Vec<_> = (0..company).map(|_| tokio::spawn(save(Arc::clone(&store)))).collect();
                    for save in saves {
                        save.await.unwrap();
                    }
                });
            });
        });
    }
    group.finish();
}

async fn save(store: Arc<dyn Store>) {
    store.save_user(&User::new(UserId::generate(NOW), Kind::Guest, NOW)).await.unwrap();
}

/// A store with so many sessions of a thousand users, written past the trait for speed.
fn filled(count: u64) -> (TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    let runtime = Runtime::new().unwrap();
    let store = open(&Address::Sqlite(path.clone())).unwrap();
    runtime.block_on(async {
        let user = User::new(UserId::generate(NOW), Kind::User, NOW);
        store.save_user(&user).await.unwrap();
        store.add_session(&session(user.id, 0), 1).await.unwrap();
    });
    let mut connection = Connection::open(&path).unwrap();
    let transaction = connection.transaction().unwrap();
    transaction
        .execute_batch(
            "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 999) \
            INSERT INTO users SELECT randomblob(12), kind, '{\"name\":\"Ann\",\"email\":\"ann@example.com\"}', '{}', \
            '[\"journalist\"]', 0, 0, NULL, 1, NULL, NULL, NULL, NULL, NULL FROM users, n; \
            INSERT INTO identities (user_id, position, provider, issuer, subject, verified_email, created_at) SELECT id, 0, 'local-userpass', '', hex(id), NULL, 0 FROM users; \
            CREATE TEMP TABLE owners AS SELECT id, row_number() OVER () AS i FROM users",
        )
        .unwrap();
    {
        let mut insert = transaction
            .prepare(
                "INSERT INTO sessions (id, user_id, provider, token, previous, previous_at, user_agent, address, created_at, \
                last_seen_at, idle_expires_at, expires_at) SELECT randomblob(12), (SELECT id FROM temp.owners WHERE rowid = ?1), provider, \
                ?2, NULL, NULL, user_agent, address, created_at, last_seen_at, idle_expires_at, expires_at \
                FROM sessions WHERE token = ?3",
            )
            .unwrap();
        for number in 1..count {
            let owner = i64::try_from(number % 1000 + 1).unwrap();
            insert.execute((owner, token(number).as_bytes(), token(0).as_bytes())).unwrap();
        }
    }
    transaction.commit().unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    (folder, store)
}

fn session(user_id: UserId, number: u64) -> Session {
    Session {
        id: SessionId::generate(NOW),
        user_id,
        provider: "local-userpass".into(),
        token: token(number),
        previous: None,
        device: Device {
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)".into(),
            address: "192.0.2.1".parse().ok(),
            app: None,
        },
        created_at: NOW,
        last_seen_at: NOW,
        idle_expires_at: NOW + Duration::from_hours(12),
        expires_at: NOW + Duration::from_hours(720),
    }
}

fn token(number: u64) -> Digest {
    Digest::of(number.to_be_bytes())
}

criterion_group!(benches, reads, writes);
criterion_main!(benches);
