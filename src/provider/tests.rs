use std::sync::Arc;
use std::time::Duration;

use super::local_userpass::LocalUserpass;
use super::{Confirm, Error, LOCAL_USERPASS, Parts, Providers, Registered, Settings, SignUp};
use crate::account::password::Hasher;
use crate::account::{Kind, User};
use crate::clock::{Clock, Timestamp};
use crate::fetch::Fetch;
use crate::function::{Program, Workers};
use crate::id::UserId;
use crate::mail::{Mailer, Outbox, Sent};
use crate::secret::{Digest, Secret};
use crate::session::{self, Device, Sessions};
use crate::store::{self, Store};

pub(super) const ANN: &str = "Ann@example.com";
pub(super) const PASSWORD: &str = "a horse in the hall";
pub(super) const OTHER: &str = "a lamp over the door";

/// A house with everything in memory and a clock that stands still.
pub(super) struct House {
    pub(super) providers: Providers,
    pub(super) store: Arc<dyn Store>,
    pub(super) sessions: Sessions,
    pub(super) hasher: Hasher,
    pub(super) mailer: Mailer,
    pub(super) clock: Clock,
}

impl House {
    pub(super) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut super::LocalUserpass)) -> Self {
        let mut local_userpass = super::LocalUserpass { sign_up: SignUp::Open, ..Default::default() };
        change(&mut local_userpass);
        let clock = Clock::manual(Timestamp::from_seconds(1_795_363_200));
        let public_url = "https://blog.example.com".parse().unwrap();
        let store = store::open(&store::Address::Memory).unwrap();
        let settings = session::Settings::default();
        let sessions = Sessions::open(Arc::clone(&store), clock.clone(), settings, &public_url).await.unwrap();
        let outbox = crate::mail::Settings { from: None, outbox: Outbox::Memory, ..Default::default() };
        let mailer = Mailer::new(&outbox, "The Daily Blog", &public_url, clock.clone()).unwrap();
        let hasher = Hasher::new(1);
        let providers = Providers::new(&Parts {
            settings: Settings {
                anon_user: Some(super::AnonUser::default()),
                local_userpass: Some(local_userpass),
                api_key: Some(super::ApiKeys { user_keys: 2, max_lifetime: Some(Duration::from_hours(24)) }),
                ..Settings::default()
            },
            store: Arc::clone(&store),
            sessions: sessions.clone(),
            hasher: hasher.clone(),
            mailer: mailer.clone(),
            fetch: Fetch::new(&Default::default()).unwrap(),
            workers: Workers::new(Program::new("/nowhere", &[]), Default::default()),
            clock: clock.clone(),
            public_url,
            prefix: "/.auth".to_owned(),
            site: "The Daily Blog".to_owned(),
        })
        .unwrap();
        Self { providers, store, sessions, hasher, mailer, clock }
    }

    /// A provider of these settings that people are sent to.
    pub(super) fn client(&self, settings: &super::OAuth) -> super::oauth2::Client {
        let parts = Parts {
            settings: Settings::default(),
            store: Arc::clone(&self.store),
            sessions: self.sessions.clone(),
            hasher: self.hasher.clone(),
            mailer: self.mailer.clone(),
            fetch: Fetch::new(&Default::default()).unwrap(),
            workers: Workers::new(Program::new("/nowhere", &[]), Default::default()),
            clock: self.clock.clone(),
            public_url: "https://blog.example.com".parse().unwrap(),
            prefix: "/.auth".to_owned(),
            site: "The Daily Blog".to_owned(),
        };
        super::oauth2::Client::new("corp", settings, Default::default(), &parts).unwrap()
    }

    pub(super) fn door(&self) -> &LocalUserpass {
        self.providers.local_userpass().unwrap()
    }

    /// An account whose address is proved.
    pub(super) async fn account(&self, email: &str, password: &str) -> User {
        self.door().register(email, &Secret::new(password), None).await.unwrap();
        let user = self.door().confirm(&self.token()).await.unwrap();
        self.clock.advance(Duration::from_secs(60));
        user
    }

    pub(super) async fn cookie(&self, user: &User) -> Digest {
        let cookie = self.sessions.start(user, LOCAL_USERPASS, Device::default()).await.unwrap();
        Digest::of(cookie.expose())
    }

    pub(super) fn last(&self) -> Sent {
        self.mailer.sent().pop().unwrap()
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.mailer.sent().iter().map(|sent| sent.kind).collect()
    }

    /// The token in the latest mail.
    pub(super) fn token(&self) -> String {
        token_of(&self.last())
    }

    /// The code in the latest mail.
    pub(super) fn code(&self) -> String {
        let text = self.last().text;
        let (_, rest) = text.split_once("asks for it: ").unwrap();
        rest[..9].to_owned()
    }
}

