//! Accounts with e-mail and password: registering, confirming, choosing a new password.

use http::StatusCode;
use serde_json::{Map, Value};

use super::call::{Call, text};
use super::endpoint::EmailEndpoint;
use super::refusal::Refusal;
use super::{Accounts, Answer, AppServices, empty};
use crate::account::email::Email;
use crate::account::one_time::Purpose;
use crate::body::Body;
use crate::provider::local_userpass::LocalUserpass;
use crate::provider::{self, Confirm, Decision, LOCAL_USERPASS, Reset};
use crate::secret::{Digest, Secret};

impl AppServices {
    /// Whatever is asked. The access token that an SDK adds has nothing to say here.
    pub(super) async fn email(&self, call: &Call, body: Body, endpoint: EmailEndpoint) -> Answer {
        let local = self.providers.local_userpass().ok_or_else(|| Refusal::no_such_provider(LOCAL_USERPASS))?;
        let fields = call.object(body).await?;
        match endpoint {
            EmailEndpoint::Register => self.register(call, local, &fields).await?,
            EmailEndpoint::Confirm => self.confirm(call, local, &fields).await?,
            EmailEndpoint::ConfirmSend => self.send_confirmation(call, local, &fields).await?,
            EmailEndpoint::ConfirmCall => self.call_confirmation(call, local, &fields).await?,
            EmailEndpoint::Reset => self.reset(call, local, &fields).await?,
            EmailEndpoint::ResetSend => self.send_reset(call, local, &fields).await?,
            EmailEndpoint::ResetCall => self.call_reset(call, local, &fields).await?,
        }
        Ok(empty(if endpoint == EmailEndpoint::Register { StatusCode::CREATED } else { StatusCode::OK }))
    }

    async fn register(&self, call: &Call, local: &LocalUserpass, fields: &Map<String, Value>) -> Result<(), Refusal> {
        let email = Email::parse(text(fields, "email")?).ok();
        let password = Secret::new(text(fields, "password")?);
        let counted = self.limits.sign_up.count(call.client.address, email.as_ref().map(Email::key)).await;
        counted.map_err(|retry_after| Refusal::too_often("sign_up", retry_after))?;
        let email = email.ok_or_else(|| Refusal::bad("email invalid"))?;
        expect_length(local, &password)?;
        if self.settings.accounts == Accounts::Hidden {
            local.register(email.as_str(), &password, None).await?;
            return Ok(());
        }
        if local.settings().confirm == Confirm::Function {
            return self.register_by_function(local, &email, &password).await;
        }
        // After the rules: a password that is not taken says nothing about the address.
        let known = self.is_known(&email).await?;
        local.register(email.as_str(), &password, None).await?;
        if known { Err(provider::Error::Conflict("email.taken").into()) } else { Ok(()) }
    }

    async fn register_by_function(
        &self,
        local: &LocalUserpass,
        email: &Email,
        password: &Secret,
    ) -> Result<(), Refusal> {
        match local.register_openly(email.as_str(), password).await? {
            Decision::Success(_) | Decision::Pending => Ok(()),
            Decision::Fail(why) => {
                tracing::info!(why, "a function did not confirm a registration");
                Err(Refusal::bad(format!("failed to confirm user \"{}\"", email.as_str())))
            }
        }
    }

    async fn confirm(&self, call: &Call, local: &LocalUserpass, fields: &Map<String, Value>) -> Result<(), Refusal> {
        let token = token(fields)?;
        self.count_link(call).await?;
        // Looked up by its digest.
        local.confirm(token.expose()).await?;
        Ok(())
    }

    async fn send_confirmation(
        &self,
        call: &Call,
        local: &LocalUserpass,
        fields: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let email = self.address(call, fields).await?;
        if local.settings().confirm == Confirm::Function {
            return Err(Refusal::bad("please use confirm via function"));
        }
        self.expect_pending(&email).await?;
        Ok(local.resend(email.as_str()).await?)
    }

