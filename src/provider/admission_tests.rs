use std::sync::Arc;

use serde_json::{Value, json};

use super::created::Created;
use super::{Account, Admission, Error};
use crate::account::linking::Policy;
use crate::account::{Kind, User};
use crate::clock::{Clock, Timestamp};
use crate::function::{Call, Failure, Function};
use crate::id::UserId;
use crate::session::{self, Sessions};
use crate::store::{self, Store};

struct House {
    admission: Admission,
    store: Arc<dyn Store>,
    clock: Clock,
}

impl House {
    async fn new() -> Self {
        Self::telling(Created::new(None)).await
    }

    async fn telling(created: Created) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_795_363_200));
        let store = store::open(&store::Address::Memory).unwrap();
        let public_url = "https://blog.example.com".parse().unwrap();
        let sessions =
            Sessions::open(store.clone(), clock.clone(), session::Settings::default(), &public_url).await.unwrap();
        Self { admission: Admission::new(store.clone(), sessions, clock.clone(), Policy::Ask, created), store, clock }
    }

    async fn guest(&self) -> UserId {
        let now = self.clock.now();
        let guest = User::new(UserId::generate(now), Kind::Guest, now);
        self.store.save_user(&guest).await.unwrap();
        guest.id
    }
}

fn account(subject: &str) -> Account {
    let data = json!({ "name": "Ann", "email": "ann@example.com" }).as_object().unwrap().clone();
    Account {
        issuer: "https://id.example.com".into(),
        subject: subject.into(),
        data,
        roles: ["editor".to_owned()].into(),
        ..Account::default()
    }
}

#[tokio::test]
async fn the_same_account_is_the_same_user_and_another_one_is_not() {
    let house = House::new().await;
    let first = house.admission.admit("corp", &account("7"), None).await.unwrap();
    let again = house.admission.admit("corp", &account("7"), None).await.unwrap();
    assert!(first.is_new && !again.is_new);
    assert_eq!(first.user.id, again.user.id);
    // SEC-LINK-07: the same address under another name, issuer or provider is somebody else.
    let elsewhere = Account { issuer: "https://id.example.net".into(), ..account("7") };
    for (provider, account) in [("corp", account("8")), ("corp", elsewhere), ("other", account("7"))] {
        assert_ne!(house.admission.admit(provider, &account, None).await.unwrap().user.id, first.user.id);
    }
}

#[tokio::test]
async fn a_guest_keeps_its_id_unless_the_account_is_somebodys() {
    let house = House::new().await;
    let guest = house.guest().await;
    let admitted = house.admission.admit("corp", &account("7"), Some(guest)).await.unwrap();
    assert_eq!((admitted.user.id, admitted.user.kind, admitted.is_new), (guest, Kind::User, true));
    let another = house.guest().await;
    let admitted = house.admission.admit("corp", &account("7"), Some(another)).await.unwrap();
    assert_eq!((admitted.user.id, admitted.is_new), (guest, false));
    assert_eq!(house.store.user(another).await.unwrap().unwrap().kind, Kind::Guest);
}

#[tokio::test]
async fn what_the_provider_tells_is_noted_and_the_later_word_wins() {
    let house = House::new().await;
    house.admission.admit("corp", &account("7"), None).await.unwrap();
    let mut later = account("7");
    later.data = json!({ "name": "Ann B", "big": "x".repeat(4097), "nothing": null }).as_object().unwrap().clone();
    later.roles.clear();
    let user = house.admission.admit("corp", &later, None).await.unwrap().user;
    assert_eq!(json!(user.data), json!({ "name": "Ann B" }));
    assert!(!user.has_role("editor", "corp"));
}

#[tokio::test]
async fn sec_sess_02_what_a_provider_no_longer_tells_goes_unless_it_tells_only_sometimes() {
    let told =
        |data: Value, is_partial| Account { data: data.as_object().unwrap().clone(), is_partial, ..account("7") };
    let all = json!({ "name": "Ann", "plan": "pro" });
    for (is_partial, is_sign_in, left) in [
        (false, true, json!({ "name": "Ann" })),
        (true, true, all.clone()),
        // A token that comes with a request is no sign-in.
        (false, false, all.clone()),
    ] {
        let house = House::new().await;
        house.admission.admit("corp", &told(all.clone(), is_partial), None).await.unwrap();
        let less = told(json!({ "name": "Ann" }), is_partial);
        let user = match is_sign_in {
            true => house.admission.admit("corp", &less, None).await,
            false => house.admission.recognise("corp", &less).await,
        };
        let user = user.unwrap().user;
        assert_eq!(json!(user.data), left, "{is_partial} {is_sign_in}");
        assert_eq!(json!(user.identities[0].data), left, "and it goes with the identity");
    }
}

