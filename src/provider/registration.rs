use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::admission::joined;
use super::local_userpass::{EMAIL_TAKEN, LocalUserpass, TRIES};
use super::{Confirm, Error, LOCAL_USERPASS, SignUp};
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::account::linking::Policy;
use crate::account::one_time::{OneTime, Purpose};
use crate::account::{Identity, Kind, PasswordCredential, User};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::mail;
use crate::secret::Secret;
use crate::store::{Along, Saved};

/// What becomes of a registration; the same whether the address has an account or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// A mail is on its way; the account is made when its link or code comes back.
    Mailed,
    /// The account counts at once (`confirm = "automatic"`); sign in to find out.
    Created,
    /// A function decides (`confirm = "function"`), a moment later.
    Asked,
}

impl LocalUserpass {
    /// Registers an address with a password. With `confirm = "function"` the function is asked behind the answer, for
    /// new addresses alone. With `confirm = "mail"` nothing is made yet: the hash rides in the
    /// link, so that several people may register the same address and whoever receives its mail decides. A guest
    /// who registers keeps its user id.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::BadEmail`], [`Error::WeakPassword`], [`Error::Busy`], [`Error::Store`]; none of
    /// them depends on whether the address is known.
    pub async fn register(&self, email: &str, password: &Secret, guest: Option<UserId>) -> Result<Registered, Error> {
        self.expect_open()?;
        let email = Email::parse(email).map_err(|_| Error::BadEmail)?;
        self.rules.check(password, &email)?;
        // Before anything is looked up: known and unknown addresses cost the same.
        let hash = self.hasher.hash(password).await?;
        let known = self.store.user_by_email(email.key()).await?;
        if self.settings.confirm == Confirm::Automatic {
            if known.is_none() {
                let account = NewAccount { email, hash, verified: false, guest, roles: BTreeSet::new() };
                match self.make(account).await {
                    // Somebody else was quicker: as if the address had been known.
                    Ok(_) | Err(Error::Conflict(EMAIL_TAKEN)) => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(Registered::Created);
        }
        if self.settings.confirm == Confirm::Function {
            let payload = known.is_none().then(|| Pending::of(&email, &hash, guest).payload());
            self.ask_confirm(&email, payload).await?;
            return Ok(Registered::Asked);
        }
        match known {
            Some(user) => self.remind(&user, &email).await?,
            None => self.ask_to_confirm(&email, Pending::of(&email, &hash, guest).payload()).await?,
        }
        Ok(Registered::Mailed)
    }

    /// Sends the mail of a registration again; earlier links stay good until one is used. Does nothing for other
    /// addresses, and nothing when several registrations with different passwords wait: a mail that was not asked
    /// for by the one who reads it must not become the newest.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::BadEmail`], [`Error::Store`].
    pub async fn resend(&self, email: &str) -> Result<(), Error> {
        self.expect_open()?;
        let email = Email::parse(email).map_err(|_| Error::BadEmail)?;
        let open = self.links.open(Purpose::Confirm, &email).await?;
        let mut pending: Vec<Value> =
            open.into_iter().map(|link| Value::from(link.payload)).filter(|p| !p.is_null()).collect();
        pending.dedup();
        let by_function = self.settings.confirm == Confirm::Function;
        match pending.pop() {
            Some(only) if pending.is_empty() && by_function => self.ask_confirm(&email, Some(only)).await,
            _ if by_function => self.ask_confirm(&email, None).await,
            Some(only) if pending.is_empty() => self.ask_to_confirm(&email, only).await,
            _ => Ok(self.links.pretend(Purpose::Confirm, &email).await?),
        }
    }

    /// Makes the account whose link this is. All other registrations of the address are void then, and a guest's
    /// sessions end: whoever confirms signs in with the password that was registered.
    ///
    /// # Errors
    /// [`Error::LinkOver`], [`Error::Closed`], [`Error::Store`].
    pub async fn confirm(&self, token: &str) -> Result<User, Error> {
        self.expect_open()?;
        let link = self.links.take(Purpose::Confirm, token).await?;
        self.make_pending(link, true).await
    }

    /// The same by the code of the mail.
    ///
    /// # Errors
    /// As [`confirm`](Self::confirm); a wrong code is [`Error::LinkOver`], and after five of them all codes for
    /// this address are.
    pub async fn confirm_code(&self, email: &str, code: &str) -> Result<User, Error> {
        self.expect_open()?;
        let link = self.links.take_by_code(Purpose::Confirm, email, code).await?;
        self.make_pending(link, true).await
    }

    /// Makes an account at the operator's word, whatever `sign_up` says; its address counts as unproved.
    ///
    /// # Errors
    /// [`Error::BadEmail`], [`Error::WeakPassword`], [`Error::Conflict`] (`email.taken`), [`Error::Busy`],
    /// [`Error::Store`].
    pub async fn add(&self, email: &str, password: &Secret, roles: BTreeSet<String>) -> Result<User, Error> {
        let email = Email::parse(email).map_err(|_| Error::BadEmail)?;
        self.rules.check(password, &email)?;
        let hash = self.hasher.hash(password).await?;
        self.make(NewAccount { email, hash, verified: false, guest: None, roles }).await
    }

    /// Makes an account; [`Error::Conflict`] when its address has one already.
    pub(super) async fn make(&self, account: NewAccount) -> Result<User, Error> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let mut user = self.guest(account.guest).await?.unwrap_or_else(|| fresh_user(now));
            let before = user.clone();
            account.give_to(&mut user, now);
            let mut along = Along::event(joined(&before, &user, now));
            if account.verified {
                along.events.push(Event::new(Action::CONFIRM, user.id, now).after("email", account.email.as_str()));
            }
            match self.store.save_user_with(&user, &along).await? {
                Saved::Done => {
                    user.version += 1;
                    // A guest's cookie could have been planted by somebody else; it must not become the account's.
                    self.settle(&user, None).await?;
                    self.created.tell(LOCAL_USERPASS, &user);
                    return Ok(user);
                }
                Saved::EmailTaken => return Err(Error::Conflict(EMAIL_TAKEN)),
                Saved::Stale | Saved::IdentityTaken => {}
            }
        }
        Err(Error::Busy)
    }

