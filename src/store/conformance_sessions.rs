//! The suite: sessions, and links that work once.

use std::time::Duration;

use super::{Fixture, ann, at, digest, link, session, suite, user};
use crate::account::Kind;
use crate::account::one_time::{OneTime, Purpose};
use crate::id::{DeviceId, SessionId};
use crate::secret::Digest;
use crate::session::{AppDevice, Session};
use crate::store::{Error, Rotated, Use};

suite! {
    a_session_comes_back_with_its_user,
    what_an_app_tells_of_its_device_comes_back,
    a_token_opens_one_session,
    sessions_are_listed_latest_used_first,
    sessions_come_in_pages_in_the_order_of_their_ids,
    beyond_the_most_the_session_used_longest_ago_ends,
    the_new_session_is_never_the_one_that_ends,
    a_rotated_token_counts_and_the_old_one_is_known_as_reused,
    a_rotation_never_moves_a_limit_back,
    a_session_that_is_over_does_not_rotate,
    of_many_rotations_of_one_token_one_is_done,
    sessions_end_one_by_one_and_all_but_one,
    what_is_over_is_swept_up_to_the_limit,
    a_link_is_shown_and_taken_once,
    a_link_that_has_ended_is_not_given,
    of_many_takers_of_one_link_one_gets_it,
    a_code_takes_its_link,
    a_code_is_good_for_its_purpose_and_address_only,
    wrong_codes_count_against_every_link_to_the_address,
    a_code_ends_before_its_link,
    of_many_takers_of_one_code_one_gets_it,
    of_many_wrong_codes_at_once_each_is_counted,
    links_come_newest_first,
    every_link_comes_oldest_first_in_pages,
    links_are_voided_by_address_and_by_user,
}

async fn a_session_comes_back_with_its_user(store: &Fixture) {
    let ann = store.add(ann()).await;
    let mut session = session(&ann, at(5));
    session.previous = Some((digest(), at(4)));
    store.add_session(&session, 100).await.unwrap();
    assert_eq!(store.session(session.id).await.unwrap(), Some((session.clone(), ann.clone())));
    assert_eq!(store.session_by_token(session.token).await.unwrap(), Some((session.clone(), ann.clone())));
    assert_eq!(store.session_by_token(digest()).await.unwrap(), None);
    assert_eq!(store.session(SessionId::generate(at(5))).await.unwrap(), None);
    let plain = Session { previous: None, device: Default::default(), ..super::session(&ann, at(6)) };
    store.add_session(&plain, 100).await.unwrap();
    assert_eq!(store.session(plain.id).await.unwrap(), Some((plain, ann)));
}

async fn what_an_app_tells_of_its_device_comes_back(store: &Fixture) {
    let guest = store.add_guest().await;
    let told =
        AppDevice { id: Some(DeviceId::generate(at(1))), platform: "node \u{202e}\"".into(), ..AppDevice::default() };
    for app in [Some(told), Some(AppDevice::default())] {
        let mut session = session(&guest, at(5));
        session.device.app = app;
        store.add_session(&session, 100).await.unwrap();
        assert_eq!(store.session_by_token(session.token).await.unwrap(), Some((session, guest.clone())));
    }
}

async fn a_token_opens_one_session(store: &Fixture) {
    let guest = store.add_guest().await;
    let first = store.add_session_seen(&guest, 1).await;
    let copy = Session { token: first.token, ..session(&guest, at(2)) };
    assert!(matches!(store.add_session(&copy, 100).await, Err(Error::Conflict(_))));
    let copy = Session { id: first.id, ..session(&guest, at(2)) };
    assert!(matches!(store.add_session(&copy, 1).await, Err(Error::Conflict(_))));
    assert_eq!(store.sessions_of(guest.id).await.unwrap(), [first]);
}

async fn sessions_are_listed_latest_used_first(store: &Fixture) {
    let (guest, other) = (store.add_guest().await, store.add_guest().await);
    let middle = store.add_session_seen(&guest, 20).await;
    let (last, first) = (store.add_session_seen(&guest, 10).await, store.add_session_seen(&guest, 30).await);
    store.add_session_seen(&other, 40).await;
    assert_eq!(store.sessions_of(guest.id).await.unwrap(), [first, middle, last]);
}

