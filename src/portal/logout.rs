//! Signing out. Only a form or a program does it; the address alone shows a page.

use http::{Response, StatusCode};
use minijinja::context;

use super::answer::{empty, see_other};
use super::call::Call;
use super::input::{Accepts, Input};
use super::page::{Page, is_guest, signed_in_as};
use super::refusal::unavailable;
use super::return_to::ReturnTo;
use super::{Answer, Portal};
use crate::account::audit::Action;
use crate::body::Body;
use crate::id::SessionId;
use crate::rejection::Reason;
use crate::visit::Credential;

impl Portal {
    /// Asks those who are signed in, and tells the others that they are not.
    pub(super) fn logout(&self, call: &Call) -> Response<Body> {
        let rd = call.return_to(&self.allowed);
        let caller = call.caller.as_deref();
        if caller.is_none() {
            // A provider brings it back under this name (OpenID Connect RP-Initiated Logout 1.0 §3).
            let state = call.parameter("state").map(|state| ReturnTo::parse(&state, &self.allowed));
            if let Some(state) = state.filter(|state| rd.is_home() && !state.is_home()) {
                return see_other(state.location());
            }
            let deleted = call.parameter("note").is_some_and(|note| note == "deleted");
            let notice = deleted.then_some("Your account is deleted.");
            return self.show_page(call, Page::new("signed_out.html", context! { query => rd.query() }).notice(notice));
        }
        let values = context! {
            signed_in_as => signed_in_as(caller),
            guest => is_guest(caller),
            rd => rd.location(),
        };
        self.show_page(call, Page::new("logout.html", values))
    }

    /// Ends the session the request came with, in the store and in the browser.
    pub(super) async fn sign_out(&self, call: &Call, body: Body) -> Answer {
        let input = Input::read(&call.headers, body, Accepts::Anything).await?;
        let rd = self.return_to(call, &input);
        let session = call.caller.as_ref().and_then(|caller| caller.session);
        let there = match session.filter(|_| call.is_person()) {
            Some(session) => self.store.provider_session(session).await.map_err(unavailable)?,
            None => None,
        };
        if let (Some(session), Credential::Cookie | Credential::Bearer) = (session, call.credential) {
            self.end_of(call, session).await?;
        }
        let onward = match &there {
            Some(there) => self.onward(there, &rd).await,
            None => None,
        };
        let mut response = match (onward, call.is_person(), rd.is_home()) {
            (Some(onward), ..) => see_other(&onward),
            (None, true, true) => see_other(&format!("{}/logout", self.prefix)),
            (None, true, false) => see_other(rd.location()),
            (None, false, _) => empty(StatusCode::NO_CONTENT),
        };
        self.set_cookie(&mut response, self.cookie.clear());
        Ok(response)
    }

    /// Ends the session a request came with.
    pub(super) async fn end_of(&self, call: &Call, session: SessionId) -> Result<(), Reason> {
        let event = |caller| self.event(caller, Action::SIGN_OUT).before("session", session.to_string());
        let events = call.caller.as_deref().map(event).into_iter().collect();
        self.sessions.end_noting(session, events).await.map(drop).map_err(unavailable)
    }

    /// Where a form says to return to; without a word, where its address says.
    pub(super) fn return_to(&self, call: &Call, input: &Input) -> ReturnTo {
        match input.typed("rd") {
            "" => call.return_to(&self.allowed),
            rd => ReturnTo::parse(rd, &self.allowed),
        }
    }
}
