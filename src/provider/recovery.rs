use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Error;
use super::api_key::key_event;
use super::local_userpass::LocalUserpass;
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{PasswordCredential, User};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::mail;
use crate::secret::Secret;
use crate::store::{Along, Ends};

impl LocalUserpass {
    /// Mails a link to choose a new password, if the address has an account that may sign in.
    ///
    /// # Errors
    /// [`Error::BadEmail`], [`Error::Store`]; neither depends on whether the address is known.
    pub async fn request_reset(&self, email: &str) -> Result<(), Error> {
        let email = Email::parse(email).map_err(|_| Error::BadEmail)?;
        let known = self.store.user_by_email(email.key()).await?;
        self.send_reset(known.as_ref(), &email, mail::Kind::Reset).await
    }

    /// Sets a new password by the link of a reset mail. It proves the address: all sessions and refresh tokens of
    /// the user end, and every other link is void. The link of an invitation that names an address works, too.
    ///
    /// # Errors
    /// [`Error::WeakPassword`] and [`Error::Busy`] leave the link good; [`Error::LinkOver`]; [`Error::Store`].
    pub async fn reset(&self, token: &str, password: &Secret) -> Result<User, Error> {
        let link = self.links.peek(token).await?.ok_or(Error::LinkOver)?;
        if link.purpose == Purpose::Invite {
            return self.accept_invitation(token, None, password).await;
        }
        let email = Email::parse(&link.email_key).map_err(|_| Error::LinkOver)?;
        self.rules.check(password, &email)?;
        let hash = self.hasher.hash(password).await?;
        let link = self.links.take(Purpose::Reset, token).await?;
        self.set_password(&link, hash, Proof::Address).await
    }

    /// The same by the code of the mail.
    ///
    /// # Errors
    /// As [`reset`](Self::reset); a wrong code is [`Error::LinkOver`], and after five of them all codes for this
    /// address are.
    pub async fn reset_code(&self, email: &str, code: &str, password: &Secret) -> Result<User, Error> {
        let address = Email::parse(email).map_err(|_| Error::LinkOver)?;
        self.rules.check(password, &address)?;
        let hash = self.hasher.hash(password).await?;
        let link = self.links.take_by_code(Purpose::Reset, email, code).await?;
        self.set_password(&link, hash, Proof::Address).await
    }

    /// Tells somebody who registers an address with an account that there is one.
    pub(super) async fn remind(&self, user: &User, email: &Email) -> Result<(), Error> {
        self.send_reset(Some(user), email, mail::Kind::AlreadyRegistered).await
    }

    async fn send_reset(
        &self,
        known: Option<&User>,
        email: &Email,
        kind: impl FnOnce(mail::Link) -> mail::Kind,
    ) -> Result<(), Error> {
        let account = known.filter(|user| !user.disabled).and_then(|user| Some((user.id, user.password.as_ref()?)));
        let Some((id, credential)) = account else {
            return Ok(self.links.pretend(Purpose::Reset, email).await?);
        };
        let grant = self.links.grant(Purpose::Reset, email, Some(id), Seen::of(credential).payload());
        let link = self.links.issue(grant).await?;
        // To the address of the account, not to what was typed: case may matter to a mail server after all.
        self.mailer.queue(&credential.email, kind(link));
        Ok(())
    }

    pub(super) async fn set_password(&self, link: &OneTime, hash: Secret, proof: Proof) -> Result<User, Error> {
        let id = link.user_id.ok_or(Error::LinkOver)?;
        let now = self.clock.now();
        let mut first_proof = false;
        let event = Event::new(Action::PASSWORD_RESET, id, now);
        let user = self
            .update_with(id, Along::event(event).ending(Ends::AllBut(None)), |user| {
                let credential = link_credential(user, link)?;
                first_proof = !credential.verified && proof == Proof::Address;
                credential.hash = hash.clone();
                credential.verified |= proof == Proof::Address;
                credential.changed_at = now;
                Ok(())
            })
            .await
            .map_err(gone)?;
        if first_proof {
            self.disable_keys(id).await?;
        }
        self.settle(&user, None).await?;
        if let Some(credential) = &user.password {
            self.tell_password_changed(&credential.email);
        }
        Ok(user)
    }

    /// Whoever made the account before its address was proved may be somebody else, and may have left a key.
    async fn disable_keys(&self, user: UserId) -> Result<(), Error> {
        for key in self.store.keys(Some(user)).await? {
            let event = key_event(Action::KEY_DISABLE, &key, self.clock.now());
            self.store.set_key_disabled_with(key.id, true, &[event]).await?;
        }
        Ok(())
    }
}

/// What a reset proves besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// That somebody reads the mail of the address.
    Address,
    /// Nothing: a function said yes.
    None,
}

/// The state of a credential when a link was made. If it is another when the link comes back, the link is void even
/// if nobody got round to voiding it.
#[derive(Serialize, Deserialize)]
pub(super) struct Seen {
    changed_at: i64,
}

impl Seen {
    pub(super) fn of(credential: &PasswordCredential) -> Self {
        Self { changed_at: credential.changed_at.millis() }
    }

    pub(super) fn payload(&self) -> Value {
        json!({ "changed_at": self.changed_at })
    }

    pub(super) fn is_still(payload: &Value, credential: &PasswordCredential) -> bool {
        let seen = Self::deserialize(payload).ok();
        seen.is_some_and(|seen| Timestamp::from_millis(seen.changed_at) == credential.changed_at)
    }
}

/// The credential a reset link is for: same address, not changed since, and its user may sign in.
fn link_credential<'a>(user: &'a mut User, link: &OneTime) -> Result<&'a mut PasswordCredential, Error> {
    let enabled = !user.disabled;
    let credential = user.password.as_mut().filter(|_| enabled).ok_or(Error::LinkOver)?;
    let same = credential.email.key() == link.email_key && Seen::is_still(&link.payload, credential);
    if same { Ok(credential) } else { Err(Error::LinkOver) }
}

/// A link whose user is gone is over.
pub(super) fn gone(error: Error) -> Error {
    if matches!(error, Error::Refused) { Error::LinkOver } else { error }
}
