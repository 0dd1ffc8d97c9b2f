//! Adding a way to sign in to the account that asks.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::credentials::Proof;
use super::refusal::Refusal;
use super::{Answer, AppServices, device};
use crate::account::User;
use crate::account::linking::Outcome;
use crate::provider::{self, Account, LOCAL_USERPASS, Linked, Linker};
use crate::session::Caller;

impl AppServices {
    /// Links what the credentials prove, and answers with an access token of the session that asked: its refresh token
    /// stays.
    pub(super) async fn link(
        &self,
        call: &Call,
        caller: &Caller,
        provider: &str,
        fields: Map<String, Value>,
    ) -> Answer {
        let linker = Linker::of(caller);
        let linked = if provider == LOCAL_USERPASS {
            self.link_password(call, &linker, &fields).await?
        } else {
            match self.prove(call, provider, fields).await? {
                Proof::Account(account) => self.link_account(&linker, provider, &account).await?,
                // It is a way to sign in already, and of nobody else.
                Proof::Key(owner) if owner.user.id == caller.user.id => {
                    Linked { outcome: Outcome::AlreadyYours, user: owner.user.clone() }
                }
                Proof::Key(_) => return Err(Refusal::parameter("invalid user link request")),
                Proof::Guest | Proof::Password(_) => return Err(refused(Outcome::GuestCredential)),
            }
        };
        if linked.outcome.is_yes() { self.linked(caller, &linked.user) } else { Err(refused(linked.outcome)) }
    }

    /// Links an account elsewhere.
    pub(super) async fn link_account(
        &self,
        linker: &Linker,
        provider: &str,
        account: &Account,
    ) -> Result<Linked, Refusal> {
        Ok(self.providers.admission().link(linker, provider, account).await?)
    }

    async fn link_password(
        &self,
        call: &Call,
        linker: &Linker,
        fields: &Map<String, Value>,
    ) -> Result<Linked, Refusal> {
        let local = self.providers.local_userpass().ok_or_else(|| Refusal::no_such_provider(LOCAL_USERPASS))?;
        let (email, password) = self.password_of(call, fields).await?;
        let linked = local.link(self.providers.admission(), linker, email.as_str(), &password).await;
        let linked = linked.map_err(|error| match error {
            provider::Error::Refused => Refusal::wrong_password(),
            error => error.into(),
        })?;
        self.limits.failures.forget(email.key());
        Ok(linked)
    }

    fn linked(&self, caller: &Caller, user: &User) -> Answer {
        let session = caller.session.ok_or_else(Refusal::no_session)?;
        let token = self.sessions.access_token(user.id, session, &self.of_access(user, caller.device))?;
        // Exposed to the program whose session it is.
        let body = json!({
            "user_id": user.id.to_string(),
            "access_token": token.expose(),
            "device_id": device::shown(caller.device),
        });
        Ok(super::json(StatusCode::OK, &body))
    }
}

/// Never 401: an SDK would take a new token and ask again, for ever.
pub(super) fn refused(outcome: Outcome) -> Refusal {
    let text = match outcome {
        Outcome::Linked | Outcome::AlreadyYours => "it is linked",
        Outcome::OwnedByAnother => "this identity belongs to another user",
        Outcome::SecondEmailAccount => "a user has one email/password identity at most",
        Outcome::GuestCredential => "anonymous credentials cannot be linked",
        Outcome::PolicyForbids => "linking is not allowed",
        Outcome::SignInTooOld => "sign in again before linking: this sign-in is too old for it",
    };
    Refusal::new(StatusCode::CONFLICT, outcome.code(), text)
}
