//! Instances whose clocks differ by an hour, on the same store.

use std::time::Duration;

use crate::clock::Clock;
use crate::secret::Digest;
use crate::session::watched::{House, instance, knows};
use crate::session::{Device, Settings};

/// A clock that shows the same now, and is moved for itself.
fn apart(clock: &Clock) -> Clock {
    Clock::manual(clock.now())
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn sec_sess_04_an_hour_between_clocks_neither_shuts_anybody_out_nor_brings_an_ended_session_back() {
    let house = House::new().await;
    let (ahead, behind) = (apart(&house.clock), apart(&house.clock));
    ahead.advance(HOUR);
    behind.rewind(HOUR);
    let early = instance(&house.store, &behind, Settings::default()).await;
    let late = instance(&house.store, &ahead, Settings::default()).await;
    let user = house.user().await;
    for (one, other) in [(&early, &late), (&late, &early)] {
        let cookie = one.start(&user, "local-userpass", Device::default()).await.unwrap();
        let cookie = Digest::of(cookie.expose());
        assert!(knows(one, &cookie).await && knows(other, &cookie).await);
        let tokens = one.start_tokens(&user, "local-userpass", Device::default()).await.unwrap();
        let next = other.refresh(tokens.refresh_token.expose()).await.unwrap().expect("it is good everywhere");
        // Within the grace, which is shorter than an hour, by whichever clock.
        assert!(other.by_bearer(next.access_token.expose()).await.unwrap().is_some());
        assert_eq!(other.end_all(user.id, None).await.unwrap(), 2);
        for clock in [&ahead, &behind] {
            clock.advance(Duration::from_secs(5));
        }
        for instance in [one, other] {
            assert!(!knows(instance, &cookie).await);
            assert!(instance.by_bearer(next.access_token.expose()).await.unwrap().is_none());
            assert!(instance.refresh(next.refresh_token.expose()).await.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn sec_jwt_05_an_access_token_ends_by_the_clock_of_whoever_is_asked_and_never_later() {
    let house = House::new().await;
    let ahead = apart(&house.clock);
    ahead.advance(HOUR);
    let late = instance(&house.store, &ahead, Settings::default()).await;
    let user = house.user().await;
    // Half an hour, made by the clock that is an hour behind: over for the other, which refuses it and no more.
    let tokens = house.sessions.start_tokens(&user, "local-userpass", Device::default()).await.unwrap();
    assert!(house.sessions.by_bearer(tokens.access_token.expose()).await.unwrap().is_some());
    assert!(late.by_bearer(tokens.access_token.expose()).await.unwrap().is_none());
    let next = late.refresh(tokens.refresh_token.expose()).await.unwrap().unwrap();
    assert!(late.by_bearer(next.access_token.expose()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_jump_of_the_clock_by_an_hour_either_way_keeps_a_revocation_within_the_span_of_the_cache() {
    for jump in ["ahead", "back"] {
        let house = House::new().await;
        let theirs = apart(&house.clock);
        let other = instance(&house.store, &theirs, Settings::default()).await;
        let (user, cookie) = house.signed_in().await;
        assert!(knows(&other, &cookie).await);
        house.sessions.end_all(user.id, None).await.unwrap();
        match jump {
            "ahead" => theirs.advance(HOUR),
            _ => theirs.rewind(HOUR),
        }
        // From the first look on time is measured again; what went by before it cannot be known.
        other.cached(&cookie);
        theirs.advance(Duration::from_secs(5));
        assert!(!knows(&other, &cookie).await, "{jump}");
    }
}
