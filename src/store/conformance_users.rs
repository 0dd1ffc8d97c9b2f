//! The suite: users, their names, keys, and the keys that sign.

use std::sync::Arc;

use super::{Fixture, ann, at, identity, key, link, password, session, signing_key, suite, user, with_password};
use crate::account::one_time::Purpose;
use crate::account::{Kind, User};
use crate::id::{KeyId, UserId};
use crate::store::{Error, Saved};

suite! {
    a_user_comes_back_as_it_was_saved,
    a_user_is_found_by_each_of_its_names,
    an_address_is_found_and_unique_whatever_its_case,
    an_identity_belongs_to_one_user,
    names_that_were_given_up_are_free,
    a_save_of_an_old_version_changes_nothing,
    of_many_saves_of_one_version_one_is_done,
    of_many_users_with_one_address_one_is_made,
    of_many_users_with_one_identity_one_is_made,
    users_come_in_pages_in_the_order_of_their_ids,
    users_are_counted_by_kind,
    an_imported_user_is_as_it_was_and_is_imported_once,
    a_deleted_user_takes_all_it_had_along,
    a_deleted_user_cannot_be_saved_back,
    idle_guests_are_swept_and_nobody_else,
    a_guest_is_swept_only_up_to_the_limit,
    a_key_comes_back_with_its_user,
    keys_are_limited_per_user,
    of_many_keys_no_more_than_the_limit_are_added,
    keys_are_listed_disabled_touched_and_deleted,
    what_belongs_to_nobody_is_refused,
    of_many_first_signing_keys_one_is_added,
    signing_keys_come_newest_first_and_retire,
    the_store_answers,
}

async fn a_user_comes_back_as_it_was_saved(store: &Fixture) {
    let (ann, guest) = (ann(), user(Kind::Guest));
    assert_eq!(store.add(ann.clone()).await, User { version: 1, ..ann.clone() });
    assert_eq!(store.add(guest.clone()).await, User { version: 1, ..guest });
    let mut ann = User { version: 1, ..ann };
    ann.identities.swap(0, 1);
    ann.password = None;
    ann.disabled = true;
    ann.roles.clear();
    assert_eq!(store.save_user(&ann).await.unwrap(), Saved::Done);
    assert_eq!(store.user(ann.id).await.unwrap(), Some(User { version: 2, ..ann }));
}

async fn a_user_is_found_by_each_of_its_names(store: &Fixture) {
    let ann = store.add(ann()).await;
    for identity in &ann.identities {
        let found = store.user_by_identity(&identity.provider, &identity.issuer, &identity.subject).await;
        assert_eq!(found.unwrap(), Some(ann.clone()));
        let elsewhere = store.user_by_identity(&identity.provider, "https://evil.test", &identity.subject).await;
        assert_eq!(elsewhere.unwrap(), None);
    }
    assert_eq!(store.user_by_email("ann@example.com").await.unwrap(), Some(ann));
    assert_eq!(store.user_by_email("ann@corp.test").await.unwrap(), None);
    assert_eq!(store.user(UserId::generate(at(0))).await.unwrap(), None);
}

async fn an_address_is_found_and_unique_whatever_its_case(store: &Fixture) {
    let ann = store.add(with_password("Ann@Example.com")).await;
    assert_eq!(store.save_user(&with_password("ANN@EXAMPLE.COM")).await.unwrap(), Saved::EmailTaken);
    assert_eq!(store.save_user(&with_password("anne@example.com")).await.unwrap(), Saved::Done);
    let found = store.user_by_email(password("aNN@eXAMPLE.cOM").email.key()).await.unwrap().unwrap();
    assert_eq!(found.id, ann.id);
    assert_eq!(found.password.unwrap().email.as_str(), "Ann@Example.com");
}

async fn an_identity_belongs_to_one_user(store: &Fixture) {
    let ann = store.add(ann()).await;
    let bob = store.add(User { identities: vec![identity("corp", "00-2")], ..user(Kind::User) }).await;
    let mut thief = bob.clone();
    thief.identities.push(identity("corp", "00-1"));
    thief.roles.insert("editor".into());
    assert_eq!(store.save_user(&thief).await.unwrap(), Saved::IdentityTaken);
    assert_eq!(store.user(bob.id).await.unwrap(), Some(bob.clone()));
    let found = store.user_by_identity("corp", "https://corp.test", "00-1").await.unwrap();
    assert_eq!(found.unwrap().id, ann.id);
    let twice = User { identities: vec![identity("corp", "3"), identity("corp", "3")], ..bob.clone() };
    assert!(matches!(store.save_user(&twice).await, Err(Error::Conflict(_))));
    assert_eq!(store.user(bob.id).await.unwrap(), Some(bob));
}

