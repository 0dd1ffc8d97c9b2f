//! A server that isolates more strictly than PostgreSQL by default, as CockroachDB and YugabyteDB do: it answers with
//! serialization failures (SQLSTATE 40001), and deeds are done again until they are done.

use std::sync::Arc;

use super::conformance::{Fixture, ann, postgres_address, user};
use super::postgres_server::{Server, shared};
use super::{Error, Saved, Store, Use, open};
use crate::account::Kind;

/// Every table of the schema refuses some of the statements that write, those whose number in a sequence is such.
fn refuse_some(server: &Server, schema: &str, which: &str) {
    server.sql(
        "postgres",
        &format!(
            "SET search_path = {schema};
             CREATE SEQUENCE writes;
             CREATE FUNCTION refuse_some() RETURNS trigger LANGUAGE plpgsql SET search_path = {schema} AS $$
             BEGIN
               IF nextval('writes') {which} THEN RAISE SQLSTATE '40001'; END IF;
               RETURN NULL;
             END $$;
             DO $$ DECLARE name text; BEGIN
               FOR name IN SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}' LOOP
                 EXECUTE format('CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON %I
                   FOR EACH STATEMENT EXECUTE FUNCTION refuse_some()', name);
               END LOOP;
             END $$"
        ),
    );
}

fn schema_of(url: &str) -> &str {
    url.rsplit("%3D").next().unwrap()
}

fn writes(server: &Server, schema: &str) -> u64 {
    server.sql("postgres", &format!("SELECT last_value FROM {schema}.writes")).parse().unwrap()
}

/// For the suite: the first write of each test is refused and each seventeenth after it, and single statements are
/// isolated as strictly as there is.
pub(super) fn contended() -> Option<Fixture> {
    let server = shared()?;
    let url = server.url();
    let strict = format!("{url}%20-cdefault_transaction_isolation%3Dserializable");
    let store = open(&postgres_address(&strict)).unwrap();
    refuse_some(server, schema_of(&url), "% 17 = 1");
    Some(Fixture::of(store))
}

fn place() -> Option<(&'static Server, String, Arc<dyn Store>)> {
    let server = shared()?;
    let url = server.url();
    let store = open(&postgres_address(&url)).unwrap();
    Some((server, schema_of(&url).to_owned(), store))
}

#[tokio::test]
async fn a_deed_that_is_refused_for_serialization_is_done_again_whole() {
    let Some((server, schema, store)) = place() else { return };
    refuse_some(server, &schema, "IN (1, 3, 6)");
    let ann = ann();
    assert_eq!(store.save_user(&ann).await.unwrap(), Saved::Done);
    let count = writes(server, &schema);
    assert!(count > 6, "{count}");
    assert_eq!(store.user(ann.id).await.unwrap().unwrap().identities, ann.identities);
}

#[tokio::test]
async fn what_is_refused_for_serialization_all_the_time_is_unavailable_and_leaves_no_trace() {
    let Some((server, schema, store)) = place() else { return };
    refuse_some(server, &schema, "> 0");
    let guest = user(Kind::Guest);
    let saved = store.save_user(&guest).await;
    assert!(matches!(&saved, Err(Error::Unavailable(why)) if why.contains("40001")), "{saved:?}");
    assert_eq!(store.user(guest.id).await.unwrap(), None);
    assert!(writes(server, &schema) >= 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_write_one_row_at_once_under_serializable_all_succeed() {
    let Some(server) = shared() else { return };
    let url = server.url();
    let strict = postgres_address(&format!("{url}%20-cdefault_transaction_isolation%3Dserializable"));
    let stores = [open(&strict).unwrap(), open(&strict).unwrap()];
    let fixture = Fixture::of(stores[0].clone());
    let guest = fixture.add_guest().await;
    let session = fixture.add_session_seen(&guest, 0).await;
    let touches = (1..=40).map(|second| {
        let store = stores[second % 2].clone();
        tokio::spawn(async move {
            let seen = super::conformance::at(second as i64);
            store.touch_sessions(vec![Use { session: session.id, at: seen, idle_expires_at: seen }]).await
        })
    });
    for touch in touches.collect::<Vec<_>>() {
        touch.await.unwrap().unwrap();
    }
}
