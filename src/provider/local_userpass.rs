//! E-mail and password: signing in, and changing the password while signed in.
//!
//! Every answer is the same, and takes the same time, whether an address has an account or not.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::created::Created;
use super::links::Links;
use super::{Error, LOCAL_USERPASS, LocalUserpass as Settings, OpenLink, Parts, Setup};
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::account::linking::Policy;
use crate::account::new_password::Rules;
use crate::account::password::{Hasher, Verified};
use crate::account::{PasswordCredential, User};
use crate::clock::Clock;
use crate::function::{Function, Source};
use crate::id::{SessionId, UserId};
use crate::mail::{self, Mailer};
use crate::secret::Secret;
use crate::session::Sessions;
use crate::store::{self, Along, Ends, Saved, Store};

/// The provider `local-userpass`.
///
/// Nothing here starts a session: that is for whoever calls. Who confirms an address or accepts an invitation is
/// asked to sign in afterwards.
#[derive(Clone, Debug)]
pub struct LocalUserpass {
    pub(super) settings: Settings,
    pub(super) rules: Rules,
    pub(super) store: Arc<dyn Store>,
    pub(super) sessions: Sessions,
    pub(super) hasher: Hasher,
    pub(super) mailer: Mailer,
    pub(super) clock: Clock,
    pub(super) links: Links,
    pub(super) confirm_function: Option<Function>,
    pub(super) reset_function: Option<Function>,
    /// Room for functions that decide behind the answer.
    pub(super) deciding: Arc<Semaphore>,
    pub(super) created: Created,
    pub(super) linking: Policy,
}

impl LocalUserpass {
    pub(super) fn new(settings: &Settings, parts: &Parts, created: &Created) -> Result<Self, Setup> {
        let function = |source: &Option<Source>, word: &str| {
            let name = format!("{LOCAL_USERPASS}.{word}");
            let key = format!("providers.{name}.webhook.url");
            source.as_ref().map(|source| parts.function(source, &name, &key)).transpose()
        };
        Ok(Self {
            settings: settings.clone(),
            rules: Rules::new(settings.min_length, &parts.site),
            store: Arc::clone(&parts.store),
            sessions: parts.sessions.clone(),
            hasher: parts.hasher.clone(),
            mailer: parts.mailer.clone(),
            clock: parts.clock.clone(),
            links: Links::new(settings, parts),
            confirm_function: function(&settings.confirm_function, "confirm_function")?,
            reset_function: function(&settings.reset_function, "reset_function")?,
            deciding: Arc::new(Semaphore::new(DECIDING)),
            created: created.clone(),
            linking: parts.settings.linking,
        })
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The user of this address and password. A guest who signs in to an account that exists leaves the guest
    /// behind: nothing of the guest moves into an account.
    ///
    /// # Errors
    /// [`Error::Refused`] for a wrong password, an unknown address and a disabled user alike; [`Error::Busy`];
    /// [`Error::Store`].
    pub async fn sign_in(&self, email: &str, password: &Secret) -> Result<User, Error> {
        let found = match Email::parse(email) {
            Ok(email) => self.store.user_by_email(email.key()).await?,
            Err(_) => None,
        };
        let verified = self.verify(password, found.as_ref()).await?;
        let user = found.filter(|user| !user.disabled).ok_or(Error::Refused)?;
        let stored = hash_of(&user).cloned();
        let fresh = match verified {
            Verified::Match => None,
            // A flood that leaves no time for the better hash must not keep its owner out.
            Verified::MatchWeaker => self.hasher.hash(password).await.ok(),
            Verified::Mismatch | Verified::Corrupt(_) => return Err(Error::Refused),
        };
        let now = self.clock.now();
        let event = Event::new(Action::SIGN_IN, user.id, now).after("provider", LOCAL_USERPASS);
        self.update_with(user.id, Along::event(event), |user| {
            if user.disabled || hash_of(user) != stored.as_ref() {
                return Err(Error::Refused);
            }
            user.last_sign_in_at = Some(now);
            if let (Some(password), Some(hash)) = (&mut user.password, &fresh) {
                password.hash = hash.clone();
            }
            Ok(())
        })
        .await
    }

    /// Sets a new password for a user who knows the current one. All sessions but `keep` end, and links that were
    /// mailed before are void.
    ///
    /// # Errors
    /// [`Error::Refused`] when `current` is not the password; [`Error::WeakPassword`]; [`Error::Busy`];
    /// [`Error::Store`].
    pub async fn change_password(
        &self,
        user: UserId,
        current: &Secret,
        new: &Secret,
        keep: Option<SessionId>,
    ) -> Result<(), Error> {
        let (user, credential) = self.reauthenticate(user, current).await?;
        self.rules.check(new, &credential.email)?;
        let hash = self.hasher.hash(new).await?;
        let now = self.clock.now();
        let event = Event::new(Action::PASSWORD_CHANGE, user.id, now);
        let user = self
            .update_with(user.id, Along::event(event).ending(Ends::AllBut(keep)), |user| {
                let password = unchanged(user, &credential)?;
                password.hash = hash.clone();
                password.changed_at = now;
                Ok(())
            })
            .await?;
        self.settle(&user, keep).await?;
        self.tell_password_changed(&credential.email);
        Ok(())
    }

    /// What a link is for, without using it up. `None`: it was used, has ended, or never was.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn peek(&self, token: &str) -> Result<Option<OpenLink>, Error> {
        let link = self.links.peek(token).await?;
        Ok(link.map(|link| OpenLink {
            purpose: link.purpose,
            email: Some(link.email_key).filter(|email| !email.is_empty()),
        }))
    }