pub(super) fn token_of(sent: &Sent) -> String {
    let (_, rest) = sent.text.split_once("token=").unwrap();
    rest.split_once("&tokenId=").unwrap().0.to_owned()
}

pub(super) fn secret(text: &str) -> Secret {
    Secret::new(text)
}

pub(super) fn refused<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Refused))
}

pub(super) fn over<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::LinkOver))
}

#[tokio::test]
async fn who_registers_and_confirms_can_sign_in() {
    let house = House::open().await;
    assert_eq!(house.door().register(ANN, &secret(PASSWORD), None).await.unwrap(), Registered::Mailed);
    assert!(refused(house.door().sign_in(ANN, &secret(PASSWORD)).await));
    let made = house.door().confirm(&house.token()).await.unwrap();
    let user = house.door().sign_in("ann@EXAMPLE.com", &secret(PASSWORD)).await.unwrap();
    assert_eq!((user.id, user.kind, user.verified_email()), (made.id, Kind::User, Some(ANN)));
    assert_eq!((user.email(), user.last_sign_in_at), (Some(ANN), Some(house.clock.now())));
    let identity = user.identity(LOCAL_USERPASS).unwrap();
    assert!(identity.issuer.is_empty() && identity.subject.parse::<UserId>().is_ok());
}

#[tokio::test]
async fn a_code_confirms_as_a_link_does() {
    let house = House::open().await;
    house.door().register(ANN, &secret(PASSWORD), None).await.unwrap();
    let code = house.code().to_lowercase().replace('-', " ");
    assert!(over(house.door().confirm_code("bob@example.com", &code).await));
    assert!(house.door().confirm_code(ANN, &code).await.is_ok());
    assert!(over(house.door().confirm_code(ANN, &code).await));
}

#[tokio::test]
async fn codes_end_after_ten_minutes_and_after_five_wrong_tries() {
    let house = House::open().await;
    house.door().register(ANN, &secret(PASSWORD), None).await.unwrap();
    let code = house.code();
    for _ in 0..5 {
        assert!(over(house.door().confirm_code(ANN, "AAAA-AAAA").await));
    }
    assert!(over(house.door().confirm_code(ANN, &code).await));
    house.door().register("bob@example.com", &secret(PASSWORD), None).await.unwrap();
    let (code, token) = (house.code(), house.token());
    house.clock.advance(Duration::from_mins(10));
    assert!(over(house.door().confirm_code("bob@example.com", &code).await));
    assert!(house.door().confirm(&token).await.is_ok());
}

#[tokio::test]
async fn looking_at_a_link_does_not_use_it() {
    let house = House::open().await;
    house.door().register(ANN, &secret(PASSWORD), None).await.unwrap();
    let token = house.token();
    for _ in 0..3 {
        let open = house.door().peek(&token).await.unwrap().unwrap();
        assert_eq!(open.email.as_deref(), Some("ann@example.com"));
    }
    assert!(house.door().confirm(&token).await.is_ok());
    assert_eq!(house.door().peek(&token).await.unwrap(), None);
}

/// SEC-PWD-01
#[tokio::test]
async fn sec_pwd_01_registering_a_known_address_differs_in_the_mail_alone() {
    let house = House::open().await;
    let ann = house.account(ANN, PASSWORD).await;
    let hashes = house.hasher.computed();
    assert_eq!(house.door().register(ANN, &secret(OTHER), None).await.unwrap(), Registered::Mailed);
    let known = house.hasher.computed() - hashes;
    assert_eq!(house.last().kind, "already_registered");
    assert_eq!(house.door().register("bob@example.com", &secret(OTHER), None).await.unwrap(), Registered::Mailed);
    assert_eq!(house.hasher.computed() - hashes, 2 * known);
    assert_eq!(house.last().kind, "confirm");
    assert_eq!(house.door().sign_in(ANN, &secret(PASSWORD)).await.unwrap().id, ann.id);
    assert!(refused(house.door().sign_in(ANN, &secret(OTHER)).await));
}

