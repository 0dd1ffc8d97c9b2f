use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::created::Created;
use super::custom_token::{CustomToken, GivenKey, Keys, Material, Settings};
use super::{Admission, Bearers, Facts, Found, Named, Provider, Verdict};
use crate::account::linking::Policy;
use crate::account::metadata::MetadataField;
use crate::clock::{Clock, Timestamp};
use crate::fetch::Fetch;
use crate::fetch::scripted::Scripted;
use crate::session::{self, Caller, Sessions};
use crate::store::{self, Store};
use crate::token::signer::Signer;
use crate::token::{Algorithm, Matching};

const NOW: i64 = 1_795_363_200;

struct House {
    store: Arc<dyn Store>,
    sessions: Sessions,
    clock: Clock,
    fetch: Fetch,
}

impl House {
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(NOW));
        let store = store::open(&store::Address::Memory).unwrap();
        let public_url = "https://blog.example.com".parse().unwrap();
        let sessions =
            Sessions::open(store.clone(), clock.clone(), session::Settings::default(), &public_url).await.unwrap();
        Self { store, sessions, clock, fetch: Fetch::new(&Default::default()).unwrap() }
    }

    fn bearers(&self, providers: &[(&str, &Settings)]) -> Bearers {
        let named = |(name, settings): &(&str, &Settings)| {
            let provider = Arc::new(CustomToken::new(settings, &self.fetch, self.clock.clone()).unwrap());
            Named { name: (*name).to_owned(), kind: super::custom_token::KIND, label: String::new(), provider }
        };
        let named: Vec<_> = providers.iter().map(named).collect();
        let admission = Admission::new(
            self.store.clone(),
            self.sessions.clone(),
            self.clock.clone(),
            Policy::Ask,
            Created::new(None),
        );
        Bearers::new(named.iter(), admission, self.sessions.clone(), self.clock.clone())
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn given(signer: &Signer, issuer: Option<&str>) -> Settings {
    let key = GivenKey { kid: None, material: Material::Public(signer.pem()) };
    settings(Keys::Given(vec![key]), issuer)
}

fn settings(keys: Keys, issuer: Option<&str>) -> Settings {
    Settings {
        keys,
        algorithms: vec![Algorithm::ES256],
        issuer: issuer.map(str::to_owned),
        audience: vec![],
        audience_match: Matching::All,
        leeway: Duration::ZERO,
        metadata: vec![MetadataField::named("name")],
    }
}

fn token(signer: &Signer, issuer: &str, subject: &str) -> String {
    signer.sign(&json!({ "iss": issuer, "sub": subject, "name": "Ann", "exp": NOW + 300 }))
}

async fn caller(bearers: &Bearers, text: &str) -> Arc<Caller> {
    match bearers.find(text).await {
        Found::Caller(caller) => caller,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_is_its_subject_and_known_the_next_time_without_waiting() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let bearers = house.bearers(&[("jwt", &given(&signer, None))]);
    let text = token(&signer, "https://a.test", "7");
    assert!(bearers.cached(&text).is_none());
    let first = caller(&bearers, &text).await;
    assert_eq!((first.provider.as_str(), first.session, first.user.name()), ("jwt", None, Some("Ann")));
    assert!(Arc::ptr_eq(&bearers.cached(&text).unwrap(), &first));
    let other = caller(&bearers, &signer.sign(&json!({ "iss": "https://a.test", "sub": "7", "exp": NOW + 9 }))).await;
    assert_eq!(other.user.id, first.user.id, "the same account by another token");
    for (issuer, subject) in [("https://a.test", "8"), ("https://b.test", "7")] {
        assert_ne!(caller(&bearers, &token(&signer, issuer, subject)).await.user.id, first.user.id);
    }
}

#[tokio::test]
async fn its_issuers_provider_decides_and_nobody_elses() {
    let (house, a, b, open) = (House::new().await, Signer::ec("a"), Signer::ec("b"), Signer::ec("open"));
    let bearers = house.bearers(&[
        ("any", &given(&open, None)),
        ("one", &given(&a, Some("https://a.test"))),
        ("two", &given(&b, Some("https://b.test"))),
    ]);
    for (signer, issuer, provider) in
        [(&a, "https://a.test", "one"), (&b, "https://b.test", "two"), (&open, "https://c.test", "any")]
    {
        assert_eq!(caller(&bearers, &token(signer, issuer, "7")).await.provider, provider);
    }
    for (signer, issuer) in [(&b, "https://a.test"), (&open, "https://a.test"), (&a, "https://c.test")] {
        assert!(matches!(bearers.find(&token(signer, issuer, "7")).await, Found::Bad));
    }
    let strict = house.bearers(&[("one", &given(&a, Some("https://a.test")))]);
    assert!(matches!(strict.find(&token(&b, "https://b.test", "7")).await, Found::Stranger));
    for other in ["opaque", "a.b.c", ""] {
        assert!(matches!(strict.find(other).await, Found::Stranger), "{other}");
    }
    assert!(matches!(house.bearers(&[]).find(&token(&a, "https://a.test", "7")).await, Found::Stranger));
}

#[tokio::test]
async fn while_one_cannot_tell_no_other_speaks_in_its_place() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let issuer = Scripted::json(&json!({ "keys": [Signer::ec("other").jwk()] })).await;
    let first = settings(Keys::Published(issuer.url("/jwks").parse().unwrap(), 3), None);
    let bearers = house.bearers(&[("first", &first), ("second", &given(&signer, None))]);
    issuer.say("HTTP/1.1 503 X\r\n\r\n");
    let text = token(&signer, "https://a.test", "7");
    assert!(matches!(bearers.find(&text).await, Found::CannotTell));
    house.advance(30);
    issuer.say_json(&json!({ "keys": [Signer::ec("other").jwk()] }));
    assert_eq!(caller(&bearers, &text).await.provider, "second");
}

#[tokio::test]
async fn a_token_ends_when_it_says_although_it_is_known() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let bearers = house.bearers(&[("jwt", &given(&signer, None))]);
    let text = token(&signer, "https://a.test", "7");
    let known = caller(&bearers, &text).await;
    house.advance(299);
    caller(&bearers, &text).await;
    assert!(bearers.cached(&text).is_some());
    house.advance(1);
    assert!(bearers.cached(&text).is_none());
    assert!(matches!(bearers.find(&text).await, Found::Bad));
    // So does what it let in and goes on.
    house.sessions.over(&known).await;
}

