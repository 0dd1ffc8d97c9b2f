//! From an account elsewhere to a user here.

use std::sync::Arc;

use super::created::Created;
use super::{Account, Error};
use crate::account::audit::{self, Action, Event};
use crate::account::email::Email;
use crate::account::linking::{self, Policy};
use crate::account::metadata::is_too_long;
use crate::account::{Fields, Identity, Kind, User};
use crate::clock::{Clock, Timestamp};
use crate::id::UserId;
use crate::session::Sessions;
use crate::store::{Along, Ends, Saved, Store};

/// Finds or makes the user an account belongs to.
#[derive(Clone, Debug)]
pub struct Admission {
    pub(super) store: Arc<dyn Store>,
    pub(super) sessions: Sessions,
    pub(super) clock: Clock,
    pub(super) policy: Policy,
    pub(super) created: Created,
}

/// A user who may come in.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// As it is stored now.
    pub user: User,
    /// Whether the account was not known before: a new user, or a guest that became one.
    pub is_new: bool,
}

impl Admission {
    pub(super) fn new(
        store: Arc<dyn Store>,
        sessions: Sessions,
        clock: Clock,
        policy: Policy,
        created: Created,
    ) -> Self {
        Self { store, sessions, clock, policy, created }
    }

    /// `linking.policy`.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Signs in with an account of the provider of this name: the user it belongs to, else the guest who asks (who
    /// keeps the user id), else a new user. What the provider told is noted.
    ///
    /// # Errors
    /// [`Error::Refused`] for a disabled user or an account without a name; [`Error::TooMuchData`];
    /// [`Error::Busy`]; [`Error::Store`].
    pub async fn admit(&self, provider: &str, account: &Account, guest: Option<UserId>) -> Result<Admitted, Error> {
        self.settle(provider, account, guest, true).await
    }

    /// The same for an account that shows itself at every request: written down only if something is new.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub async fn recognise(&self, provider: &str, account: &Account) -> Result<Admitted, Error> {
        self.settle(provider, account, None, false).await
    }

    async fn settle(
        &self,
        provider: &str,
        account: &Account,
        guest: Option<UserId>,
        is_sign_in: bool,
    ) -> Result<Admitted, Error> {
        expect_name(provider, account)?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let known = self.store.user_by_identity(provider, &account.issuer, &account.subject).await?;
            let is_new = known.is_none();
            let mut user = match known {
                Some(user) => user,
                None => self.newcomer(account, guest).await?,
            };
            if user.disabled {
                tracing::info!(provider, user = %user.id, "a disabled user was refused");
                return Err(Error::Refused);
            }
            let before = user.clone();
            note(&mut user, provider, account, is_sign_in.then_some(now), now)?;
            if !is_new && user == before {
                return Ok(Admitted { user, is_new });
            }
            let mut along = Along::default();
            if is_new {
                along.events.push(joined(&before, &user, now));
            }
            if is_sign_in {
                along.events.push(Event::new(Action::SIGN_IN, user.id, now).after("provider", provider));
            }
            if before.kind == Kind::Guest {
                // A guest's cookie could have been planted; it must not become the account's.
                along.ends = Ends::AllBut(None);
            }
            if self.store.save_user_with(&user, &along).await? == Saved::Done {
                user.version += 1;
                self.sessions.forget_user(user.id);
                // An account that joins one who has others already makes nobody new.
                if is_new && (before.version == 0 || before.kind == Kind::Guest) {
                    self.created.tell(provider, &user);
                }
                return Ok(Admitted { user, is_new });
            }
        }
        Err(Error::Busy)
    }

    /// Whose an account becomes that is nobody's yet.
    async fn newcomer(&self, account: &Account, guest: Option<UserId>) -> Result<User, Error> {
        if let Some(holder) = self.holder(account).await? {
            return Ok(holder);
        }
        let now = self.clock.now();
        Ok(self.guest(guest).await?.unwrap_or_else(|| User::new(UserId::generate(now), Kind::User, now)))
    }

    /// Who has proved the address of the account, where that is enough.
    async fn holder(&self, account: &Account) -> Result<Option<User>, Error> {
        let Some(address) = account.verified_email.as_deref().and_then(|text| Email::parse(text).ok()) else {
            return Ok(None);
        };
        if self.policy != Policy::VerifiedEmail {
            return Ok(None);
        }
        let holder = self.store.user_by_email(address.key()).await?;
        Ok(holder.filter(|holder| linking::goes_to_holder(self.policy, account.is_authoritative, holder)))
    }

    async fn guest(&self, id: Option<UserId>) -> Result<Option<User>, Error> {
        let Some(id) = id.filter(|_| self.policy != Policy::Never) else { return Ok(None) };
        Ok(self.store.user(id).await?.filter(|user| user.kind == Kind::Guest && !user.disabled))
    }
}