async fn sessions_come_in_pages_in_the_order_of_their_ids(store: &Fixture) {
    let mut all = Vec::new();
    for second in 0..5 {
        let guest = store.add_guest().await;
        all.push(store.add_session_seen(&guest, second).await);
    }
    all.sort_by_key(|session| session.id);
    let first = store.sessions(None, 2).await.unwrap();
    let second = store.sessions(Some(first[1].id), 2).await.unwrap();
    let third = store.sessions(Some(second[1].id), 2).await.unwrap();
    assert_eq!([first, second, third].concat(), all);
}

async fn beyond_the_most_the_session_used_longest_ago_ends(store: &Fixture) {
    let (guest, other) = (store.add_guest().await, store.add_guest().await);
    let spared = store.add_session_seen(&other, 1).await;
    let old = store.add_session_seen(&guest, 10).await;
    let older = store.add_session_seen(&guest, 5).await;
    let used = Use { session: older.id, at: at(15), idle_expires_at: at(20) };
    store.touch_sessions(vec![used]).await.unwrap();
    let new = session(&guest, at(20));
    store.add_session(&new, 2).await.unwrap();
    let left = store.sessions_of(guest.id).await.unwrap();
    assert_eq!(left.iter().map(|session| session.id).collect::<Vec<_>>(), [new.id, older.id]);
    assert_eq!(store.session_by_token(old.token).await.unwrap(), None);
    assert!(store.session(spared.id).await.unwrap().is_some());
}

async fn the_new_session_is_never_the_one_that_ends(store: &Fixture) {
    let guest = store.add_guest().await;
    store.add_session_seen(&guest, 100).await;
    for most in [1, 0] {
        // The clock was turned back: the new one was seen before the one it replaces.
        let new = session(&guest, at(50));
        store.add_session(&new, most).await.unwrap();
        assert_eq!(store.sessions_of(guest.id).await.unwrap(), [new]);
    }
}

async fn a_rotated_token_counts_and_the_old_one_is_known_as_reused(store: &Fixture) {
    let ann = store.add(ann()).await;
    let session = store.add_session_seen(&ann, 0).await;
    let (second, third) = (digest(), digest());
    let rotated = store.rotate_token(session.token, second, at(60), at(7200)).await.unwrap();
    let expected = Session {
        token: second,
        previous: Some((session.token, at(60))),
        last_seen_at: at(60),
        idle_expires_at: at(7200),
        ..session.clone()
    };
    assert_eq!(rotated, Rotated::Done(Box::new(expected.clone()), Box::new(ann.clone())));
    assert_eq!(store.session_by_token(session.token).await.unwrap(), None);
    assert_eq!(store.session_by_token(second).await.unwrap(), Some((expected.clone(), ann)));
    let reused = store.rotate_token(session.token, third, at(61), at(7200)).await.unwrap();
    assert_eq!(reused, Rotated::Reused(Box::new(expected)));
    assert!(matches!(store.rotate_token(second, third, at(62), at(7200)).await.unwrap(), Rotated::Done(..)));
    assert_eq!(store.rotate_token(session.token, digest(), at(63), at(7200)).await.unwrap(), Rotated::Unknown);
    assert!(store.end_session(session.id).await.unwrap());
    assert_eq!(store.rotate_token(second, digest(), at(64), at(7200)).await.unwrap(), Rotated::Unknown);
    assert_eq!(store.rotate_token(third, digest(), at(64), at(7200)).await.unwrap(), Rotated::Unknown);
}

async fn a_rotation_never_moves_a_limit_back(store: &Fixture) {
    let guest = store.add_guest().await;
    let session = store.add_session_seen(&guest, 100).await;
    store.rotate_token(session.token, digest(), at(50), at(60)).await.unwrap();
    let (rotated, _) = store.session(session.id).await.unwrap().unwrap();
    assert_eq!((rotated.last_seen_at, rotated.idle_expires_at), (at(100), session.idle_expires_at));
}

