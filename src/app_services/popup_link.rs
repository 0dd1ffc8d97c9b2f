//! Linking in a popup: to whoever asked for it, in the browser that asked.
//!
//! A cookie says which browser that is, where browsers keep one: the page that asks is of another site. Where they do
//! not, the provider's answer is left to the holder of a new access token, which goes to the app's page in the browser
//! that consented and nowhere else. The page reads the profile with it, and that finishes the link. Somebody who began
//! a link and had somebody else consent holds no such token, and no page waits for it there.

use serde_json::{Map, Value};

use super::AppServices;
use super::call::Call;
use super::link::refused;
use super::popup::{Outcome, told, ua};
use super::refusal::Refusal;
use crate::account::User;
use crate::clock::Timestamp;
use crate::provider::pending::{Attempt, Pending, Unbound};
use crate::provider::{API_KEY, Account, Linker};
use crate::secret::Secret;
use crate::session::{Caller, Session};

impl AppServices {
    /// Links to whoever asked, if that session is still there.
    pub(super) async fn finish_link(&self, pending: &Pending, account: &Account) -> Result<(Session, User), Refusal> {
        let (session, user) = self.asker(&pending.attempt).await?;
        // A key is no sign-in in person.
        let signed_in_at = if session.provider == API_KEY { Timestamp::default() } else { session.created_at };
        let linker = Linker { user: user.id, signed_in_at, keeps: Some(session.id) };
        let linked = self.link_account(&linker, &pending.provider, account).await?;
        if linked.outcome.is_yes() { Ok((session, linked.user)) } else { Err(refused(linked.outcome)) }
    }

    /// What the app's page reads of a link.
    pub(super) fn told_linked(&self, session: &Session, user: &User) -> Result<Outcome, Refusal> {
        Ok(of_link(&self.another_token(session, user)?, session))
    }

    /// Leaves the provider's answer to the page that asked: it comes back with the token it gets here.
    pub(super) async fn hand_over(
        &self,
        call: &Call,
        unbound: Unbound,
        parameters: &Map<String, Value>,
    ) -> Result<Outcome, Refusal> {
        let (session, user) = self.asker(unbound.attempt()).await?;
        let token = self.another_token(&session, &user)?;
        let handed = unbound.hand_to(&token, parameters, (&self.store, self.clock.now())).await;
        handed.map_err(|error| told(call, "", &error))?;
        Ok(of_link(&token, &session))
    }

    /// Finishes the link that was left to the holder of this token, if one was.
    pub(super) async fn take_over(&self, call: &Call, caller: &Caller) -> Result<(), Refusal> {
        let token = Secret::new(call.bearer()?);
        let claimed = Pending::claim(&self.store, self.clock.now(), &token).await;
        let Some((pending, parameters)) = claimed.map_err(|error| told(call, "", &error))? else { return Ok(()) };
        let name = &pending.provider;
        if pending.attempt.link != Some(caller.user.id) || pending.attempt.session != caller.session {
            return Err(Refusal::bad("the attempt is another user's"));
        }
        let client = self.providers.redirect(name).ok_or_else(|| Refusal::no_such_provider(name))?;
        let account = client.finish(&pending, &parameters).await.map_err(|error| told(call, name, &error))?;
        self.finish_link(&pending, &account).await.map(drop)
    }

    async fn asker(&self, attempt: &Attempt) -> Result<(Session, User), Refusal> {
        let session = attempt.session.ok_or_else(Refusal::no_session)?;
        let (session, user) = self.store.session(session).await?.ok_or_else(Refusal::no_session)?;
        if attempt.link != Some(user.id) || user.disabled || !session.is_live(self.clock.now()) {
            return Err(Refusal::no_session());
        }
        Ok((session, user))
    }

    fn another_token(&self, session: &Session, user: &User) -> Result<Secret, Refusal> {
        let device = session.device.app.as_ref().and_then(|app| app.id);
        Ok(self.sessions.access_token(user.id, session.id, &self.of_access(user, device))?)
    }
}

fn of_link(token: &Secret, session: &Session) -> Outcome {
    let device = session.device.app.as_ref().and_then(|app| app.id);
    // Exposed to the page that was named by the operator.
    let ua = ua(token.expose(), "", &session.user_id.to_string(), device);
    vec![("ua", ua), ("link", "ok".to_owned())]
}