/// Refuses an account whose name cannot be one.
pub(super) fn expect_name(provider: &str, account: &Account) -> Result<(), Error> {
    let subject = &account.subject;
    // Not every store can hold a NUL, and no log shows one account apart from another by what cannot be seen.
    if subject.is_empty() || subject.chars().count() > LONGEST_SUBJECT || subject.chars().any(char::is_control) {
        tracing::info!(provider, "an account without a usable name was refused");
        return Err(Error::Refused);
    }
    Ok(())
}

/// What the log says of a user who has one identity more than before.
pub(super) fn joined(before: &User, user: &User, now: Timestamp) -> Event {
    let action = if before.version == 0 { Action::REGISTER } else { Action::LINK };
    let mut event = Event::new(action, user.id, now);
    if before.kind != user.kind {
        event = event.before("kind", before.kind.as_str()).after("kind", user.kind.as_str());
    }
    match user.identities.last() {
        Some(identity) => event.after("identity", audit::identity(identity)),
        None => event,
    }
}

/// Writes down what the provider told: the identity whole, and each field of its data into the user's. What it told
/// before and no longer does is taken back (SEC-SESS-02): a rule that asks for it must not go on.
pub(super) fn note(
    user: &mut User,
    provider: &str,
    account: &Account,
    signed_in: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Error> {
    user.kind = Kind::User;
    let (issuer, subject) = (&account.issuer, &account.subject);
    let position = user.identities.iter().position(|identity| identity.is(provider, issuer, subject));
    let position = position.unwrap_or_else(|| {
        user.identities.push(Identity::new(provider, issuer, subject, now));
        user.identities.len() - 1
    });
    let identity = &mut user.identities[position];
    identity.verified_email.clone_from(&account.verified_email);
    identity.roles.clone_from(&account.roles);
    if let Some(now) = signed_in {
        identity.last_sign_in_at = Some(now);
        user.last_sign_in_at = Some(now);
    }
    let (told, before) = (kept(provider, account), identity.data.clone());
    // Of several tokens that a client holds at once one may say less than the other: no sign-in, and nothing is gone.
    if account.is_partial || signed_in.is_none() {
        identity.data.extend(told.clone());
    } else {
        identity.data = told.clone();
    }
    let gone = before.into_iter().filter(|(field, _)| !identity.data.contains_key(field)).collect();
    user.data.extend(told);
    user.withdraw(&gone);
    let size = serde_json::to_string(&user.data).map_or(usize::MAX, |text| text.len());
    if size > MOST_DATA {
        tracing::warn!(
            provider,
            size,
            "a provider tells more of a user than the 16 KiB that are kept: name less in `metadata`"
        );
        return Err(Error::TooMuchData);
    }
    Ok(())
}

/// What of an account's data is kept.
fn kept(provider: &str, account: &Account) -> Fields {
    let mut told = Fields::from(account.data.clone());
    told.retain(|field, value| {
        let short = !is_too_long(value) && field.chars().count() <= LONGEST_NAME;
        if !short {
            tracing::warn!(event = "claim.dropped", provider, "a field of a provider's answer is too long");
        }
        short && !value.is_null()
    });
    told
}

/// Characters of an account's name (OpenID Connect Core §2 allows 255 for `sub`; functions may need more).
const LONGEST_SUBJECT: usize = 512;
/// Characters of a field's name, as App Services had it.
const LONGEST_NAME: usize = 64;
/// Bytes of a user's metadata, as JSON.
const MOST_DATA: usize = 16 << 10;
pub(super) const TRIES: usize = 8;