async fn a_session_that_is_over_does_not_rotate(store: &Fixture) {
    let guest = store.add_guest().await;
    let session = store.add_session_seen(&guest, 0).await;
    let end = session.idle_expires_at;
    let late = store.rotate_token(session.token, digest(), end, at(9000)).await.unwrap();
    assert_eq!(late, Rotated::Unknown);
    let in_time = store.rotate_token(session.token, digest(), end - Duration::from_secs(1), end).await.unwrap();
    assert!(matches!(in_time, Rotated::Done(..)));
    assert_eq!(store.rotate_token(session.token, digest(), end, at(9000)).await.unwrap(), Rotated::Unknown);
}

async fn of_many_rotations_of_one_token_one_is_done(store: &Fixture) {
    let guest = store.add_guest().await;
    let session = store.add_session_seen(&guest, 0).await;
    let token = session.token;
    let rotated = store
        .race(move |store, _| async move { store.rotate_token(token, digest(), at(60), at(7200)).await.unwrap() })
        .await;
    assert_eq!(rotated.iter().filter(|rotated| matches!(rotated, Rotated::Done(..))).count(), 1);
    assert_eq!(rotated.iter().filter(|rotated| matches!(rotated, Rotated::Reused(_))).count(), 19);
}

async fn sessions_end_one_by_one_and_all_but_one(store: &Fixture) {
    let (guest, other) = (store.add_guest().await, store.add_guest().await);
    let mut own = Vec::new();
    for second in 0..4 {
        own.push(store.add_session_seen(&guest, second).await.id);
    }
    let others = store.add_session_seen(&other, 0).await;
    assert!(store.end_session(own[0]).await.unwrap());
    assert!(!store.end_session(own[0]).await.unwrap());
    let mut ended = store.end_sessions_of(guest.id, Some(own[1])).await.unwrap();
    ended.sort_unstable();
    own[2..].sort_unstable();
    assert_eq!(ended, own[2..]);
    assert_eq!(store.end_sessions_of(guest.id, None).await.unwrap(), [own[1]]);
    assert_eq!(store.end_sessions_of(guest.id, None).await.unwrap(), []);
    assert!(store.session(others.id).await.unwrap().is_some());
}

async fn what_is_over_is_swept_up_to_the_limit(store: &Fixture) {
    let guest = store.add_guest().await;
    for second in 0..3 {
        store.add_session_seen(&guest, second).await;
    }
    let hard = Session { expires_at: at(1), ..session(&guest, at(0)) };
    store.add_session(&hard, 100).await.unwrap();
    let live = store.add_session_seen(&guest, 4000).await;
    let (over, open) = (link(Purpose::Reset, "a@b.test", "1"), link(Purpose::Reset, "a@b.test", "2"));
    store.add_one_time(&over).await.unwrap();
    store.add_one_time(&OneTime { expires_at: at(9000), ..open.clone() }).await.unwrap();
    let now = at(4000);
    assert_eq!(store.sweep(at(0), 2).await.unwrap(), 0);
    assert_eq!(store.sweep(now, 2).await.unwrap(), 3);
    assert_eq!(store.sweep(now, 2).await.unwrap(), 2);
    assert_eq!(store.sweep(now, 2).await.unwrap(), 0);
    assert_eq!(store.sessions_of(guest.id).await.unwrap(), [live]);
    assert!(store.one_time(open.token, now).await.unwrap().is_some());
}

async fn a_link_is_shown_and_taken_once(store: &Fixture) {
    let ann = store.add(ann()).await;
    let link = OneTime { user_id: Some(ann.id), ..link(Purpose::ChangeEmail, "new@example.com", "123456") };
    store.add_one_time(&link).await.unwrap();
    assert!(matches!(store.add_one_time(&link).await, Err(Error::Conflict(_))));
    for _ in 0..2 {
        assert_eq!(store.one_time(link.token, at(1)).await.unwrap(), Some(link.clone()));
    }
    assert_eq!(store.take_one_time(digest(), at(1)).await.unwrap(), None);
    assert_eq!(store.take_one_time(link.token, at(1)).await.unwrap(), Some(link.clone()));
    assert_eq!(store.take_one_time(link.token, at(1)).await.unwrap(), None);
    assert_eq!(store.one_time(link.token, at(1)).await.unwrap(), None);
}

