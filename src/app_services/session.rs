//! Sessions and whom tokens speak for; the end of an account.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

use super::call::Call;
use super::refusal::Refusal;
use super::{Answer, AppServices, Who, empty};
use crate::account::Kind;
use crate::account::audit::{self, Action, Event};
use crate::provider::API_KEY;
use crate::session::Caller;

impl AppServices {
    /// A new access token for a refresh token, which stays the same; or the end of its session.
    pub(super) async fn session(&self, call: &Call, who: &Who) -> Answer {
        if call.method != "POST" && call.method != "DELETE" {
            return Err(Refusal::method("POST, DELETE"));
        }
        // As the store has it now, not as the session remembers it: apps refresh to read custom data anew.
        let token = self.refresh_token(call).await?;
        let caller = self.sessions.by_static_refresh_now(token).await?;
        let caller = self.known(caller.ok_or_else(Refusal::no_session)?, who)?;
        let session = caller.session.ok_or_else(Refusal::no_session)?;
        if call.method == "DELETE" {
            let event = Event::new(Action::SIGN_OUT, caller.user.id, self.clock.now());
            self.sessions.end_noting(session, vec![event.before("session", session.to_string())]).await?;
            return Ok(empty(StatusCode::NO_CONTENT));
        }
        let user = &caller.user;
        let token = self.sessions.access_token(user.id, session, &self.of_access(user, caller.device))?;
        // Exposed to the program whose session it is.
        Ok(super::json(StatusCode::CREATED, &json!({ "access_token": token.expose() })))
    }

    /// Removes the account: its user, identities, keys and sessions.
    pub(super) async fn delete(&self, call: &Call, caller: &Caller) -> Answer {
        // Who found a key may use it, and not end what it is the key to.
        if caller.kind() == Kind::Service || caller.provider == API_KEY {
            return Err(Refusal::forbidden("an account is not deleted by an API key"));
        }
        // Sessions first: if the store fails in between, somebody is signed out and not half deleted.
        self.sessions.end_all(caller.user.id, None).await?;
        let event = Event::new(Action::DELETE, caller.user.id, self.clock.now());
        let event = event.before("user", audit::user(&caller.user));
        self.store.delete_user_with(caller.user.id, &[event]).await?;
        self.sessions.forget_user(caller.user.id);
        tracing::info!(
            event = "account.deleted",
            request = %call.id,
            user = %caller.user.id,
            "an account was deleted by its owner"
        );
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// Whom the access token speaks for. A session's token and an API key are none.
    pub(super) async fn by_access(&self, call: &Call, who: &Who) -> Result<Arc<Caller>, Refusal> {
        let token = call.bearer()?;
        if token.split('.').count() != 3 {
            return Err(Refusal::dead("invalid session: not an access token"));
        }
        let caller = self.sessions.by_bearer(token).await?;
        let caller = caller.filter(|caller| caller.session.is_some());
        self.known(caller.ok_or_else(|| Refusal::dead("invalid session: access token expired"))?, who)
    }

    /// Whom the refresh token speaks for.
    pub(super) async fn by_refresh(&self, call: &Call, who: &Who) -> Result<Arc<Caller>, Refusal> {
        let token = self.refresh_token(call).await?;
        let caller = self.sessions.by_static_refresh(token).await?;
        self.known(caller.ok_or_else(Refusal::no_session)?, who)
    }

    /// What a request has where its refresh token belongs; an access token is none.
    async fn refresh_token<'c>(&self, call: &'c Call) -> Result<&'c str, Refusal> {
        let token = call.bearer()?;
        if token.split('.').count() == 3 && self.sessions.by_bearer(token).await?.is_some() {
            return Err(Refusal::dead("invalid refresh token: incorrect token type"));
        }
        Ok(token)
    }

    fn known(&self, caller: Arc<Caller>, who: &Who) -> Result<Arc<Caller>, Refusal> {
        let caller = who.get_or_init(|| caller).clone();
        match self.limits.request_user.check(caller.user.id) {
            Ok(()) => Ok(caller),
            Err(retry_after) => Err(Refusal::too_often("requests.per_user", retry_after)),
        }
    }
}
