//! Adding accounts to the user who is signed in, and taking them away.

use serde_json::Value;

use super::admission::{TRIES, expect_name, joined, note};
use super::{ANON_USER, API_KEY, Account, Admission, Error, LOCAL_USERPASS};
use crate::account::audit::{self, Action, Event};
use crate::account::linking::{self, Asker, Outcome, Owner, Presented};
use crate::account::{Fields, Identity, Kind, User};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::session::Caller;
use crate::store::{Along, Ends, Saved};

/// Who asks to link, and by which sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linker {
    /// The user.
    pub user: UserId,
    /// When its owner last signed in, in person.
    pub signed_in_at: Timestamp,
    /// The one session of a guest that goes on when it becomes a full account: that of a program, which goes on with
    /// the tokens it has. A cookie could have been planted, so a browser's is `None` and gets a new session.
    pub keeps: Option<SessionId>,
}

impl Linker {
    /// Whoever this caller is. A key is no sign-in in person.
    pub fn of(caller: &Caller) -> Self {
        let in_person = caller.session.is_some() && caller.provider != API_KEY;
        let signed_in_at = if in_person { caller.signed_in_at } else { Timestamp::default() };
        Self { user: caller.user.id, signed_in_at, keeps: caller.session }
    }

    /// Whether the sign-in is recent enough to change how the account is signed in to.
    pub fn is_recent(&self, now: Timestamp) -> bool {
        linking::is_recent(self.signed_in_at, now)
    }
}

/// How a link ended, and the user who asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Linked {
    /// How. A refusal's [`code`](Outcome::code) names its reason.
    pub outcome: Outcome,
    /// As it is stored now; the id is the one that asked, whatever the outcome.
    pub user: User,
}

