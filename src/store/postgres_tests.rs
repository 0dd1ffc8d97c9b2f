//! What only the PostgreSQL store can get wrong: plans, round trips, migrations, damage, a server that goes away.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::conformance::{ann, at, digest, key, link, postgres_address, session, user};
use super::postgres_server::{Server, shared};
use super::{Address, Error, OpenError, Rotated, Saved, Store, open, postgres_sql as sql};
use crate::account::one_time::Purpose;
use crate::account::{Kind, User};

/// A schema of its own: its address, its name, and the store in it.
struct Place {
    server: &'static Server,
    url: String,
    schema: String,
}

impl Place {
    fn new() -> Option<Self> {
        let server = shared()?;
        let url = server.url();
        let schema = url.rsplit("%3D").next().unwrap().to_owned();
        Some(Self { server, url, schema })
    }

    fn open(&self) -> Arc<dyn Store> {
        open(&postgres_address(&self.url)).unwrap()
    }

    fn error(&self) -> String {
        let error = open(&postgres_address(&self.url)).unwrap_err();
        assert!(matches!(error, OpenError::Server { .. }), "{error:?}");
        error.to_string()
    }

    fn sql(&self, sql: &str) -> String {
        self.server.sql("postgres", &format!("SET search_path = {}; {sql}", self.schema))
    }
}

#[test]
fn no_statement_for_one_row_walks_a_table() {
    let Some(place) = Place::new() else { return };
    place.open();
    let walks = ["COUNT_USERS", "KEYS", "WAITING", "SIGNING_KEYS", "SWEEP_SIGNING_KEYS", "PING", "INSERT_SIGNING_KEY"];
    for (name, sql) in sql::ALL.iter().filter(|(name, _)| !walks.contains(name)) {
        let count = (1..20).take_while(|number| sql.contains(&format!("${number}"))).count();
        let values = vec!["NULL"; count].join(", ");
        let plan = place.sql(&format!(
            "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; PREPARE it AS {sql}; \
             EXPLAIN EXECUTE it ({values})"
        ));
        assert!(plan.contains("cost="), "{name}: {plan}");
        assert!(!plan.contains("Seq Scan"), "{name}: {plan}");
    }
}

#[tokio::test]
async fn of_ten_instances_that_start_at_once_one_makes_the_tables() {
    let Some(place) = Place::new() else { return };
    let openers: Vec<_> = (0..10)
        .map(|_| {
            let url = place.url.clone();
            std::thread::spawn(move || open(&postgres_address(&url)))
        })
        .collect();
    for opener in openers {
        opener.join().unwrap().unwrap().ping().await.unwrap();
    }
    let versions: Vec<_> =
        place.sql("SELECT version FROM schema_version ORDER BY 1").lines().map(String::from).collect();
    assert_eq!(versions.first().map(String::as_str), Some("1"));
    assert!(versions.len() >= 2 && versions.len() < 20, "{versions:?}");
}

#[tokio::test]
async fn tables_one_version_ahead_are_fine_and_two_are_refused() {
    let Some(place) = Place::new() else { return };
    place.open();
    let next = || place.sql("INSERT INTO schema_version SELECT max(version) + 1 FROM schema_version");
    next();
    place.open().ping().await.unwrap();
    next();
    let error = place.error();
    assert!(error.contains("its tables have version") && error.contains("this program knows"), "{error}");
}

#[test]
fn the_tables_of_another_program_are_left_alone() {
    let Some(place) = Place::new() else { return };
    place.sql("CREATE TABLE posts (id BIGINT)");
    assert!(place.error().contains("another program"), "{}", place.error());
    let count = format!("SELECT count(*) FROM information_schema.tables WHERE table_schema = '{}'", place.schema);
    assert_eq!(place.sql(&count), "1");
}

