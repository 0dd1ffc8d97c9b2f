//! Proving an address by the link or the code of a mail. Opening the link shows a button and uses nothing up:
//! mail scanners open links, too.

use http::{Response, StatusCode};
use minijinja::context;
use serde_json::{Value, json};

use super::answer::{self, empty, see_other};
use super::call::Call;
use super::input::{Accepts, Input};
use super::page::{Page, Problem};
use super::refusal::{reason_of, retells};
use super::register::bad_email;
use super::return_to::{ReturnTo, on_the_way};
use super::{Answer, Portal};
use crate::account::User;
use crate::account::email::Email;
use crate::account::one_time::Purpose;
use crate::body::Body;
use crate::provider::local_userpass::LocalUserpass;
use crate::provider::{Confirm, Reset};
use crate::rejection::Reason;

impl Portal {
    /// The page a link opens, or the one to type a code.
    pub(super) async fn confirm(&self, call: &Call) -> Answer {
        let local = self.local()?;
        let rd = call.return_to(&self.allowed);
        let Some(token) = call.parameter("token") else {
            return Ok(self.show_page(call, confirm_page(None, false, "", &rd)));
        };
        let Some(link) = local.peek(&token).await.map_err(reason_of)? else {
            return Ok(self.link_over(call, "confirm"));
        };
        let email = link.email.as_deref().unwrap_or_default();
        match link.purpose {
            Purpose::Confirm => Ok(self.show_page(call, confirm_page(Some(&token), false, email, &rd).with_token())),
            Purpose::ChangeEmail if call.caller.is_some() => {
                Ok(self.show_page(call, confirm_page(Some(&token), true, email, &rd).with_token()))
            }
            // The new address counts only for the one who asked for it; so that one signs in first.
            Purpose::ChangeEmail => Ok(self.to_login(&self.here(call))),
            Purpose::Reset | Purpose::Invite => Ok(see_other(&format!("{}/reset?{}", self.prefix, query(call)))),
            // Neither is a link.
            Purpose::SignIn | Purpose::LogoutToken => Ok(self.link_over(call, "confirm")),
        }
    }

    /// Uses a link or a code up.
    pub(super) async fn prove(&self, call: &Call, body: Body) -> Answer {
        self.local()?;
        let input = Input::read(&call.headers, body, Accepts::Both).await?;
        let rd = self.return_to(call, &input);
        match self.try_prove(call, &input).await {
            Ok((_, Purpose::ChangeEmail)) if input.is_form() => {
                Ok(see_other(&format!("{}/account?note=email", self.prefix)))
            }
            Ok(_) if input.is_form() => Ok(see_other(&format!("{}/login?note=confirmed{}", self.prefix, rd.further()))),
            Ok((user, _)) => Ok(answer::json(StatusCode::OK, &json!({ "user_id": user.id.to_string() }))),
            Err(Reason::Conflict("link.over")) if input.is_form() && input.typed("code").is_empty() => {
                Ok(self.link_over(call, "confirm"))
            }
            Err(reason) if input.is_form() && retells(&reason) => {
                let page = confirm_page(None, false, input.typed("email"), &rd).problems(vec![self.problem(&reason)]);
                Ok(self.retold(call, &reason, page))
            }
            Err(reason) => Err(reason),
        }
    }

    /// The page to ask for another mail.
    pub(super) fn ask_confirm(&self, call: &Call) -> Answer {
        self.local()?;
        Ok(self.show_page(call, self.send_page("confirm", false, "", &call.return_to(&self.allowed))))
    }

    /// Sends another mail, if there is a registration to confirm; nobody learns whether there is.
    pub(super) async fn send_confirm(&self, call: &Call, body: Body) -> Answer {
        self.send(call, body, "confirm").await
    }

    /// Sends a mail of this kind and tells everybody the same.
    pub(super) async fn send(&self, call: &Call, body: Body, kind: &'static str) -> Answer {
        self.local()?;
        let input = Input::read(&call.headers, body, Accepts::Both).await?;
        let rd = self.return_to(call, &input);
        match on_the_way(&rd, self.try_send(call, &input, kind)).await {
            Ok(_) if input.is_form() && self.decides_by_function(kind) => {
                let note = if kind == "reset" { "asked-reset" } else { "asked" };
                Ok(see_other(&format!("{}/login?note={note}&{}", self.prefix, rd.query())))
            }
            Ok(email) if input.is_form() => Ok(self.show_page(call, self.mail_sent(kind, email.as_str(), &rd))),
            Ok(_) => Ok(empty(StatusCode::ACCEPTED)),
            Err(reason) if input.is_form() && retells(&reason) => {
                let page = self.send_page(kind, false, input.typed("email"), &rd).problems(vec![self.problem(&reason)]);
                Ok(self.retold(call, &reason, page))
            }
            Err(reason) => Err(reason),
        }
    }