    pub(super) fn expect_open(&self) -> Result<(), Error> {
        if self.settings.sign_up == SignUp::Open { Ok(()) } else { Err(Error::Closed) }
    }

    async fn ask_to_confirm(&self, email: &Email, payload: Value) -> Result<(), Error> {
        let link = self.links.issue(self.links.grant(Purpose::Confirm, email, None, payload)).await?;
        self.mailer.queue(email, mail::Kind::Confirm(link));
        Ok(())
    }

    /// Makes the account of a link; `verified` says whether its address was proved by it.
    pub(super) async fn make_pending(&self, link: OneTime, verified: bool) -> Result<User, Error> {
        let pending = Pending::read(link.payload.into()).ok_or(Error::LinkOver)?;
        let email = Email::parse(&pending.email).map_err(|_| Error::LinkOver)?;
        let hash = Secret::new(pending.hash);
        let account = NewAccount { email, hash, verified, guest: pending.guest, roles: BTreeSet::new() };
        // Another registration of the address was confirmed first, and voids this one.
        self.make(account).await.map_err(|error| match error {
            Error::Conflict(EMAIL_TAKEN) => Error::LinkOver,
            error => error,
        })
    }

    /// The guest, if it is still there and still one.
    async fn guest(&self, id: Option<UserId>) -> Result<Option<User>, Error> {
        let Some(id) = id.filter(|_| self.linking != Policy::Never) else { return Ok(None) };
        Ok(self.store.user(id).await?.filter(|user| user.kind == Kind::Guest && !user.disabled))
    }
}

/// An account about to be made.
pub(super) struct NewAccount {
    pub(super) email: Email,
    pub(super) hash: Secret,
    pub(super) verified: bool,
    pub(super) guest: Option<UserId>,
    pub(super) roles: BTreeSet<String>,
}

impl NewAccount {
    /// Gives the user an identity of this provider and a password; a guest becomes a full account by it.
    pub(super) fn give_to(&self, user: &mut User, now: Timestamp) {
        user.kind = Kind::User;
        user.roles.extend(self.roles.iter().cloned());
        user.data.insert("email".to_owned(), Value::from(self.email.as_str()));
        user.identities.push(Identity::new(LOCAL_USERPASS, "", &UserId::generate(now).to_string(), now));
        user.password = Some(PasswordCredential {
            email: self.email.clone(),
            hash: self.hash.clone(),
            verified: self.verified,
            changed_at: now,
        });
    }
}

/// What a confirmation link carries.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    email: String,
    hash: String,
    guest: Option<UserId>,
}

impl Pending {
    pub(super) fn of(email: &Email, hash: &Secret, guest: Option<UserId>) -> Self {
        // Into the store, where the hashes of accounts are, too.
        Self { email: email.as_str().to_owned(), hash: hash.expose().to_owned(), guest }
    }

    pub(super) fn payload(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn read(payload: Value) -> Option<Self> {
        serde_json::from_value(payload).ok()
    }
}

fn fresh_user(now: Timestamp) -> User {
    User::new(UserId::generate(now), Kind::User, now)
}
