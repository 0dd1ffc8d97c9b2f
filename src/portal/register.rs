//! New accounts. Whoever asks learns the same, whether or not the address has one already.

use http::StatusCode;
use minijinja::context;

use super::answer::{empty, see_other};
use super::call::Call;
use super::input::{Accepts, Input};
use super::page::{Page, Problem, is_guest};
use super::refusal::{reason_of, retells};
use super::return_to::{ReturnTo, on_the_way};
use super::{Answer, Portal};
use crate::account::email::Email;
use crate::body::Body;
use crate::provider::local_userpass::LocalUserpass;
use crate::provider::{Confirm, SignUp};
use crate::rejection::Reason;

impl Portal {
    /// The page to make an account; there is none where nobody may.
    pub(super) fn register(&self, call: &Call) -> Answer {
        if self.local()?.settings().sign_up == SignUp::Closed {
            return Err(Reason::NotFound);
        }
        Ok(self.show_page(call, self.register_page(call, &call.return_to(&self.allowed), "")))
    }

    /// Makes an account, or sends the mail that will.
    pub(super) async fn sign_up(&self, call: &Call, body: Body) -> Answer {
        let settings = self.local()?.settings();
        if settings.sign_up == SignUp::Closed {
            return Err(Reason::NotFound);
        }
        let input = Input::read(&call.headers, body, Accepts::Both).await?;
        let rd = self.return_to(call, &input);
        match on_the_way(&rd, self.try_sign_up(call, &input)).await {
            Ok(email) if input.is_form() && settings.confirm == Confirm::Mail => {
                Ok(self.show_page(call, self.mail_sent("confirm", email.as_str(), &rd)))
            }
            Ok(_) if input.is_form() => {
                let note = if settings.confirm == Confirm::Function { "asked" } else { "registered" };
                Ok(see_other(&format!("{}/login?note={note}&{}", self.prefix, rd.query())))
            }
            Ok(_) => Ok(empty(StatusCode::ACCEPTED)),
            Err(reason) if input.is_form() && retells(&reason) => {
                let problem = Problem::of(&reason, self.clock.now());
                let page = self.register_page(call, &rd, input.typed("email")).problems(vec![problem]);
                Ok(self.retold(call, &reason, page))
            }
            Err(reason) => Err(reason),
        }
    }

    /// What to do with the mail, and how to get another.
    pub(super) fn mail_sent(&self, kind: &'static str, email: &str, rd: &ReturnTo) -> Page {
        Page::new(
            "mail_sent.html",
            context! {
                kind => kind,
                email => email,
                rd => rd.location(),
                query => rd.query(),
                password_hint => self.password_hint(),
            },
        )
    }

    /// What new passwords must be.
    pub(super) fn password_hint(&self) -> String {
        let min = self.providers.local_userpass().map_or(8, |local| local.settings().min_length);
        format!("At least {min} characters. A few words in a row are easy to remember and hard to guess.")
    }

    async fn try_sign_up(&self, call: &Call, input: &Input) -> Result<Email, Reason> {
        let local = self.local()?;
        let (typed, password) = (input.text("email")?, input.secret("password")?);
        let email = Email::parse(typed).ok();
        let counted = self.limits.sign_up.count(call.client.address, email.as_ref().map(Email::key)).await;
        counted.map_err(|retry_after| Reason::RateLimited { limit: "sign_up", retry_after })?;
        let email = email.ok_or_else(bad_email)?;
        let guest = call.caller.as_deref().filter(|caller| is_guest(Some(caller))).map(|caller| caller.user.id);
        // What became of it is the same for everybody (see `Registered`) and follows from the settings.
        local.register(email.as_str(), &password, guest).await.map_err(reason_of)?;
        Ok(email)
    }

    fn register_page(&self, call: &Call, rd: &ReturnTo, email: &str) -> Page {
        let settings = self.providers.local_userpass().map(LocalUserpass::settings);
        let by_mail = settings.is_some_and(|local| local.confirm == Confirm::Mail);
        let email_hint = if by_mail { "A mail with a link goes there." } else { "" };
        Page::new(
            "register.html",
            context! {
                open => settings.is_some_and(|local| local.sign_up == SignUp::Open),
                guest => is_guest(call.caller.as_deref()),
                rd => rd.location(),
                query => rd.query(),
                going_to => (!rd.is_home()).then(|| rd.shown(&self.public_url)),
                email => email,
                email_hint => email_hint,
                password_hint => self.password_hint(),
            },
        )
    }
}

/// Text that is no address.
pub(super) fn bad_email() -> Reason {
    Reason::Unprocessable("email: not an e-mail address such as ann@example.com".into())
}
