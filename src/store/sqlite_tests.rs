//! What only the SQLite store can get wrong: damage, locks, its file, other processes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, StatementStatus};
use tempfile::TempDir;

use super::conformance::{ann, at, key, link, session, signing_key, user};
use super::sqlite::Sqlite;
use super::sqlite_file::keep_statements;
use super::{Address, Error, OpenError, Rotated, Saved, Store, open, schema, sql};
use crate::account::one_time::Purpose;
use crate::account::{Kind, User};
use crate::secret;

struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("vestibule.db"), _folder: folder }
    }

    fn open(&self) -> Arc<dyn Store> {
        open(&Address::Sqlite(self.path.clone())).unwrap()
    }

    /// As another program would, without the checks of the schema.
    fn raw(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
        connection
    }

    fn error(&self) -> OpenError {
        open(&Address::Sqlite(self.path.clone())).unwrap_err()
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let file = File::new();
    let store = file.open();
    let ann = ann();
    assert_eq!(store.save_user(&ann).await.unwrap(), Saved::Done);
    store.add_signing_key(&signing_key("one", 100), None).await.unwrap();
    drop(store);
    let store = file.open();
    assert_eq!(store.user(ann.id).await.unwrap(), Some(User { version: 1, ..ann }));
    assert_eq!(store.signing_keys().await.unwrap(), [signing_key("one", 100)]);
}

#[tokio::test]
async fn what_one_opener_writes_the_other_reads_at_once() {
    let file = File::new();
    let (server, command) = (file.open(), file.open());
    let ann = ann();
    assert_eq!(command.save_user(&ann).await.unwrap(), Saved::Done);
    let mut seen = server.user(ann.id).await.unwrap().unwrap();
    let session = session(&ann, at(0));
    server.add_session(&session, 5).await.unwrap();
    assert!(command.end_session(session.id).await.unwrap());
    assert_eq!(server.session_by_token(session.token).await.unwrap(), None);
    seen.disabled = true;
    assert_eq!(server.save_user(&seen).await.unwrap(), Saved::Done);
    assert!(command.users(None, 5).await.unwrap()[0].disabled);
}

#[tokio::test]
async fn of_many_openers_one_makes_the_tables() {
    let file = File::new();
    let path = file.path.clone();
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || open(&Address::Sqlite(path)))
        })
        .collect();
    for opener in openers {
        opener.join().unwrap().unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let file = File::new();
    let store = file.open();
    store.save_user(&ann()).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", file.path.display());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

/// SEC-SESS-09
#[tokio::test]
async fn sec_sess_09_a_locked_store_is_unavailable_in_bounded_time_and_recovers() {
    let file = File::new();
    file.open();
    let store = Sqlite::open_waiting(&file.path, Duration::from_millis(50)).unwrap();
    let user = user(Kind::User);
    let lock = file.raw();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let writes = async || tokio::join!(store.save_user(&user), store.ping(), store.delete_user(user.id));
    let (saved, ping, deleted) = writes().await;
    assert!(matches!(saved, Err(Error::Unavailable(_))), "{saved:?}");
    assert!(matches!(ping, Err(Error::Unavailable(_))), "{ping:?}");
    assert!(matches!(deleted, Err(Error::Unavailable(_))), "{deleted:?}");
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(store.user(user.id).await.unwrap(), None);
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.save_user(&user).await.unwrap(), Saved::Done);
}

/// SEC-SESS-09
#[tokio::test]
async fn sec_sess_09_a_table_that_is_gone_fails_and_nothing_else() {
    let file = File::new();
    let store = file.open();
    let ann = ann();
    store.save_user(&ann).await.unwrap();
    let session = session(&ann, at(0));
    file.raw().execute_batch("ALTER TABLE sessions RENAME TO elsewhere").unwrap();
    assert!(matches!(store.session_by_token(session.token).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.add_session(&session, 5).await, Err(Error::Unavailable(_))));
    assert!(store.user(ann.id).await.unwrap().is_some());
    file.raw().execute_batch("ALTER TABLE elsewhere RENAME TO sessions").unwrap();
    store.add_session(&session, 5).await.unwrap();
    assert!(store.session_by_token(session.token).await.unwrap().is_some());
}

