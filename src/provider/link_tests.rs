use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::created::Created;
use super::{Account, Admission, Error, LOCAL_USERPASS, Linker};
use crate::account::email::Email;
use crate::account::linking::{Outcome, Policy};
use crate::account::{Fields, Identity, Kind, PasswordCredential, User};
use crate::clock::{Clock, Timestamp};
use crate::id::UserId;
use crate::secret::Secret;
use crate::session::{self, Device, Sessions};
use crate::store::{self, AuditFilter, Store};

struct House {
    admission: Admission,
    sessions: Sessions,
    store: Arc<dyn Store>,
    clock: Clock,
}

impl House {
    async fn new(policy: Policy) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_795_363_200));
        let store = store::open(&store::Address::Memory).unwrap();
        let public_url = "https://blog.example.com".parse().unwrap();
        let sessions =
            Sessions::open(store.clone(), clock.clone(), session::Settings::default(), &public_url).await.unwrap();
        let admission = Admission::new(store.clone(), sessions.clone(), clock.clone(), policy, Created::new(None));
        Self { admission, sessions, store, clock }
    }

    async fn guest(&self) -> User {
        let now = self.clock.now();
        let mut guest = User::new(UserId::generate(now), Kind::Guest, now);
        guest.identities.push(Identity::new("anon-user", "", &guest.id.to_string(), now));
        self.add(guest).await
    }

    async fn with_password(&self, email: &str, verified: bool) -> User {
        let now = self.clock.now();
        let mut user = User::new(UserId::generate(now), Kind::User, now);
        user.identities.push(Identity::new(LOCAL_USERPASS, "", &user.id.to_string(), now));
        user.data.insert("email".into(), email.into());
        let email = Email::parse(email).unwrap();
        user.password = Some(PasswordCredential { email, hash: Secret::new("$x"), verified, changed_at: now });
        self.add(user).await
    }

    async fn add(&self, mut user: User) -> User {
        self.store.save_user(&user).await.unwrap();
        user.version += 1;
        user
    }

    fn linker(&self, user: &User) -> Linker {
        Linker { user: user.id, signed_in_at: self.clock.now(), keeps: None }
    }

    async fn user(&self, id: UserId) -> User {
        self.store.user(id).await.unwrap().unwrap()
    }

    async fn actions(&self) -> Vec<String> {
        let entries = self.store.audit(AuditFilter::default(), None, 100).await.unwrap();
        entries.iter().map(|entry| entry.event.action.word().to_owned()).collect()
    }
}

fn account(subject: &str) -> Account {
    let data = json!({ "name": "Ann", "email": "ann@gmail.com" }).as_object().unwrap().clone();
    Account { issuer: "https://id.example.com".into(), subject: subject.into(), data, ..Account::default() }
}

fn by_google(email: &str) -> Account {
    Account { verified_email: Some(email.into()), is_authoritative: true, ..account("g1") }
}

#[tokio::test]
async fn an_account_is_linked_once_and_leads_to_the_same_user() {
    let house = House::new(Policy::Ask).await;
    let ann = house.with_password("ann@example.com", true).await;
    let linked = house.admission.link(&house.linker(&ann), "corp", &account("7")).await.unwrap();
    assert_eq!((linked.outcome, linked.user.id), (Outcome::Linked, ann.id));
    let again = house.admission.link(&house.linker(&ann), "corp", &account("7")).await.unwrap();
    assert_eq!((again.outcome, again.user.version), (Outcome::AlreadyYours, linked.user.version));
    assert_eq!(house.admission.admit("corp", &account("7"), None).await.unwrap().user.id, ann.id);
    assert_eq!(house.actions().await, ["identity.link", "session.start"]);
}

