//! API keys that people make for themselves.

use std::sync::Arc;

use super::{ApiKeys as Settings, Error, Parts};
use crate::account::Kind;
use crate::account::api_key::{self, ApiKey};
use crate::account::audit::{Action, Event};
use crate::clock::{Clock, Timestamp};
use crate::id::{KeyId, UserId};
use crate::secret::{Digest, Secret};
use crate::session::Sessions;
use crate::store::Store;

/// The provider `api-key`, from its owner's side. A key speaks for its owner, with the owner's roles of the moment:
/// it is never stronger.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    settings: Settings,
    store: Arc<dyn Store>,
    sessions: Sessions,
    clock: Clock,
}

impl ApiKeys {
    pub(super) fn new(settings: &Settings, parts: &Parts) -> Self {
        Self {
            settings: settings.clone(),
            store: Arc::clone(&parts.store),
            sessions: parts.sessions.clone(),
            clock: parts.clock.clone(),
        }
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes a key for a full account and answers with it, this once. Without `expires_at` it lives as long as keys
    /// may. Take the user from a session, never from a request, and not from a caller who came with a key.
    ///
    /// # Errors
    /// [`Error::Refused`] for guests, services, and users who are disabled or gone; [`Error::BadName`];
    /// [`Error::BadExpiry`]; [`Error::TooManyKeys`]; [`Error::Store`].
    pub async fn create(
        &self,
        user: UserId,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<(ApiKey, Secret), Error> {
        let now = self.clock.now();
        let owner = self.store.user(user).await?.filter(|user| user.kind == Kind::User && !user.disabled);
        let owner = owner.ok_or(Error::Refused)?;
        let id = KeyId::generate(now);
        let secret = api_key::mint(id);
        let key = ApiKey {
            id,
            user_id: owner.id,
            name: name_of(name)?,
            // The key itself leaves with the answer and is kept nowhere.
            digest: Digest::of(secret.expose()),
            created_at: now,
            expires_at: self.end_of(now, expires_at)?,
            last_used_at: None,
            disabled: false,
        };
        let event = key_event(Action::KEY_CREATE, &key, now);
        if self.store.add_key_with(&key, self.settings.user_keys, &[event]).await? {
            Ok((key, secret))
        } else {
            Err(Error::TooManyKeys)
        }
    }

    /// The user's keys.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list(&self, user: UserId) -> Result<Vec<ApiKey>, Error> {
        Ok(self.store.keys(Some(user)).await?)
    }

    /// Disables or enables one of the user's own keys. `false`: the user has no such key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn set_disabled(&self, user: UserId, key: KeyId, disabled: bool) -> Result<bool, Error> {
        let Some(key) = self.own(user, key).await? else { return Ok(false) };
        let action = if disabled { Action::KEY_DISABLE } else { Action::KEY_ENABLE };
        let event = key_event(action, &key, self.clock.now());
        let done = self.store.set_key_disabled_with(key.id, disabled, &[event]).await?;
        self.sessions.forget_user(user);
        Ok(done)
    }

    /// Removes one of the user's own keys. `false`: the user has no such key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn delete(&self, user: UserId, key: KeyId) -> Result<bool, Error> {
        let Some(key) = self.own(user, key).await? else { return Ok(false) };
        let event = key_event(Action::KEY_DELETE, &key, self.clock.now());
        let done = self.store.delete_key_with(key.id, &[event]).await?;
        self.sessions.forget_user(user);
        Ok(done)
    }

    async fn own(&self, user: UserId, key: KeyId) -> Result<Option<ApiKey>, Error> {
        let found = self.store.key(key).await?;
        Ok(found.filter(|(_, owner)| owner.id == user).map(|(key, _)| key))
    }

    fn end_of(&self, now: Timestamp, wanted: Option<Timestamp>) -> Result<Option<Timestamp>, Error> {
        let latest = self.settings.max_lifetime.map(|lifetime| now + lifetime);
        match wanted {
            None => Ok(latest),
            Some(end) if end <= now || latest.is_some_and(|latest| end > latest) => Err(Error::BadExpiry),
            Some(end) => Ok(Some(end)),
        }
    }
}

/// What the log says of a key.
pub(super) fn key_event(action: Action, key: &ApiKey, now: Timestamp) -> Event {
    let (id, name) = (key.id.to_string(), key.name.as_str());
    let gone = action == Action::KEY_DELETE;
    let event = Event::new(action, key.user_id, now);
    match gone {
        true => event.before("key", id).before("name", name),
        false => event.after("key", id).after("name", name),
    }
}

fn name_of(typed: &str) -> Result<String, Error> {
    let name = typed.trim();
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name.to_owned()) } else { Err(Error::BadName) }
}
