//! Links that work once, while the server is killed in the middle of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::conformance::{at, link};
use super::postgres_server::Server;
use super::postgres_tests::impatient;
use super::{Error, Store};
use crate::account::one_time::Purpose;
use crate::secret::Digest;

const LINKS: usize = 600;

type Taken = Arc<Mutex<HashMap<Digest, usize>>>;

async fn take(store: Arc<dyn Store>, tokens: Vec<Digest>, taken: Taken, over: Arc<AtomicBool>) {
    while !over.load(Ordering::SeqCst) {
        for token in &tokens {
            match store.take_one_time(*token, at(1)).await {
                Ok(Some(_)) => *taken.lock().unwrap().entry(*token).or_default() += 1,
                Ok(None) | Err(Error::Unavailable(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

/// SEC-PWD-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_pwd_06_no_link_is_honoured_twice_although_the_server_is_killed() {
    let Some(mut server) = Server::start(&[]) else { return };
    let url = server.url();
    let instances = [impatient(&url), impatient(&url)];
    let mut tokens = Vec::new();
    for number in 0..LINKS {
        let link = link(Purpose::Reset, &format!("{number}@b.test"), "1");
        instances[0].add_one_time(&link).await.unwrap();
        tokens.push(link.token);
    }
    let (taken, over) = (Taken::default(), Arc::new(AtomicBool::new(false)));
    let takers: Vec<_> = (0..4)
        .map(|taker| {
            let mut mine = tokens.clone();
            // Two go one way and two the other, so that each link is wanted by several at once.
            if taker >= 2 {
                mine.reverse();
            }
            tokio::spawn(take(Arc::clone(&instances[taker % 2]), mine, Arc::clone(&taken), Arc::clone(&over)))
        })
        .collect();
    let reached = async |count: usize| {
        while taken.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    };
    for count in [50, 200, 350] {
        reached(count).await;
        server.signal("KILL");
        server.restart();
    }
    reached(500).await;
    over.store(true, Ordering::SeqCst);
    for taker in takers {
        taker.await.unwrap();
    }
    let taken = taken.lock().unwrap().clone();
    assert!(taken.values().all(|times| *times == 1), "{:?}", taken.values().max());
    for token in taken.keys() {
        assert_eq!(instances[0].one_time(*token, at(1)).await.unwrap(), None, "what was taken is back");
    }
}
