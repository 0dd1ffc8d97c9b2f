//! How long sessions last, and when they end before.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::secret::Digest;
use crate::session::watched::{House, knows};
use crate::session::{Device, Sessions, Settings};
use crate::store::Store as _;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// SEC-SESS-01
#[tokio::test]
async fn sec_sess_01_a_disabled_user_is_refused_by_every_credential() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    let tokens = house.sessions.start_tokens(&user, "local-userpass", Device::default()).await.unwrap();
    let key = house.key(user.id, |_| {}).await;
    let neighbour = house.neighbour().await;
    let all = async |sessions: &Sessions| {
        [
            knows(sessions, &cookie).await,
            sessions.by_bearer(tokens.access_token.expose()).await.unwrap().is_some(),
            sessions.by_key(key.expose()).await.unwrap().is_some(),
        ]
    };
    assert_eq!((all(&house.sessions).await, all(&neighbour).await), ([true; 3], [true; 3]));

    house.change(user.id, |user| user.disabled = true).await;
    house.sessions.forget_user(user.id);
    assert_eq!(all(&house.sessions).await, [false; 3]);
    assert!(house.sessions.refresh(tokens.refresh_token.expose()).await.unwrap().is_none());
    assert!(house.sessions.cached(&cookie).is_none());
    house.advance(5);
    assert_eq!(all(&neighbour).await, [false; 3]);

    house.change(user.id, |user| user.disabled = false).await;
    house.sessions.forget_user(user.id);
    assert_eq!(all(&house.sessions).await, [true; 3]);
}

/// SEC-SESS-01
#[tokio::test]
async fn sec_sess_01_a_deleted_user_is_refused() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    assert!(house.knows(&cookie).await);
    house.store.delete_user(user.id).await.unwrap();
    house.sessions.forget_user(user.id);
    assert!(!house.knows(&cookie).await);
}

/// SEC-SESS-02
#[tokio::test]
async fn sec_sess_02_roles_follow_within_the_span_of_the_cache() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    let neighbour = house.neighbour().await;
    let roles = async || neighbour.by_cookie(&cookie).await.unwrap().unwrap().user.roles.len();
    assert_eq!(roles().await, 0);
    house.change(user.id, |user| _ = user.roles.insert("editor".to_owned())).await;
    house.advance(5);
    assert_eq!(roles().await, 1);
}

/// SEC-SESS-03
#[tokio::test]
async fn sec_sess_03_signing_out_ends_the_session_everywhere() {
    let house = House::new().await;
    let user = house.user().await;
    let token = house.sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
    let cookie = Digest::of(token.expose());
    let neighbour = house.neighbour().await;
    assert!(house.knows(&cookie).await && knows(&neighbour, &cookie).await);
    assert!(house.sessions.by_bearer(token.expose()).await.unwrap().is_some());

    let id = house.sessions.cached(&cookie).unwrap().session.unwrap();
    assert!(house.sessions.end(id).await.unwrap());
    assert!(!house.knows(&cookie).await);
    assert!(house.sessions.by_bearer(token.expose()).await.unwrap().is_none());
    house.advance(5);
    assert!(!knows(&neighbour, &cookie).await);
    assert!(!house.sessions.end(id).await.unwrap());
}

#[tokio::test]
async fn ending_all_sessions_can_spare_one() {
    let house = House::new().await;
    let (user, first) = house.signed_in().await;
    let second = house.sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
    let second = Digest::of(second.expose());
    assert!(house.knows(&first).await && house.knows(&second).await);
    let kept = house.sessions.cached(&second).unwrap().session;
    assert_eq!(house.sessions.end_all(user.id, kept).await.unwrap(), 1);
    assert_eq!((house.knows(&first).await, house.knows(&second).await), (false, true));
    assert_eq!(house.sessions.end_all(user.id, None).await.unwrap(), 1);
    assert!(!house.knows(&second).await);
}

#[tokio::test]
async fn beyond_the_most_the_session_used_longest_ago_ends_at_once() {
    let house = House::with(Settings { max_per_user: 2, ..Settings::default() }).await;
    let (user, first) = house.signed_in().await;
    assert!(house.knows(&first).await);
    house.advance(1);
    house.sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
    assert!(house.knows(&first).await);
    house.advance(1);
    house.sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
    assert!(!house.knows(&first).await);
}

#[tokio::test]
async fn every_sign_in_gets_another_token() {
    let house = House::new().await;
    let user = house.user().await;
    let start = async || house.sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
    let (one, two) = (start().await, start().await);
    assert_ne!(one.expose(), two.expose());
}

/// SEC-SESS-04
#[tokio::test]
async fn sec_sess_04_the_idle_limit_is_exact_in_the_cache_and_in_the_store() {
    for (seconds, cached, good) in
        [(12 * HOUR - 1, false, true), (12 * HOUR - 1, true, true), (12 * HOUR, false, false), (12 * HOUR, true, false)]
    {
        let house = House::with(Settings { cache: Duration::from_secs(DAY), ..Settings::default() }).await;
        let (_, cookie) = house.signed_in().await;
        if cached {
            assert!(house.knows(&cookie).await);
        }
        house.advance(seconds);
        assert_eq!(house.sessions.cached(&cookie).is_some(), good && cached);
        assert_eq!(house.knows(&cookie).await, good);
    }
}

