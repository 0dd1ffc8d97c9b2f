//! The suite: what goes along with a deed, merging, and the audit log.

use std::sync::Arc;

use serde_json::json;

use super::{Fixture, ann, at, identity, key, link, session, suite, user, with_password};
use crate::account::audit::{Action, Actor, Event};
use crate::account::one_time::Purpose;
use crate::account::{Kind, User};
use crate::id::UserId;
use crate::session::Session;
use crate::store::{Along, AuditFilter, Ends, Saved};

suite! {
    an_event_comes_back_as_it_was,
    events_and_sessions_go_along_with_a_save_or_not_at_all,
    the_event_of_a_removal_outlives_the_user,
    events_go_along_with_what_is_done_to_keys_and_sessions,
    what_is_not_done_to_keys_and_sessions_is_not_noted,
    the_log_is_read_in_order_from_anywhere,
    the_log_forgets_what_is_old_and_only_that,
    a_merge_moves_all_or_nothing,
    a_merge_of_what_changed_since_is_stale,
    a_guests_sessions_are_not_merged,
    of_many_merges_of_one_user_one_happens,
    waiting_links_are_those_of_the_purpose_that_carry_something,
}

fn event(action: Action, subject: UserId, second: i64) -> Event {
    Event { at: at(second), actor: Actor::System, ..Event::new(action, subject, at(0)) }
}

async fn all(store: &Fixture) -> Vec<Event> {
    let entries = store.audit(AuditFilter::default(), None, 100).await.unwrap();
    entries.into_iter().map(|entry| entry.event).collect()
}

async fn add_session(store: &Fixture, user: &User, provider: &str) -> Session {
    let session = Session { provider: provider.into(), ..session(user, at(5)) };
    store.add_session(&session, 100).await.unwrap();
    session
}

async fn an_event_comes_back_as_it_was(store: &Fixture) {
    let subject = UserId::generate(at(0));
    let mut full =
        event(Action::ROLES, subject, 3).before("roles", json!(["a"])).after("roles", json!(["a", "\u{1f98a}"]));
    full.request_id = Some("00ff".into());
    full.actor = Actor::Operator("deploy: nightly".into());
    let by_user = Event { actor: Actor::User(subject), subject: None, ..event(Action::DELETE, subject, 4) };
    store.add_audit(&[full.clone(), by_user.clone()]).await.unwrap();
    assert_eq!(all(store).await, [full, by_user]);
}

async fn events_and_sessions_go_along_with_a_save_or_not_at_all(store: &Fixture) {
    let ann = store.add(ann()).await;
    let (corp, local) = (add_session(store, &ann, "corp").await, add_session(store, &ann, "local-userpass").await);
    let along = Along::event(event(Action::UNLINK, ann.id, 1)).ending(Ends::By("corp".into()));
    let stale = User { version: ann.version + 1, ..ann.clone() };
    assert_eq!(store.save_user_with(&stale, &along).await.unwrap(), Saved::Stale);
    assert_eq!((store.sessions_of(ann.id).await.unwrap().len(), all(store).await.len()), (2, 0));
    assert_eq!(store.save_user_with(&ann, &along).await.unwrap(), Saved::Done);
    assert!(store.session(corp.id).await.unwrap().is_none());
    assert_eq!(all(store).await, along.events);
    let ann = store.user(ann.id).await.unwrap().unwrap();
    let other = add_session(store, &ann, "corp").await;
    let along = Along::default().ending(Ends::AllBut(Some(other.id)));
    assert_eq!(store.save_user_with(&ann, &along).await.unwrap(), Saved::Done);
    assert!(store.session(local.id).await.unwrap().is_none());
    assert!(store.session(other.id).await.unwrap().is_some());
}

async fn the_event_of_a_removal_outlives_the_user(store: &Fixture) {
    let ann = store.add(ann()).await;
    let events = [event(Action::DELETE, ann.id, 1)];
    assert!(store.delete_user_with(ann.id, &events).await.unwrap());
    assert!(!store.delete_user_with(ann.id, &events).await.unwrap());
    assert_eq!(all(store).await, events);
}

