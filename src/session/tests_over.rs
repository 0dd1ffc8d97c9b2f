//! How soon what goes on after a request learns that its credential counts no more. Time is tokio's, and paused.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{self, Instant};

use crate::id::{KeyId, UserId};
use crate::session::watched::House;
use crate::session::{Caller, Sessions};
use crate::store::Store as _;

const SECOND: Duration = Duration::from_secs(1);

async fn stream(house: &House) -> Arc<Caller> {
    let (_, cookie) = house.signed_in().await;
    house.sessions.by_cookie(&cookie).await.unwrap().unwrap()
}

async fn key_stream(house: &House) -> (KeyId, Arc<Caller>) {
    let user = house.user().await;
    let key = house.key(user.id, |key| key.expires_at = Some(house.clock.now() + 3600 * SECOND)).await;
    let caller = house.sessions.by_key(key.expose()).await.unwrap().unwrap();
    (house.store.keys(Some(user.id)).await.unwrap()[0].id, caller)
}

/// When it was over, in seconds, if this happened after twelve.
async fn over_when(sessions: &Sessions, caller: &Caller, happens: impl Future<Output = ()>) -> u64 {
    let start = Instant::now();
    let happening = async {
        time::sleep(12 * SECOND).await;
        happens.await;
    };
    tokio::join!(happening, async {
        sessions.over(caller).await;
        start.elapsed().as_secs()
    })
    .1
}

async fn goes_on(sessions: &Sessions, caller: &Caller) -> bool {
    // Boxed so: a server runs it on any of its threads.
    let over: Pin<Box<dyn Future<Output = ()> + Send + '_>> = Box::pin(sessions.over(caller));
    time::timeout(600 * SECOND, over).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_good_session_and_a_good_key_go_on() {
    let house = House::new().await;
    let caller = stream(&house).await;
    assert!(goes_on(&house.sessions, &caller).await);
    let (_, caller) = key_stream(&house).await;
    let before = house.store.reads();
    assert!(goes_on(&house.sessions, &caller).await);
    assert!((120..=121).contains(&(house.store.reads() - before)), "once in five seconds");
}

/// SEC-SESS-03
#[tokio::test(start_paused = true)]
async fn sec_sess_03_what_ends_here_ends_its_streams_at_once_and_no_others() {
    let house = House::new().await;
    let (caller, other) = (stream(&house).await, stream(&house).await);
    let session = caller.session.unwrap();
    let end = async { assert!(house.sessions.end(session).await.unwrap()) };
    assert_eq!(over_when(&house.sessions, &caller, end).await, 12);
    assert!(goes_on(&house.sessions, &other).await);
    let end = async { assert_eq!(house.sessions.end_all(other.user.id, None).await.unwrap(), 1) };
    assert_eq!(over_when(&house.sessions, &other, end).await, 12);
}

/// SEC-SESS-01
#[tokio::test(start_paused = true)]
async fn sec_sess_01_what_another_process_does_ends_streams_within_the_span_of_the_cache() {
    let house = House::new().await;
    let caller = stream(&house).await;
    let end = async { assert!(house.store.end_session(caller.session.unwrap()).await.unwrap()) };
    assert_eq!(over_when(&house.sessions, &caller, end).await, 15);
    let caller = stream(&house).await;
    let disable = house.change(caller.user.id, |user| user.disabled = true);
    assert_eq!(over_when(&house.sessions, &caller, disable).await, 15);
    let caller = stream(&house).await;
    let delete = async { assert!(house.store.delete_user(caller.user.id).await.unwrap()) };
    assert_eq!(over_when(&house.sessions, &caller, delete).await, 15);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_user_that_takes_nothing_away_ends_nothing() {
    let house = House::new().await;
    let caller = stream(&house).await;
    let id: UserId = caller.user.id;
    let change = async {
        house.change(id, |user| _ = user.roles.insert("editor".to_owned())).await;
        house.sessions.forget_user(id);
        time::sleep(60 * SECOND).await;
        house.sessions.end(caller.session.unwrap()).await.unwrap();
    };
    assert_eq!(over_when(&house.sessions, &caller, change).await, 72);
}

/// SEC-SESS-04
#[tokio::test(start_paused = true)]
async fn sec_sess_04_a_session_that_expires_ends_its_streams() {
    let house = House::new().await;
    let caller = stream(&house).await;
    assert_eq!(over_when(&house.sessions, &caller, async { house.advance(12 * 3600) }).await, 15);
    let caller = stream(&house).await;
    let shorter = async {
        house.advance(12 * 3600 - 1);
        time::sleep(10 * SECOND).await;
        house.advance(1);
    };
    assert_eq!(over_when(&house.sessions, &caller, shorter).await, 25);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_disabled_deleted_or_over_ends_its_streams() {
    let house = House::new().await;
    let (id, caller) = key_stream(&house).await;
    let disable = async { assert!(house.store.set_key_disabled(id, true).await.unwrap()) };
    assert_eq!(over_when(&house.sessions, &caller, disable).await, 15);
    let (id, caller) = key_stream(&house).await;
    let delete = async {
        assert!(house.store.delete_key(id).await.unwrap());
        house.sessions.forget_user(caller.user.id);
    };
    assert_eq!(over_when(&house.sessions, &caller, delete).await, 12);
    let (_, caller) = key_stream(&house).await;
    assert_eq!(over_when(&house.sessions, &caller, async { house.advance(3600) }).await, 15);
}

/// SEC-SESS-09
#[tokio::test(start_paused = true)]
async fn sec_sess_09_a_store_that_is_down_for_three_rounds_ends_streams() {
    let house = House::new().await;
    let caller = stream(&house).await;
    let down = |down| house.store.down.store(down, Ordering::Relaxed);
    assert_eq!(over_when(&house.sessions, &caller, async { down(true) }).await, 25);
    down(false);
    let short = async {
        down(true);
        time::sleep(10 * SECOND).await;
        down(false);
        time::sleep(60 * SECOND).await;
        house.sessions.end(caller.session.unwrap()).await.unwrap();
    };
    assert_eq!(over_when(&house.sessions, &caller, short).await, 82);
}

/// SEC-SESS-09
#[tokio::test(start_paused = true)]
async fn sec_sess_09_a_store_that_keeps_silent_for_three_rounds_ends_streams() {
    let house = House::new().await;
    let caller = stream(&house).await;
    let silent = async { _ = house.store.answers.forget_permits(Semaphore::MAX_PERMITS) };
    assert_eq!(over_when(&house.sessions, &caller, silent).await, 30);
}