#[tokio::test]
async fn a_guest_keeps_its_id_and_only_the_session_that_asked() {
    let house = House::new(Policy::Ask).await;
    let guest = house.guest().await;
    let (asking, _) = house.sessions.start_named(&guest, "anon-user", Device::default()).await.unwrap();
    house.sessions.start_named(&guest, "anon-user", Device::default()).await.unwrap();
    let linker = Linker { keeps: Some(asking), ..house.linker(&guest) };
    let linked = house.admission.link(&linker, "corp", &account("7")).await.unwrap();
    assert_eq!((linked.user.id, linked.user.kind), (guest.id, Kind::User));
    let providers: Vec<_> = linked.user.identities.iter().map(|identity| identity.provider.as_str()).collect();
    assert_eq!(providers, ["anon-user", "corp"]);
    let left: Vec<_> = house.store.sessions_of(guest.id).await.unwrap().iter().map(|session| session.id).collect();
    assert_eq!(left, [asking]);
}

/// SEC-LINK-02
#[tokio::test]
async fn sec_link_02_nobody_is_merged_into_what_was_not_proved() {
    let house = House::new(Policy::VerifiedEmail).await;
    let planted = house.with_password("ann@gmail.com", false).await;
    let ann = house.admission.admit("google", &by_google("ann@gmail.com"), None).await.unwrap();
    assert!(ann.is_new && ann.user.id != planted.id);
    // The twin: proved on both sides.
    let house = House::new(Policy::VerifiedEmail).await;
    let own = house.with_password("Ann@gmail.com", true).await;
    let ann = house.admission.admit("google", &by_google("ann@gmail.com"), None).await.unwrap();
    assert_eq!(ann.user.id, own.id);
    assert_eq!(house.actions().await, ["identity.link", "session.start"]);
}

/// SEC-LINK-06
#[tokio::test]
async fn sec_link_06_only_who_has_the_last_word_about_an_address_links_by_it() {
    for (policy, account, goes) in [
        (Policy::VerifiedEmail, by_google("ann@gmail.com"), true),
        (Policy::VerifiedEmail, Account { is_authoritative: false, ..by_google("ann@gmail.com") }, false),
        (Policy::VerifiedEmail, Account { verified_email: None, ..by_google("ann@gmail.com") }, false),
        (Policy::VerifiedEmail, by_google("ann@evil.test@gmail.com"), false),
        (Policy::VerifiedEmail, by_google("ann\u{ff20}gmail.com"), false),
        (Policy::Ask, by_google("ann@gmail.com"), false),
        (Policy::Never, by_google("ann@gmail.com"), false),
    ] {
        let house = House::new(policy).await;
        let own = house.with_password("ann@gmail.com", true).await;
        let admitted = house.admission.admit("google", &account, None).await.unwrap();
        assert_eq!(admitted.user.id == own.id, goes, "{policy:?} {account:?}");
    }
}

/// SEC-LINK-07
#[tokio::test]
async fn sec_link_07_an_account_is_its_provider_its_issuer_and_its_subject_and_no_address() {
    let house = House::new(Policy::Ask).await;
    let admit = async |name: &str, account: &Account| house.admission.admit(name, account, None).await.unwrap().user.id;
    let relay = |subject: &str| {
        let address = "dpdcnf87nu@privaterelay.appleid.com".to_owned();
        Account { verified_email: Some(address), is_authoritative: true, ..account(subject) }
    };
    let own = admit("corp", &relay("7")).await;
    assert_eq!(admit("corp", &relay("7")).await, own);
    assert_eq!(admit("corp", &Account { verified_email: None, ..account("7") }).await, own, "an address that went");
    let others = [
        ("corp", Account { issuer: "https://other.example.com".into(), ..relay("7") }),
        ("corp", Account { issuer: String::new(), ..relay("7") }),
        ("other", relay("7")),
        ("corp", relay("8")),
    ];
    let mut seen = HashSet::from([own]);
    for (name, account) in &others {
        assert!(seen.insert(admit(name, account).await), "{name} {account:?}");
    }
}

#[tokio::test]
async fn never_leaves_a_guest_behind() {
    let house = House::new(Policy::Never).await;
    let guest = house.guest().await;
    assert_ne!(house.admission.admit("corp", &account("7"), Some(guest.id)).await.unwrap().user.id, guest.id);
    let linked = house.admission.link(&house.linker(&guest), "corp", &account("8")).await.unwrap();
    assert_eq!(linked.outcome, Outcome::PolicyForbids);
    assert_eq!(house.user(guest.id).await, guest);
}