async fn events_go_along_with_what_is_done_to_keys_and_sessions(store: &Fixture) {
    let ann = store.add(ann()).await;
    let (key, one, two) = (key(&ann, "k"), session(&ann, at(5)), session(&ann, at(6)));
    let of = |action: Action, second| event(action, ann.id, second);
    assert!(store.add_key_with(&key, 1, &[of(Action::KEY_CREATE, 1)]).await.unwrap());
    assert!(store.set_key_disabled_with(key.id, true, &[of(Action::KEY_DISABLE, 2)]).await.unwrap());
    store.add_session_with(&one, 9, &[of(Action::SIGN_IN, 3)]).await.unwrap();
    store.add_session_with(&two, 9, &[of(Action::SIGN_IN, 4)]).await.unwrap();
    assert!(store.end_session_with(one.id, &[of(Action::SIGN_OUT, 5)]).await.unwrap());
    let ended = store.end_sessions_of_with(ann.id, None, &[of(Action::SESSION_REVOKE, 6)]).await.unwrap();
    assert_eq!(ended, [two.id]);
    assert!(store.delete_key_with(key.id, &[of(Action::KEY_DELETE, 7), of(Action::LINK, 8)]).await.unwrap());
    assert_eq!(all(store).await.iter().map(|event| event.at).collect::<Vec<_>>(), (1..=8).map(at).collect::<Vec<_>>());
}

async fn what_is_not_done_to_keys_and_sessions_is_not_noted(store: &Fixture) {
    let (ann, stranger) = (store.add(ann()).await, user(Kind::User));
    let (first, second, gone) = (key(&ann, "k"), key(&ann, "l"), session(&stranger, at(5)));
    let events = [event(Action::LINK, ann.id, 1)];
    store.add_key(&first, 1).await.unwrap();
    assert!(!store.add_key_with(&second, 1, &events).await.unwrap());
    assert!(!store.set_key_disabled_with(second.id, true, &events).await.unwrap());
    assert!(!store.delete_key_with(second.id, &events).await.unwrap());
    assert!(store.add_session_with(&gone, 9, &events).await.is_err());
    assert!(!store.end_session_with(gone.id, &events).await.unwrap());
    assert!(store.end_sessions_of_with(ann.id, None, &events).await.unwrap().is_empty());
    assert_eq!(all(store).await, []);
}

async fn the_log_is_read_in_order_from_anywhere(store: &Fixture) {
    let (ann, bob) = (UserId::generate(at(0)), UserId::generate(at(0)));
    // The third is by the clock of an instance that is behind.
    let events = [(ann, 10), (bob, 20), (ann, 5), (ann, 30)].map(|(user, at)| event(Action::LINK, user, at));
    store.add_audit(&events).await.unwrap();
    assert_eq!(all(store).await, events);
    let of = |filter, after, limit| async move {
        let entries = store.audit(filter, after, limit).await.unwrap();
        entries.iter().map(|entry| (entry.sequence, entry.event.at)).collect::<Vec<_>>()
    };
    let first = of(AuditFilter::default(), None, 2).await;
    assert_eq!(first.len(), 2);
    let rest = of(AuditFilter::default(), Some(first[1].0), 10).await;
    assert_eq!(rest.iter().map(|(_, at)| *at).collect::<Vec<_>>(), [at(5), at(30)]);
    let anns = AuditFilter { subject: Some(ann), since: None };
    assert_eq!(of(anns, None, 10).await.len(), 3);
    let late = AuditFilter { subject: Some(ann), since: Some(at(10)) };
    assert_eq!(of(late, None, 10).await.len(), 2);
    assert_eq!(of(AuditFilter { subject: None, ..late }, Some(first[0].0), 10).await.len(), 2);
}

async fn the_log_forgets_what_is_old_and_only_that(store: &Fixture) {
    let user = UserId::generate(at(0));
    let events: Vec<_> = (0..10).map(|second| event(Action::LINK, user, second)).collect();
    store.add_audit(&events).await.unwrap();
    assert_eq!(store.sweep_audit(at(4), 3).await.unwrap(), 3);
    assert_eq!(store.sweep_audit(at(4), 3).await.unwrap(), 1);
    assert_eq!(store.sweep_audit(at(4), 3).await.unwrap(), 0);
    assert_eq!(all(store).await, events[4..]);
}

/// What `ann` becomes when `other` is merged into her.
fn merged(ann: &User, other: &User) -> User {
    let mut into = ann.clone();
    into.identities.extend(other.identities.iter().cloned());
    into
}

