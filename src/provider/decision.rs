//! Functions that decide about registrations and new passwords, with the arguments and answers of App Services.
//!
//! Where nobody may learn whether an address has an account, they run behind the answer: neither what they say nor
//! how long they take shows.

use serde_json::{Value, json};

use super::local_userpass::LocalUserpass;
use super::recovery::{Proof, Seen};
use super::registration::Pending;
use super::{Error, LOCAL_USERPASS};
use crate::account::User;
use crate::account::email::Email;
use crate::account::one_time::{Purpose, Ticket};
use crate::account::password::Verified;
use crate::function::{Call, Failure, Function};
use crate::secret::Secret;
use crate::visitor::carried;

/// What a function said.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Yes: done, for this user.
    Success(Box<User>),
    /// Later: whoever has the token may go on.
    Pending,
    /// No, or nothing that makes sense. The text is for the log.
    Fail(String),
}

enum Status {
    Success,
    Pending,
}

impl LocalUserpass {
    /// Registers an address, lets the function decide, and tells what it said: for interfaces that show whether an
    /// address has an account in any case.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::BadEmail`], [`Error::WeakPassword`], [`Error::Conflict`] (`email.taken`),
    /// [`Error::Busy`], [`Error::Store`].
    pub async fn register_openly(&self, email: &str, password: &Secret) -> Result<Decision, Error> {
        self.expect_open()?;
        let email = Email::parse(email).map_err(|_| Error::BadEmail)?;
        self.rules.check(password, &email)?;
        let hash = self.hasher.hash(password).await?;
        if self.store.user_by_email(email.key()).await?.is_some() {
            return Err(Error::Conflict(super::local_userpass::EMAIL_TAKEN));
        }
        let ticket = self.confirm_ticket(&email, Pending::of(&email, &hash, None).payload()).await?;
        self.decide_registration(&email, &ticket).await
    }

    /// Asks for a new password without the old one and lets the function decide, behind the scenes.
    ///
    /// # Errors
    /// [`Error::BadEmail`], [`Error::WeakPassword`], [`Error::Busy`], [`Error::Store`]; none of them depends on
    /// whether the address is known.
    pub async fn ask_reset(&self, email: &str, password: &Secret, arguments: Vec<Value>) -> Result<(), Error> {
        let place = self.room()?;
        if let Some(asked) = self.asked_reset(email, password, arguments).await? {
            let local = self.clone();
            tokio::spawn(carried(async move {
                let _place = place;
                note("reset", local.decide_reset(asked).await);
            }));
        }
        Ok(())
    }

    /// The same, telling what it said: for interfaces that show whether an address has an account in any case.
    ///
    /// # Errors
    /// As [`ask_reset`](Self::ask_reset), and [`Error::Refused`] where there is no such account.
    pub async fn reset_openly(&self, email: &str, password: &Secret, arguments: Vec<Value>) -> Result<Decision, Error> {
        let asked = self.asked_reset(email, password, arguments).await?.ok_or(Error::Refused)?;
        self.decide_reset(asked).await
    }

    /// Lets the function decide about a registration, behind the scenes; for nobody if there is none to decide about.
    pub(super) async fn ask_confirm(&self, email: &Email, payload: Option<Value>) -> Result<(), Error> {
        let place = self.room()?;
        let Some(payload) = payload else { return Ok(self.links.pretend(Purpose::Confirm, email).await?) };
        let ticket = self.confirm_ticket(email, payload).await?;
        let (local, email) = (self.clone(), email.clone());
        tokio::spawn(carried(async move {
            let _place = place;
            note("confirm", local.decide_registration(&email, &ticket).await);
        }));
        Ok(())
    }

