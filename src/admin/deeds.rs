//! What operators do to users, each with its entry in the audit log.

use serde_json::{Map, Value};

use super::Admin;
use crate::account::User;
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::id::UserId;
use crate::provider;
use crate::rejection::Reason;
use crate::store::{self, Along, Ends, Saved};

/// What to change about a user; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) disabled: Option<bool>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) custom_data: Option<Map<String, Value>>,
    pub(super) email: Option<Email>,
}

impl Admin {
    /// The user of this id or e-mail address; operators themselves are none.
    pub(super) async fn user(&self, name: &str) -> Result<User, Reason> {
        let found = match (name.parse(), Email::parse(name)) {
            (Ok(id), _) => self.store.user(id).await.map_err(failed)?,
            (Err(_), Ok(email)) => self.store.user_by_email(email.key()).await.map_err(failed)?,
            (Err(_), Err(_)) => None,
        };
        found.filter(|user| !user.is_operator()).ok_or(Reason::NotFound)
    }

    /// Changes a user: every difference is an event of its own.
    pub(super) async fn change(&self, id: UserId, changes: &Changes) -> Result<User, Reason> {
        if let Some(role) = changes.roles.iter().flatten().find(|role| !self.roles.contains(*role)) {
            return Err(Reason::Unprocessable(format!("roles: the configuration declares no {role:?}")));
        }
        for _ in 0..TRIES {
            let mut user = self.store.user(id).await.map_err(failed)?.ok_or(Reason::NotFound)?;
            let before = user.clone();
            changes.make(&mut user)?;
            if user == before {
                return Ok(user);
            }
            let ends = if user.disabled && !before.disabled { Ends::AllBut(None) } else { Ends::None };
            let along = Along { ends, events: self.events(&before, &user) };
            match self.store.save_user_with(&user, &along).await.map_err(failed)? {
                Saved::Done => {
                    if user.disabled || changes.email.is_some() {
                        // Enabling the user again must not bring back what it was disabled for.
                        self.store.void_one_times(None, Some(id)).await.map_err(failed)?;
                    }
                    self.sessions.forget_user(id);
                    user.version += 1;
                    return Ok(user);
                }
                Saved::Stale => {}
                Saved::EmailTaken | Saved::IdentityTaken => return Err(Reason::Conflict("email.taken")),
            }
        }
        Err(Reason::Overloaded)
    }

    /// Removes a user with everything that is theirs.
    pub(super) async fn delete(&self, user: &User) -> Result<(), Reason> {
        let event = Event::new(Action::DELETE, user.id, self.clock.now());
        let event = event.before("user", crate::account::audit::user(user));
        let gone = self.store.delete_user_with(user.id, &[event]).await.map_err(failed)?;
        self.sessions.forget_user(user.id);
        if gone { Ok(()) } else { Err(Reason::NotFound) }
    }

    /// Ends all sessions of a user.
    pub(super) async fn end_sessions(&self, user: UserId) -> Result<usize, Reason> {
        let event = Event::new(Action::SESSION_REVOKE, user, self.clock.now()).before("sessions", "all");
        self.sessions.end_all_noting(user, None, vec![event]).await.map_err(failed)
    }

    fn events(&self, before: &User, after: &User) -> Vec<Event> {
        let now = self.clock.now();
        let mut events = Vec::new();
        let mut differs = |action: Action, field: &str, was: Value, is: Value| {
            if was != is {
                events.push(Event::new(action, after.id, now).before(field, was).after(field, is));
            }
        };
        let disabled = if after.disabled { Action::DISABLE } else { Action::ENABLE };
        differs(disabled, "disabled", before.disabled.into(), after.disabled.into());
        let roles = |user: &User| user.roles.iter().cloned().collect::<Vec<_>>().into();
        differs(Action::ROLES, "roles", roles(before), roles(after));
        let custom = |user: &User| Value::from(user.custom_data.clone());
        differs(Action::CUSTOM_DATA, "custom_data", custom(before), custom(after));
        let email = |user: &User| user.password.as_ref().map(|password| password.email.as_str().to_owned()).into();
        differs(Action::EMAIL_CHANGE, "email", email(before), email(after));
        events
    }
}

impl Changes {
    fn make(&self, user: &mut User) -> Result<(), Reason> {
        if let Some(disabled) = self.disabled {
            user.disabled = disabled;
        }
        if let Some(roles) = &self.roles {
            user.roles = roles.iter().cloned().collect();
        }
        if let Some(data) = &self.custom_data {
            user.custom_data = data.clone().into();
        }
        if let Some(email) = &self.email {
            let password = user.password.as_mut().ok_or(Reason::Conflict("user.no_password"))?;
            password.email = email.clone();
            // Nobody has answered a mail to it.
            password.verified = false;
            user.data.insert("email".to_owned(), Value::from(email.as_str()));
        }
        Ok(())
    }
}

/// The store's no.
pub(super) fn failed(error: store::Error) -> Reason {
    tracing::error!(%error, "the store failed an operator's request");
    match error {
        store::Error::Unavailable(_) => Reason::Unavailable,
        store::Error::Corrupt(_) => Reason::Internal,
        store::Error::Conflict(_) => Reason::Conflict("account.changed"),
    }
}

/// A provider's no.
pub(super) fn declined(error: provider::Error) -> Reason {
    match error {
        provider::Error::WeakPassword(why) => Reason::Unprocessable(format!("password: {why}")),
        provider::Error::BadEmail => Reason::Unprocessable("email: not an address such as ann@example.com".into()),
        provider::Error::BadName => Reason::Unprocessable("name: use 1 to 64 characters".into()),
        provider::Error::Conflict(what) => Reason::Conflict(what),
        provider::Error::Busy => Reason::Overloaded,
        provider::Error::Store(error) => failed(error),
        provider::Error::Refused => Reason::Conflict("account.state"),
        error => Reason::Unprocessable(error.to_string()),
    }
}

const TRIES: usize = 16;