#[tokio::test]
async fn what_was_told_once_does_not_overrule_what_others_told_since() {
    let house = House::new().await;
    let told = |data: Value| Account { data: data.as_object().unwrap().clone(), is_partial: true, ..account("7") };
    let user = house.admission.admit("apple", &told(json!({ "name": "Ann" })), None).await.unwrap().user;
    house.admission.link_for(user.id, "corp", &told(json!({ "name": "Ann Other" }))).await.unwrap();
    let user = house.admission.admit("apple", &told(json!({})), None).await.unwrap().user;
    assert_eq!(json!(user.data), json!({ "name": "Ann Other" }));
}

#[tokio::test]
async fn roles_count_for_sign_ins_by_the_provider_that_told_them() {
    let house = House::new().await;
    let user = house.admission.admit("corp", &account("7"), None).await.unwrap().user;
    assert!(user.has_role("editor", "corp"));
    assert!(!user.has_role("editor", "local-userpass"));
    assert_eq!(user.roles_by("corp").into_iter().collect::<Vec<_>>(), ["editor"]);
}

#[tokio::test]
async fn a_disabled_user_and_a_nameless_account_are_refused() {
    let house = House::new().await;
    let mut user = house.admission.admit("corp", &account("7"), None).await.unwrap().user;
    user.disabled = true;
    house.store.save_user(&user).await.unwrap();
    assert!(matches!(house.admission.admit("corp", &account("7"), None).await, Err(Error::Refused)));
    assert!(matches!(house.admission.admit("corp", &account(""), None).await, Err(Error::Refused)));
    assert!(house.admission.admit("corp", &account("8"), None).await.is_ok());
}

#[tokio::test]
async fn recognising_writes_only_what_is_new() {
    let house = House::new().await;
    let first = house.admission.recognise("custom-token", &account("7")).await.unwrap().user;
    let again = house.admission.recognise("custom-token", &account("7")).await.unwrap().user;
    assert_eq!(first.version, again.version);
    let mut changed = account("7");
    changed.data.insert("name".into(), "Ann B".into());
    assert_eq!(house.admission.recognise("custom-token", &changed).await.unwrap().user.version, first.version + 1);
}

#[tokio::test]
async fn an_account_has_a_name_that_can_be_kept_and_seen() {
    let house = House::new().await;
    for good in ["7".to_owned(), "ü ☃".to_owned(), "x".repeat(512)] {
        assert!(house.admission.admit("corp", &account(&good), None).await.is_ok(), "{good}");
    }
    for odd in [String::new(), "x".repeat(513), "7\0".to_owned(), "7\n".to_owned(), "\u{1b}7".to_owned()] {
        let refused = house.admission.admit("corp", &account(&odd), None).await;
        assert!(matches!(refused, Err(Error::Refused)), "{odd:?}");
    }
}

#[tokio::test]
async fn more_than_is_kept_is_refused() {
    let house = House::new().await;
    let fill = |fields: usize| {
        let mut account = account("7");
        account.data = (0..fields).map(|n| (format!("f{n}"), "x".repeat(4000).into())).collect();
        account
    };
    assert!(house.admission.admit("corp", &fill(4), None).await.is_ok());
    assert!(matches!(house.admission.admit("corp", &fill(5), None).await, Err(Error::TooMuchData)));
}

#[tokio::test]
async fn a_function_is_told_of_new_accounts_and_of_guests_that_became_one() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let function = Function::from_fn("told", move |call: Call| {
        let told = told.clone();
        async move {
            told.send((call.provider, call.arguments[0]["id"].as_str().unwrap().to_owned())).unwrap();
            Err(Failure::CannotTell("it counts for nothing".into()))
        }
    });
    let house = House::telling(Created::new(Some(function))).await;
    let first = house.admission.admit("corp", &account("7"), None).await.unwrap().user.id;
    assert_eq!(heard.recv().await, Some(("corp".into(), first.to_string())));
    house.admission.admit("corp", &account("7"), None).await.unwrap();
    let guest = house.guest().await;
    house.admission.admit("corp", &account("8"), Some(guest)).await.unwrap();
    assert_eq!(heard.recv().await, Some(("corp".into(), guest.to_string())));
    assert!(heard.try_recv().is_err(), "the second sign-in was no news");
}