#[tokio::test]
async fn asking_again_who_it_is_costs_no_signature() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let issuer = Scripted::json(&json!({ "keys": [signer.jwk()] })).await;
    let published = settings(Keys::Published(issuer.url("/jwks").parse().unwrap(), 3), None);
    let bearers = house.bearers(&[("jwt", &published)]);
    let long = signer.sign(&json!({ "sub": "7", "exp": NOW + 100_000 }));
    caller(&bearers, &long).await;
    issuer.say("HTTP/1.1 500 X\r\n\r\n");
    // Far beyond the time for which its keys would be good.
    house.advance(3599);
    assert!(bearers.cached(&long).is_none());
    caller(&bearers, &long).await;
    // A key that is withdrawn counts for an hour more, not for ever.
    issuer.say_json(&json!({ "keys": [Signer::ec("new").jwk()] }));
    house.advance(1);
    assert!(matches!(bearers.find(&long).await, Found::Bad));
}

#[tokio::test]
async fn a_user_who_is_disabled_is_out_at_the_next_look() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let bearers = house.bearers(&[("jwt", &given(&signer, None))]);
    let text = token(&signer, "https://a.test", "7");
    let mut user = house.store.user(caller(&bearers, &text).await.user.id).await.unwrap().unwrap();
    user.disabled = true;
    house.store.save_user(&user).await.unwrap();
    assert!(bearers.cached(&text).is_some(), "another process did it");
    house.advance(5);
    assert!(bearers.cached(&text).is_none());
    assert!(matches!(bearers.find(&text).await, Found::Bad));
    user.disabled = false;
    user.version += 1;
    house.store.save_user(&user).await.unwrap();
    caller(&bearers, &text).await;
    house.sessions.forget_user(user.id);
    assert!(bearers.cached(&text).is_none(), "this process did it");
}

#[tokio::test]
async fn sec_sess_06_what_other_settings_made_of_a_token_does_not_count() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let text = token(&signer, "https://a.test", "7");
    let before = house.bearers(&[("jwt", &given(&signer, None))]);
    caller(&before, &text).await;
    let other = Settings { audience: vec!["app".to_owned()], ..given(&signer, None) };
    let after = house.bearers(&[("jwt", &other)]);
    assert!(after.cached(&text).is_none());
    assert!(matches!(after.find(&text).await, Found::Bad));
    assert!(before.cached(&text).is_some());
}

#[tokio::test]
async fn as_sign_in_credential_it_is_the_same_account() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let provider = CustomToken::new(&given(&signer, None), &house.fetch, house.clock.clone()).unwrap();
    let facts = Facts { request_id: String::new(), address: [127, 0, 0, 1].into(), user_agent: String::new() };
    let sign_in = async |credentials: Value| {
        let credentials = credentials.as_object().unwrap().clone();
        provider.sign_in(&credentials, &facts).await
    };
    let text = token(&signer, "https://a.test", "7");
    let Verdict::Yes(account) = sign_in(json!({ "token": text })).await else { panic!("refused") };
    assert_eq!((account.issuer.as_str(), account.subject.as_str()), ("https://a.test", "7"));
    assert_eq!(Value::Object(account.data), json!({ "name": "Ann" }));
    for bad in [json!({}), json!({ "token": 7 }), json!({ "token": "" }), json!({ "token": format!("{text}x") })] {
        assert!(matches!(sign_in(bad).await, Verdict::No(_)));
    }
}

#[tokio::test]
async fn an_address_counts_as_verified_by_the_boolean_alone() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let bearers = house.bearers(&[("jwt", &given(&signer, None))]);
    for (verified, counts) in [(json!(true), true), (json!("true"), false), (json!(1), false), (json!(false), false)] {
        let claims = json!({ "sub": format!("{verified}"), "exp": NOW + 300, "email": "ann@example.com", "email_verified": verified });
        let caller = caller(&bearers, &signer.sign(&claims)).await;
        assert_eq!(caller.user.verified_email().is_some(), counts, "{verified}");
    }
}

#[tokio::test]
async fn without_what_is_required_a_token_is_nobodys() {
    let (house, signer) = (House::new().await, Signer::ec("k"));
    let metadata = vec![MetadataField { required: true, ..MetadataField::named("name") }];
    let bearers = house.bearers(&[("jwt", &Settings { metadata, ..given(&signer, None) })]);
    let with = |name: Value| signer.sign(&json!({ "sub": "7", "exp": NOW + 300, "name": name }));
    assert!(matches!(bearers.find(&with(json!("Ann"))).await, Found::Caller(_)));
    assert!(matches!(bearers.find(&with(Value::Null)).await, Found::Bad));
    assert!(matches!(bearers.find(&with(json!("x".repeat(4097)))).await, Found::Bad));
}