#[tokio::test]
async fn damaged_rows_are_corrupt_and_a_deed_on_them_leaves_no_trace() {
    let Some(place) = Place::new() else { return };
    let store = place.open();
    let ann = ann();
    store.save_user(&ann).await.unwrap();
    let session = session(&ann, at(0));
    store.add_session(&session, 5).await.unwrap();
    place.sql("UPDATE sessions SET address = 'canary'");
    let rotate = || store.rotate_token(session.token, digest(), at(1), at(2));
    let rotated = rotate().await;
    assert!(matches!(&rotated, Err(Error::Corrupt(text)) if !text.contains("canary")), "{rotated:?}");
    place.sql("UPDATE sessions SET address = NULL");
    assert!(matches!(rotate().await, Ok(Rotated::Done(..))), "the failed rotation left the token");
    let link = link(Purpose::Reset, "a@b.test", "1");
    store.add_one_time(&link).await.unwrap();
    place.sql("UPDATE one_times SET payload = '{'");
    assert!(matches!(store.take_one_time(link.token, at(1)).await, Err(Error::Corrupt(_))));
    place.sql("UPDATE one_times SET payload = '{}'");
    assert!(store.take_one_time(link.token, at(1)).await.unwrap().is_some());
    place.sql("UPDATE users SET data = '{'");
    assert!(matches!(store.user(ann.id).await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn sec_err_01_a_refusal_names_the_constraint_and_no_value() {
    let Some(place) = Place::new() else { return };
    let store = place.open();
    let ann = ann();
    store.save_user(&ann).await.unwrap();
    let one = session(&ann, at(0));
    store.add_session(&one, 5).await.unwrap();
    let mut other = session(&ann, at(0));
    other.token = one.token;
    let error = store.add_session(&other, 5).await.unwrap_err();
    assert_eq!(error.to_string(), "the store refuses: PostgreSQL answers with SQLSTATE 23505 (sessions_token_unique)");
}

#[tokio::test]
async fn a_name_with_a_nul_is_nobodys() {
    let Some(place) = Place::new() else { return };
    let store = place.open();
    let ann = ann();
    store.save_user(&ann).await.unwrap();
    assert_eq!(store.user_by_email("ann@example.com\0").await.unwrap(), None);
    assert_eq!(store.user_by_identity("corp", "https://corp.test", "00-1\0").await.unwrap(), None);
    assert!(store.user_by_identity("corp", "https://corp.test", "00-1").await.unwrap().is_some());
    let added = store.add_key(&key(&ann, "a\0b"), 5).await;
    assert!(matches!(added, Err(Error::Conflict(_))), "{added:?}");
    assert!(store.add_key(&key(&ann, "ab"), 5).await.unwrap());
}

/// Stands between a store and its server and counts how often the store waits for an answer.
struct Counter {
    folder: tempfile::TempDir,
    waits: Arc<AtomicUsize>,
}

impl Counter {
    fn before(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (waits, target) = (Arc::new(AtomicUsize::new(0)), server.folder().join(".s.PGSQL.5432"));
        let counted = Arc::clone(&waits);
        std::thread::spawn(move || {
            for store in listener.incoming() {
                let (store, server) = (store.unwrap(), UnixStream::connect(&target).unwrap());
                let (mut from, mut to) = (server.try_clone().unwrap(), store.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || relay(store, server, &counted));
            }
        });
        Self { folder, waits }
    }
}

/// Passes messages on; the server answers to each Sync and each simple Query as a whole.
fn relay(mut store: UnixStream, mut server: UnixStream, waits: &AtomicUsize) {
    let mut kind = [0_u8; 1];
    let mut first = true;
    loop {
        if !first && store.read_exact(&mut kind).is_err() {
            return;
        }
        let mut length = [0_u8; 4];
        if store.read_exact(&mut length).is_err() {
            return;
        }
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        store.read_exact(&mut body).unwrap();
        if !first && matches!(kind[0], b'S' | b'Q') {
            waits.fetch_add(1, Ordering::SeqCst);
        }
        let head: &[u8] = if first { &[] } else { &kind };
        if server.write_all(&[head, &length, &body].concat()).is_err() {
            return;
        }
        first = false;
    }
}

#[tokio::test]
async fn a_cold_session_is_one_statement_in_one_round_trip() {
    let Some(place) = Place::new() else { return };
    let counter = Counter::before(place.server);
    let (here, there) = (counter.folder.path().display().to_string(), place.server.folder().display().to_string());
    let url = place.url.replace(&there.replace('/', "%2F"), &here.replace('/', "%2F"));
    let store = open(&postgres_address(&url)).unwrap();
    let ann = ann();
    store.save_user(&ann).await.unwrap();
    let (session, key) = (session(&ann, at(0)), key(&ann, "ci"));
    store.add_session(&session, 5).await.unwrap();
    store.add_key(&key, 5).await.unwrap();
    let before = counter.waits.load(Ordering::SeqCst);
    assert!(store.session_by_token(session.token).await.unwrap().is_some());
    assert!(store.session(session.id).await.unwrap().is_some());
    assert!(store.key(key.id).await.unwrap().is_some());
    assert_eq!(counter.waits.load(Ordering::SeqCst) - before, 3);
}

/// A store that gives up soon, on a server of its own.
pub(super) fn impatient(url: &str) -> Arc<dyn Store> {
    let Address::Postgres(mut settings) = postgres_address(url) else { unreachable!() };
    settings.pool = 4;
    settings.connect_timeout = Duration::from_millis(500);
    settings.statement_timeout = Duration::from_millis(500);
    open(&Address::Postgres(settings)).unwrap()
}

async fn until_it_answers(store: &Arc<dyn Store>) {
    let started = Instant::now();
    while store.ping().await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(5), "it does not recover");
        tokio::task::yield_now().await;
    }
}

/// SEC-SESS-09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_sess_09_a_server_that_stops_or_dies_is_unavailable_at_once_and_found_again() {
    let Some(mut server) = Server::start(&[]) else { return };
    let store = impatient(&server.url());
    let ann = user(Kind::User);
    assert_eq!(store.save_user(&ann).await.unwrap(), Saved::Done);
    for (away, back) in [("STOP", "CONT"), ("KILL", "start"), ("KILL", "start")] {
        server.signal(away);
        // Many at once, and none of them waits for the others.
        let started = Instant::now();
        let asked: Vec<_> = (0..200)
            .map(|_| {
                let (store, id) = (Arc::clone(&store), ann.id);
                tokio::spawn(async move { store.user(id).await })
            })
            .collect();
        for answer in asked {
            let answer = answer.await.unwrap();
            assert!(matches!(answer, Err(Error::Unavailable(_))), "{away}: {answer:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(4), "{away}: {:?}", started.elapsed());
        assert!(matches!(store.ping().await, Err(Error::Unavailable(_))), "{away}");
        server.signal(back);
        until_it_answers(&store).await;
        assert_eq!(store.user(ann.id).await.unwrap(), Some(User { version: 1, ..ann.clone() }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_is_replaced() {
    let Some(server) = Server::start(&[]) else { return };
    let store = impatient(&server.url());
    for _ in 0..3 {
        store.ping().await.unwrap();
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'vestibule'";
        assert_ne!(server.sql("postgres", end), "0");
        store.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_can_wait_are_refused_and_the_others_served() {
    let Some(server) = Server::start(&[]) else { return };
    let store = impatient(&server.url());
    let asked: Vec<_> = (0..2000)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.count_users(Kind::User).await })
        })
        .collect();
    let (mut served, mut refused) = (0, 0);
    for answer in asked {
        match answer.await.unwrap() {
            Ok(_) => served += 1,
            Err(Error::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(served >= 200, "{served} served, {refused} refused");
    store.ping().await.unwrap();
}
