//! How the store is spared, and what is never taken from the cache.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::account::Kind;
use crate::secret::{self, Digest};
use crate::session::watched::House;
use crate::session::{Device, Settings};
use crate::store::{Error, Store as _};

#[tokio::test]
async fn a_known_session_does_not_ask_the_store() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    assert!(house.sessions.cached(&cookie).is_none());
    let first = house.sessions.by_cookie(&cookie).await.unwrap().unwrap();
    assert_eq!((first.user.id, first.provider.as_str()), (user.id, "local-userpass"));
    for _ in 0..10 {
        assert!(house.knows(&cookie).await && house.sessions.cached(&cookie).is_some());
    }
    assert_eq!(house.store.reads(), 1);
    house.advance(5);
    assert!(house.sessions.cached(&cookie).is_none());
    assert!(house.knows(&cookie).await);
    assert_eq!(house.store.reads(), 2);
}

#[tokio::test]
async fn an_unchanged_caller_stays_the_same_one_and_a_changed_one_does_not() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    let caller = async || house.sessions.by_cookie(&cookie).await.unwrap().unwrap();
    let first = caller().await;
    house.advance(5);
    assert!(std::sync::Arc::ptr_eq(&first, &caller().await));
    house.change(user.id, |user| _ = user.roles.insert("editor".to_owned())).await;
    house.advance(5);
    assert!(caller().await.user.roles.contains("editor"));
}

#[tokio::test]
async fn many_requests_with_one_cold_cookie_are_one_read() {
    let house = House::new().await;
    let (_, cookie) = house.signed_in().await;
    house.store.answers.forget_permits(Semaphore::MAX_PERMITS);
    let all: Vec<_> = (0..50)
        .map(|_| {
            let sessions = house.sessions.clone();
            tokio::spawn(async move { sessions.by_cookie(&cookie).await.unwrap().is_some() })
        })
        .collect();
    while house.store.reads() == 0 {
        tokio::task::yield_now().await;
    }
    // Whoever asked first goes away.
    all[0].abort();
    house.store.answers.add_permits(1);
    for request in all.into_iter().skip(1) {
        assert!(request.await.unwrap());
    }
    assert_eq!(house.store.reads(), 1);
}

#[tokio::test]
async fn a_read_under_way_does_not_outlive_a_revocation() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    house.store.answers.forget_permits(Semaphore::MAX_PERMITS);
    let sessions = house.sessions.clone();
    let early = tokio::spawn(async move { sessions.by_cookie(&cookie).await.unwrap().is_some() });
    while house.store.reads() == 0 {
        tokio::task::yield_now().await;
    }
    house.sessions.end_all(user.id, None).await.unwrap();
    let sessions = house.sessions.clone();
    let late = tokio::spawn(async move { sessions.by_cookie(&cookie).await.unwrap().is_some() });
    while house.store.reads() == 1 {
        tokio::task::yield_now().await;
    }
    house.store.answers.add_permits(10);
    assert!(!late.await.unwrap());
    assert!(!early.await.unwrap());
    assert!(!house.knows(&cookie).await);
}

#[tokio::test]
async fn a_revocation_does_not_make_others_read_again() {
    let house = House::new().await;
    let ((ann, _), (_, bob)) = (house.signed_in().await, house.signed_in().await);
    assert!(house.knows(&bob).await);
    house.sessions.forget_user(ann.id);
    assert!(house.sessions.cached(&bob).is_some());
}

#[tokio::test]
async fn an_unknown_cookie_is_asked_for_once_in_five_seconds() {
    let house = House::new().await;
    let unknown = Digest::of(secret::token().expose());
    for _ in 0..10 {
        assert!(!house.knows(&unknown).await);
    }
    assert_eq!(house.store.reads(), 1);
    house.advance(5);
    assert!(!house.knows(&unknown).await);
    assert_eq!(house.store.reads(), 2);
}

/// SEC-SESS-06
#[tokio::test]
async fn sec_sess_06_a_refusal_hides_no_session_for_longer_than_five_seconds() {
    let house = House::with(Settings { cache: Duration::from_secs(600), ..Settings::default() }).await;
    let user = house.user().await;
    // The other process is asked with a token it is about to get.
    let neighbour = house.neighbour().await;
    let token = neighbour.start(&user, "local-userpass", Device::default()).await.unwrap();
    let cookie = Digest::of(token.expose());
    let session = neighbour.by_cookie(&cookie).await.unwrap().unwrap().session.unwrap();
    let kept = house.store.session(session).await.unwrap().unwrap().0;
    house.store.end_session(session).await.unwrap();
    assert!(!house.knows(&cookie).await);
    house.store.add_session(&kept, 10).await.unwrap();
    house.advance(5);
    assert!(house.knows(&cookie).await);
}