#[tokio::test]
async fn damaged_users_are_corrupt_and_their_values_are_not_shown() {
    for damage in [
        "kind = 'canary'",
        "data = 'canary'",
        "data = '\"canary\"'",
        "custom_data = '[]'",
        "roles = '{\"canary\": 1}'",
        "disabled = 2",
        "email_verified = 7",
        "version = -1",
        "email = 'canary'",
        "password_hash = NULL",
        "password_changed_at = NULL",
    ] {
        let file = File::new();
        let store = file.open();
        let ann = ann();
        store.save_user(&ann).await.unwrap();
        assert!(store.user(ann.id).await.unwrap().is_some());
        file.raw().execute(&format!("UPDATE users SET {damage}"), []).unwrap();
        let errors = [
            store.user(ann.id).await.unwrap_err(),
            store.user_by_email("ann@example.com").await.unwrap_err(),
            store.users(None, 5).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Corrupt(_)), "{damage}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{damage}: {error:?}");
        }
    }
}

#[tokio::test]
async fn damaged_sessions_are_corrupt_and_do_not_rotate() {
    for damage in ["address = 'canary'", "previous = x'00', previous_at = 1", "previous = zeroblob(32)", "id = x'00'"] {
        let file = File::new();
        let store = file.open();
        let ann = ann();
        store.save_user(&ann).await.unwrap();
        let session = session(&ann, at(0));
        store.add_session(&session, 5).await.unwrap();
        file.raw().execute(&format!("UPDATE sessions SET {damage}"), []).unwrap();
        assert!(matches!(store.session_by_token(session.token).await, Err(Error::Corrupt(_))), "{damage}");
        assert!(matches!(store.sessions_of(ann.id).await, Err(Error::Corrupt(_))), "{damage}");
        if damage.starts_with("address") {
            let rotated = store.rotate_token(session.token, secret_digest(), at(1), at(2)).await;
            assert!(matches!(rotated, Err(Error::Corrupt(_))), "{rotated:?}");
            file.raw().execute("UPDATE sessions SET address = NULL", []).unwrap();
            let rotated = store.rotate_token(session.token, secret_digest(), at(1), at(2)).await;
            assert!(matches!(rotated, Ok(Rotated::Done(..))), "the failed rotation left the token: {rotated:?}");
        }
    }
}