/// SEC-PWD-01, SEC-PWD-02
#[tokio::test]
async fn sec_pwd_01_every_refused_sign_in_is_the_same_and_costs_one_hash() {
    let house = House::open().await;
    house.account(ANN, PASSWORD).await;
    let mut off = house.account("off@example.com", PASSWORD).await;
    off.disabled = true;
    house.store.save_user(&off).await.unwrap();
    house.door().register("new@example.com", &secret(PASSWORD), None).await.unwrap();
    let mut elsewhere = house.account("corp@example.com", PASSWORD).await;
    elsewhere.password = None;
    house.store.save_user(&elsewhere).await.unwrap();
    let tries = [
        (ANN, OTHER),
        ("nobody@example.com", PASSWORD),
        ("off@example.com", PASSWORD),
        ("new@example.com", PASSWORD),
        ("corp@example.com", PASSWORD),
        ("no address", PASSWORD),
    ];
    for (email, password) in tries {
        let before = house.hasher.computed();
        assert!(refused(house.door().sign_in(email, &secret(password)).await), "{email}");
        assert_eq!(house.hasher.computed() - before, 1, "{email}");
    }
    assert!(house.door().sign_in(ANN, &secret(PASSWORD)).await.is_ok());
}

/// SEC-PWD-05
#[tokio::test]
async fn sec_pwd_05_a_damaged_hash_in_the_store_is_an_ordinary_no() {
    let house = House::open().await;
    let mut user = house.account(ANN, PASSWORD).await;
    user.password.as_mut().unwrap().hash = secret("$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ");
    house.store.save_user(&user).await.unwrap();
    assert!(refused(house.door().sign_in(ANN, &secret(PASSWORD)).await));
}

#[tokio::test]
async fn a_weaker_hash_is_replaced_at_sign_in() {
    let house = House::open().await;
    let mut user = house.account(ANN, PASSWORD).await;
    let weak = "$argon2id$v=19$m=256,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$";
    let params = argon2::Params::new(256, 1, 1, Some(32)).unwrap();
    let mut output = [0; 32];
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(PASSWORD.as_bytes(), b"saltsaltsaltsalt", &mut output)
        .unwrap();
    let output = base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, output);
    user.password.as_mut().unwrap().hash = Secret::new(format!("{weak}{output}"));
    house.store.save_user(&user).await.unwrap();
    let user = house.door().sign_in(ANN, &secret(PASSWORD)).await.unwrap();
    assert!(user.password.unwrap().hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(house.door().sign_in(ANN, &secret(PASSWORD)).await.is_ok());
}

#[tokio::test]
async fn of_several_registrations_the_one_confirmed_wins_and_voids_the_others() {
    let house = House::open().await;
    house.door().register(ANN, &secret(OTHER), None).await.unwrap();
    let intruder = house.token();
    house.door().register(ANN, &secret(PASSWORD), None).await.unwrap();
    house.door().confirm(&house.token()).await.unwrap();
    assert!(over(house.door().confirm(&intruder).await));
    assert!(refused(house.door().sign_in(ANN, &secret(OTHER)).await));
    assert!(house.door().sign_in(ANN, &secret(PASSWORD)).await.is_ok());
}

#[tokio::test]
async fn a_mail_is_sent_again_unless_somebody_else_registered_the_address_too() {
    let house = House::open().await;
    house.door().resend(ANN).await.unwrap();
    assert!(house.kinds().is_empty());
    house.door().register(ANN, &secret(PASSWORD), None).await.unwrap();
    let first = house.token();
    house.door().resend(ANN).await.unwrap();
    assert_eq!(house.kinds(), ["confirm", "confirm"]);
    assert_ne!(house.token(), first);
    house.door().register(ANN, &secret(OTHER), None).await.unwrap();
    house.door().resend(ANN).await.unwrap();
    assert_eq!(house.kinds().len(), 3);
    assert!(house.door().confirm(&first).await.is_ok());
}