#[tokio::test]
async fn guesses_do_not_push_out_who_is_at_work() {
    let house = House::with(Settings { cache_entries: 10, ..Settings::default() }).await;
    let (_, cookie) = house.signed_in().await;
    assert!(house.knows(&cookie).await);
    for _ in 0..1000 {
        assert!(!house.knows(&Digest::of(secret::token().expose())).await);
    }
    assert!(house.sessions.cached(&cookie).is_some());
}

/// SEC-SESS-09
#[tokio::test]
async fn sec_sess_09_without_the_store_the_known_go_on_for_a_while_and_nobody_else() {
    let house = House::new().await;
    let ((_, known), (_, cold)) = (house.signed_in().await, house.signed_in().await);
    assert!(house.knows(&known).await);
    house.store.down.store(true, Ordering::Relaxed);
    assert!(house.knows(&known).await);
    assert!(matches!(house.sessions.by_cookie(&cold).await, Err(Error::Unavailable(_))));
    house.advance(5);
    assert!(matches!(house.sessions.by_cookie(&known).await, Err(Error::Unavailable(_))));
    house.store.down.store(false, Ordering::Relaxed);
    assert!(house.knows(&known).await && house.knows(&cold).await);
}

/// SEC-SESS-06
#[tokio::test]
async fn sec_sess_06_no_credential_passes_for_another_kind() {
    let house = House::new().await;
    let user = house.user().await;
    let cookie = house.sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
    let tokens = house.sessions.start_tokens(&user, "local-userpass", Device::default()).await.unwrap();
    let key = house.key(user.id, |_| {}).await;
    let sessions = &house.sessions;
    let by = async |text: &str| {
        [
            sessions.by_cookie(&Digest::of(text)).await.unwrap().is_some(),
            sessions.by_bearer(text).await.unwrap().is_some(),
            sessions.by_key(text).await.unwrap().is_some(),
            sessions.revoke(text).await.unwrap(),
        ]
    };
    // Twice: cold and from the cache.
    for _ in 0..2 {
        assert_eq!(by(cookie.expose()).await, [true, true, false, false]);
        assert_eq!(by(tokens.access_token.expose()).await, [false, true, false, false]);
        assert_eq!(by(key.expose()).await, [false, false, true, false]);
    }
    assert_eq!(by(tokens.refresh_token.expose()).await, [false, false, false, true]);
}

/// SEC-KEY-01
#[tokio::test]
async fn sec_key_01_a_key_speaks_for_its_user() {
    let house = House::new().await;
    let user = house.user().await;
    let key = house.key(user.id, |_| {}).await;
    let caller = house.sessions.by_key(key.expose()).await.unwrap().unwrap();
    assert_eq!((caller.user.id, caller.provider.as_str(), caller.session), (user.id, "api-key", None));
    assert_eq!(caller.kind(), Kind::User);
    house.settle().await;
    assert_eq!(house.store.keys(Some(user.id)).await.unwrap()[0].last_used_at, Some(house.clock.now()));
}

/// SEC-KEY-01
#[tokio::test]
async fn sec_key_01_other_keys_are_refused_and_malformed_ones_unasked() {
    let house = House::new().await;
    let user = house.user().await;
    let key = house.key(user.id, |_| {}).await;
    let id = house.store.keys(None).await.unwrap()[0].id;
    let refused = async |text: &str| house.sessions.by_key(text).await.unwrap().is_none();
    assert!(refused(&key.expose()[..76]).await);
    assert!(refused(&format!("{} ", key.expose())).await);
    assert!(refused(&"v".repeat(100_000)).await);
    assert_eq!(house.store.reads(), 0);
    assert!(refused(crate::account::api_key::mint(id).expose()).await);
    assert_eq!(house.store.reads(), 1);
    // An id that nobody has costs what a known one does: one look, and no hash that takes its time.
    let nobodys = crate::id::KeyId::generate(house.clock.now());
    assert!(refused(crate::account::api_key::mint(nobodys).expose()).await);
    assert_eq!(house.store.reads(), 2);
    assert!(!refused(key.expose()).await);
}

#[tokio::test]
async fn a_key_that_is_disabled_or_over_is_refused() {
    let house = House::new().await;
    let user = house.user().await;
    let (now, hour) = (house.clock.now(), Duration::from_secs(3600));
    let short = house.key(user.id, |key| key.expires_at = Some(now + hour)).await;
    let disabled = house.key(user.id, |key| key.disabled = true).await;
    let good = async |key: &secret::Secret| house.sessions.by_key(key.expose()).await.unwrap().is_some();
    assert_eq!((good(&short).await, good(&disabled).await), (true, false));
    let id = house.store.keys(None).await.unwrap().iter().find(|key| key.disabled).unwrap().id;
    house.store.set_key_disabled(id, false).await.unwrap();
    assert!(good(&disabled).await);
    house.store.set_key_disabled(id, true).await.unwrap();
    house.sessions.forget_user(user.id);
    assert!(!good(&disabled).await);
    house.advance(3599);
    assert!(good(&short).await);
    house.advance(1);
    assert!(!good(&short).await);
}
