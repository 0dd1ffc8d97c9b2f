use std::collections::BTreeSet;

use super::Error;
use super::local_userpass::LocalUserpass;
use super::registration::NewAccount;
use crate::account::User;
use crate::account::email::Email;
use crate::secret::Secret;

impl LocalUserpass {
    /// Makes an account with this password at the operator's word, whatever `sign_up` says. Its address stays
    /// unproved: no mail to it was answered.
    ///
    /// # Errors
    /// [`Error::WeakPassword`]; [`Error::Conflict`] (`email.taken`); [`Error::Busy`]; [`Error::Store`].
    pub async fn enrol(&self, email: &Email, password: &Secret, roles: BTreeSet<String>) -> Result<User, Error> {
        self.rules.check(password, email)?;
        let hash = self.hasher.hash(password).await?;
        let account = NewAccount { email: email.clone(), hash, verified: false, guest: None, roles };
        self.make(account).await.map_err(|error| match error {
            Error::LinkOver => Error::Conflict("email.taken"),
            error => error,
        })
    }
}