async fn a_link_that_has_ended_is_not_given(store: &Fixture) {
    let link = link(Purpose::Confirm, "a@b.test", "1");
    store.add_one_time(&link).await.unwrap();
    assert_eq!(store.one_time(link.token, link.expires_at).await.unwrap(), None);
    assert_eq!(store.take_one_time(link.token, link.expires_at).await.unwrap(), None);
    let last = link.expires_at - Duration::from_millis(1);
    assert!(store.take_one_time(link.token, last).await.unwrap().is_some());
}

/// SEC-PWD-06
async fn of_many_takers_of_one_link_one_gets_it(store: &Fixture) {
    let link = link(Purpose::Reset, "a@b.test", "1");
    store.add_one_time(&link).await.unwrap();
    let token = link.token;
    let taken = store.race(move |store, _| async move { store.take_one_time(token, at(1)).await.unwrap() }).await;
    assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [link]);
}

async fn a_code_takes_its_link(store: &Fixture) {
    let (old, new) = (link(Purpose::Reset, "a@b.test", "111"), link(Purpose::Reset, "a@b.test", "222"));
    store.add_one_time(&old).await.unwrap();
    store.add_one_time(&new).await.unwrap();
    assert_eq!(by_code(store, "111").await, Some(old.clone()));
    assert_eq!(by_code(store, "111").await, None);
    assert_eq!(store.one_time(old.token, at(1)).await.unwrap(), None);
    assert!(by_code(store, "222").await.is_some());
}

async fn by_code(store: &Fixture, code: &str) -> Option<OneTime> {
    store.take_one_time_by_code(Purpose::Reset, "a@b.test", Digest::of(code), 3, at(1)).await.unwrap()
}

async fn a_code_is_good_for_its_purpose_and_address_only(store: &Fixture) {
    let link = link(Purpose::Reset, "a@b.test", "111");
    store.add_one_time(&link).await.unwrap();
    let code = link.code;
    let elsewhere = store.take_one_time_by_code(Purpose::Reset, "c@b.test", code, 3, at(1)).await;
    assert_eq!(elsewhere.unwrap(), None);
    let otherwise = store.take_one_time_by_code(Purpose::Confirm, "a@b.test", code, 3, at(1)).await;
    assert_eq!(otherwise.unwrap(), None);
    assert_eq!(by_code(store, "111").await, Some(link));
}

async fn wrong_codes_count_against_every_link_to_the_address(store: &Fixture) {
    let (first, second) = (link(Purpose::Reset, "a@b.test", "111"), link(Purpose::Reset, "a@b.test", "222"));
    let bystander = link(Purpose::Confirm, "a@b.test", "333");
    for link in [&first, &second, &bystander] {
        store.add_one_time(link).await.unwrap();
    }
    for wrong in 1..=2 {
        assert_eq!(by_code(store, "999").await, None);
        assert_eq!(store.one_time(second.token, at(1)).await.unwrap().unwrap().attempts, wrong);
    }
    assert_eq!(by_code(store, "111").await, Some(OneTime { attempts: 2, ..first }));
    assert_eq!(by_code(store, "999").await, None);
    assert_eq!(by_code(store, "222").await, None);
    // The link itself is no guess and stays good.
    assert!(store.take_one_time(second.token, at(1)).await.unwrap().is_some());
    assert_eq!(store.one_time(bystander.token, at(1)).await.unwrap().unwrap().attempts, 0);
}

