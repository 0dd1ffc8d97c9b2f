//! What every store must do: one suite, run on each of them. A new store adds one line to `suite!`; one of another
//! program is held to it by [`crate::test::conforms`].

#[path = "conformance_audit.rs"]
mod audit;
#[path = "conformance_providers.rs"]
mod providers;
#[path = "conformance_sessions.rs"]
mod sessions;
#[cfg(test)]
#[path = "conformance_stores.rs"]
mod stores;
#[path = "conformance_users.rs"]
mod users;
#[path = "conformance_uses.rs"]
mod uses;

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Saved, SigningKey, Store};
use crate::account::api_key::ApiKey;
use crate::account::email::Email;
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Identity, Kind, PasswordCredential, User};
use crate::clock::Timestamp;
use crate::id::{KeyId, SessionId, UserId};
use crate::secret::{self, Digest, Secret};
use crate::session::{Device, Session};

/// Runs each of these tests on every store.
macro_rules! suite {
    ($($test:ident),+ $(,)?) => {
        /// Each of them on a store of its own.
        #[cfg(feature = "conformance")]
        pub(super) async fn claims(make: &impl AsyncFn() -> std::sync::Arc<dyn crate::store::Store>) {
            $(
                let _named = crate::store::conformance::Named(stringify!($test));
                $test(&Fixture::of(make().await)).await;
            )+
        }
        suite!(memory: $($test),+);
        suite!(sqlite: $($test),+);
        suite!(postgres: $($test),+);
        suite!(contended: $($test),+);
    };
    ($store:ident: $($test:ident),+) => {
        #[cfg(test)]
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    // `None`: the machine has no such server, and this was said.
                    if let Some(store) = crate::store::conformance::$store() {
                        super::$test(&store).await;
                    }
                }
            )+
        }
    };
}
#[cfg(test)]
pub(super) use super::postgres_contention_tests::contended;
#[cfg(test)]
pub(super) use stores::{memory, postgres, postgres_address, sqlite};
pub(super) use suite;

/// Says which claim did not hold.
pub(super) struct Named(pub(super) &'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the store does not hold to: {}", self.0.replace('_', " "));
        }
    }
}

/// The whole suite, test by test, each on a store that `make` makes.
#[cfg(feature = "conformance")]
pub(crate) async fn run(make: &impl AsyncFn() -> Arc<dyn Store>) {
    users::claims(make).await;
    sessions::claims(make).await;
    uses::claims(make).await;
    providers::claims(make).await;
    audit::claims(make).await;
}

/// A store of its own for each test.
pub(super) struct Fixture {
    store: Arc<dyn Store>,
    /// What has to be there for as long as the store.
    _ground: Option<Box<dyn Any + Send + Sync>>,
}

impl Deref for Fixture {
    type Target = Arc<dyn Store>;

    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

impl Fixture {
    pub(super) fn of(store: Arc<dyn Store>) -> Self {
        Self { store, _ground: None }
    }

    #[cfg(test)]
    pub(super) fn with(store: Arc<dyn Store>, ground: impl Any + Send + Sync) -> Self {
        Self { store, _ground: Some(Box::new(ground)) }
    }

    /// What the deed answers for 20 callers at once.
    pub(super) async fn race<T, F, R>(&self, deed: F) -> Vec<T>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn Store>, usize) -> R,
        R: Future<Output = T> + Send + 'static,
    {
        let racers: Vec<_> = (0..20).map(|racer| tokio::spawn(deed(Arc::clone(self), racer))).collect();
        let mut answers = Vec::new();
        for racer in racers {
            answers.push(racer.await.unwrap());
        }
        answers
    }

    /// Saves a new user and reads it back.
    pub(super) async fn add(&self, user: User) -> User {
        assert_eq!(self.save_user(&user).await.unwrap(), Saved::Done);
        self.user(user.id).await.unwrap().unwrap()
    }

    pub(super) async fn add_guest(&self) -> User {
        self.add(user(Kind::Guest)).await
    }

    /// Adds a session of this user, seen at this second.
    pub(super) async fn add_session_seen(&self, user: &User, second: i64) -> Session {
        let session = session(user, at(second));
        self.add_session(&session, 100).await.unwrap();
        session
    }
}

/// So many seconds after the tests begin.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + second)
}

pub(super) fn user(kind: Kind) -> User {
    User::new(UserId::generate(at(0)), kind, at(0))
}

/// A user with every field filled.
pub(super) fn ann() -> User {
    let mut ann = user(Kind::User);
    ann.data =
        json!({"name": "Ann \u{1f98a}", "email": "Ann@Example.com", "age": 41}).as_object().unwrap().clone().into();
    ann.custom_data = json!({"plan": {"tier": "pro", "seats": [1, 2.5, null]}}).as_object().unwrap().clone().into();
    ann.roles = ["editor", "journalist"].map(String::from).into();
    ann.last_sign_in_at = Some(at(3));
    ann.identities = vec![identity("local-userpass", "ann"), identity("corp", "00-1")];
    ann.identities[1].verified_email = Some("ann@corp.test".into());
    ann.password = Some(password("Ann@Example.com"));
    ann
}

pub(super) fn with_password(email: &str) -> User {
    User { password: Some(password(email)), ..user(Kind::User) }
}

pub(super) fn password(email: &str) -> PasswordCredential {
    let email = Email::parse(email).unwrap();
    PasswordCredential { email, hash: Secret::new("$argon2id$v=19$x"), verified: true, changed_at: at(2) }
}

pub(super) fn identity(provider: &str, subject: &str) -> Identity {
    let mut identity = Identity::new(provider, &format!("https://{provider}.test"), subject, at(1));
    identity.data.insert("name".to_owned(), subject.into());
    identity.roles.insert("editor".to_owned());
    identity
}

/// A session that idles out an hour after it was seen and ends after a day.
pub(super) fn session(user: &User, seen: Timestamp) -> Session {
    Session {
        id: SessionId::generate(seen),
        user_id: user.id,
        provider: "local-userpass".into(),
        token: digest(),
        previous: None,
        device: Device { user_agent: "curl/8.9 \u{202e}".into(), address: "2001:db8::7".parse().ok(), app: None },
        created_at: at(0),
        last_seen_at: seen,
        idle_expires_at: seen + Duration::from_hours(1),
        expires_at: at(86_400),
    }
}

pub(super) fn key(user: &User, name: &str) -> ApiKey {
    ApiKey {
        id: KeyId::generate(at(0)),
        user_id: user.id,
        name: name.into(),
        digest: digest(),
        created_at: at(0),
        expires_at: Some(at(900)),
        last_used_at: None,
        disabled: false,
    }
}

/// A link that ends after half an hour, and its code after ten minutes.
pub(super) fn link(purpose: Purpose, email_key: &str, code: &str) -> OneTime {
    OneTime {
        token: digest(),
        purpose,
        email_key: email_key.into(),
        code: Digest::of(code),
        user_id: None,
        payload: json!({"hash": "$argon2id$", "roles": ["editor"]}).into(),
        expires_at: at(1800),
        code_expires_at: at(600),
        attempts: 0,
    }
}

pub(super) fn signing_key(kid: &str, retires: i64) -> SigningKey {
    SigningKey {
        kid: kid.into(),
        private: Secret::new("MIG2AgEA"),
        created_at: at(0),
        signs_from: at(60),
        retires_at: at(retires),
    }
}

pub(super) fn digest() -> Digest {
    Digest::from_bytes(secret::random())
}
