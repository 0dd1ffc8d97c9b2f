//! A new password without the old one, by the link or the code of a mail; and the first one, by an invitation.

use http::StatusCode;
use minijinja::context;
use serde_json::json;

use super::answer::{self, see_other};
use super::call::Call;
use super::input::{Accepts, Input};
use super::page::Page;
use super::refusal::{reason_of, retells};
use super::register::bad_email;
use super::return_to::ReturnTo;
use super::{Answer, Portal};
use crate::account::User;
use crate::account::email::Email;
use crate::account::one_time::Purpose;
use crate::body::Body;
use crate::provider::OpenLink;
use crate::rejection::Reason;

impl Portal {
    /// The page a link opens, or the one to ask for a mail. Neither uses anything up.
    pub(super) async fn reset(&self, call: &Call) -> Answer {
        let local = self.local()?;
        let Some(token) = call.parameter("token") else {
            return Ok(self.show_page(call, self.send_page("reset", false, "", &call.return_to(&self.allowed))));
        };
        match local.peek(&token).await.map_err(reason_of)? {
            Some(link) if is_for_password(&link) => {
                let rd = call.return_to(&self.allowed);
                Ok(self.show_page(call, self.reset_page(&link, &token, "", &rd)))
            }
            Some(_) => {
                let query = call.query.as_deref().unwrap_or_default();
                Ok(see_other(&format!("{}/confirm?{query}", self.prefix)))
            }
            None => Ok(self.link_over(call, "reset")),
        }
    }

    /// Sends the mail, if there is an account; nobody learns whether there is.
    pub(super) async fn send_reset(&self, call: &Call, body: Body) -> Answer {
        self.send(call, body, "reset").await
    }

    /// Sets the new password and uses the link or code up.
    pub(super) async fn set_password(&self, call: &Call, body: Body) -> Answer {
        self.local()?;
        let input = Input::read(&call.headers, body, Accepts::Both).await?;
        match self.try_set_password(call, &input).await {
            Ok((_, note)) if input.is_form() => {
                let rd = self.return_to(call, &input);
                Ok(see_other(&format!("{}/login?note={note}{}", self.prefix, rd.further())))
            }
            Ok((user, _)) => Ok(answer::json(StatusCode::OK, &json!({ "user_id": user.id.to_string() }))),
            Err(reason) if input.is_form() && retells(&reason) => self.password_again(call, &input, &reason).await,
            Err(reason) => Err(reason),
        }
    }

    async fn try_set_password(&self, call: &Call, input: &Input) -> Result<(User, &'static str), Reason> {
        let local = self.local()?;
        let password = input.secret("password")?;
        let Some(token) = input.optional("token")? else {
            let (typed, code) = (input.text("email")?, input.text("code")?);
            let email = Email::parse(typed).map_err(|_| bad_email())?;
            self.count_try(call, Some(email.key())).await?;
            let user = local.reset_code(email.as_str(), code, &password).await.map_err(reason_of)?;
            self.limits.failures.forget(email.key());
            return Ok((user, "reset"));
        };
        self.count_try(call, None).await?;
        let link = local.peek(token).await.map_err(reason_of)?.ok_or(Reason::Conflict("link.over"))?;
        if link.purpose == Purpose::Invite {
            let email = input.optional("email")?.filter(|_| link.email.is_none());
            let user = local.accept_invitation(token, email, &password).await.map_err(reason_of)?;
            return Ok((user, "welcome"));
        }
        let user = local.reset(token, &password).await.map_err(reason_of)?;
        if let Some(credential) = &user.password {
            self.limits.failures.forget(credential.email.key());
        }
        Ok((user, "reset"))
    }

    /// The form again: of the link while it is good, else of the code.
    async fn password_again(&self, call: &Call, input: &Input, reason: &Reason) -> Answer {
        let (token, rd) = (input.typed("token"), self.return_to(call, input));
        if token.is_empty() {
            let page = self.mail_sent("reset", input.typed("email"), &rd).problems(vec![self.problem(reason)]);
            return Ok(self.retold(call, reason, page));
        }
        match self.local()?.peek(token).await.map_err(reason_of)? {
            Some(link) if is_for_password(&link) => {
                let page = self.reset_page(&link, token, input.typed("email"), &rd);
                let page = page.problems(vec![self.problem(reason)]);
                Ok(self.retold(call, reason, page))
            }
            _ => Ok(self.link_over(call, "reset")),
        }
    }

    fn reset_page(&self, link: &OpenLink, token: &str, email: &str, rd: &ReturnTo) -> Page {
        let values = context! {
            token => token,
            invited => link.purpose == Purpose::Invite,
            address => link.email.as_deref(),
            email => email,
            rd => rd.location(),
            password_hint => self.password_hint(),
        };
        Page::new("reset.html", values).with_token()
    }
}

fn is_for_password(link: &OpenLink) -> bool {
    matches!(link.purpose, Purpose::Reset | Purpose::Invite)
}