async fn names_that_were_given_up_are_free(store: &Fixture) {
    let mut ann = store.add(ann()).await;
    let (given_up, email) = (ann.identities.remove(1), ann.password.take().unwrap().email);
    let heir = User { identities: vec![given_up], password: Some(password(email.as_str())), ..user(Kind::User) };
    assert_eq!(store.save_user(&heir).await.unwrap(), Saved::EmailTaken);
    assert_eq!(store.save_user(&ann).await.unwrap(), Saved::Done);
    assert_eq!(store.save_user(&heir).await.unwrap(), Saved::Done);
    assert_eq!(store.user_by_email(email.key()).await.unwrap().unwrap().id, heir.id);
}

async fn a_save_of_an_old_version_changes_nothing(store: &Fixture) {
    let read = store.add(ann()).await;
    let newer = User { disabled: true, ..read.clone() };
    assert_eq!(store.save_user(&newer).await.unwrap(), Saved::Done);
    assert_eq!(store.save_user(&read).await.unwrap(), Saved::Stale);
    assert_eq!(store.save_user(&User { version: 0, ..read.clone() }).await.unwrap(), Saved::Stale);
    assert_eq!(store.save_user(&User { version: 9, ..read.clone() }).await.unwrap(), Saved::Stale);
    assert!(store.user(read.id).await.unwrap().unwrap().disabled);
}

async fn of_many_saves_of_one_version_one_is_done(store: &Fixture) {
    let read = store.add(ann()).await;
    let id = read.id;
    let saved = store
        .race(move |store, racer| {
            let mut mine = read.clone();
            mine.roles = [format!("racer{racer}")].into();
            async move { store.save_user(&mine).await.unwrap() == Saved::Done }
        })
        .await;
    let winner = saved.iter().position(|done| *done).unwrap();
    assert_eq!(saved.iter().filter(|done| **done).count(), 1);
    let stored = store.user(id).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.roles), (2, [format!("racer{winner}")].into()));
}

async fn of_many_users_with_one_address_one_is_made(store: &Fixture) {
    let saved = store
        .race(|store, racer| async move {
            let email = if racer % 2 == 0 { "ann@example.com" } else { "ANN@example.com" };
            store.save_user(&with_password(email)).await.unwrap()
        })
        .await;
    assert_eq!(saved.iter().filter(|saved| **saved == Saved::Done).count(), 1);
    assert_eq!(saved.iter().filter(|saved| **saved == Saved::EmailTaken).count(), 19);
    assert_eq!(store.users(None, 50).await.unwrap().len(), 1);
}

async fn of_many_users_with_one_identity_one_is_made(store: &Fixture) {
    let saved = store
        .race(|store, _| async move {
            let claimant = User { identities: vec![identity("corp", "00-1")], ..user(Kind::User) };
            store.save_user(&claimant).await.unwrap()
        })
        .await;
    assert_eq!(saved.iter().filter(|saved| **saved == Saved::Done).count(), 1);
    assert_eq!(saved.iter().filter(|saved| **saved == Saved::IdentityTaken).count(), 19);
}

async fn users_come_in_pages_in_the_order_of_their_ids(store: &Fixture) {
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(store.add(User { identities: vec![], ..user(Kind::User) }).await.id);
    }
    let ann = store.add(ann()).await;
    ids.push(ann.id);
    ids.sort_unstable();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.users(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        assert!(page.len() <= 3);
        paged.extend(page);
    }
    assert_eq!(paged.iter().map(|user| user.id).collect::<Vec<_>>(), ids);
    assert!(paged.contains(&ann));
    assert_eq!(store.users(None, 0).await.unwrap(), []);
}

async fn users_are_counted_by_kind(store: &Fixture) {
    for kind in [Kind::Guest, Kind::User, Kind::Guest] {
        store.add(user(kind)).await;
    }
    let mut counts = Vec::new();
    for kind in [Kind::User, Kind::Guest, Kind::Service] {
        counts.push(store.count_users(kind).await.unwrap());
    }
    assert_eq!(counts, [1, 2, 0]);
}

async fn an_imported_user_is_as_it_was_and_is_imported_once(store: &Fixture) {
    let ann = User { version: 7, ..ann() };
    assert!(store.import_user(&ann).await.unwrap());
    assert_eq!(store.user(ann.id).await.unwrap(), Some(ann.clone()));
    assert!(!store.import_user(&User { disabled: true, ..ann.clone() }).await.unwrap());
    let namesake = with_password("ANN@example.com");
    assert!(matches!(store.import_user(&User { version: 1, ..namesake }).await, Err(Error::Conflict(_))));
    assert_eq!(store.save_user(&User { roles: [].into(), ..ann.clone() }).await.unwrap(), Saved::Done);
    assert_eq!(store.user(ann.id).await.unwrap().unwrap().version, 8);
}