    fn room(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Error> {
        self.deciding.clone().try_acquire_owned().map_err(|_| Error::Busy)
    }

    async fn confirm_ticket(&self, email: &Email, payload: Value) -> Result<Ticket, Error> {
        Ok(self.links.ticket(self.links.grant(Purpose::Confirm, email, None, payload)).await?.1)
    }

    async fn decide_registration(&self, email: &Email, ticket: &Ticket) -> Result<Decision, Error> {
        // To the function, which delivers the token.
        let token = ticket.token.expose();
        let argument = json!({ "token": token, "tokenId": ticket.id, "username": email.as_str() });
        match ask(self.confirm_function.as_ref(), Call::by_system(LOCAL_USERPASS, argument)).await {
            Ok(Status::Pending) => Ok(Decision::Pending),
            Ok(Status::Success) => {
                let link = self.links.take(Purpose::Confirm, token).await?;
                // A function that says yes has shown nobody the address; whoever brings its token back has.
                Ok(Decision::Success(Box::new(self.make_pending(link, false).await?)))
            }
            Err(why) => {
                drop(self.links.take(Purpose::Confirm, token).await);
                Ok(Decision::Fail(why))
            }
        }
    }

    /// Does for known and unknown addresses the same work; `None`: there is nobody to reset.
    async fn asked_reset(
        &self,
        email: &str,
        password: &Secret,
        arguments: Vec<Value>,
    ) -> Result<Option<AskedReset>, Error> {
        let email = Email::parse(email).map_err(|_| Error::BadEmail)?;
        self.rules.check(password, &email)?;
        let known = self.store.user_by_email(email.key()).await?.filter(|user| !user.disabled);
        let verified = self.verify(password, known.as_ref()).await?;
        let hash = self.hasher.hash(password).await?;
        let account = known.as_ref().and_then(|user| Some((user.id, user.password.as_ref()?)));
        let Some((id, credential)) = account else {
            self.links.pretend(Purpose::Reset, &email).await?;
            return Ok(None);
        };
        let grant = self.links.grant(Purpose::Reset, &email, Some(id), Seen::of(credential).payload());
        let ticket = self.links.ticket(grant).await?.1;
        let is_current = matches!(verified, Verified::Match | Verified::MatchWeaker);
        // To the function, as App Services did; it may ask another system whether this is its password.
        let (token, password) = (ticket.token.expose(), password.expose());
        let mut all = vec![json!({
            "token": token,
            "tokenId": ticket.id,
            "username": credential.email.as_str(),
            "password": password,
            "currentPasswordValid": is_current,
        })];
        all.extend(arguments);
        Ok(Some(AskedReset { ticket, hash, arguments: all }))
    }

    async fn decide_reset(&self, asked: AskedReset) -> Result<Decision, Error> {
        let AskedReset { ticket, hash, arguments } = asked;
        // Found by it, as by a link.
        let token = ticket.token.expose();
        let call = Call { arguments, ..Call::by_system(LOCAL_USERPASS, Value::Null) };
        match ask(self.reset_function.as_ref(), call).await {
            Ok(Status::Pending) => Ok(Decision::Pending),
            Ok(Status::Success) => {
                let link = self.links.take(Purpose::Reset, token).await?;
                Ok(Decision::Success(Box::new(self.set_password(&link, hash, Proof::None).await?)))
            }
            Err(why) => {
                drop(self.links.take(Purpose::Reset, token).await);
                Ok(Decision::Fail(why))
            }
        }
    }
}

/// A reset before the function was asked.
struct AskedReset {
    ticket: Ticket,
    hash: Secret,
    arguments: Vec<Value>,
}

/// `{ status: "success" | "pending" | "fail" }`; everything that is neither of the first two is the third.
async fn ask(function: Option<&Function>, call: Call) -> Result<Status, String> {
    let function = function.ok_or("there is no function to ask")?;
    let answer = match function.run(call).await {
        Ok(answer) => answer.unwrap_or_default(),
        Err(failure @ (Failure::Refused { .. } | Failure::CannotTell(_))) => return Err(failure.to_string()),
    };
    match answer.get("status").and_then(Value::as_str) {
        Some("success") => Ok(Status::Success),
        Some("pending") => Ok(Status::Pending),
        Some("fail") => Err("it said: fail".to_owned()),
        _ => Err("it answered with no status: success, pending or fail".to_owned()),
    }
}

fn note(what: &str, decided: Result<Decision, Error>) {
    match decided {
        Ok(Decision::Success(user)) => tracing::info!(what, user = %user.id, "a function said success"),
        Ok(Decision::Pending) => tracing::info!(what, "a function said pending"),
        Ok(Decision::Fail(why)) => tracing::warn!(what, why, "a function did not agree"),
        Err(error) => tracing::warn!(what, %error, "what a function decided could not be done"),
    }
}