/// SEC-LINK-09
#[tokio::test]
async fn sec_link_09_what_is_anothers_stays_anothers() {
    let house = House::new(Policy::Ask).await;
    let owner = house.admission.admit("corp", &account("7"), None).await.unwrap().user;
    for asker in [house.with_password("bob@example.com", true).await, house.guest().await] {
        let linked = house.admission.link(&house.linker(&asker), "corp", &account("7")).await.unwrap();
        assert_eq!((linked.outcome, linked.user), (Outcome::OwnedByAnother, asker.clone()));
        assert_eq!(house.user(asker.id).await, asker);
    }
    assert_eq!(house.user(owner.id).await, owner);
}

/// SEC-LINK-09
#[tokio::test]
async fn sec_link_09_an_old_sign_in_links_nothing_and_learns_nothing() {
    let house = House::new(Policy::Ask).await;
    house.admission.admit("corp", &account("7"), None).await.unwrap();
    let ann = house.with_password("ann@example.com", true).await;
    let linker = house.linker(&ann);
    house.clock.advance(Duration::from_secs(301));
    for subject in ["7", "free"] {
        let linked = house.admission.link(&linker, "corp", &account(subject)).await.unwrap();
        assert_eq!(linked.outcome, Outcome::SignInTooOld, "{subject}");
    }
    let linked = house.admission.link(&house.linker(&ann), "corp", &account("free")).await.unwrap();
    assert_eq!(linked.outcome, Outcome::Linked);
}

/// SEC-LINK-09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_link_09_many_links_at_once_make_one_row() {
    let house = House::new(Policy::Ask).await;
    let (ann, bob) =
        (house.with_password("ann@example.com", true).await, house.with_password("bob@example.com", true).await);
    let racers: Vec<_> = (0..16)
        .map(|racer| {
            let (admission, linker) = (house.admission.clone(), house.linker(if racer % 2 == 0 { &ann } else { &bob }));
            tokio::spawn(async move { admission.link(&linker, "corp", &account("7")).await.unwrap().outcome })
        })
        .collect();
    let mut outcomes = Vec::new();
    for racer in racers {
        outcomes.push(racer.await.unwrap());
    }
    let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count();
    assert_eq!((count(Outcome::Linked), count(Outcome::AlreadyYours), count(Outcome::OwnedByAnother)), (1, 7, 8));
    let rows = house.user(ann.id).await.identities.len() + house.user(bob.id).await.identities.len();
    assert_eq!(rows, 3);
    assert_eq!(house.actions().await, ["identity.link"]);
}

/// SEC-LINK-09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_link_09_the_last_way_in_cannot_be_taken_away() {
    let house = House::new(Policy::Ask).await;
    let mut ann = house.guest().await;
    for subject in ["1", "2", "3"] {
        ann = house.admission.link(&house.linker(&ann), "corp", &account(subject)).await.unwrap().user;
    }
    let racers: Vec<_> = ["1", "2", "3"]
        .map(|subject| {
            let (admission, id) = (house.admission.clone(), ann.id);
            tokio::spawn(async move { admission.unlink(id, "corp", "https://id.example.com", subject).await })
        })
        .into();
    let mut refused = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => {}
            Err(Error::Conflict("unlink.last_identity")) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, 1);
    // What it was as a guest is left, and one way in.
    assert_eq!(house.user(ann.id).await.identities.len(), 2);
}

#[tokio::test]
async fn an_identity_takes_with_it_what_it_told_and_the_sessions_it_opened() {
    let house = House::new(Policy::Ask).await;
    let ann = house.with_password("ann@example.com", true).await;
    let account = Account { roles: ["editor".to_owned()].into(), ..account("7") };
    let ann = house.admission.link(&house.linker(&ann), "corp", &account).await.unwrap().user;
    assert_eq!((ann.email(), ann.name(), ann.has_role("editor", "corp")), (Some("ann@gmail.com"), Some("Ann"), true));
    house.sessions.start(&ann, "corp", Device::default()).await.unwrap();
    let (other, _) = house.sessions.start_named(&ann, LOCAL_USERPASS, Device::default()).await.unwrap();
    let ann = house.admission.unlink(ann.id, "corp", "https://id.example.com", "7").await.unwrap();
    assert_eq!((ann.email(), ann.name(), ann.has_role("editor", "corp")), (Some("ann@example.com"), None, false));
    let left: Vec<_> = house.store.sessions_of(ann.id).await.unwrap().iter().map(|session| session.id).collect();
    assert_eq!(left, [other]);
    let gone = house.admission.unlink(ann.id, "corp", "https://id.example.com", "7").await;
    assert!(matches!(gone, Err(Error::Conflict("unlink.unknown"))));
}