    async fn call_confirmation(
        &self,
        call: &Call,
        local: &LocalUserpass,
        fields: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let email = self.address(call, fields).await?;
        if local.settings().confirm == Confirm::Automatic {
            let text = format!("cannot run confirmation for {}: automatic confirmation is enabled", email.as_str());
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "", text));
        }
        self.expect_pending(&email).await?;
        match local.settings().confirm {
            Confirm::Function => Ok(local.resend(email.as_str()).await?),
            Confirm::Mail | Confirm::Automatic => Err(Refusal::bad("please use confirm via email")),
        }
    }

    async fn reset(&self, call: &Call, local: &LocalUserpass, fields: &Map<String, Value>) -> Result<(), Refusal> {
        let (token, password) = (token(fields)?, Secret::new(text(fields, "password")?));
        self.count_link(call).await?;
        expect_length(local, &password)?;
        // Looked up by its digest.
        local.reset(token.expose(), &password).await?;
        Ok(())
    }

    async fn send_reset(&self, call: &Call, local: &LocalUserpass, fields: &Map<String, Value>) -> Result<(), Refusal> {
        let email = self.address(call, fields).await?;
        if local.settings().reset == Reset::Function {
            return Err(Refusal::bad("please use reset password via function"));
        }
        if self.settings.accounts == Accounts::Named && !self.is_known(&email).await? {
            return Err(Refusal::no_such_user());
        }
        Ok(local.request_reset(email.as_str()).await?)
    }

    async fn call_reset(&self, call: &Call, local: &LocalUserpass, fields: &Map<String, Value>) -> Result<(), Refusal> {
        let (email, arguments) = (self.address(call, fields).await?, arguments(fields)?);
        let password = Secret::new(text(fields, "password")?);
        if local.settings().reset != Reset::Function {
            return Err(Refusal::bad("please use reset password via email"));
        }
        expect_length(local, &password)?;
        if self.settings.accounts == Accounts::Hidden {
            return Ok(local.ask_reset(email.as_str(), &password, arguments).await?);
        }
        match local.reset_openly(email.as_str(), &password, arguments).await {
            Ok(Decision::Success(_) | Decision::Pending) => Ok(()),
            Ok(Decision::Fail(why)) => {
                tracing::info!(why, "a function did not reset a password");
                let text = format!("failed to reset password for user \"{}\"", email.as_str());
                Err(Refusal::new(StatusCode::BAD_REQUEST, "", text))
            }
            Err(provider::Error::Refused) => Err(Refusal::no_such_user()),
            Err(error) => Err(error.into()),
        }
    }

    /// The address that something is to be sent to, counted.
    async fn address(&self, call: &Call, fields: &Map<String, Value>) -> Result<Email, Refusal> {
        let email = Email::parse(text(fields, "email")?).ok();
        let counted = self.limits.reset.count(call.client.address, email.as_ref().map(Email::key)).await;
        counted.map_err(|retry_after| Refusal::too_often("reset", retry_after))?;
        // What is no address is nobody's.
        email.ok_or_else(|| match self.settings.accounts {
            Accounts::Named => Refusal::no_such_user(),
            Accounts::Hidden => Refusal::bad("email invalid"),
        })
    }

    /// Counts a link that comes back: 256 bits cannot be guessed, but each try of a password costs a hash.
    async fn count_link(&self, call: &Call) -> Result<(), Refusal> {
        let counted = self.limits.sign_in.count(call.client.address, None).await;
        counted.map_err(|retry_after| Refusal::too_often("sign_in", retry_after))
    }

    async fn is_known(&self, email: &Email) -> Result<bool, Refusal> {
        Ok(self.store.user_by_email(email.key()).await?.is_some())
    }

    /// Refuses who waits for no confirmation, where that may be said.
    async fn expect_pending(&self, email: &Email) -> Result<(), Refusal> {
        if self.settings.accounts == Accounts::Hidden {
            return Ok(());
        }
        if self.is_known(email).await? {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "UserAlreadyConfirmed", "already confirmed"));
        }
        let open = self.store.one_times(Purpose::Confirm, email.key(), self.clock.now()).await?;
        if open.iter().all(|link| link.payload.is_null()) { Err(Refusal::no_such_user()) } else { Ok(()) }
    }
}

/// Refuses lengths in the words that apps look for.
fn expect_length(local: &LocalUserpass, password: &Secret) -> Result<(), Refusal> {
    let least = local.settings().min_length;
    // Counted, and neither kept nor shown.
    let length = password.expose().chars().count();
    if (least..=MOST).contains(&length) {
        return Ok(());
    }
    Err(Refusal::bad(format!("password must be between {least} and {MOST} characters")))
}

/// The token of a link, if it goes with its id.
fn token(fields: &Map<String, Value>) -> Result<Secret, Refusal> {
    let (Ok(token), Ok(id)) = (text(fields, "token"), text(fields, "tokenId")) else {
        return Err(Refusal::bad("invalid token data"));
    };
    let of_token: String = Digest::of(token).as_bytes()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    if of_token == id { Ok(Secret::new(token)) } else { Err(Refusal::bad("invalid token data")) }
}

/// Further arguments for a function, which may be none.
fn arguments(fields: &Map<String, Value>) -> Result<Vec<Value>, Refusal> {
    match fields.get("arguments") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(arguments)) => Ok(arguments.clone()),
        Some(_) => Err(Refusal::bad("'arguments' must be an array")),
    }
}

/// The longest password, in characters.
const MOST: usize = 128;
