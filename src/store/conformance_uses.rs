//! The suite: when sessions were used.

use super::{Fixture, at, session, suite};
use crate::clock::Timestamp;
use crate::id::SessionId;
use crate::session::Session;
use crate::store::{Error, Use};

suite! {
    uses_of_several_sessions_are_noted_at_once,
    a_touch_never_moves_a_limit_back,
    a_touch_does_not_revive_a_session_that_is_over,
}

async fn touch(store: &Fixture, session: SessionId, at: Timestamp, idle_expires_at: Timestamp) -> Result<(), Error> {
    store.touch_sessions(vec![Use { session, at, idle_expires_at }]).await
}

async fn uses_of_several_sessions_are_noted_at_once(store: &Fixture) {
    let guest = store.add_guest().await;
    let (first, second) = (store.add_session_seen(&guest, 1).await, store.add_session_seen(&guest, 2).await);
    let gone = SessionId::generate(at(0));
    let used = |session, second| Use { session, at: at(second), idle_expires_at: at(7000 + second) };
    store.touch_sessions(vec![used(second.id, 30), used(gone, 40), used(first.id, 20)]).await.unwrap();
    for (session, seen) in [(first.id, 20), (second.id, 30)] {
        let (session, _) = store.session(session).await.unwrap().unwrap();
        assert_eq!((session.last_seen_at, session.idle_expires_at), (at(seen), at(7000 + seen)));
    }
    store.touch_sessions(Vec::new()).await.unwrap();
}

async fn a_touch_never_moves_a_limit_back(store: &Fixture) {
    let guest = store.add_guest().await;
    let session = store.add_session_seen(&guest, 10).await;
    let limits = async || {
        let (session, _) = store.session(session.id).await.unwrap().unwrap();
        (session.last_seen_at, session.idle_expires_at, session.expires_at)
    };
    touch(store, session.id, at(60), at(7200)).await.unwrap();
    assert_eq!(limits().await, (at(60), at(7200), session.expires_at));
    touch(store, session.id, at(50), at(600)).await.unwrap();
    assert_eq!(limits().await, (at(60), at(7200), session.expires_at));
    touch(store, SessionId::generate(at(0)), at(60), at(7200)).await.unwrap();
}

async fn a_touch_does_not_revive_a_session_that_is_over(store: &Fixture) {
    let guest = store.add_guest().await;
    let idle = store.add_session_seen(&guest, 0).await;
    let over = Session { expires_at: at(30), ..session(&guest, at(0)) };
    store.add_session(&over, 100).await.unwrap();
    touch(store, idle.id, idle.idle_expires_at, at(9000)).await.unwrap();
    touch(store, over.id, at(30), at(9000)).await.unwrap();
    assert_eq!(store.session(idle.id).await.unwrap().unwrap().0, idle);
    assert_eq!(store.session(over.id).await.unwrap().unwrap().0, over);
    touch(store, over.id, at(29), at(9000)).await.unwrap();
    assert_eq!(store.session(over.id).await.unwrap().unwrap().0.last_seen_at, at(29));
}