#[tokio::test]
async fn a_password_that_is_unlinked_signs_nobody_in() {
    let house = House::new(Policy::Ask).await;
    let ann = house.with_password("ann@example.com", true).await;
    let subject = ann.id.to_string();
    let last = house.admission.unlink(ann.id, LOCAL_USERPASS, "", &subject).await;
    assert!(matches!(last, Err(Error::Conflict("unlink.last_identity"))));
    house.admission.link(&house.linker(&ann), "corp", &account("7")).await.unwrap();
    let ann = house.admission.unlink(ann.id, LOCAL_USERPASS, "", &subject).await.unwrap();
    assert_eq!((ann.password, ann.data.get("email")), (None, Some(&json!("ann@gmail.com"))));
    assert_eq!(house.store.user_by_email("ann@example.com").await.unwrap(), None);
}

/// A store of users as sets, and what linking, unlinking and signing in make of it.
#[derive(Default)]
struct Model {
    /// Whose each account is.
    owners: BTreeMap<&'static str, usize>,
    full: HashSet<usize>,
}

impl Model {
    fn link(&mut self, user: usize, account: &'static str) -> Outcome {
        match self.owners.get(account) {
            Some(owner) if *owner == user => Outcome::AlreadyYours,
            Some(_) => Outcome::OwnedByAnother,
            None => {
                self.owners.insert(account, user);
                self.full.insert(user);
                Outcome::Linked
            }
        }
    }

    fn unlink(&mut self, user: usize, account: &'static str) -> bool {
        let own = self.owners.values().filter(|owner| **owner == user).count();
        if own < 2 || self.owners.get(account) != Some(&user) {
            return false;
        }
        self.owners.remove(account).is_some()
    }
}

/// Every sequence of three steps of two guests and three accounts ends as in the model.
#[tokio::test]
async fn every_short_history_ends_as_in_the_model() {
    const ACCOUNTS: [&str; 3] = ["1", "2", "3"];
    let steps: Vec<(bool, usize, &'static str)> = [false, true]
        .into_iter()
        .flat_map(|unlinks| [0, 1].map(|user| ACCOUNTS.map(|account| (unlinks, user, account))).concat())
        .collect();
    let base = steps.len();
    for history in 0..base.pow(3) {
        let house = House::new(Policy::Ask).await;
        let users = [house.guest().await.id, house.guest().await.id];
        let mut model = Model::default();
        let mut rest = history;
        for _ in 0..3 {
            let (unlinks, user, subject) = steps[rest % base];
            rest /= base;
            if unlinks {
                let done = house.admission.unlink(users[user], "corp", "https://id.example.com", subject).await;
                assert_eq!(done.is_ok(), model.unlink(user, subject), "{history}");
            } else {
                let linker = Linker { user: users[user], signed_in_at: house.clock.now(), keeps: None };
                let linked = house.admission.link(&linker, "corp", &account(subject)).await.unwrap();
                assert_eq!(linked.outcome, model.link(user, subject), "{history}");
            }
        }
        for (number, id) in users.iter().enumerate() {
            let user = house.user(*id).await;
            assert_eq!(user.kind == Kind::User, model.full.contains(&number), "{history}");
            let own: HashSet<_> = user.identities.iter().skip(1).map(|identity| identity.subject.as_str()).collect();
            let expected: HashSet<_> =
                model.owners.iter().filter(|(_, owner)| **owner == number).map(|(name, _)| *name).collect();
            assert_eq!(own, expected, "{history}");
            assert_eq!(user.data.is_empty(), expected.is_empty() && user.data == Fields::new(), "{history}");
        }
    }
}