/// SEC-SESS-04
#[tokio::test]
async fn sec_sess_04_use_moves_the_idle_limit_but_never_the_absolute_one() {
    let house = House::new().await;
    let (_, cookie) = house.signed_in().await;
    for _ in 0..30 * 24 * 60 - 1 {
        house.advance(60);
        assert!(house.knows(&cookie).await);
        house.settle().await;
    }
    house.advance(59);
    assert!(house.knows(&cookie).await);
    house.advance(1);
    assert!(!house.knows(&cookie).await);
}

/// SEC-SESS-04
#[tokio::test]
async fn sec_sess_04_sessions_last_beyond_2038() {
    let house =
        House::with(Settings { max_lifetime: Duration::from_secs(60 * 365 * DAY), ..Settings::default() }).await;
    house.advance(20 * 365 * DAY);
    let (_, cookie) = house.signed_in().await;
    house.advance(12 * HOUR - 1);
    assert!(house.knows(&cookie).await);
    house.settle().await;
    house.advance(12 * HOUR);
    assert!(!house.knows(&cookie).await);
}

/// SEC-SESS-04
#[tokio::test]
async fn sec_sess_04_a_clock_turned_back_brings_nothing_back() {
    let house = House::new().await;
    let (_, cookie) = house.signed_in().await;
    house.advance(12 * HOUR + 1);
    assert!(!house.knows(&cookie).await);
    house.clock.rewind(Duration::from_secs(HOUR));
    house.advance(6);
    assert!(!house.knows(&cookie).await);
}

/// SEC-SESS-04
#[tokio::test]
async fn sec_sess_04_a_clock_turned_back_moves_no_limit_on() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    house.advance(HOUR);
    assert!(house.knows(&cookie).await);
    house.settle().await;
    let limit = house.store.sessions_of(user.id).await.unwrap()[0].idle_expires_at;
    house.clock.rewind(Duration::from_secs(HOUR));
    for _ in 0..10 {
        assert!(house.knows(&cookie).await);
        house.settle().await;
        house.advance(60);
    }
    assert_eq!(house.store.sessions_of(user.id).await.unwrap()[0].idle_expires_at, limit);
}

#[tokio::test]
async fn a_clock_turned_back_does_not_keep_a_revoked_session_elsewhere() {
    let house = House::new().await;
    let (_, cookie) = house.signed_in().await;
    let neighbour = house.neighbour().await;
    assert!(knows(&neighbour, &cookie).await);
    house.sessions.end(neighbour.cached(&cookie).unwrap().session.unwrap()).await.unwrap();
    house.advance(3);
    assert!(knows(&neighbour, &cookie).await);
    house.clock.rewind(Duration::from_secs(HOUR));
    assert!(knows(&neighbour, &cookie).await);
    house.advance(2);
    assert!(!knows(&neighbour, &cookie).await);
}

#[tokio::test]
async fn a_use_is_written_down_once_a_minute_and_beside_the_request() {
    let house = House::new().await;
    let (user, cookie) = house.signed_in().await;
    let touches = || house.store.touches.load(Ordering::Relaxed);
    house.advance(59);
    assert!(house.knows(&cookie).await);
    house.settle().await;
    assert_eq!(touches(), 0);
    house.advance(1);
    for _ in 0..10 {
        assert!(house.knows(&cookie).await);
    }
    assert_eq!(touches(), 0);
    house.settle().await;
    assert_eq!(touches(), 1);
    assert_eq!(house.store.sessions_of(user.id).await.unwrap()[0].last_seen_at, house.clock.now());
}

#[tokio::test(start_paused = true)]
async fn uses_of_more_sessions_than_are_written_at_once_are_all_written() {
    let house = House::new().await;
    let mut people = Vec::new();
    for _ in 0..600 {
        people.push(house.signed_in().await);
    }
    house.advance(60);
    for (_, cookie) in &people {
        assert!(house.knows(cookie).await);
    }
    while !house.sessions.0.uses.are_settled() {
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    assert_eq!(house.store.touches.load(Ordering::Relaxed), people.len());
    for (user, _) in &people {
        assert_eq!(house.store.sessions_of(user.id).await.unwrap()[0].last_seen_at, house.clock.now());
    }
}

#[tokio::test]
async fn a_use_that_cannot_be_written_down_does_not_fail_the_request() {
    let house = House::with(Settings { cache: Duration::from_secs(600), ..Settings::default() }).await;
    let (_, cookie) = house.signed_in().await;
    assert!(house.knows(&cookie).await);
    house.store.down.store(true, Ordering::Relaxed);
    house.advance(60);
    assert!(house.knows(&cookie).await);
    house.settle().await;
    assert!(house.knows(&cookie).await);
}

#[tokio::test]
async fn with_an_idle_limit_of_seconds_who_is_at_work_stays() {
    let house = House::with(Settings { idle_timeout: Duration::from_secs(40), ..Settings::default() }).await;
    let (_, cookie) = house.signed_in().await;
    for _ in 0..20 {
        house.advance(10);
        assert!(house.knows(&cookie).await);
        house.settle().await;
    }
    house.advance(40);
    assert!(!house.knows(&cookie).await);
}