    /// The page for a link that no longer works, with the way to another.
    pub(super) fn link_over(&self, call: &Call, kind: &'static str) -> Response<Body> {
        let rd = call.return_to(&self.allowed);
        self.show_page(call, self.send_page(kind, true, "", &rd).status(StatusCode::GONE).with_token())
    }

    async fn try_prove(&self, call: &Call, input: &Input) -> Result<(User, Purpose), Reason> {
        let local = self.local()?;
        let Some(token) = input.optional("token")? else {
            let (typed, code) = (input.text("email")?, input.text("code")?);
            let email = Email::parse(typed).map_err(|_| bad_email())?;
            self.count_try(call, Some(email.key())).await?;
            let user = local.confirm_code(email.as_str(), code).await.map_err(reason_of)?;
            return Ok((user, Purpose::Confirm));
        };
        self.count_try(call, None).await?;
        let link = local.peek(token).await.map_err(reason_of)?.ok_or(Reason::Conflict("link.over"))?;
        let user = match (link.purpose, &call.caller) {
            (Purpose::ChangeEmail, Some(caller)) => local.confirm_email_change(caller.user.id, token).await,
            (Purpose::ChangeEmail, None) => return Err(Reason::SignInNeeded),
            _ => local.confirm(token).await,
        };
        Ok((user.map_err(reason_of)?, link.purpose))
    }

    async fn try_send(&self, call: &Call, input: &Input, kind: &'static str) -> Result<Email, Reason> {
        let local = self.local()?;
        let email = Email::parse(input.text("email")?).ok();
        let counted = self.limits.reset.count(call.client.address, email.as_ref().map(Email::key)).await;
        counted.map_err(|retry_after| Reason::RateLimited { limit: "reset", retry_after })?;
        let email = email.ok_or_else(bad_email)?;
        match kind {
            "reset" if self.decides_by_function(kind) => {
                let password = input.secret("password")?;
                let arguments = match input.fields().get("arguments") {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Array(arguments)) => arguments.clone(),
                    Some(_) => return Err(Reason::Unprocessable("arguments: must be a list".into())),
                };
                local.ask_reset(email.as_str(), &password, arguments).await.map_err(reason_of)?;
            }
            "reset" => local.request_reset(email.as_str()).await.map_err(reason_of)?,
            _ => local.resend(email.as_str()).await.map_err(reason_of)?,
        }
        Ok(email)
    }

    /// The page to ask for a mail, or for what a function decides.
    pub(super) fn send_page(&self, kind: &'static str, over: bool, email: &str, rd: &ReturnTo) -> Page {
        let values = context! {
            kind => kind,
            over => over,
            asks_function => self.decides_by_function(kind),
            email => email,
            password_hint => self.password_hint(),
            rd => rd.location(),
            query => rd.query(),
        };
        Page::new("send.html", values)
    }

    /// Whether a function decides in place of a mail.
    fn decides_by_function(&self, kind: &str) -> bool {
        let settings = self.providers.local_userpass().map(LocalUserpass::settings);
        settings.is_some_and(|local| match kind {
            "reset" => local.reset == Reset::Function,
            _ => local.confirm == Confirm::Function,
        })
    }

    /// Where the visitor is, to come back to after signing in.
    fn here(&self, call: &Call) -> ReturnTo {
        ReturnTo::parse(&format!("{}?{}", call.path, query(call)), &self.allowed)
    }

    pub(super) fn problem(&self, reason: &Reason) -> Problem {
        match reason {
            Reason::Conflict("link.over") => Problem::at("code", "This code is not right, or no longer good."),
            Reason::Conflict("email.taken") => {
                Problem::at("email", "This address has an account already. Use another.")
            }
            _ => Problem::of(reason, self.clock.now()),
        }
    }
}

fn confirm_page(token: Option<&str>, change: bool, email: &str, rd: &ReturnTo) -> Page {
    let values =
        context! { token => token, change => change, email => email, rd => rd.location(), query => rd.query() };
    Page::new("confirm.html", values)
}

fn query(call: &Call) -> &str {
    call.query.as_deref().unwrap_or_default()
}