async fn a_deleted_user_takes_all_it_had_along(store: &Fixture) {
    let (ann, bob) = (store.add(ann()).await, store.add(user(Kind::User)).await);
    let (hers, his) = (store.add_session_seen(&ann, 1).await, store.add_session_seen(&bob, 1).await);
    let (key, kept) = (key(&ann, "ci"), key(&bob, "ci"));
    assert!(store.add_key(&key, 5).await.unwrap() && store.add_key(&kept, 5).await.unwrap());
    let mut link = link(Purpose::Reset, "ann@example.com", "123456");
    link.user_id = Some(ann.id);
    store.add_one_time(&link).await.unwrap();

    assert!(store.delete_user(ann.id).await.unwrap());
    assert!(!store.delete_user(ann.id).await.unwrap());
    assert_eq!(store.user(ann.id).await.unwrap(), None);
    assert_eq!(store.user_by_email("ann@example.com").await.unwrap(), None);
    assert_eq!(store.user_by_identity("corp", "https://corp.test", "00-1").await.unwrap(), None);
    assert_eq!(store.session_by_token(hers.token).await.unwrap(), None);
    assert_eq!(store.key(key.id).await.unwrap(), None);
    assert_eq!(store.one_time(link.token, at(1)).await.unwrap(), None);
    assert!(store.session(his.id).await.unwrap().is_some() && store.key(kept.id).await.unwrap().is_some());
}

async fn a_deleted_user_cannot_be_saved_back(store: &Fixture) {
    let ann = store.add(ann()).await;
    store.delete_user(ann.id).await.unwrap();
    assert_eq!(store.save_user(&ann).await.unwrap(), Saved::Stale);
    assert_eq!(store.user(ann.id).await.unwrap(), None);
}

async fn idle_guests_are_swept_and_nobody_else(store: &Fixture) {
    let (idle, account) = (store.add_guest().await, store.add(user(Kind::User)).await);
    let fresh = store.add(User { created_at: at(100), ..user(Kind::Guest) }).await;
    let signed_in = store.add(User { last_sign_in_at: Some(at(100)), ..user(Kind::Guest) }).await;
    let (active, left) = (store.add_guest().await, store.add_guest().await);
    store.add_session_seen(&active, 100).await;
    store.add_session_seen(&left, 99).await;
    assert_eq!(store.sweep_guests(at(0), 10).await.unwrap(), 0);
    assert_eq!(store.sweep_guests(at(100), 10).await.unwrap(), 2);
    for (user, stays) in
        [(idle, false), (left, false), (account, true), (fresh, true), (signed_in, true), (active, true)]
    {
        assert_eq!(store.user(user.id).await.unwrap().is_some(), stays, "{user:?}");
    }
}

async fn a_guest_is_swept_only_up_to_the_limit(store: &Fixture) {
    for _ in 0..5 {
        store.add_guest().await;
    }
    let mut swept = Vec::new();
    for _ in 0..4 {
        swept.push(store.sweep_guests(at(100), 2).await.unwrap());
    }
    assert_eq!(swept, [2, 2, 1, 0]);
}

async fn a_key_comes_back_with_its_user(store: &Fixture) {
    let ann = store.add(ann()).await;
    let (key, endless) = (key(&ann, "build \u{2713}"), key(&ann, ""));
    let endless = crate::account::api_key::ApiKey { expires_at: None, ..endless };
    for key in [&key, &endless] {
        assert!(store.add_key(key, 5).await.unwrap());
        assert_eq!(store.key(key.id).await.unwrap(), Some((key.clone(), ann.clone())));
    }
    assert_eq!(store.key(KeyId::generate(at(0))).await.unwrap(), None);
    assert!(matches!(store.add_key(&key, 5).await, Err(Error::Conflict(_))));
}

async fn keys_are_limited_per_user(store: &Fixture) {
    let (ann, bob) = (store.add(ann()).await, store.add(user(Kind::User)).await);
    assert!(store.add_key(&key(&ann, "1"), 2).await.unwrap());
    assert!(store.add_key(&key(&ann, "2"), 2).await.unwrap());
    assert!(!store.add_key(&key(&ann, "3"), 2).await.unwrap());
    assert!(store.add_key(&key(&bob, "1"), 2).await.unwrap());
    assert!(!store.add_key(&key(&bob, "2"), 0).await.unwrap());
}

