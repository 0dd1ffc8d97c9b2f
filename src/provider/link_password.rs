use super::admission::joined;
use super::link::{Linked, Linker, ends, refused};
use super::local_userpass::{LocalUserpass, TRIES};
use super::{Admission, Error, LOCAL_USERPASS};
use crate::account::audit;
use crate::account::linking::{Outcome, Owner, Presented};
use crate::account::{Kind, User};
use crate::secret::Secret;
use crate::store::{Along, Saved};

impl LocalUserpass {
    /// Gives the user who asks the e-mail account of this address and password: one that was registered by itself and
    /// never used. It goes, and what it is becomes part of the asker.
    ///
    /// # Errors
    /// [`Error::Refused`] for a wrong password, an unknown address and a disabled user alike; [`Error::Busy`];
    /// [`Error::Store`].
    pub async fn link(
        &self,
        admission: &Admission,
        linker: &Linker,
        email: &str,
        password: &Secret,
    ) -> Result<Linked, Error> {
        for _ in 0..TRIES {
            let found = self.proved(email, password).await?;
            let before = admission.asker(linker).await?;
            let outcome = admission.decide(linker, &before, Presented::Password, self.owner(&before, &found).await?);
            if outcome != Outcome::Linked {
                return Ok(refused(LOCAL_USERPASS, outcome, before));
            }
            let mut user = before.clone();
            user.kind = Kind::User;
            user.identities.extend(found.identities.iter().cloned());
            user.password.clone_from(&found.password);
            user.data.extend(found.data.clone());
            let event = joined(&before, &user, self.clock.now()).before("registered", audit::user(&found));
            let along = Along::event(event).ending(ends(linker, &before));
            if self.store.merge_users(&user, &found, &along).await? == Saved::Done {
                user.version += 1;
                self.sessions.forget_user(found.id);
                self.sessions.forget_user(user.id);
                return Ok(Linked { outcome, user });
            }
        }
        Err(Error::Busy)
    }

    async fn owner(&self, asker: &User, found: &User) -> Result<Owner, Error> {
        if found.id == asker.id {
            return Ok(Owner::Asker);
        }
        let bare = found.kind == Kind::User
            && found.last_sign_in_at.is_none()
            && found.identities.len() == 1
            && found.roles.is_empty()
            && found.custom_data.is_empty();
        let untouched = bare
            && self.store.sessions_of(found.id).await?.is_empty()
            && self.store.keys(Some(found.id)).await?.is_empty();
        Ok(if untouched { Owner::Untouched } else { Owner::Another })
    }
}
