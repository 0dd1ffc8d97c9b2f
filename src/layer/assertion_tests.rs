//! What happens when the assertion that belongs to the identity headers cannot be signed.

use std::sync::Arc;
use std::time::Duration;

use http::Request;

use crate::account::{Kind, User};
use crate::body::Body;
use crate::client::{Client, Scheme};
use crate::clock::{Clock, Timestamp};
use crate::id::UserId;
use crate::layer::identity_headers::IdentityHeaders;
use crate::layer::{self, Preset, Progress, Step};
use crate::rejection::Reason;
use crate::route::{Router, Tables};
use crate::session::{Caller, Sessions, cookie};
use crate::store::{self, Address};
use crate::visit::{RequestId, Visit};

/// A visit of somebody so long after the last key was made.
async fn visit_after(span: Duration, preset: Preset) -> Progress {
    let clock = Clock::manual(Timestamp::from_seconds(1_700_000_000));
    let public_url = "https://app.test".parse().unwrap();
    let store = store::open(&Address::Memory).unwrap();
    let sessions = Sessions::open(store, clock.clone(), Default::default(), &public_url).await.unwrap();
    let settings = layer::IdentityHeaders { preset, set: Vec::new() };
    let tables = Tables { upstream: "http://127.0.0.1:1".parse().ok(), ..Tables::default() };
    let router = Arc::new(Router::new(&tables).unwrap());
    let step = IdentityHeaders::new(settings, router, sessions, cookie::Name::new(true), "https://app.test");
    clock.advance(span);
    let address = [127, 0, 0, 1].into();
    let client = Client { peer: address, address, scheme: Scheme::Https, trusted: false };
    let mut visit = Visit::new(Request::new(Body::empty()), RequestId::from_number(1), client);
    let user = User::new(UserId::generate(clock.now()), Kind::User, clock.now());
    visit.caller = Some(Arc::new(Caller::new(user, "local-userpass".to_owned(), None, clock.now())));
    step.take(visit)
}

const YEARS: Duration = Duration::from_hours(10 * 365 * 24);

#[tokio::test]
async fn without_a_key_to_sign_with_nobody_gets_through_with_half_an_identity() {
    let Progress::Refuse(refusal) = visit_after(YEARS, Preset::XAuth).await else { panic!("it went on") };
    assert_eq!(refusal.reason, Reason::Unavailable);
    assert!(!refusal.visit.is_identified);
    let Progress::Go(mut visit) = visit_after(Duration::ZERO, Preset::XAuth).await else { panic!("it did not go on") };
    visit.write_identity();
    assert!(visit.request.headers().contains_key("x-auth-assertion"));
}

#[tokio::test]
async fn who_wants_no_assertion_needs_no_key() {
    let Progress::Go(mut visit) = visit_after(YEARS, Preset::Remote).await else { panic!("it did not go on") };
    visit.write_identity();
    assert!(visit.request.headers().contains_key("remote-user"));
}