    /// The user and its password credential, if this is its password.
    pub(super) async fn reauthenticate(
        &self,
        user: UserId,
        current: &Secret,
    ) -> Result<(User, PasswordCredential), Error> {
        let user = self.store.user(user).await?;
        let verified = self.verify(current, user.as_ref()).await?;
        let user = user.filter(|user| !user.disabled).ok_or(Error::Refused)?;
        match (verified, user.password.clone()) {
            (Verified::Match | Verified::MatchWeaker, Some(credential)) => Ok((user, credential)),
            _ => Err(Error::Refused),
        }
    }

    pub(super) async fn verify(&self, password: &Secret, user: Option<&User>) -> Result<Verified, Error> {
        let verified = self.hasher.verify(password, user.and_then(hash_of)).await?;
        if let (Verified::Corrupt(why), Some(user)) = (verified, user) {
            tracing::error!(event = "credential.corrupt", user = %user.id, why, "a stored password hash is damaged");
        }
        Ok(verified)
    }

    /// The enabled user of this address and password, and no trace of a sign-in.
    ///
    /// # Errors
    /// As [`sign_in`](Self::sign_in).
    pub(super) async fn proved(&self, email: &str, password: &Secret) -> Result<User, Error> {
        let found = match Email::parse(email) {
            Ok(email) => self.store.user_by_email(email.key()).await?,
            Err(_) => None,
        };
        match self.verify(password, found.as_ref()).await? {
            Verified::Match | Verified::MatchWeaker => found.filter(|user| !user.disabled).ok_or(Error::Refused),
            Verified::Mismatch | Verified::Corrupt(_) => Err(Error::Refused),
        }
    }

    /// Whether this is the password of the user, who signs in to nothing by it.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not; [`Error::Busy`]; [`Error::Store`].
    pub async fn confirm_password(&self, user: UserId, password: &Secret) -> Result<(), Error> {
        self.reauthenticate(user, password).await.map(drop)
    }

    /// Reads, changes and saves, again when somebody else was quicker; what goes along is written with it.
    pub(super) async fn update_with(
        &self,
        id: UserId,
        along: Along,
        mut change: impl FnMut(&mut User) -> Result<(), Error> + Send,
    ) -> Result<User, Error> {
        for _ in 0..TRIES {
            let mut user = self.store.user(id).await?.ok_or(Error::Refused)?;
            change(&mut user)?;
            match self.store.save_user_with(&user, &along).await? {
                Saved::Done => {
                    user.version += 1;
                    return Ok(user);
                }
                Saved::Stale => {}
                Saved::EmailTaken => return Err(Error::Conflict(EMAIL_TAKEN)),
                Saved::IdentityTaken => return Err(Error::Conflict("identity.taken")),
            }
        }
        Err(Error::Busy)
    }

    /// After a credential changed: earlier sessions and earlier links are worth nothing.
    pub(super) async fn settle(&self, user: &User, keep: Option<SessionId>) -> Result<(), store::Error> {
        self.sessions.end_all(user.id, keep).await?;
        self.sessions.forget_user(user.id);
        let email = user.password.as_ref().map(|password| password.email.key());
        self.store.void_one_times(email, Some(user.id)).await.map(drop)
    }

    pub(super) fn tell_password_changed(&self, email: &Email) {
        let (at, reset_url) = (self.clock.now(), self.links.reset_page());
        self.mailer.queue(email, mail::Kind::PasswordChanged { at, reset_url });
    }
}

/// The credential, if it is still the one that was looked at.
pub(super) fn unchanged<'a>(
    user: &'a mut User,
    seen: &PasswordCredential,
) -> Result<&'a mut PasswordCredential, Error> {
    let enabled = !user.disabled;
    user.password.as_mut().filter(|password| enabled && **password == *seen).ok_or(Error::Refused)
}

fn hash_of(user: &User) -> Option<&Secret> {
    user.password.as_ref().map(|password| &password.hash)
}

/// Saves that may be overtaken before we give up; each time somebody else got on.
pub(super) const TRIES: usize = 8;

/// Functions that decide behind the answer at the same time; more registrations are told to come back.
const DECIDING: usize = 32;

/// The word for an address that is another user's.
pub(super) const EMAIL_TAKEN: &str = "email.taken";
