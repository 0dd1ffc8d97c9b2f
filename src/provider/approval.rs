use std::collections::BTreeSet;

use super::Error;
use super::local_userpass::LocalUserpass;
use super::registration::NewAccount;
use crate::account::User;
use crate::account::email::Email;
use crate::account::one_time::{OneTime, Purpose};
use crate::secret::Secret;

/// An address that waits for its confirmation.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Names the registration.
    pub id: String,
    /// As it was typed.
    pub email: String,
}

impl LocalUserpass {
    /// Registrations whose mail was not answered yet, the latest first, one for each address, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn waiting(&self, limit: usize) -> Result<Vec<Waiting>, Error> {
        let links = self.store.waiting(Purpose::Confirm, self.clock.now(), limit).await?;
        let mut seen = BTreeSet::new();
        let waiting = links.iter().filter(|link| seen.insert(link.email_key.clone())).filter_map(|link| {
            let email = link.payload.get("email")?.as_str()?.to_owned();
            Some(Waiting { id: link.token.as_bytes()[..12].iter().map(|byte| format!("{byte:02x}")).collect(), email })
        });
        Ok(waiting.collect())
    }

    /// Makes the account of a registration at the operator's word. Its address stays unproved: no mail was answered.
    ///
    /// # Errors
    /// [`Error::LinkOver`] when none waits; [`Error::Conflict`]: `registration.several` when several with different
    /// passwords do, so that nobody can tell whose it is, `email.taken`; [`Error::Busy`]; [`Error::Store`].
    pub async fn approve(&self, email: &Email) -> Result<User, Error> {
        let now = self.clock.now();
        let open = self.store.one_times(Purpose::Confirm, email.key(), now).await?;
        let mut real: Vec<&OneTime> = open.iter().filter(|link| !link.payload.is_null()).collect();
        real.dedup_by(|one, other| one.payload == other.payload);
        let link = match real[..] {
            [] => return Err(Error::LinkOver),
            [link] => link,
            _ => return Err(Error::Conflict("registration.several")),
        };
        let link = self.store.take_one_time(link.token, now).await?.ok_or(Error::LinkOver)?;
        let text = |name: &str| link.payload.get(name).and_then(serde_json::Value::as_str);
        let (Some(typed), Some(hash)) = (text("email"), text("hash")) else { return Err(Error::LinkOver) };
        let account = NewAccount {
            email: Email::parse(typed).map_err(|_| Error::LinkOver)?,
            // From the store into the store.
            hash: Secret::new(hash),
            verified: false,
            guest: text("guest").and_then(|id| id.parse().ok()),
            roles: BTreeSet::new(),
        };
        self.make(account).await
    }

    /// Takes back every registration of an address. `false`: none waits.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn reject(&self, email: &Email) -> Result<bool, Error> {
        let open = self.store.one_times(Purpose::Confirm, email.key(), self.clock.now()).await?;
        if open.iter().all(|link| link.payload.is_null()) {
            return Ok(false);
        }
        for link in open {
            self.store.take_one_time(link.token, self.clock.now()).await?;
        }
        Ok(true)
    }
}
