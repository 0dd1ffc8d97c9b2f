//! Keys that operators make: for a service of its own, for a user, or for the operator's listener.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::api_key::key_event;
use super::{API_KEY, Error};
use crate::account::api_key::{self, ApiKey};
use crate::account::audit::Action;
use crate::account::{Identity, Kind, OPERATOR, User};
use crate::clock::Timestamp;
use crate::id::{KeyId, UserId};
use crate::secret::{Digest, Secret};
use crate::store::{self, Along, Saved, Store};

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    /// Its public part.
    pub id: KeyId,
    /// What it is for.
    pub name: &'a str,
    /// Whom it speaks for.
    pub owner: Owner,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Whom a key speaks for.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A service of its own, with these roles: no person leaves with it.
    Service(BTreeSet<String>),
    /// A service that was somewhere else before: kept as it is, but for its identity, which is the key.
    Former(Box<User>),
    /// An operator of its own: it opens the operator's listener and nothing else.
    Operator,
    /// A user who is there.
    User(Box<User>),
}

/// Makes a key and answers with it, this once.
///
/// # Errors
/// [`Error::Refused`] for a guest; [`Error::BadName`]; [`Error::Conflict`] (`key.exists`); [`Error::Store`].
pub async fn make(store: &Arc<dyn Store>, new: NewKey<'_>, now: Timestamp) -> Result<(ApiKey, User, Secret), Error> {
    let name = new.name.trim();
    if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Error::BadName);
    }
    if store.key(new.id).await?.is_some() {
        return Err(Error::Conflict("key.exists"));
    }
    let (owner, is_own) = match new.owner {
        Owner::User(user) if user.kind == Kind::Guest => return Err(Error::Refused),
        Owner::User(user) => (*user, false),
        Owner::Service(roles) => {
            let service = User { roles, ..User::new(UserId::generate(now), Kind::Service, now) };
            (add(store, service, new.id, name, "").await?, true)
        }
        Owner::Former(service) => (add(store, *service, new.id, name, "").await?, true),
        Owner::Operator => {
            let operator = User::new(UserId::generate(now), Kind::Service, now);
            (add(store, operator, new.id, name, OPERATOR).await?, true)
        }
    };
    let secret = api_key::mint(new.id);
    let key = ApiKey {
        id: new.id,
        user_id: owner.id,
        name: name.to_owned(),
        // The key itself leaves with the answer and is kept nowhere.
        digest: Digest::of(secret.expose()),
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        disabled: false,
    };
    let event = key_event(Action::KEY_CREATE, &key, now);
    if let Err(error) = store.add_key_with(&key, usize::MAX, &[event]).await {
        if is_own {
            store.delete_user(owner.id).await?;
        }
        return Err(error.into());
    }
    Ok((key, owner, secret))
}

/// Disables or enables a key. `None`: there is none.
///
/// # Errors
/// When the store does not answer.
pub async fn set_disabled(
    store: &Arc<dyn Store>,
    id: KeyId,
    disabled: bool,
    now: Timestamp,
) -> Result<Option<User>, store::Error> {
    let Some((key, owner)) = store.key(id).await? else { return Ok(None) };
    let action = if disabled { Action::KEY_DISABLE } else { Action::KEY_ENABLE };
    if !store.set_key_disabled_with(id, disabled, &[key_event(action, &key, now)]).await? {
        return Ok(None);
    }
    if disabled {
        end_sessions(store, owner.id).await?;
    }
    Ok(Some(owner))
}

/// Removes a key, and its service with it: that is nobody without its key. `None`: there is none.
///
/// # Errors
/// When the store does not answer.
pub async fn delete(store: &Arc<dyn Store>, id: KeyId, now: Timestamp) -> Result<Option<User>, store::Error> {
    let Some((key, owner)) = store.key(id).await? else { return Ok(None) };
    let own = owner.kind == Kind::Service && owner.identities.iter().any(|own| own.subject == id.to_string());
    let events = [key_event(Action::KEY_DELETE, &key, now)];
    let gone = match own {
        true => store.delete_user_with(owner.id, &events).await?,
        false => store.delete_key_with(id, &events).await?,
    };
    end_sessions(store, owner.id).await?;
    Ok(gone.then_some(owner))
}

/// Sessions that were opened with a key do not outlive it. Which key opened which is not kept, so all go; a server
/// reads that within `session.cache`.
async fn end_sessions(store: &Arc<dyn Store>, owner: UserId) -> Result<(), store::Error> {
    for session in store.sessions_of(owner).await? {
        if session.provider == API_KEY {
            store.end_session(session.id).await?;
        }
    }
    Ok(())
}

/// Writes down whom the key speaks for, and who is nobody without it.
async fn add(store: &Arc<dyn Store>, mut service: User, key: KeyId, name: &str, issuer: &str) -> Result<User, Error> {
    service.data.insert("name".to_owned(), Value::from(name));
    service.identities = vec![Identity::new(API_KEY, issuer, &key.to_string(), service.created_at)];
    match store.save_user_with(&service, &Along::default()).await? {
        Saved::Done => Ok(service),
        Saved::Stale | Saved::IdentityTaken | Saved::EmailTaken => Err(Error::Conflict("key.exists")),
    }
}