impl Admission {
    /// Adds an account of the provider of this name to the user who asks. Of many that link the same account at once
    /// one gets it.
    ///
    /// # Errors
    /// [`Error::Refused`] for a disabled user or an account without a name; [`Error::TooMuchData`];
    /// [`Error::Busy`]; [`Error::Store`]. That it may not be linked is no error but an [`Outcome`].
    pub async fn link(&self, linker: &Linker, provider: &str, account: &Account) -> Result<Linked, Error> {
        expect_name(provider, account)?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let before = self.asker(linker).await?;
            let owner = self.store.user_by_identity(provider, &account.issuer, &account.subject).await?;
            let owner = match owner {
                None => Owner::Nobody,
                Some(owner) if owner.id == before.id => Owner::Asker,
                Some(_) => Owner::Another,
            };
            let presented = if provider == ANON_USER { Presented::Guest } else { Presented::Other };
            let outcome = self.decide(linker, &before, presented, owner);
            if outcome != Outcome::Linked {
                return Ok(refused(provider, outcome, before));
            }
            let mut user = before.clone();
            note(&mut user, provider, account, None, now)?;
            let along = Along::event(joined(&before, &user, now)).ending(ends(linker, &before));
            if self.store.save_user_with(&user, &along).await? == Saved::Done {
                user.version += 1;
                self.sessions.forget_user(user.id);
                return Ok(Linked { outcome, user });
            }
        }
        Err(Error::Busy)
    }

    /// What becomes of a key that is to be linked: the caller's own is so already, and no other can be.
    ///
    /// # Errors
    /// [`Error::Refused`] for a disabled user; [`Error::Store`].
    pub async fn link_key(&self, linker: &Linker, owner: UserId) -> Result<Linked, Error> {
        let user = self.asker(linker).await?;
        let owner = if owner == user.id { Owner::Asker } else { Owner::Another };
        let outcome = self.decide(linker, &user, Presented::Other, owner);
        Ok(refused(API_KEY, outcome, user))
    }

    /// What becomes of a guest that is to be linked: nothing, always.
    ///
    /// # Errors
    /// [`Error::Refused`] for a disabled user; [`Error::Store`].
    pub async fn link_guest(&self, linker: &Linker) -> Result<Linked, Error> {
        let user = self.asker(linker).await?;
        let outcome = self.decide(linker, &user, Presented::Guest, Owner::Nobody);
        Ok(refused(ANON_USER, outcome, user))
    }

    /// Adds an account at the operator's word, whatever the policy says and however long ago anybody signed in.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such user; [`Error::Conflict`] (`link.owned_by_another`,
    /// `link.guest_credential`); [`Error::Busy`]; [`Error::Store`].
    pub async fn link_for(&self, user: UserId, provider: &str, account: &Account) -> Result<User, Error> {
        expect_name(provider, account)?;
        // Neither keys nor passwords nor guests are accounts elsewhere.
        if [ANON_USER, API_KEY, LOCAL_USERPASS].contains(&provider) {
            return Err(Error::Conflict(Outcome::GuestCredential.code()));
        }
        for _ in 0..TRIES {
            let now = self.clock.now();
            let before = self.store.user(user).await?.ok_or(Error::Refused)?;
            match self.store.user_by_identity(provider, &account.issuer, &account.subject).await? {
                Some(owner) if owner.id == user => return Ok(before),
                Some(_) => return Err(Error::Conflict(Outcome::OwnedByAnother.code())),
                None => {}
            }
            let mut user = before.clone();
            note(&mut user, provider, account, None, now)?;
            let ends = if before.kind == Kind::Guest { Ends::AllBut(None) } else { Ends::None };
            let along = Along::event(joined(&before, &user, now)).ending(ends);
            if self.store.save_user_with(&user, &along).await? == Saved::Done {
                user.version += 1;
                self.sessions.forget_user(user.id);
                return Ok(user);
            }
        }
        Err(Error::Busy)
    }

    /// Takes an identity away, with what it told of the user and the sessions it opened; never the last way to sign
    /// in, and keys are none. Whether the user may ask for it now is for whoever calls: see [`Linker::is_recent`].
    ///
    /// # Errors
    /// [`Error::Conflict`]: `unlink.unknown`, `unlink.last_identity`; [`Error::Refused`] when the user is gone;
    /// [`Error::Busy`]; [`Error::Store`].
    pub async fn unlink(&self, user: UserId, provider: &str, issuer: &str, subject: &str) -> Result<User, Error> {
        for _ in 0..TRIES {
            let mut user = self.store.user(user).await?.ok_or(Error::Refused)?;
            let found = user.identities.iter().position(|identity| identity.is(provider, issuer, subject));
            let gone = user.identities.remove(found.ok_or(Error::Conflict("unlink.unknown"))?);
            if !user.identities.iter().any(opens) {
                return Err(Error::Conflict("unlink.last_identity"));
            }
            let address = forget(&mut user, &gone);
            let event = Event::new(Action::UNLINK, user.id, self.clock.now());
            let along = Along::event(event.before("identity", audit::identity(&gone)));
            let along = along.ending(Ends::By(provider.to_owned()));
            if self.store.save_user_with(&user, &along).await? == Saved::Done {
                user.version += 1;
                if let Some(address) = address {
                    // A link that was mailed before must not bring the password back.
                    self.store.void_one_times(Some(&address), Some(user.id)).await?;
                }
                self.sessions.forget_user(user.id);
                return Ok(user);
            }
        }
        Err(Error::Busy)
    }

    pub(super) async fn asker(&self, linker: &Linker) -> Result<User, Error> {
        self.store.user(linker.user).await?.filter(|user| !user.disabled).ok_or(Error::Refused)
    }

    pub(super) fn decide(&self, linker: &Linker, user: &User, presented: Presented, owner: Owner) -> Outcome {
        let asker = Asker { user, signed_in_at: linker.signed_in_at };
        linking::decide(asker, presented, owner, self.policy, self.clock.now())
    }
}

/// Which sessions a guest loses when it becomes a full account.
pub(super) fn ends(linker: &Linker, before: &User) -> Ends {
    if before.kind == Kind::Guest { Ends::AllBut(linker.keeps) } else { Ends::None }
}

pub(super) fn refused(provider: &str, outcome: Outcome, user: User) -> Linked {
    if !outcome.is_yes() {
        tracing::info!(user = %user.id, provider, code = outcome.code(), "an account was not linked");
    }
    Linked { outcome, user }
}

/// Whether one can sign in with it, alone and again.
fn opens(identity: &Identity) -> bool {
    identity.provider != API_KEY && identity.provider != ANON_USER
}

/// Takes back what came with an identity that is gone; the address of its password, if it was one.
fn forget(user: &mut User, gone: &Identity) -> Option<String> {
    user.withdraw(&gone.data);
    if gone.provider != LOCAL_USERPASS {
        return None;
    }
    let credential = user.password.take()?;
    let told = Fields::from_iter([("email".to_owned(), Value::from(credential.email.as_str()))]);
    user.withdraw(&told);
    Some(credential.email.key().to_owned())
}
