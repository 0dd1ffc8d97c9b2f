//! What was acknowledged is there, wherever the process was killed.
//!
//! The process that is killed is this test binary again, with [`STORE`] telling it to write instead of to test.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rusqlite::Connection;
use vestibule::account::email::Email;
use vestibule::account::{Identity, Kind, PasswordCredential, User};
use vestibule::clock::Timestamp;
use vestibule::id::UserId;
use vestibule::secret::{Digest, Secret};
use vestibule::session::{Device, Session};
use vestibule::store::{Address, OpenError, Saved, Store, open};

const STORE: &str = "VESTIBULE_TEST_DURABILITY_STORE";

const REGISTRATIONS: usize = 1000;

/// How many register at the same time, as visitors do.
const VISITORS: usize = 8;

#[tokio::test]
async fn a_kill_loses_no_acknowledged_registration() {
    let folder = tempfile::tempdir().unwrap();
    // After so many acknowledgements the process is killed, in the middle of whatever comes next.
    for (round, patience) in [1, 37, 250, 611, 960].into_iter().enumerate() {
        let path = folder.path().join(format!("{round}.db"));
        let acknowledged = register_and_kill(&path, patience);
        assert!(acknowledged.len() >= patience, "{} of {patience}", acknowledged.len());
        let store = open(&Address::Sqlite(path.clone())).unwrap();
        for id in &acknowledged {
            let user = store.user(*id).await.unwrap().expect("an acknowledged user is there");
            assert_eq!(user.identities[0].subject, id.to_string());
            let found = store.user_by_email(&format!("{id}@example.com")).await.unwrap();
            assert_eq!(found.map(|user| user.id), Some(*id));
            assert_eq!(store.sessions_of(*id).await.unwrap().len(), 1, "its session was acknowledged with it");
        }
        drop(store);
        assert_eq!(integrity(&path), "ok");
    }
}

#[tokio::test]
async fn the_process_that_holds_the_lock_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("held.db");
    drop(open(&Address::Sqlite(path.clone())).unwrap());
    let mut child = child("hold_the_lock", &path);
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    while !line.contains("held") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child held no lock");
    }
    let error = open(&Address::Sqlite(path.clone())).unwrap_err();
    let number = child.id();
    child.kill().unwrap();
    child.wait().unwrap();
    let OpenError::Locked { holder, .. } = &error else { panic!("{error:?}") };
    assert!(holder.as_ref().unwrap().contains(&format!("(process {number})")), "{holder:?}");
    assert!(error.help().contains("stop "), "{}", error.help());
    open(&Address::Sqlite(path)).unwrap();
}

/// What [`child`] runs; without its variable there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn register_until_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let store = open(&Address::Sqlite(path.into())).unwrap();
    let visitors: Vec<_> = (0..VISITORS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..REGISTRATIONS / VISITORS {
                    let id = register(&store).await;
                    writeln!(std::io::stdout().lock(), "ack {id}").unwrap();
                }
            })
        })
        .collect();
    for visitor in visitors {
        visitor.await.unwrap();
    }
}

/// What [`child`] runs; without its variable there is nothing to do.
#[test]
fn hold_the_lock() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    println!("held");
    // Until the parent kills us.
    let _ = std::io::stdin().read_line(&mut String::new());
}

async fn register(store: &Arc<dyn Store>) -> UserId {
    let now = Timestamp::from_seconds(1_800_000_000);
    let mut user = User::new(UserId::generate(now), Kind::User, now);
    user.identities.push(Identity::new("local-userpass", "", &user.id.to_string(), now));
    let email = Email::parse(&format!("{}@example.com", user.id)).unwrap();
    user.password =
        Some(PasswordCredential { email, hash: Secret::new("$argon2id$"), verified: true, changed_at: now });
    assert_eq!(store.save_user(&user).await.unwrap(), Saved::Done);
    let session = Session {
        id: vestibule::id::SessionId::generate(now),
        user_id: user.id,
        provider: "local-userpass".into(),
        token: Digest::of(user.id.to_string()),
        previous: None,
        device: Device::default(),
        created_at: now,
        last_seen_at: now,
        idle_expires_at: now,
        expires_at: now,
    };
    store.add_session(&session, 100).await.unwrap();
    user.id
}

/// The ids that were acknowledged before the process was gone.
fn register_and_kill(path: &Path, patience: usize) -> Vec<UserId> {
    let mut child = child("register_until_killed", path);
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        // The harness of the child writes to the same pipe, and may begin our first line.
        let Some((_, id)) = line.split_once("ack ") else { continue };
        // A line cut short by the kill acknowledged nothing.
        acknowledged.extend(id.parse::<UserId>());
        if acknowledged.len() == patience {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

fn child(test: &str, path: &Path) -> Child {
    let binary: PathBuf = std::env::current_exe().unwrap();
    Command::new(binary)
        .args(["--exact", &format!("durability::{test}"), "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn integrity(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let violations: i64 =
        connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(violations, 0);
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}
