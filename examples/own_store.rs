//! A store of one's own: it tells the program of every new account, and leaves the rest to one that is there already.

use std::sync::{Arc, Mutex};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use vestibule::Vestibule;
use vestibule::store::{self, Address, Along, Answer, AtProvider, AuditFilter, Rotated, Saved, SigningKey, Store};
use vestibule::store::{
    ApiKey, Digest, Entry, Event, KeyId, Kind, OneTime, ProviderSession, Purpose, Session, SessionId,
};
use vestibule::store::{Timestamp, Use, User, UserId};

type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type News = Arc<Mutex<Vec<String>>>;
#[derive(Debug)]
pub(crate) struct Announcing(pub(crate) Arc<dyn Store>, pub(crate) News);

macro_rules! leave { ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
    $(fn $name<'a>(&'a self, $($arg: $type),*) -> Answer<'a, $answer> { self.0.$name($($arg),*) })*
} }

#[rustfmt::skip]
impl Store for Announcing {
    fn save_user_with<'a>(&'a self, user: &'a User, along: &'a Along) -> Answer<'a, Saved> {
        Box::pin(async move {
            let saved = self.0.save_user_with(user, along).await?;
            // A user who was not there before has version 0.
            if (user.version, &saved) == (0, &Saved::Done) && let Ok(mut news) = self.1.lock() {
                news.push(format!("{} {}", user.kind.as_str(), user.email().unwrap_or("-")));
            }
            Ok(saved)
        })
    }
    leave! {
        user(id: UserId) -> Option<User>; user_by_email(key: &'a str) -> Option<User>;
        user_by_identity(provider: &'a str, issuer: &'a str, subject: &'a str) -> Option<User>;
        users(after: Option<UserId>, limit: usize) -> Vec<User>; import_user(user: &'a User) -> bool;
        delete_user_with(id: UserId, events: &'a [Event]) -> bool; count_users(kind: Kind) -> u64;
        merge_users(into: &'a User, from: &'a User, along: &'a Along) -> Saved; add_audit(events: &'a [Event]) -> ();
        audit(filter: AuditFilter, after: Option<u64>, limit: usize) -> Vec<Entry>; ping() -> ();
        sweep_audit(before: Timestamp, limit: usize) -> usize; sweep_guests(before: Timestamp, limit: usize) -> usize;
        add_session_with(new: &'a Session, most: usize, events: &'a [Event]) -> (); session(id: SessionId) -> Option<(Session, User)>;
        session_by_token(token: Digest) -> Option<(Session, User)>; sessions_of(user: UserId) -> Vec<Session>;
        sessions(after: Option<SessionId>, limit: usize) -> Vec<Session>; end_session_with(id: SessionId, events: &'a [Event]) -> bool;
        touch_sessions(uses: Vec<Use>) -> ();
        rotate_token(old: Digest, new: Digest, now: Timestamp, idle: Timestamp) -> Rotated;
        end_sessions_of_with(user: UserId, but: Option<SessionId>, events: &'a [Event]) -> Vec<SessionId>;
        save_provider_session(saved: &'a ProviderSession) -> (); sweep(now: Timestamp, limit: usize) -> usize;
        provider_session(id: SessionId) -> Option<ProviderSession>; add_key_with(key: &'a ApiKey, most: usize, events: &'a [Event]) -> bool;
        sessions_at_provider(named: &'a AtProvider) -> Vec<SessionId>; key(id: KeyId) -> Option<(ApiKey, User)>;
        keys(user: Option<UserId>) -> Vec<ApiKey>; set_key_disabled_with(id: KeyId, disabled: bool, events: &'a [Event]) -> bool;
        touch_key(id: KeyId, used: Timestamp) -> (); delete_key_with(id: KeyId, events: &'a [Event]) -> bool; add_one_time(one: &'a OneTime) -> ();
        one_time(token: Digest, now: Timestamp) -> Option<OneTime>; sweep_signing_keys(now: Timestamp) -> usize;
        take_one_time(token: Digest, now: Timestamp) -> Option<OneTime>; signing_keys() -> Vec<SigningKey>;
        take_one_time_by_code(of: Purpose, to: &'a str, code: Digest, most: u32, now: Timestamp) -> Option<OneTime>;
        one_times(of: Purpose, to: &'a str, now: Timestamp) -> Vec<OneTime>;
        every_one_time(after: u64, limit: usize) -> Vec<(u64, OneTime)>;
        waiting(of: Purpose, now: Timestamp, limit: usize) -> Vec<OneTime>;
        void_one_times(to: Option<&'a str>, user: Option<UserId>) -> usize;
        add_signing_key(key: &'a SigningKey, newest: Option<&'a str>) -> bool;
    }
}

const RULES: &str = "public_url = \"http://localhost:3000\"\n[providers.local-userpass]\nsign_up = \"open\"\n\
                     confirm = \"automatic\"\n[routes]\n\"/**\" = { all = \"anyone\" }";

#[tokio::main]
async fn main() -> Result<(), Error> {
    serve(TcpListener::bind("127.0.0.1:3000").await?).await
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener) -> Result<(), Error> {
    let (news, inner) = (News::default(), store::open(&Address::Memory)?);
    let gate = Vestibule::builder().toml(RULES).store(Announcing(inner, news.clone())).build().await?;
    let read = async move || news.lock().map(|news| news.join(", ")).unwrap_or_default();
    let app = Router::new().route("/news", get(read));
    Ok(axum::serve(listener, gate.protect(app).into_make_service()).await?)
}
