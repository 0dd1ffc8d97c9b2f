//! The suite: what providers gave with sessions, and the links of sign-ins that are on their way there.

use super::{Fixture, ann, at, link, session, suite};
use crate::account::one_time::Purpose;
use crate::id::SessionId;
use crate::secret::Secret;
use crate::session::ProviderSession;
use crate::store::{AtProvider, Error};

suite! {
    the_providers_side_of_a_session_comes_back_and_is_replaced,
    it_goes_with_its_session,
    sessions_are_found_by_the_providers_names,
    every_purpose_is_read_back,
}

fn at_provider(session: SessionId, subject: &str, sid: Option<&str>) -> ProviderSession {
    ProviderSession {
        session,
        provider: "corp".into(),
        issuer: "https://id.example.com".into(),
        subject: subject.into(),
        sid: sid.map(str::to_owned),
        id_token: Some(Secret::new("id")),
        access_token: Some(Secret::new("access")),
        refresh_token: None,
        expires_at: Some(at(60)),
    }
}

async fn the_providers_side_of_a_session_comes_back_and_is_replaced(store: &Fixture) {
    let ann = store.add(ann()).await;
    let session = session(&ann, at(5));
    store.add_session(&session, 100).await.unwrap();
    assert_eq!(store.provider_session(session.id).await.unwrap(), None);
    let mut kept = at_provider(session.id, "7", Some("s1"));
    store.save_provider_session(&kept).await.unwrap();
    assert_eq!(store.provider_session(session.id).await.unwrap().as_ref(), Some(&kept));
    kept.access_token = Some(Secret::new("next"));
    kept.expires_at = None;
    store.save_provider_session(&kept).await.unwrap();
    assert_eq!(store.provider_session(session.id).await.unwrap(), Some(kept));
}

async fn it_goes_with_its_session(store: &Fixture) {
    let ann = store.add(ann()).await;
    let session = session(&ann, at(5));
    store.add_session(&session, 100).await.unwrap();
    store.save_provider_session(&at_provider(session.id, "7", None)).await.unwrap();
    store.end_session(session.id).await.unwrap();
    assert_eq!(store.provider_session(session.id).await.unwrap(), None);
    let late = store.save_provider_session(&at_provider(session.id, "7", None)).await;
    assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
}

async fn sessions_are_found_by_the_providers_names(store: &Fixture) {
    let ann = store.add(ann()).await;
    let (one, two, other) = (session(&ann, at(1)), session(&ann, at(2)), session(&ann, at(3)));
    for (session, subject, sid) in [(&one, "7", Some("s1")), (&two, "7", Some("s2")), (&other, "8", None)] {
        store.add_session(session, 100).await.unwrap();
        store.save_provider_session(&at_provider(session.id, subject, sid)).await.unwrap();
    }
    let find = async |issuer: &str, subject: Option<&str>, sid: Option<&str>| {
        let named = AtProvider {
            provider: "corp".into(),
            issuer: issuer.into(),
            subject: subject.map(str::to_owned),
            sid: sid.map(str::to_owned),
        };
        let mut found = store.sessions_at_provider(&named).await.unwrap();
        found.sort();
        found
    };
    let (here, elsewhere) = ("https://id.example.com", "https://id.example.net");
    let mut both = vec![one.id, two.id];
    both.sort();
    assert_eq!(find(here, Some("7"), None).await, both);
    assert_eq!(find(here, Some("7"), Some("s1")).await, [one.id]);
    assert_eq!(find(here, None, Some("s2")).await, [two.id]);
    assert_eq!(find(here, Some("8"), Some("s1")).await, []);
    assert_eq!(find(elsewhere, Some("7"), None).await, []);
    assert_eq!(find(here, None, None).await, []);
}

async fn every_purpose_is_read_back(store: &Fixture) {
    for purpose in Purpose::ALL {
        let link = link(purpose, "a@b.test", "1");
        store.add_one_time(&link).await.unwrap();
        assert_eq!(store.one_time(link.token, at(1)).await.unwrap(), Some(link));
    }
}