#[tokio::test]
async fn damaged_keys_and_links_are_corrupt_and_stay() {
    let file = File::new();
    let store = file.open();
    let ann = ann();
    store.save_user(&ann).await.unwrap();
    let (key, link) = (key(&ann, "ci"), link(Purpose::Reset, "a@b.test", "1"));
    store.add_key(&key, 5).await.unwrap();
    store.add_one_time(&link).await.unwrap();
    file.raw().execute("UPDATE api_keys SET digest = x'00'", []).unwrap();
    assert!(matches!(store.key(key.id).await, Err(Error::Corrupt(_))));
    for damage in ["purpose = 'canary'", "purpose = 'reset', payload = '{'", "payload = '{}', attempts = -1"] {
        file.raw().execute(&format!("UPDATE one_times SET {damage}"), []).unwrap();
        assert!(matches!(store.one_time(link.token, at(1)).await, Err(Error::Corrupt(_))), "{damage}");
        assert!(matches!(store.take_one_time(link.token, at(1)).await, Err(Error::Corrupt(_))), "{damage}");
    }
    file.raw().execute("UPDATE one_times SET attempts = 0", []).unwrap();
    assert!(store.take_one_time(link.token, at(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_page_of_garbage_is_an_error_and_no_panic() {
    let file = File::new();
    let store = file.open();
    for _ in 0..200 {
        store.save_user(&User { identities: vec![], password: None, ..user(Kind::User) }).await.unwrap();
    }
    drop(store);
    let mut bytes = std::fs::read(&file.path).unwrap();
    bytes[8192..].iter_mut().for_each(|byte| *byte = 0xa5);
    std::fs::write(&file.path, bytes).unwrap();
    match open(&Address::Sqlite(file.path.clone())) {
        Ok(store) => {
            let read = store.users(None, 500).await;
            assert!(matches!(read, Err(Error::Corrupt(_))), "{read:?}");
        }
        Err(error) => assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}"),
    }
}

#[test]
fn what_is_no_database_is_corrupt_and_left_alone() {
    let file = File::new();
    std::fs::write(&file.path, "port = 8080\n".repeat(500)).unwrap();
    assert!(matches!(file.error(), OpenError::Corrupt { .. }));
    assert!(std::fs::read_to_string(&file.path).unwrap().starts_with("port = 8080\n"));
    std::fs::write(&file.path, "").unwrap();
    file.open();
}

#[test]
fn the_database_of_another_program_is_foreign() {
    let file = File::new();
    file.raw().execute_batch("CREATE TABLE posts (id INTEGER PRIMARY KEY)").unwrap();
    assert!(matches!(file.error(), OpenError::Foreign { .. }));
}

#[test]
fn tables_of_a_later_program_are_refused() {
    let file = File::new();
    file.open();
    file.raw().execute("INSERT INTO schema_version VALUES (77)", []).unwrap();
    let error = file.error();
    assert!(matches!(error, OpenError::Newer { found: 77, .. }), "{error:?}");
    file.raw().execute("DELETE FROM schema_version WHERE version = 77", []).unwrap();
    file.open();
}

#[test]
fn a_missing_directory_is_named() {
    let file = File::new();
    let path = file.path.with_file_name("missing").join("vestibule.db");
    let error = open(&Address::Sqlite(path)).unwrap_err();
    assert!(matches!(error, OpenError::NoDirectory { .. }), "{error:?}");
    assert!(error.help().starts_with("mkdir -p ") && error.help().ends_with("/missing"), "{}", error.help());
}

#[test]
fn a_directory_that_is_not_ours_is_named_with_its_owner_and_the_way_out() {
    // Nobody, root included, makes files here.
    let error = open(&Address::Sqlite(Path::new("/sys/vestibule.db").into())).unwrap_err();
    let OpenError::NotWritable { obstacle, owner, .. } = &error else { panic!("{error:?}") };
    assert_eq!((obstacle.as_path(), owner.as_str()), (Path::new("/sys"), "root"));
    assert!(error.help().starts_with("chown ") && error.help().ends_with(" /sys"), "{}", error.help());
}

#[test]
fn a_locked_file_is_said_to_be_locked() {
    let file = File::new();
    let lock = file.raw();
    lock.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE x (y)").unwrap();
    assert!(matches!(file.error(), OpenError::Locked { .. }));
    drop(lock);
    file.open();
}

fn secret_digest() -> secret::Digest {
    secret::Digest::from_bytes(secret::random())
}

#[test]
fn a_new_value_does_not_make_a_new_plan() {
    let mut connection = Connection::open_in_memory().unwrap();
    keep_statements(&connection).unwrap();
    schema::migrate(&mut connection).unwrap();
    for value in 0..10_u8 {
        let mut statement = connection.prepare_cached(sql::SESSION_BY_TOKEN).unwrap();
        assert!(!statement.exists([[value; 32]]).unwrap());
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}

#[test]
fn an_entry_of_the_audit_log_cannot_be_changed() {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    let insert = "INSERT INTO audit (at, actor, action, before, after) VALUES (1, 'system', 'user.delete', '{}', '{}')";
    connection.execute(insert, []).unwrap();
    assert!(connection.execute("UPDATE audit SET actor = 'operator:x'", []).is_err());
    assert!(connection.execute("DELETE FROM audit", []).is_ok());
}
