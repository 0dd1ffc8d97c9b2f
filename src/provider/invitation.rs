use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Error;
use super::local_userpass::{EMAIL_TAKEN, LocalUserpass};
use super::recovery::gone;
use super::registration::NewAccount;
use crate::account::User;
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::account::one_time::{Grant, OneTime, Purpose};
use crate::id::UserId;
use crate::mail;
use crate::secret::Secret;
use crate::store::{Along, Ends};

/// Whom an invitation is for.
#[derive(Clone, Debug)]
pub enum Invitee {
    /// Whoever holds the link names an address; for the first account of a new installation.
    Anybody,
    /// A new account for this address.
    Address(Email),
    /// A user who has no password yet, and the address it shall sign in with.
    User(UserId, Email),
}

/// How an invitation reaches the invitee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// By mail: accepting it proves the address.
    Mail,
    /// The operator hands the link over; the address stays unproved.
    Hand,
}

impl LocalUserpass {
    /// Makes an invitation, good for `invite_lifetime`, whatever `sign_up` says, and answers with its link.
    /// An open invitation ([`Invitee::Anybody`]) takes the place of those before it.
    ///
    /// # Errors
    /// [`Error::Conflict`] (`email.taken`, or `password.set` for a user who has one); [`Error::BadEmail`] for a mail
    /// to nobody in particular; [`Error::Refused`] for an unknown user; [`Error::Store`].
    pub async fn invite(&self, invitee: Invitee, roles: BTreeSet<String>, delivery: Delivery) -> Result<Secret, Error> {
        let (email, user_id) = match invitee {
            Invitee::Anybody => (None, None),
            Invitee::Address(email) => (Some(email), None),
            Invitee::User(id, email) => (Some(email), Some(id)),
        };
        match &email {
            Some(email) => self.expect_invitable(email, user_id).await?,
            None if delivery == Delivery::Mail => return Err(Error::BadEmail),
            None => drop(self.store.void_one_times(Some(ANYBODY), None).await?),
        }
        let invitation =
            Invitation { email: email.as_ref().map(Email::to_string), roles, proves: delivery == Delivery::Mail };
        let link = self
            .links
            .issue(Grant {
                purpose: Purpose::Invite,
                email_key: email.as_ref().map_or(ANYBODY, Email::key).to_owned(),
                user_id,
                payload: serde_json::to_value(&invitation).unwrap_or_default().into(),
                lifetime: self.settings.invite_lifetime,
            })
            .await?;
        let url = link.url.clone();
        if let (Some(email), Delivery::Mail) = (&email, delivery) {
            self.mailer.queue(email, mail::Kind::Invite(link));
        }
        Ok(url)
    }

    /// Accepts an invitation with a password, and with an address if the invitation names none.
    ///
    /// # Errors
    /// [`Error::WeakPassword`], [`Error::BadEmail`], [`Error::Conflict`] (`email.taken`) and [`Error::Busy`] leave
    /// the link good; [`Error::LinkOver`]; [`Error::Store`].
    pub async fn accept_invitation(&self, token: &str, email: Option<&str>, password: &Secret) -> Result<User, Error> {
        let link = self.links.peek(token).await?.filter(|link| link.purpose == Purpose::Invite);
        let link = link.ok_or(Error::LinkOver)?;
        let invitation = Invitation::of(&link).ok_or(Error::LinkOver)?;
        let email = Email::parse(invitation.email.as_deref().or(email).unwrap_or_default());
        let email = email.map_err(|_| Error::BadEmail)?;
        self.rules.check(password, &email)?;
        let hash = self.hasher.hash(password).await?;
        if self.store.user_by_email(email.key()).await?.is_some() {
            return Err(Error::Conflict(EMAIL_TAKEN));
        }
        let link = self.links.take(Purpose::Invite, token).await?;
        let account = NewAccount { email, hash, verified: invitation.proves, guest: None, roles: invitation.roles };
        match link.user_id {
            None => self.make(account).await,
            Some(id) => self.give_password(id, &account).await,
        }
    }

    async fn expect_invitable(&self, email: &Email, user: Option<UserId>) -> Result<(), Error> {
        if self.store.user_by_email(email.key()).await?.is_some() {
            return Err(Error::Conflict(EMAIL_TAKEN));
        }
        let Some(id) = user else { return Ok(()) };
        let user = self.store.user(id).await?.ok_or(Error::Refused)?;
        if user.password.is_some() { Err(Error::Conflict("password.set")) } else { Ok(()) }
    }

    async fn give_password(&self, id: UserId, account: &NewAccount) -> Result<User, Error> {
        let now = self.clock.now();
        let event = Event::new(Action::LINK, id, now).after("email", account.email.as_str());
        let given = self.update_with(id, Along::event(event).ending(Ends::AllBut(None)), |user| {
            if user.disabled || user.password.is_some() {
                return Err(Error::LinkOver);
            }
            account.give_to(user, now);
            Ok(())
        });
        let user = given.await.map_err(gone)?;
        self.settle(&user, None).await?;
        Ok(user)
    }
}

/// What an invitation carries.
#[derive(Serialize, Deserialize)]
struct Invitation {
    email: Option<String>,
    roles: BTreeSet<String>,
    proves: bool,
}

impl Invitation {
    fn of(link: &OneTime) -> Option<Self> {
        Self::deserialize(&*link.payload).ok()
    }
}

/// In place of an address.
const ANYBODY: &str = "";