async fn of_many_keys_no_more_than_the_limit_are_added(store: &Fixture) {
    let ann = Arc::new(store.add(ann()).await);
    let id = ann.id;
    let added = store
        .race(move |store, racer| {
            let key = key(&ann, &racer.to_string());
            async move { store.add_key(&key, 3).await.unwrap() }
        })
        .await;
    assert_eq!(added.iter().filter(|added| **added).count(), 3);
    assert_eq!(store.keys(Some(id)).await.unwrap().len(), 3);
}

async fn keys_are_listed_disabled_touched_and_deleted(store: &Fixture) {
    let (ann, bob) = (store.add(ann()).await, store.add(user(Kind::User)).await);
    let mut keys = vec![key(&ann, "a"), key(&bob, "b"), key(&ann, "c")];
    for key in &keys {
        store.add_key(key, 5).await.unwrap();
    }
    store.touch_key(keys[0].id, at(50)).await.unwrap();
    store.touch_key(keys[0].id, at(40)).await.unwrap();
    assert!(store.set_key_disabled(keys[0].id, true).await.unwrap());
    let touched = store.key(keys[0].id).await.unwrap().unwrap().0;
    assert_eq!((touched.disabled, touched.last_used_at), (true, Some(at(50))));
    assert!(store.set_key_disabled(keys[0].id, false).await.unwrap());
    assert!(!store.set_key_disabled(KeyId::generate(at(0)), true).await.unwrap());
    keys[0].last_used_at = Some(at(50));
    keys.sort_by_key(|key| key.id);
    assert_eq!(store.keys(None).await.unwrap(), keys);
    keys.retain(|key| key.user_id == ann.id);
    assert_eq!(store.keys(Some(ann.id)).await.unwrap(), keys);
    assert!(store.delete_key(keys[0].id).await.unwrap());
    assert!(!store.delete_key(keys[0].id).await.unwrap());
    assert_eq!(store.keys(Some(ann.id)).await.unwrap(), keys[1..]);
}

async fn what_belongs_to_nobody_is_refused(store: &Fixture) {
    let nobody = ann();
    assert!(matches!(store.add_key(&key(&nobody, "1"), 5).await, Err(Error::Conflict(_))));
    assert!(matches!(store.add_session(&session(&nobody, at(0)), 5).await, Err(Error::Conflict(_))));
    let mut link = link(Purpose::Reset, "ann@example.com", "1");
    link.user_id = Some(nobody.id);
    assert!(matches!(store.add_one_time(&link).await, Err(Error::Conflict(_))));
    link.user_id = Some(store.add(nobody.clone()).await.id);
    store.add_one_time(&link).await.unwrap();
    store.add_session(&session(&nobody, at(0)), 5).await.unwrap();
    assert!(store.add_key(&key(&nobody, "1"), 5).await.unwrap());
}

async fn of_many_first_signing_keys_one_is_added(store: &Fixture) {
    let added = store
        .race(|store, racer| async move {
            store.add_signing_key(&signing_key(&racer.to_string(), 900), None).await.unwrap()
        })
        .await;
    let winner = added.iter().position(|added| *added).unwrap();
    assert_eq!(added.iter().filter(|added| **added).count(), 1);
    assert_eq!(store.signing_keys().await.unwrap(), [signing_key(&winner.to_string(), 900)]);
}

async fn signing_keys_come_newest_first_and_retire(store: &Fixture) {
    let (one, two, three) = (signing_key("one", 100), signing_key("two", 200), signing_key("three", 300));
    assert_eq!(store.signing_keys().await.unwrap(), []);
    assert!(store.add_signing_key(&one, None).await.unwrap());
    assert!(!store.add_signing_key(&two, None).await.unwrap());
    assert!(store.add_signing_key(&two, Some("one")).await.unwrap());
    assert!(!store.add_signing_key(&three, Some("one")).await.unwrap());
    assert!(store.add_signing_key(&three, Some("two")).await.unwrap());
    assert!(matches!(store.add_signing_key(&one, Some("three")).await, Err(Error::Conflict(_))));
    assert_eq!(store.signing_keys().await.unwrap(), [three.clone(), two.clone(), one]);
    assert_eq!(store.sweep_signing_keys(at(99)).await.unwrap(), 0);
    assert_eq!(store.sweep_signing_keys(at(100)).await.unwrap(), 1);
    assert_eq!(store.signing_keys().await.unwrap(), [three, two]);
}

async fn the_store_answers(store: &Fixture) {
    store.ping().await.unwrap();
}