async fn a_code_ends_before_its_link(store: &Fixture) {
    let link = link(Purpose::Reset, "a@b.test", "111");
    store.add_one_time(&link).await.unwrap();
    let end = link.code_expires_at;
    let late = store.take_one_time_by_code(Purpose::Reset, "a@b.test", link.code, 3, end).await;
    assert_eq!(late.unwrap(), None);
    let in_time = end - Duration::from_millis(1);
    let taken = store.take_one_time_by_code(Purpose::Reset, "a@b.test", link.code, 3, in_time).await;
    assert!(taken.unwrap().is_some());
}

async fn of_many_takers_of_one_code_one_gets_it(store: &Fixture) {
    store.add_one_time(&link(Purpose::Reset, "a@b.test", "111")).await.unwrap();
    let taken = store
        .race(|store, _| async move {
            let code = Digest::of("111");
            store.take_one_time_by_code(Purpose::Reset, "a@b.test", code, 3, at(1)).await.unwrap()
        })
        .await;
    assert_eq!(taken.into_iter().flatten().count(), 1);
}

async fn of_many_wrong_codes_at_once_each_is_counted(store: &Fixture) {
    let link = link(Purpose::Reset, "a@b.test", "111");
    store.add_one_time(&link).await.unwrap();
    let tried = store
        .race(|store, racer| async move {
            // The last one is right, and comes when the tries are over as a rule.
            let code = Digest::of(if racer == 19 { "111" } else { "999" });
            store.take_one_time_by_code(Purpose::Reset, "a@b.test", code, 1, at(1)).await.unwrap()
        })
        .await;
    match store.one_time(link.token, at(1)).await.unwrap() {
        Some(left) => assert_eq!(left.attempts, 20),
        None => assert_eq!(tried.into_iter().flatten().count(), 1),
    }
}

async fn every_link_comes_oldest_first_in_pages(store: &Fixture) {
    let links: Vec<_> = ["1", "2", "3"].map(|code| link(Purpose::Invite, "a@b.test", code)).into();
    for link in &links {
        store.add_one_time(link).await.unwrap();
    }
    let first = store.every_one_time(0, 2).await.unwrap();
    let second = store.every_one_time(first[1].0, 2).await.unwrap();
    assert_eq!(store.every_one_time(second[0].0, 2).await.unwrap(), []);
    assert_eq!([first, second].concat().into_iter().map(|(_, link)| link).collect::<Vec<_>>(), links);
}

async fn links_come_newest_first(store: &Fixture) {
    let links: Vec<_> = ["1", "2", "3"].map(|code| link(Purpose::Invite, "a@b.test", code)).into();
    for link in &links {
        store.add_one_time(link).await.unwrap();
    }
    store.add_one_time(&OneTime { expires_at: at(1), ..link(Purpose::Invite, "a@b.test", "4") }).await.unwrap();
    store.add_one_time(&link(Purpose::Invite, "c@b.test", "5")).await.unwrap();
    store.add_one_time(&link(Purpose::Reset, "a@b.test", "6")).await.unwrap();
    let listed = store.one_times(Purpose::Invite, "a@b.test", at(1)).await.unwrap();
    assert_eq!(listed, links.into_iter().rev().collect::<Vec<_>>());
}

async fn links_are_voided_by_address_and_by_user(store: &Fixture) {
    let (ann, bob) = (store.add(ann()).await, store.add(user(Kind::User)).await);
    let add = async |email: &str, user_id| {
        let link = OneTime { user_id, ..link(Purpose::Reset, email, "1") };
        store.add_one_time(&link).await.unwrap();
        link.token
    };
    let kept = add("c@b.test", Some(bob.id)).await;
    let unowned = add("c@b.test", None).await;
    add("a@b.test", None).await;
    add("a@b.test", Some(ann.id)).await;
    add("new@b.test", Some(ann.id)).await;
    assert_eq!(store.void_one_times(None, None).await.unwrap(), 0);
    assert_eq!(store.void_one_times(Some("a@b.test"), Some(ann.id)).await.unwrap(), 3);
    for token in [kept, unowned] {
        assert!(store.one_time(token, at(1)).await.unwrap().is_some());
    }
}
