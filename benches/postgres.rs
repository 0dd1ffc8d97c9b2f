//! The PostgreSQL store beside the SQLite store: what a cold session costs, and whether sign-ins are bounded by the
//! password hash. Needs `VESTIBULE_BENCH_POSTGRES`, an address of an empty database or schema.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use vestibule::account::email::Email;
use vestibule::account::password::Hasher;
use vestibule::account::{Kind, PasswordCredential, User};
use vestibule::clock::Timestamp;
use vestibule::id::{SessionId, UserId};
use vestibule::secret::{self, Digest, Secret};
use vestibule::session::{Device, Session};
use vestibule::store::{Address, PostgresSettings, PostgresUrl, Store, open};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const EMAIL: &str = "ann@example.com";
const SESSIONS: u64 = 1_000;
/// How many sign in at the same time.
const COMPANY: u64 = 64;

fn stores() -> Vec<(&'static str, Option<tempfile::TempDir>, Arc<dyn Store>)> {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&Address::Sqlite(folder.path().join("bench.db"))).unwrap();
    let mut stores = vec![("sqlite", Some(folder), sqlite)];
    match std::env::var("VESTIBULE_BENCH_POSTGRES") {
        Ok(url) => {
            let settings = PostgresSettings::new(PostgresUrl::parse(&url).unwrap());
            stores.push(("postgres", None, open(&Address::Postgres(Box::new(settings))).unwrap()));
        }
        Err(_) => println!("VESTIBULE_BENCH_POSTGRES names no database: SQLite alone"),
    }
    stores
}

fn session(user_id: UserId, token: Digest) -> Session {
    Session {
        id: SessionId::generate(NOW),
        user_id,
        provider: "local-userpass".into(),
        token,
        previous: None,
        device: Device { user_agent: "Mozilla/5.0".into(), address: "192.0.2.1".parse().ok(), app: None },
        created_at: NOW,
        last_seen_at: NOW,
        idle_expires_at: NOW + Duration::from_hours(12),
        expires_at: NOW + Duration::from_hours(720),
    }
}

fn token(number: u64) -> Digest {
    Digest::of(number.to_be_bytes())
}

async fn fill(store: &Arc<dyn Store>, hash: &Secret) -> UserId {
    let email = Email::parse(EMAIL).unwrap();
    if let Some(user) = store.user_by_email(email.key()).await.unwrap() {
        return user.id;
    }
    let mut user = User::new(UserId::generate(NOW), Kind::User, NOW);
    user.password = Some(PasswordCredential { email, hash: hash.clone(), verified: true, changed_at: NOW });
    store.save_user(&user).await.unwrap();
    for number in 0..SESSIONS {
        store.add_session(&session(user.id, token(number)), usize::MAX).await.unwrap();
    }
    user.id
}

fn cold_sessions(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let hash = Secret::new("$argon2id$");
    for (name, _folder, store) in stores() {
        runtime.block_on(fill(&store, &hash));
        let mut group = criterion.benchmark_group(format!("cold session, {name}"));
        let mut turn = 0_u64;
        group.bench_function("one by one", |bencher| {
            bencher.iter(|| {
                turn += 1;
                runtime.block_on(store.session_by_token(token(turn % SESSIONS))).unwrap().unwrap()
            });
        });
        group.throughput(Throughput::Elements(COMPANY));
        group.bench_function("64 at a time", |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let reads: Vec<_> = (0..COMPANY)
                        .map(|number| {
                            let store = Arc::clone(&store);
                            tokio::spawn(async move { store.session_by_token(token(number)).await })
                        })
                        .collect();
                    for read in reads {
                        read.await.unwrap().unwrap().unwrap();
                    }
                });
            });
        });
    }
}

/// What a sign-in asks of the store around the check of the password.
async fn sign_in(store: Option<Arc<dyn Store>>, hasher: Hasher, hash: Secret) {
    let (password, key) = (Secret::new("copper-lantern-47"), Email::parse(EMAIL).unwrap());
    let user = match &store {
        Some(store) => store.user_by_email(key.key()).await.unwrap(),
        None => None,
    };
    assert!(hasher.verify(&password, Some(&hash)).await.is_ok());
    if let (Some(store), Some(user)) = (store, user) {
        // In place of the note of the sign-in, which would have one account's sign-ins wait for each other.
        store.save_user(&User::new(UserId::generate(NOW), Kind::User, NOW)).await.unwrap();
        let token = Digest::from_bytes(secret::random());
        store.add_session(&session(user.id, token), 10_000).await.unwrap();
    }
}

fn sign_ins(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let hasher = Hasher::new(0);
    let hash = runtime.block_on(hasher.hash(&Secret::new("copper-lantern-47"))).ok().unwrap();
    let mut group = criterion.benchmark_group("sign-ins, 64 at a time");
    group.sample_size(10).measurement_time(Duration::from_secs(10)).throughput(Throughput::Elements(COMPANY));
    let mut measure = |name: &str, store: Option<Arc<dyn Store>>| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let all: Vec<_> = (0..COMPANY)
                        .map(|_| tokio::spawn(sign_in(store.clone(), hasher.clone(), hash.clone())))
                        .collect();
                    for one in all {
                        one.await.unwrap();
                    }
                });
            });
        });
    };
    measure("argon2 alone", None);
    for (name, _folder, store) in stores() {
        runtime.block_on(fill(&store, &hash));
        measure(name, Some(store));
    }
}

criterion_group!(benches, cold_sessions, sign_ins);
criterion_main!(benches);
