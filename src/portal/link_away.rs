//! Adding an account of a provider that people are sent to.

use http::Response;
use minijinja::context;
use serde_json::{Map, Value};

use super::account::{Typed, may_manage};
use super::answer::see_other;
use super::call::Call;
use super::input::{Accepts, Input};
use super::link::link_problem;
use super::page::{Page, Problem};
use super::redirect::reason;
use super::refusal::{reason_of, retells, unavailable};
use super::{Answer, Portal};
use crate::account::linking::{Outcome, Policy};
use crate::body::Body;
use crate::provider::Linker;
use crate::provider::oauth2::{Client, Wishes};
use crate::provider::pending::{Attempt, Pending};
use crate::rejection::Reason;
use crate::session::Caller;

impl Portal {
    /// Sends whoever is signed in to the provider of this name. Only by a form of ours: an address alone would let
    /// another site add its own account to that of a visitor.
    pub(super) async fn link_away(&self, call: &Call, body: Body, name: &str) -> Answer {
        let caller = call.caller.as_deref().ok_or(Reason::SignInNeeded)?;
        if !may_manage(caller) {
            return Err(Reason::Forbidden);
        }
        let input = Input::read(&call.headers, body, Accepts::Anything).await?;
        match self.begin_link(call, caller, name).await {
            Err(reason) if input.is_form() && retells(&reason) => {
                let problem = link_problem(&reason, Problem::of(&reason, self.clock.now()));
                let page = self.account_page(caller, &Typed::default()).await?.problems(vec![problem]);
                Ok(self.retold(call, &reason, page))
            }
            answer => answer,
        }
    }

    async fn begin_link(&self, call: &Call, caller: &Caller, name: &str) -> Answer {
        let client = self.providers.redirect(name).ok_or(Reason::NotFound)?;
        if self.providers.admission().policy() == Policy::Never {
            return Err(Reason::Conflict(Outcome::PolicyForbids.code()));
        }
        self.expect_recent(caller, Outcome::SignInTooOld.code())?;
        self.count_try(call, None).await?;
        let attempt = Attempt {
            return_to: format!("{}/account?note=linked", self.prefix),
            session: caller.session,
            link: Some(caller.user.id),
            ..Attempt::default()
        };
        let begun = client.begin(&Wishes::default(), attempt).await.map_err(|error| reason(call, name, &error))?;
        let mut response = self.onward_page(call, name, &begun.location);
        self.bind(call, &begun, &mut response);
        Ok(response)
    }

    /// A page and no redirect: browsers hold the whole way after a form to `form-action`, and leave others alone.
    fn onward_page(&self, call: &Call, name: &str, location: &str) -> Response<Body> {
        if !call.is_person() {
            return see_other(location);
        }
        let label = self.providers.other(name).map_or(name, |named| named.label.as_str());
        self.show_page(call, Page::new("onward.html", context! { location => location, label => label }))
    }

    /// Adds the account that the provider's answer is about to the user who began. The sign-in was recent when the
    /// attempt began, and the attempt is bound to the browser and lasts ten minutes; its session must last, too.
    pub(super) async fn finish_link(
        &self,
        call: &Call,
        client: &Client,
        name: &str,
        pending: &Pending,
        parameters: &Map<String, Value>,
    ) -> Answer {
        let (Some(user), Some(session)) = (pending.attempt.link, pending.attempt.session) else {
            return Err(Reason::SignInNeeded);
        };
        let account = client.finish(pending, parameters).await.map_err(|error| reason(call, name, &error))?;
        let now = self.clock.now();
        let found = self.store.session(session).await.map_err(unavailable)?;
        let lasts = found.is_some_and(|(session, owner)| session.is_live(now) && owner.id == user && !owner.disabled);
        if !lasts {
            return Err(Reason::SignInNeeded);
        }
        let linker = Linker { user, signed_in_at: now, keeps: None };
        let linked = self.providers.admission().link(&linker, name, &account).await.map_err(reason_of)?;
        let place = match linked.outcome {
            Outcome::Linked | Outcome::AlreadyYours => pending.attempt.return_to.clone(),
            refused => format!("{}/account?problem={}", self.prefix, refused.code()),
        };
        Ok(see_other(&place))
    }
}
