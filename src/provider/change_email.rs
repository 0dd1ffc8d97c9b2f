use serde_json::{Value, json};

use super::Error;
use super::local_userpass::LocalUserpass;
use super::recovery::{Seen, gone};
use crate::account::User;
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::account::one_time::{OneTime, Purpose};
use crate::id::UserId;
use crate::mail;
use crate::secret::Secret;
use crate::store::Along;

impl LocalUserpass {
    /// Mails a link to a new address, if it is nobody else's.
    ///
    /// # Errors
    /// [`Error::Refused`] when `current` is not the user's password; [`Error::BadEmail`]; [`Error::Busy`];
    /// [`Error::Store`]; none depends on whether the new address is known.
    pub async fn request_email_change(&self, user: UserId, current: &Secret, new_email: &str) -> Result<(), Error> {
        let email = Email::parse(new_email).map_err(|_| Error::BadEmail)?;
        let (user, credential) = self.reauthenticate(user, current).await?;
        let holder = self.store.user_by_email(email.key()).await?;
        if holder.is_some_and(|holder| holder.id != user.id) {
            return Ok(self.links.pretend(Purpose::ChangeEmail, &email).await?);
        }
        let payload = json!({ "email": email.as_str(), "seen": Seen::of(&credential).payload() });
        let grant = self.links.grant(Purpose::ChangeEmail, &email, Some(user.id), payload);
        let link = self.links.issue(grant).await?;
        self.mailer.queue(&email, mail::Kind::ChangeEmail(link));
        Ok(())
    }

    /// Gives the account its new address, or its first with the password that was asked for; only for the user who asked, signed in. The old address is told.
    ///
    /// # Errors
    /// [`Error::LinkOver`], also when it is somebody else's link, which stays good; [`Error::Conflict`]
    /// (`email.taken`) when the address became another user's meanwhile; [`Error::Store`].
    pub async fn confirm_email_change(&self, user: UserId, token: &str) -> Result<User, Error> {
        let link = self.links.peek(token).await?.ok_or(Error::LinkOver)?;
        if link.user_id != Some(user) {
            return Err(Error::LinkOver);
        }
        let link = self.links.take(Purpose::ChangeEmail, token).await?;
        let email = link.payload.get("email").and_then(Value::as_str).ok_or(Error::LinkOver)?;
        let email = Email::parse(email).map_err(|_| Error::LinkOver)?;
        if let Some(user) = self.add_from(user, &email, &link).await? {
            return Ok(user);
        }
        let mut old = None;
        let before = self.store.user(user).await?.and_then(|user| user.password).map(|password| password.email);
        let event = Event::new(Action::EMAIL_CHANGE, user, self.clock.now()).after("email", email.as_str());
        let event = event.before("email", before.map(|email| email.as_str().to_owned()));
        let changed = self.update_with(user, Along::event(event), |user| {
            old = Some(replace(user, &email, &link)?);
            Ok(())
        });
        let changed = changed.await.map_err(gone)?;
        self.sessions.forget_user(changed.id);
        self.store.void_one_times(Some(email.key()), Some(changed.id)).await?;
        if let Some(old) = old {
            self.store.void_one_times(Some(old.key()), None).await?;
            self.mailer.queue(&old, mail::Kind::EmailChanged { at: self.clock.now() });
        }
        Ok(changed)
    }
}

/// Sets the address and answers with the one before.
fn replace(user: &mut User, email: &Email, link: &OneTime) -> Result<Email, Error> {
    let enabled = !user.disabled;
    let credential = user.password.as_mut().filter(|_| enabled).ok_or(Error::LinkOver)?;
    if !link.payload.get("seen").is_some_and(|seen| Seen::is_still(seen, credential)) {
        return Err(Error::LinkOver);
    }
    let old = std::mem::replace(&mut credential.email, email.clone());
    credential.verified = true;
    user.data.insert("email".to_owned(), Value::from(email.as_str()));
    Ok(old)
}
