//! What people do to their own accounts. What cannot be undone asks for the password in the same form.

use std::time::Duration;

use http::{Response, StatusCode};
use minijinja::context;
use serde_json::json;

use super::account::{Typed, may_manage};
use super::answer::{self, empty, see_other};
use super::call::Call;
use super::endpoint::Deed;
use super::input::{Accepts, Input};
use super::link::link_problem;
use super::page::{Page, Problem};
use super::refusal::{reason_of, retells, unavailable};
use super::register::bad_email;
use super::{Answer, Portal};
use crate::account::audit::{self, Action, Event};
use crate::account::email::Email;
use crate::body::Body;
use crate::id::{KeyId, SessionId};
use crate::provider::{API_KEY, Linker, Registered};
use crate::rejection::Reason;
use crate::secret::Secret;
use crate::session::Caller;

/// What became of a deed.
enum Done {
    /// What the account page says afterwards.
    Told(&'static str),
    /// A key that is shown once.
    Key { id: KeyId, name: String, key: Secret },
    /// The session it was done in is over.
    Over(&'static str),
}

impl Portal {
    /// Does it, for whoever signed in to the account in person.
    pub(super) async fn deed(&self, call: &Call, body: Body, deed: Deed) -> Answer {
        let caller = call.caller.as_deref().ok_or(Reason::SignInNeeded)?;
        if !may_manage(caller) {
            return Err(Reason::Forbidden);
        }
        let input = Input::read(&call.headers, body, Accepts::Anything).await?;
        match self.carry_out(call, caller, &input, deed).await {
            Ok(Done::Told(note)) if input.is_form() => Ok(see_other(&format!("{}/account?note={note}", self.prefix))),
            Ok(Done::Told(_)) => Ok(empty(StatusCode::NO_CONTENT)),
            Ok(Done::Key { id, name, key }) => Ok(self.show_key(call, &input, id, &name, &key)),
            Ok(Done::Over(place)) => Ok(self.leave(&input, place)),
            Err(reason) if input.is_form() && retells(&reason) => {
                let typed = Typed { new_email: input.typed("new_email"), key_name: input.typed("name") };
                let page = self.account_page(caller, &typed).await?.problems(vec![self.deed_problem(&reason, deed)]);
                Ok(self.retold(call, &reason, page))
            }
            Err(reason) => Err(reason),
        }
    }

    async fn carry_out(&self, call: &Call, caller: &Caller, input: &Input, deed: Deed) -> Result<Done, Reason> {
        match deed {
            Deed::Password => self.change_password(call, caller, input).await,
            Deed::AddPassword => self.add_password(call, caller, input).await,
            Deed::Unlink => self.unlink(caller, input).await,
            Deed::Email => self.change_email(call, caller, input).await,
            Deed::AddKey => self.add_key(caller, input).await,
            Deed::DisableKey(key) => self.set_key_disabled(caller, key, true).await,
            Deed::EnableKey(key) => self.set_key_disabled(caller, key, false).await,
            Deed::DeleteKey(key) => self.delete_key(caller, key).await,
            Deed::EndSession(session) => self.end_session(caller, session).await,
            Deed::EndOthers => {
                let event = self.event(caller, Action::SESSION_REVOKE).before("sessions", "others");
                let ended = self.sessions.end_all_noting(caller.user.id, caller.session, vec![event]).await;
                ended.map_err(unavailable)?;
                Ok(Done::Told("sessions"))
            }
            Deed::Delete => self.delete_account(call, caller, input).await,
        }
    }

    async fn change_password(&self, call: &Call, caller: &Caller, input: &Input) -> Result<Done, Reason> {
        let (current, new) = (input.secret("current_password")?, input.secret("new_password")?);
        self.count_own_try(call, caller).await?;
        let changed = self.local()?.change_password(caller.user.id, &current, &new, caller.session).await;
        changed.map_err(reason_of)?;
        Ok(Done::Told("password"))
    }

    async fn add_password(&self, call: &Call, caller: &Caller, input: &Input) -> Result<Done, Reason> {
        let (typed, password) = (input.text("new_email")?, input.secret("new_password")?);
        self.expect_recent(caller, "link.sign_in_too_old")?;
        let email = Email::parse(typed).map_err(|_| bad_email())?;
        let counted = self.limits.reset.count(call.client.address, Some(email.key())).await;
        counted.map_err(|retry_after| Reason::RateLimited { limit: "reset", retry_after })?;
        let asked = self.local()?.request_password(caller.user.id, email.as_str(), &password).await;
        match asked.map_err(reason_of)? {
            Registered::Mailed | Registered::Asked => Ok(Done::Told("email-sent")),
            Registered::Created => Ok(Done::Told("linked")),
        }
    }

    async fn unlink(&self, caller: &Caller, input: &Input) -> Result<Done, Reason> {
        let provider = input.text("provider")?;
        let (issuer, subject) = (input.optional("issuer")?.unwrap_or_default(), input.text("subject")?);
        self.expect_recent(caller, "unlink.sign_in_too_old")?;
        let unlinked = self.providers.admission().unlink(caller.user.id, provider, issuer, subject).await;
        unlinked.map_err(reason_of)?;
        // The session went with the way it was opened by.
        Ok(if caller.provider == provider { Done::Over("logout") } else { Done::Told("unlinked") })
    }

    pub(super) fn expect_recent(&self, caller: &Caller, otherwise: &'static str) -> Result<(), Reason> {
        let recent = Linker::of(caller).is_recent(self.clock.now());
        if recent { Ok(()) } else { Err(Reason::Conflict(otherwise)) }
    }

    /// What the audit log says of something that a caller does to the own account.
    pub(super) fn event(&self, caller: &Caller, action: Action) -> Event {
        Event::new(action, caller.user.id, self.clock.now())
    }

    async fn change_email(&self, call: &Call, caller: &Caller, input: &Input) -> Result<Done, Reason> {
        let (typed, password) = (input.text("new_email")?, input.secret("password")?);
        self.count_own_try(call, caller).await?;
        let email = Email::parse(typed).map_err(|_| bad_email())?;
        let counted = self.limits.reset.count(call.client.address, Some(email.key())).await;
        counted.map_err(|retry_after| Reason::RateLimited { limit: "reset", retry_after })?;
        let asked = self.local()?.request_email_change(caller.user.id, &password, email.as_str()).await;
        asked.map_err(reason_of)?;
        Ok(Done::Told("email-sent"))
    }

    async fn add_key(&self, caller: &Caller, input: &Input) -> Result<Done, Reason> {
        let keys = self.providers.api_key().ok_or(Reason::NotFound)?;
        let name = input.text("name")?.trim();
        let days = match input.optional("days")?.unwrap_or("0").parse::<u32>() {
            Ok(days) if days <= 36_500 => days,
            _ => return Err(Reason::Unprocessable("days: must be a number of days".into())),
        };
        let end = (days > 0).then(|| self.clock.now() + Duration::from_hours(24 * u64::from(days)));
        let (key, secret) = keys.create(caller.user.id, name, end).await.map_err(reason_of)?;
        Ok(Done::Key { id: key.id, name: key.name, key: secret })
    }

    async fn set_key_disabled(&self, caller: &Caller, key: KeyId, disabled: bool) -> Result<Done, Reason> {
        let keys = self.providers.api_key().ok_or(Reason::NotFound)?;
        if !keys.set_disabled(caller.user.id, key, disabled).await.map_err(reason_of)? {
            return Err(Reason::NotFound);
        }
        if disabled {
            self.end_sessions_of_keys(caller).await?;
        }
        Ok(Done::Told("key"))
    }

    async fn delete_key(&self, caller: &Caller, key: KeyId) -> Result<Done, Reason> {
        let keys = self.providers.api_key().ok_or(Reason::NotFound)?;
        if !keys.delete(caller.user.id, key).await.map_err(reason_of)? {
            return Err(Reason::NotFound);
        }
        self.end_sessions_of_keys(caller).await?;
        Ok(Done::Told("key-gone"))
    }

    /// Sessions that were opened with a key do not outlive it. Which key opened which is not kept, so all go.
    async fn end_sessions_of_keys(&self, caller: &Caller) -> Result<(), Reason> {
        let sessions = self.store.sessions_of(caller.user.id).await.map_err(unavailable)?;
        for session in sessions.iter().filter(|session| session.provider == API_KEY) {
            self.sessions.end(session.id).await.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn end_session(&self, caller: &Caller, session: SessionId) -> Result<Done, Reason> {
        let sessions = self.store.sessions_of(caller.user.id).await.map_err(unavailable)?;
        if !sessions.iter().any(|own| own.id == session) {
            return Err(Reason::NotFound);
        }
        let here = caller.session == Some(session);
        let event = self.event(caller, if here { Action::SIGN_OUT } else { Action::SESSION_REVOKE });
        let event = event.before("session", session.to_string());
        self.sessions.end_noting(session, vec![event]).await.map_err(unavailable)?;
        Ok(if here { Done::Over("logout") } else { Done::Told("session") })
    }

    async fn delete_account(&self, call: &Call, caller: &Caller, input: &Input) -> Result<Done, Reason> {
        match &caller.user.password {
            Some(_) => {
                let password = input.secret("password")?;
                self.count_own_try(call, caller).await?;
                self.local()?.confirm_password(caller.user.id, &password).await.map_err(reason_of)?;
            }
            None if Linker::of(caller).is_recent(self.clock.now()) => {}
            None => return Err(Reason::Conflict("delete.sign_in_too_old")),
        }
        // Sessions first: if the store fails in between, somebody is signed out and not half deleted.
        self.sessions.end_all(caller.user.id, None).await.map_err(unavailable)?;
        let events = [self.event(caller, Action::DELETE).before("user", audit::user(&caller.user))];
        self.store.delete_user_with(caller.user.id, &events).await.map_err(unavailable)?;
        self.sessions.forget_user(caller.user.id);
        tracing::info!(event = "account.deleted", user = %caller.user.id, "an account was deleted by its owner");
        Ok(Done::Over("logout?note=deleted"))
    }

    /// Counts a try of the own password: somebody at a foreign keyboard must not try many.
    async fn count_own_try(&self, call: &Call, caller: &Caller) -> Result<(), Reason> {
        self.count_try(call, caller.user.password.as_ref().map(|credential| credential.email.key())).await
    }

    fn show_key(&self, call: &Call, input: &Input, id: KeyId, name: &str, key: &Secret) -> Response<Body> {
        // Exposed this once, to its owner.
        if input.is_form() {
            return self.show_page(call, Page::new("key.html", context! { name => name, key => key.expose() }));
        }
        let body = json!({ "id": id.to_string(), "name": name, "key": key.expose() });
        answer::json(StatusCode::CREATED, &body)
    }

    fn leave(&self, input: &Input, place: &str) -> Response<Body> {
        let mut response = if input.is_form() {
            see_other(&format!("{}/{place}", self.prefix))
        } else {
            empty(StatusCode::NO_CONTENT)
        };
        self.set_cookie(&mut response, self.cookie.clear());
        response
    }

    fn deed_problem(&self, reason: &Reason, deed: Deed) -> Problem {
        let (password, text) = match deed {
            Deed::Password => ("current_password", "new_password"),
            Deed::Email => ("email_password", "new_email"),
            Deed::AddPassword => ("new_email", "new_email"),
            Deed::Delete => ("delete_password", "delete_password"),
            _ => ("key_name", "key_name"),
        };
        match reason {
            Reason::SignInRefused => Problem::at(password, "This is not your password."),
            Reason::Conflict("keys.too_many") => {
                Problem::at(text, "You have as many keys as you may have. Delete one.")
            }
            Reason::Conflict("delete.sign_in_too_old") => {
                Problem::told("You signed in more than five minutes ago. Sign out, sign in again, and then do this.")
            }
            Reason::Conflict(_) => link_problem(reason, Problem::of(reason, self.clock.now())),
            Reason::Unprocessable(what) if what.starts_with("password:") => {
                Problem::of(reason, self.clock.now()).on("new_password")
            }
            Reason::Unprocessable(_) => Problem::of(reason, self.clock.now()).on(text),
            _ => Problem::of(reason, self.clock.now()),
        }
    }
}