#[tokio::test]
async fn a_guest_that_registers_keeps_its_id_and_its_old_cookie_ends() {
    let house = House::open().await;
    let guest = house.providers.anon_user().unwrap().make().await.unwrap();
    let cookie = house.cookie(&guest).await;
    house.door().register(ANN, &secret(PASSWORD), Some(guest.id)).await.unwrap();
    assert!(house.sessions.by_cookie(&cookie).await.unwrap().is_some());
    let user = house.door().confirm(&house.token()).await.unwrap();
    assert_eq!((user.id, user.kind, user.identities.len()), (guest.id, Kind::User, 2));
    assert!(house.sessions.by_cookie(&cookie).await.unwrap().is_none());
}

#[tokio::test]
async fn a_guest_that_is_gone_or_grown_up_leaves_the_account_a_new_id() {
    let house = House::open().await;
    let guest = house.providers.anon_user().unwrap().make().await.unwrap();
    house.door().register(ANN, &secret(PASSWORD), Some(guest.id)).await.unwrap();
    let (first, second) = (house.token(), "bob@example.com");
    house.door().register(second, &secret(PASSWORD), Some(guest.id)).await.unwrap();
    assert_eq!(house.door().confirm(&first).await.unwrap().id, guest.id);
    let bob = house.door().confirm(&house.token()).await.unwrap();
    assert_ne!(bob.id, guest.id);
    assert_eq!(bob.kind, Kind::User);
}

#[tokio::test]
async fn automatic_confirmation_proves_nothing_and_tells_nothing() {
    let house = House::with(|settings| settings.confirm = Confirm::Automatic).await;
    let guest = house.providers.anon_user().unwrap().make().await.unwrap();
    let first = house.door().register(ANN, &secret(PASSWORD), Some(guest.id)).await.unwrap();
    assert_eq!(first, Registered::Created);
    assert_eq!(house.door().register(ANN, &secret(OTHER), None).await.unwrap(), first);
    let user = house.door().sign_in(ANN, &secret(PASSWORD)).await.unwrap();
    assert_eq!((user.id, user.email(), user.verified_email()), (guest.id, Some(ANN), None));
    assert!(refused(house.door().sign_in(ANN, &secret(OTHER)).await));
}

#[tokio::test]
async fn where_sign_up_is_not_open_nobody_registers() {
    for sign_up in [SignUp::Closed, SignUp::Invite] {
        let house = House::with(|settings| settings.sign_up = sign_up).await;
        assert!(matches!(house.door().register(ANN, &secret(PASSWORD), None).await, Err(Error::Closed)));
        assert!(matches!(house.door().resend(ANN).await, Err(Error::Closed)));
        assert!(house.kinds().is_empty());
    }
}

#[tokio::test]
async fn weak_passwords_and_odd_addresses_are_refused_before_anything_else() {
    let house = House::open().await;
    for weak in ["short", "password123", "The Daily Blog", "Ann@example.com"] {
        let answer = house.door().register(ANN, &secret(weak), None).await;
        assert!(matches!(answer, Err(Error::WeakPassword(_))), "{weak}");
    }
    let answer = house.door().register("a@b@example.com", &secret(PASSWORD), None).await;
    assert!(matches!(answer, Err(Error::BadEmail)));
    assert_eq!(house.hasher.computed(), 0);
}

#[tokio::test]
async fn the_operator_adds_accounts_where_nobody_may_register() {
    let house = House::with(|settings| settings.sign_up = SignUp::Closed).await;
    let roles = std::collections::BTreeSet::from(["editor".to_owned()]);
    let added = house.door().add(ANN, &secret(PASSWORD), roles.clone()).await.unwrap();
    let user = house.door().sign_in(ANN, &secret(PASSWORD)).await.unwrap();
    assert_eq!((user.id, &user.roles, user.verified_email()), (added.id, &roles, None));
    let again = house.door().add(ANN, &secret(OTHER), roles).await;
    assert!(matches!(again, Err(Error::Conflict("email.taken"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sign_ins_to_one_account_at_once_do_not_get_in_each_others_way() {
    let house = House::open().await;
    house.account(ANN, PASSWORD).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let door = house.door().clone();
        tries.spawn(async move { door.sign_in(ANN, &secret(PASSWORD)).await.is_ok() });
    }
    assert!(tries.join_all().await.into_iter().all(|done| done));
}
