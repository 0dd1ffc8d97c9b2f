use super::admission::TRIES;
use super::{Admission, Error, LOCAL_USERPASS};
use crate::account::audit::{self, Action, Event};
use crate::account::{Kind, User};
use crate::id::UserId;
use crate::store::{Along, Ends, Saved};

/// What becomes of two passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwoPasswords {
    /// There is no merge.
    Refuse,
    /// That of the user who stays counts, the other's signs nobody in any more.
    KeepTheStayings,
}

impl Admission {
    /// Makes two users one, at the operator's word: `into` gets the identities, keys, roles and sessions of `from`, and
    /// the fields of its data that `into` has not; then `from` is gone. The sessions of a guest end.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such user; [`Error::Conflict`]: `merge.same_user`, `merge.disabled`,
    /// `merge.service`, `merge.two_passwords`; [`Error::Busy`]; [`Error::Store`].
    pub async fn merge(&self, from: UserId, into: UserId, passwords: TwoPasswords) -> Result<User, Error> {
        for _ in 0..TRIES {
            let from = self.store.user(from).await?.ok_or(Error::Refused)?;
            let into = self.store.user(into).await?.ok_or(Error::Refused)?;
            expect_mergeable(&from, &into, passwords)?;
            let mut user = united(&into, &from);
            let now = self.clock.now();
            let left = Event::new(Action::MERGE, from.id, now).after("into", into.id.to_string());
            let got = Event::new(Action::MERGE, into.id, now)
                .before("user", audit::user(&into))
                .before("from", audit::user(&from))
                .after("user", audit::user(&user));
            // A guest's cookie could have been planted; it must not become an account's.
            let ends = if into.kind == Kind::Guest { Ends::AllBut(None) } else { Ends::None };
            let along = Along { ends, events: vec![left, got] };
            if self.store.merge_users(&user, &from, &along).await? == Saved::Done {
                user.version += 1;
                self.sessions.forget_user(from.id);
                self.sessions.forget_user(user.id);
                return Ok(user);
            }
        }
        Err(Error::Busy)
    }
}

fn expect_mergeable(from: &User, into: &User, passwords: TwoPasswords) -> Result<(), Error> {
    let refused = match () {
        () if from.id == into.id => "merge.same_user",
        // What a user was disabled for must not go on in another.
        () if from.disabled || into.disabled => "merge.disabled",
        () if from.kind == Kind::Service || into.kind == Kind::Service => "merge.service",
        () if from.password.is_some() && into.password.is_some() && passwords == TwoPasswords::Refuse => {
            "merge.two_passwords"
        }
        () => return Ok(()),
    };
    Err(Error::Conflict(refused))
}

/// What `into` becomes.
fn united(into: &User, from: &User) -> User {
    let mut user = into.clone();
    if from.kind == Kind::User {
        user.kind = Kind::User;
    }
    let drops = into.password.is_some();
    let comes = from.identities.iter().filter(|identity| !drops || identity.provider != LOCAL_USERPASS);
    user.identities.extend(comes.cloned());
    user.password = user.password.or_else(|| from.password.clone());
    user.roles.extend(from.roles.iter().cloned());
    for (own, other) in [(&mut user.data, &from.data), (&mut user.custom_data, &from.custom_data)] {
        for (field, value) in other {
            own.entry(field.clone()).or_insert_with(|| value.clone());
        }
    }
    user.last_sign_in_at = user.last_sign_in_at.max(from.last_sign_in_at);
    user
}
