use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::tests::{ANN, House, OTHER, PASSWORD, over, refused, secret};
use super::{Delivery, Error, Invitee, SignUp};
use crate::account::email::Email;
use crate::account::{Kind, User};
use crate::id::UserId;
use crate::secret::Secret;

fn ann() -> Email {
    Email::parse(ANN).unwrap()
}

fn editor() -> BTreeSet<String> {
    BTreeSet::from(["editor".to_owned()])
}

fn token_in(link: &Secret) -> String {
    let (_, rest) = link.expose().split_once("token=").unwrap();
    rest.split_once('&').unwrap().0.to_owned()
}

#[tokio::test]
async fn an_invitation_makes_an_account_with_roles_where_sign_up_is_closed() {
    let house = House::with(|settings| settings.sign_up = SignUp::Closed).await;
    let link = house.door().invite(Invitee::Address(ann()), editor(), Delivery::Mail).await.unwrap();
    assert!(link.expose().starts_with("https://blog.example.com/.auth/reset?token="));
    assert_eq!((house.last().kind, house.token()), ("invite", token_in(&link)));
    house.clock.advance(Duration::from_hours(6 * 24));
    let user = house.door().reset(&house.token(), &secret(PASSWORD)).await.unwrap();
    assert_eq!((user.roles.clone(), user.kind, user.verified_email()), (editor(), Kind::User, Some(ANN)));
    assert!(house.door().sign_in(ANN, &secret(PASSWORD)).await.is_ok());
    assert!(over(house.door().reset(&house.token(), &secret(OTHER)).await));
}

#[tokio::test]
async fn an_invitation_ends_after_seven_days() {
    let house = House::open().await;
    let link = house.door().invite(Invitee::Address(ann()), editor(), Delivery::Mail).await.unwrap();
    house.clock.advance(Duration::from_hours(7 * 24));
    assert!(over(house.door().accept_invitation(&token_in(&link), None, &secret(PASSWORD)).await));
}

#[tokio::test]
async fn an_open_invitation_takes_an_address_proves_nothing_and_voids_the_one_before() {
    let house = House::open().await;
    let before = house.door().invite(Invitee::Anybody, editor(), Delivery::Hand).await.unwrap();
    let link = house.door().invite(Invitee::Anybody, editor(), Delivery::Hand).await.unwrap();
    assert!(house.kinds().is_empty());
    let token = token_in(&link);
    assert_eq!(house.door().peek(&token).await.unwrap().unwrap().email, None);
    let nameless = house.door().accept_invitation(&token, None, &secret(PASSWORD)).await;
    assert!(matches!(nameless, Err(Error::BadEmail)));
    let user = house.door().accept_invitation(&token, Some(ANN), &secret(PASSWORD)).await.unwrap();
    assert_eq!((user.email(), user.verified_email()), (Some(ANN), None));
    assert!(over(house.door().accept_invitation(&token_in(&before), Some(ANN), &secret(PASSWORD)).await));
}

#[tokio::test]
async fn the_address_of_an_invitation_is_the_operators_choice() {
    let house = House::open().await;
    let link = house.door().invite(Invitee::Address(ann()), editor(), Delivery::Hand).await.unwrap();
    let user = house.door().accept_invitation(&token_in(&link), Some("eve@example.com"), &secret(PASSWORD)).await;
    assert_eq!(user.unwrap().email(), Some(ANN));
}

#[tokio::test]
async fn an_existing_user_gets_its_first_password_and_no_second() {
    let house = House::open().await;
    let user = User::new(UserId::generate(house.clock.now()), Kind::User, house.clock.now());
    house.store.save_user(&user).await.unwrap();
    let invitee = || Invitee::User(user.id, ann());
    let link = house.door().invite(invitee(), editor(), Delivery::Mail).await.unwrap();
    let accepted = house.door().accept_invitation(&token_in(&link), None, &secret(PASSWORD)).await.unwrap();
    assert_eq!(accepted.id, user.id);
    let again =
        house.door().invite(Invitee::User(user.id, Email::parse("a@b.example").unwrap()), editor(), Delivery::Mail);
    assert!(matches!(again.await, Err(Error::Conflict("password.set"))));
    let taken = house.door().invite(Invitee::Address(ann()), editor(), Delivery::Mail).await;
    assert!(matches!(taken, Err(Error::Conflict("email.taken"))));
}

