//! Everything arrives at another store as it was, however often it is begun, and nothing is written over.

use super::conformance::{Fixture, ann, at, key, link, memory, postgres, session, signing_key, sqlite, user};
use super::{AuditFilter, Copied, CopyError, copy};
use crate::account::audit::{Action, Event};
use crate::account::one_time::Purpose;
use crate::account::{Kind, User};
use crate::secret::Secret;
use crate::session::ProviderSession;

/// A store with something in every table, versions and orders that a plain save would not make.
async fn full(store: Fixture) -> Fixture {
    let ann = store.add(ann()).await;
    store.save_user(&User { disabled: true, ..ann.clone() }).await.unwrap();
    for _ in 0..300 {
        store.add(user(Kind::Guest)).await;
    }
    let mut kept = session(&ann, at(5));
    kept.previous = Some((super::conformance::digest(), at(4)));
    store.add_session(&kept, 9).await.unwrap();
    store.add_session(&session(&ann, at(6)), 9).await.unwrap();
    let at_provider = ProviderSession {
        session: kept.id,
        provider: "corp".into(),
        issuer: "https://id.example.com".into(),
        subject: "7".into(),
        sid: Some("s".into()),
        id_token: Some(Secret::new("id")),
        access_token: None,
        refresh_token: Some(Secret::new("refresh")),
        expires_at: Some(at(60)),
    };
    store.save_provider_session(&at_provider).await.unwrap();
    store.add_key(&key(&ann, "ci"), 9).await.unwrap();
    for code in ["1", "2", "3"] {
        store.add_one_time(&link(Purpose::Invite, "a@b.test", code)).await.unwrap();
    }
    store.take_one_time_by_code(Purpose::Invite, "a@b.test", super::conformance::digest(), 3, at(1)).await.unwrap();
    store.add_signing_key(&signing_key("one", 100), None).await.unwrap();
    store.add_signing_key(&signing_key("two", 200), Some("one")).await.unwrap();
    let events: Vec<_> = (0..250).map(|second| Event::new(Action::LINK, ann.id, at(second))).collect();
    store.add_audit(&events).await.unwrap();
    store
}

const ROWS: usize = 301 + 2 + 1 + 3 + 2 + 250;

#[tokio::test]
async fn everything_goes_there_and_back_as_it_was() {
    let source = full(memory().unwrap()).await;
    let mut stores = vec![source, sqlite().unwrap()];
    stores.extend(postgres());
    stores.extend([sqlite().unwrap(), memory().unwrap()]);
    for pair in stores.windows(2) {
        let copied = copy(&**pair[0], &**pair[1]).await.unwrap();
        assert_eq!(copied, Copied { added: ROWS, found: 0 });
        let again = copy(&**pair[0], &**pair[1]).await.unwrap();
        assert_eq!(again, Copied { added: 0, found: ROWS });
    }
    let (first, last) = (&stores[0], &stores[stores.len() - 1]);
    assert_eq!(first.users(None, 999).await.unwrap(), last.users(None, 999).await.unwrap());
    assert_eq!(first.sessions(None, 999).await.unwrap(), last.sessions(None, 999).await.unwrap());
    assert_eq!(first.keys(None).await.unwrap(), last.keys(None).await.unwrap());
    let links = async |store: &Fixture| store.one_times(Purpose::Invite, "a@b.test", at(1)).await.unwrap();
    assert_eq!(links(first).await, links(last).await);
    let audit = async |store: &Fixture| {
        let entries = store.audit(AuditFilter::default(), None, 999).await.unwrap();
        entries.into_iter().map(|entry| entry.event).collect::<Vec<_>>()
    };
    assert_eq!(audit(first).await, audit(last).await);
    assert_eq!(first.signing_keys().await.unwrap(), last.signing_keys().await.unwrap());
}

#[tokio::test]
async fn a_copy_that_was_broken_off_is_finished() {
    let (source, target) = (full(memory().unwrap()).await, sqlite().unwrap());
    for user in source.users(None, 100).await.unwrap() {
        target.import_user(&user).await.unwrap();
    }
    let (_, first) = source.every_one_time(0, 1).await.unwrap().remove(0);
    target.add_one_time(&first).await.unwrap();
    assert_eq!(copy(&**source, &**target).await.unwrap(), Copied { added: ROWS - 101, found: 101 });
}

#[tokio::test]
async fn a_target_that_holds_other_users_is_refused_untouched() {
    let (source, target) = (full(memory().unwrap()).await, sqlite().unwrap());
    let stranger = target.add_guest().await;
    let error = copy(&**source, &**target).await.unwrap_err();
    assert!(matches!(&error, CopyError::Foreign(id) if *id == stranger.id.to_string()), "{error:?}");
    assert_eq!(target.users(None, 9).await.unwrap(), [stranger]);
}

#[tokio::test]
async fn a_row_that_differs_stops_the_copy_by_its_name() {
    let (source, target) = (full(memory().unwrap()).await, sqlite().unwrap());
    copy(&**source, &**target).await.unwrap();
    let key = source.keys(None).await.unwrap().remove(0);
    target.set_key_disabled(key.id, true).await.unwrap();
    let error = copy(&**source, &**target).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the target holds the key {} already, and it differs", key.id));
    target.set_key_disabled(key.id, false).await.unwrap();
    copy(&**source, &**target).await.unwrap();
    target.add_one_time(&link(Purpose::Reset, "a@b.test", "9")).await.unwrap();
    assert!(matches!(copy(&**source, &**target).await, Err(CopyError::Differs(_))));
}
