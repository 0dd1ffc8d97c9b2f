use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::local_userpass::LocalUserpass;
use super::recovery::gone;
use super::registration::NewAccount;
use super::{Confirm, Error, Registered};
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::account::linking::{Outcome, Policy};
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Kind, User};
use crate::id::UserId;
use crate::mail;
use crate::secret::Secret;
use crate::store::Along;

impl LocalUserpass {
    /// Begins to give a user without a password this one: it counts once the mail to the address is answered by the
    /// user, signed in. Whether the sign-in is recent enough is for whoever calls.
    ///
    /// # Errors
    /// [`Error::Conflict`] (`link.second_email_account`, `link.forbidden`); [`Error::Refused`] for guests, who register,
    /// and users who are gone; [`Error::BadEmail`]; [`Error::WeakPassword`]; [`Error::Busy`]; [`Error::Store`]; none
    /// depends on whether the address is known.
    pub async fn request_password(&self, user: UserId, email: &str, password: &Secret) -> Result<Registered, Error> {
        let email = Email::parse(email).map_err(|_| Error::BadEmail)?;
        if self.linking == Policy::Never {
            return Err(Error::Conflict(Outcome::PolicyForbids.code()));
        }
        let user = self.store.user(user).await?.filter(|user| user.kind == Kind::User && !user.disabled);
        let user = user.ok_or(Error::Refused)?;
        if user.password.is_some() {
            return Err(Error::Conflict(Outcome::SecondEmailAccount.code()));
        }
        self.rules.check(password, &email)?;
        let hash = self.hasher.hash(password).await?;
        let known = self.store.user_by_email(email.key()).await?.is_some();
        if self.settings.confirm == Confirm::Automatic {
            if !known {
                self.give(user.id, &email, hash, false).await?;
            }
            return Ok(Registered::Created);
        }
        if known {
            self.links.pretend(Purpose::ChangeEmail, &email).await?;
            return Ok(Registered::Mailed);
        }
        // Into the store, where the hashes of accounts are, too.
        let payload = json!({ "email": email.as_str(), "hash": hash.expose() });
        let link = self.links.issue(self.links.grant(Purpose::ChangeEmail, &email, Some(user.id), payload)).await?;
        self.mailer.queue(&email, mail::Kind::ChangeEmail(link));
        Ok(Registered::Mailed)
    }

    /// Gives the user the password that the link carries; `None` when it carries none.
    pub(super) async fn add_from(&self, user: UserId, email: &Email, link: &OneTime) -> Result<Option<User>, Error> {
        let Some(hash) = link.payload.get("hash").and_then(Value::as_str) else { return Ok(None) };
        let user = self.give(user, email, Secret::new(hash), true).await.map_err(gone)?;
        self.store.void_one_times(Some(email.key()), Some(user.id)).await?;
        Ok(Some(user))
    }

    async fn give(&self, id: UserId, email: &Email, hash: Secret, verified: bool) -> Result<User, Error> {
        let now = self.clock.now();
        let account = NewAccount { email: email.clone(), hash, verified, guest: None, roles: BTreeSet::new() };
        let event = Event::new(Action::LINK, id, now)
            .after("identity", json!({ "provider": super::LOCAL_USERPASS }))
            .after("email", email.as_str());
        let user = self
            .update_with(id, Along::event(event), |user| {
                if user.disabled || user.password.is_some() {
                    return Err(Error::LinkOver);
                }
                account.give_to(user, now);
                Ok(())
            })
            .await?;
        self.sessions.forget_user(user.id);
        Ok(user)
    }
}