#[tokio::test]
async fn guests_that_stay_away_are_removed_and_accounts_are_not() {
    let house = House::open().await;
    let guests = house.providers.anon_user().unwrap();
    let old = guests.make().await.unwrap();
    let ann = house.account(ANN, PASSWORD).await;
    house.clock.advance(Duration::from_hours(89 * 24));
    let new = guests.make().await.unwrap();
    assert_eq!(guests.sweep(house.clock.now()).await.unwrap(), 0);
    house.clock.advance(Duration::from_hours(2 * 24));
    assert_eq!(guests.sweep(house.clock.now()).await.unwrap(), 1);
    assert!(house.store.user(old.id).await.unwrap().is_none());
    assert!(house.store.user(new.id).await.unwrap().is_some());
    assert!(house.store.user(ann.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_speaks_for_its_owner_until_it_is_disabled_or_deleted() {
    let house = House::open().await;
    let ann = house.account(ANN, PASSWORD).await;
    let bob = house.account("bob@example.com", PASSWORD).await;
    let keys = house.providers.api_key().unwrap();
    let (key, text) = keys.create(ann.id, " laptop ", None).await.unwrap();
    assert_eq!((key.name.as_str(), key.expires_at), ("laptop", Some(house.clock.now() + Duration::from_hours(24))));
    let caller = house.sessions.by_key(text.expose()).await.unwrap().unwrap();
    assert_eq!(caller.user.id, ann.id);
    assert!(!keys.set_disabled(bob.id, key.id, true).await.unwrap());
    assert!(!keys.delete(bob.id, key.id).await.unwrap());
    assert!(keys.set_disabled(ann.id, key.id, true).await.unwrap());
    assert!(house.sessions.by_key(text.expose()).await.unwrap().is_none());
    assert!(keys.set_disabled(ann.id, key.id, false).await.unwrap());
    assert!(house.sessions.by_key(text.expose()).await.unwrap().is_some());
    assert!(keys.delete(ann.id, key.id).await.unwrap());
    assert!(house.sessions.by_key(text.expose()).await.unwrap().is_none());
    assert!(keys.list(ann.id).await.unwrap().is_empty());
}

/// SEC-KEY-03
#[tokio::test]
async fn sec_key_03_only_full_accounts_make_keys_few_and_short_lived_ones() {
    let house = House::open().await;
    let keys = house.providers.api_key().unwrap();
    let guest = house.providers.anon_user().unwrap().make().await.unwrap();
    let now = house.clock.now();
    let service = User::new(UserId::generate(now), Kind::Service, now);
    house.store.save_user(&service).await.unwrap();
    for other in [guest.id, service.id, UserId::generate(now)] {
        assert!(refused(keys.create(other, "key", None).await));
    }
    let ann = house.account(ANN, PASSWORD).await;
    let now = house.clock.now();
    for end in [now, now + Duration::from_hours(25)] {
        assert!(matches!(keys.create(ann.id, "key", Some(end)).await, Err(Error::BadExpiry)));
    }
    for name in ["", " ", "a\nb", &"x".repeat(65)] {
        assert!(matches!(keys.create(ann.id, name, None).await, Err(Error::BadName)), "{name:?}");
    }
    for _ in 0..2 {
        keys.create(ann.id, "key", Some(now + Duration::from_hours(1))).await.unwrap();
    }
    assert!(matches!(keys.create(ann.id, "key", None).await, Err(Error::TooManyKeys)));
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// SEC-PWD-05
#[tokio::test]
async fn sec_pwd_05_the_log_names_the_user_of_a_damaged_hash_and_no_secret() {
    let paper = Paper::default();
    let writer = paper.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let house = House::open().await;
    let mut ann = house.account(ANN, PASSWORD).await;
    ann.password.as_mut().unwrap().hash = secret("damaged-canary");
    house.store.save_user(&ann).await.unwrap();
    assert!(refused(house.door().sign_in(ANN, &secret("typed-canary")).await));
    house.door().request_reset(ANN).await.unwrap();
    let token = house.token();
    house.door().reset(&token, &secret("another-canary")).await.unwrap();
    let log = paper.text();
    assert!(log.contains("credential.corrupt") && log.contains(&ann.id.to_string()), "{log}");
    assert!(!log.contains("canary") && !log.contains(&token) && !log.contains(PASSWORD), "{log}");
}