async fn a_merge_moves_all_or_nothing(store: &Fixture) {
    let ann = store.add(ann()).await;
    let other = User { identities: vec![identity("other", "1")], ..with_password("other@example.com") };
    let other = store.add(other).await;
    let session = add_session(store, &other, "other").await;
    let key = key(&other, "k");
    store.add_key(&key, 5).await.unwrap();
    let along = Along::event(event(Action::MERGE, ann.id, 1));
    assert_eq!(store.merge_users(&merged(&ann, &other), &other, &along).await.unwrap(), Saved::Done);
    assert_eq!(store.user(other.id).await.unwrap(), None);
    assert_eq!(store.user_by_email("other@example.com").await.unwrap(), None);
    let now = store.user_by_identity("other", &other.identities[0].issuer, "1").await.unwrap().unwrap();
    assert_eq!((now.id, now.identities.len(), now.version), (ann.id, 3, ann.version + 1));
    assert_eq!(store.session_by_token(session.token).await.unwrap().unwrap().1.id, ann.id);
    assert_eq!(store.sessions_of(ann.id).await.unwrap()[0].id, session.id);
    assert_eq!(store.key(key.id).await.unwrap().unwrap().1.id, ann.id);
    assert_eq!(all(store).await, along.events);
}

async fn a_merge_of_what_changed_since_is_stale(store: &Fixture) {
    let (ann, other) = (store.add(ann()).await, store.add(user(Kind::User)).await);
    let session = add_session(store, &other, "other").await;
    let later = |user: &User| User { version: user.version + 1, ..user.clone() };
    let along = Along::event(event(Action::MERGE, ann.id, 1));
    for (into, from) in [(later(&ann), other.clone()), (ann.clone(), later(&other)), (ann.clone(), ann.clone())] {
        assert_eq!(store.merge_users(&into, &from, &along).await.unwrap(), Saved::Stale);
    }
    // An identity that is a third user's.
    let third = User { identities: vec![identity("other", "3")], ..user(Kind::User) };
    let third = store.add(third).await;
    let taken = store.merge_users(&merged(&ann, &third), &other, &along).await.unwrap();
    assert_eq!(taken, Saved::IdentityTaken);
    assert_eq!(store.session(session.id).await.unwrap().unwrap().1, other);
    assert_eq!(all(store).await, []);
    assert_eq!(store.merge_users(&ann, &other, &along).await.unwrap(), Saved::Done);
}

async fn a_guests_sessions_are_not_merged(store: &Fixture) {
    let (ann, guest) = (store.add(ann()).await, store.add_guest().await);
    let session = add_session(store, &guest, "anon-user").await;
    assert_eq!(store.merge_users(&ann, &guest, &Along::default()).await.unwrap(), Saved::Done);
    assert!(store.session(session.id).await.unwrap().is_none());
    assert_eq!(store.sessions_of(ann.id).await.unwrap(), []);
}

async fn of_many_merges_of_one_user_one_happens(store: &Fixture) {
    let (from, into) = (Arc::new(store.add(user(Kind::User)).await), store.add(ann()).await);
    let other = store.add(with_password("third@example.com")).await;
    let saved =
        store
            .race(|store, racer| {
                let (from, into) = (from.clone(), if racer % 2 == 0 { into.clone() } else { other.clone() });
                async move {
                    store.merge_users(&into, &from, &Along::event(event(Action::MERGE, into.id, 1))).await.unwrap()
                }
            })
            .await;
    assert_eq!(saved.iter().filter(|saved| **saved == Saved::Done).count(), 1, "{saved:?}");
    assert_eq!(all(store).await.len(), 1);
}

async fn waiting_links_are_those_of_the_purpose_that_carry_something(store: &Fixture) {
    let mut first = link(Purpose::Confirm, "a@example.com", "1");
    first.payload = json!({ "email": "a@example.com" }).into();
    let mut second = link(Purpose::Confirm, "b@example.com", "1");
    second.payload = json!({ "email": "b@example.com" }).into();
    let mut nothing = link(Purpose::Confirm, "c@example.com", "1");
    nothing.payload = json!(null).into();
    let mut reset = link(Purpose::Reset, "a@example.com", "1");
    reset.payload = json!({}).into();
    for link in [&first, &second, &nothing, &reset] {
        store.add_one_time(link).await.unwrap();
    }
    let before_end = first.expires_at - std::time::Duration::from_millis(1);
    assert_eq!(store.waiting(Purpose::Confirm, before_end, 10).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(store.waiting(Purpose::Confirm, before_end, 1).await.unwrap(), [second]);
    assert_eq!(store.waiting(Purpose::Confirm, first.expires_at, 10).await.unwrap(), []);
}
