//! Adding a way to sign in to the account that is signed in: `POST login/{provider}?link=true`.

use http::StatusCode;
use serde_json::json;

use super::account::Typed;
use super::answer::{self, see_other};
use super::call::Call;
use super::chosen::Stay;
use super::endpoint::Way;
use super::input::{Accepts, Input};
use super::login::Incomer;
use super::page::{Problem, is_guest};
use super::refusal::{reason_of, retells};
use super::{Answer, Portal};
use crate::account::linking::Outcome;
use crate::body::Body;
use crate::provider::{Account, Linked, Linker};
use crate::rejection::Reason;
use crate::session::Caller;
use crate::visit::Credential;

impl Portal {
    /// Takes credentials of another account and adds it to the caller's. A refusal is 409 and named, so that no program
    /// takes it for the end of its own session.
    pub(super) async fn link(&self, call: &Call, body: Body, way: &Way) -> Answer {
        let caller = call.caller.as_deref().ok_or(Reason::SignInNeeded)?;
        let input = Input::read(&call.headers, body, Accepts::Both).await?;
        match self.try_link(call, caller, &input, way).await {
            Ok((linked, account)) => self.linked(call, caller, &input, way, (linked, account)).await,
            Err(reason) if input.is_form() && retells(&reason) => {
                let problem = Problem::of(&reason, self.clock.now());
                let page =
                    self.account_page(caller, &Typed::default()).await?.problems(vec![link_problem(&reason, problem)]);
                Ok(self.retold(call, &reason, page))
            }
            Err(reason) => Err(reason),
        }
    }

    /// Whoever the caller is as one who links. The session of a program goes on with the tokens it has; a browser gets
    /// a new one where that matters.
    pub(super) fn linker(call: &Call, caller: &Caller) -> Linker {
        let linker = Linker::of(caller);
        Linker { keeps: linker.keeps.filter(|_| call.credential == Credential::Bearer), ..linker }
    }

    async fn try_link(
        &self,
        call: &Call,
        caller: &Caller,
        input: &Input,
        way: &Way,
    ) -> Result<(Linked, Option<Account>), Reason> {
        let (linker, admission) = (Self::linker(call, caller), self.providers.admission());
        let mut account = None;
        let linked = match way {
            Way::LocalUserpass => {
                let typed = self.try_password(call, input).await?;
                let linked = self.local()?.link(admission, &linker, typed.email.as_str(), &typed.password).await;
                if linked.is_ok() {
                    self.limits.failures.forget(&typed.tried);
                }
                linked
            }
            Way::ApiKey => {
                let owner = self.by_key(call, input).await.map_err(not_proved)?;
                admission.link_key(&linker, owner.id).await
            }
            Way::AnonUser => admission.link_guest(&linker).await,
            Way::Other(name) => {
                let found = self.account_by(call, name, input.fields()).await.map_err(not_proved)?;
                let linked = admission.link(&linker, name, &found).await;
                account = Some(found);
                linked
            }
        };
        let linked = linked.map_err(|error| not_proved(reason_of(error)))?;
        if linked.outcome.is_yes() { Ok((linked, account)) } else { Err(Reason::Conflict(linked.outcome.code())) }
    }

    async fn linked(
        &self,
        call: &Call,
        caller: &Caller,
        input: &Input,
        way: &Way,
        (linked, account): (Linked, Option<Account>),
    ) -> Answer {
        let mut response = if input.is_form() {
            see_other(&format!("{}/account?note=linked", self.prefix))
        } else {
            let body = json!({ "user_id": linked.user.id.to_string(), "outcome": linked.outcome.code() });
            answer::json(StatusCode::OK, &body)
        };
        if linked.outcome == Outcome::Linked && is_guest(Some(caller)) && call.credential == Credential::Cookie {
            // The guest's sessions are over; this browser proved the account.
            self.open(call, &Incomer { user: linked.user, account }, way.name(), Stay::Kept, &mut response).await?;
        }
        Ok(response)
    }
}

/// Credentials that are not good say nothing about the caller's own session.
fn not_proved(reason: Reason) -> Reason {
    match reason {
        Reason::SignInRefused | Reason::BadCredential => Reason::Conflict("link.not_proved"),
        other => other,
    }
}

/// What the account page says about a refusal.
pub(super) fn link_problem(reason: &Reason, otherwise: Problem) -> Problem {
    match reason {
        Reason::Conflict(code) => link_refusal(code).unwrap_or(otherwise),
        _ => otherwise,
    }
}

/// The words for a refusal, by its name: fixed ones, so that no address can say anything else.
pub(super) fn link_refusal(code: &str) -> Option<Problem> {
    let text = match code {
        "link.owned_by_another" => "This belongs to another account here.",
        "link.second_email_account" => "Your account has an e-mail address and a password already.",
        "link.guest_credential" => "A guest cannot be added to an account.",
        "link.forbidden" => "Ways to sign in cannot be added here.",
        "link.sign_in_too_old" | "unlink.sign_in_too_old" => {
            "You signed in more than five minutes ago. Sign out, sign in again, and then do this."
        }
        "link.not_proved" => "E-mail or password is not right.",
        "unlink.last_identity" => "This is the last way to sign in to your account.",
        "unlink.unknown" => "This way to sign in is gone already.",
        _ => return None,
    };
    Some(Problem::told(text))
}
