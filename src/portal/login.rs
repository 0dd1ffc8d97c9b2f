//! Signing in: the page, and where its forms and programs send credentials.

use std::borrow::Cow;

use http::{Response, StatusCode};
use minijinja::context;
use serde_json::{Map, Value, json};

use super::answer::{self, see_other};
use super::call::Call;
use super::chosen::Stay;
use super::endpoint::Way;
use super::input::{Accepts, Input};
use super::page::{Page, Problem, is_guest, signed_in_as};
use super::refusal::{reason_of, retells, unavailable};
use super::return_to::ReturnTo;
use super::{Answer, Portal};
use crate::account::User;
use crate::account::email::Email;
use crate::body::Body;
use crate::id::{SessionId, UserId};
use crate::provider::{Account, LOCAL_USERPASS, SignUp, Verdict};
use crate::rejection::Reason;
use crate::secret::Secret;
use crate::session::{ProviderSession, Tokens};
use crate::visit::Credential;

impl Portal {
    /// The page with every way to sign in.
    pub(super) fn login(&self, call: &Call) -> Response<Body> {
        let notice = call.parameter("note").and_then(|note| notice(&note));
        let rd = call.return_to(&self.allowed);
        self.show_page(call, self.login_page(call, &rd, None, ("", Stay::Kept)).notice(notice))
    }

    /// Takes credentials; a page goes on to where its visitor wanted to, a program gets tokens.
    pub(super) async fn sign_in(&self, call: &Call, body: Body, way: Way) -> Answer {
        let input = Input::read(&call.headers, body, Accepts::Both).await?;
        let rd = self.return_to(call, &input);
        let incomer = match &way {
            Way::LocalUserpass => self.by_password(call, &input).await.map(Incomer::from),
            Way::ApiKey => self.by_key(call, &input).await.map(Incomer::from),
            Way::AnonUser => self.as_guest(call).await.map(Incomer::from),
            Way::Other(name) => self.by_other(call, name, input.fields()).await,
        };
        self.count_sign_in(way.name(), incomer.as_ref().err());
        match incomer {
            Ok(incomer) if input.is_form() => {
                let mut response = see_other(rd.location());
                self.open(call, &incomer, way.name(), Stay::wanted(&input), &mut response).await?;
                Ok(response)
            }
            Ok(incomer) => {
                let tokens = self.sessions.start_tokens(&incomer.user, way.name(), call.device()).await;
                let tokens = tokens.map_err(unavailable)?;
                self.keep_account(&incomer, way.name(), tokens.session).await?;
                Ok(answer::json(StatusCode::OK, &signed_in(&tokens)))
            }
            Err(reason) if input.is_form() && retells(&reason) => {
                Ok(self.retold(call, &reason, self.login_again(call, &rd, &input, &way, &reason)))
            }
            Err(reason) => Err(reason),
        }
    }

    /// Opens a browser's session under a new id, and ends the one it comes with: nobody who knew the old id
    /// (or planted it) is signed in by it, and nobody finds the last user's session in the browser.
    pub(super) async fn open(
        &self,
        call: &Call,
        incomer: &Incomer,
        provider: &str,
        stay: Stay,
        response: &mut Response<Body>,
    ) -> Result<(), Reason> {
        let started = self.sessions.start_named(&incomer.user, provider, call.device()).await;
        let (session, token) = started.map_err(unavailable)?;
        self.keep_account(incomer, provider, session).await?;
        self.end_own(call).await?;
        let cookie = match stay {
            Stay::Kept => self.cookie.set(&token, self.session_lifetime),
            Stay::UntilClosed => self.cookie.set_until_closed(&token),
        };
        self.set_cookie(response, cookie);
        self.remember_provider(call, provider, response);
        if let (LOCAL_USERPASS, Some(credential)) = (provider, &incomer.user.password)
            && let Some(device) = self.sessions.device_token(credential.email.key())
        {
            self.set_cookie(response, self.cookie.set_device(&device));
        }
        Ok(())
    }

    /// Notes what the provider gave with a sign-in, for as long as the session lives.
    async fn keep_account(&self, incomer: &Incomer, provider: &str, session: SessionId) -> Result<(), Reason> {
        let Some(account) = &incomer.account else { return Ok(()) };
        let Some(tokens) = &account.tokens else { return Ok(()) };
        let kept = ProviderSession {
            session,
            provider: provider.to_owned(),
            issuer: account.issuer.clone(),
            subject: account.subject.clone(),
            sid: tokens.sid.clone(),
            id_token: tokens.id_token.clone(),
            access_token: tokens.access_token.clone(),
            refresh_token: tokens.refresh_token.clone(),
            expires_at: tokens.expires_at,
        };
        self.store.save_provider_session(&kept).await.map_err(unavailable)
    }

    /// Ends the session of the cookie a request came with.
    pub(super) async fn end_own(&self, call: &Call) -> Result<(), Reason> {
        let session = call.caller.as_ref().and_then(|caller| caller.session);
        if let (Some(session), Credential::Cookie) = (session, call.credential) {
            self.end_of(call, session).await?;
        }
        Ok(())
    }

    /// Counts how a sign-in ended. Whoever turned back was not refused.
    pub(super) fn count_sign_in(&self, provider: &str, reason: Option<&Reason>) {
        if reason != Some(&Reason::SignInCancelled) {
            self.providers.sign_ins().note_end(provider, reason.map(Reason::status));
        }
    }

    /// Counts a try before anything is looked up or computed.
    pub(super) async fn count_try(&self, call: &Call, account: Option<&str>) -> Result<(), Reason> {
        let account = account.map(|account| self.tried(call, account));
        let counted = self.limits.sign_in.count(call.client.address, account.as_deref()).await;
        counted.map_err(|retry_after| Reason::RateLimited { limit: "sign_in", retry_after })
    }

    /// What a try counts for: the account, or a browser on which it was signed in before. So whoever tries passwords of
    /// somebody else uses up what strangers have, and does not shut the owner out.
    fn tried<'a>(&self, call: &Call, account: &'a str) -> Cow<'a, str> {
        let token = self.cookie.device(&call.headers);
        let device = token.and_then(|token| self.sessions.known_device(token, account));
        device.map_or(Cow::Borrowed(account), Cow::Owned)
    }

    async fn by_password(&self, call: &Call, input: &Input) -> Result<User, Reason> {
        let typed = self.try_password(call, input).await?;
        let user = self.local()?.sign_in(typed.email.as_str(), &typed.password).await.map_err(reason_of)?;
        self.limits.failures.forget(&typed.tried);
        Ok(user)
    }

    /// Counts a try of a password before anything is looked up.
    pub(super) async fn try_password(&self, call: &Call, input: &Input) -> Result<Try, Reason> {
        self.local()?;
        let (typed, password) = (input.text("email")?, input.secret("password")?);
        let email = Email::parse(typed).ok();
        let Some(email) = email else {
            self.count_try(call, None).await?;
            return Err(Reason::SignInRefused);
        };
        let tried = self.tried(call, email.key()).into_owned();
        // Known or not: nobody learns from it which accounts there are. A browser that has used its tries up is strange.
        let names = if tried == email.key() { vec![email.key()] } else { vec![tried.as_str(), email.key()] };
        let counted = self.limits.try_password(call.client.address, &names).await;
        counted.map_err(|over| Reason::RateLimited { limit: over.limit, retry_after: over.retry_after })?;
        Ok(Try { email, password, tried })
    }

    pub(super) async fn by_key(&self, call: &Call, input: &Input) -> Result<User, Reason> {
        let key = input.secret("key")?;
        self.count_try(call, None).await?;
        // Looked up by its digest; a key that is off, over or unknown finds nobody.
        let caller = self.sessions.by_key(key.expose().trim()).await.map_err(unavailable)?;
        caller.map(|caller| caller.user.clone()).ok_or(Reason::SignInRefused)
    }

    /// By credentials that a provider decides about whose accounts are not ours.
    async fn by_other(&self, call: &Call, name: &str, credentials: &Map<String, Value>) -> Result<Incomer, Reason> {
        let account = self.account_by(call, name, credentials).await?;
        self.admit(call, name, account).await
    }

    /// The account that a provider finds by credentials.
    pub(super) async fn account_by(
        &self,
        call: &Call,
        name: &str,
        credentials: &Map<String, Value>,
    ) -> Result<Account, Reason> {
        let named = self.providers.other(name).ok_or(Reason::NotFound)?;
        self.count_try(call, None).await?;
        match named.provider.sign_in(credentials, &call.facts()).await {
            Verdict::Yes(account) => Ok(*account),
            Verdict::No(why) => {
                tracing::info!(request = %call.id, provider = name, why, "a provider refused a sign-in");
                Err(Reason::SignInRefused)
            }
            Verdict::CannotTell(why) => {
                tracing::warn!(request = %call.id, provider = name, why, "a provider could not decide");
                Err(Reason::Unavailable)
            }
        }
    }

    /// The user an account elsewhere belongs to; a guest who asks keeps the user id.
    pub(super) async fn admit(&self, call: &Call, provider: &str, account: Account) -> Result<Incomer, Reason> {
        let guest = call.caller.as_deref().filter(|caller| is_guest(Some(caller))).map(|caller| caller.user.id);
        self.admit_from(provider, account, guest).await
    }

    /// The same for a guest who asked some time ago.
    pub(super) async fn admit_from(
        &self,
        provider: &str,
        account: Account,
        guest: Option<UserId>,
    ) -> Result<Incomer, Reason> {
        let admitted = self.providers.admission().admit(provider, &account, guest).await.map_err(reason_of)?;
        Ok(Incomer { user: admitted.user, account: Some(account) })
    }

    async fn as_guest(&self, call: &Call) -> Result<User, Reason> {
        let guests = self.providers.anon_user().ok_or(Reason::NotFound)?;
        if let Some(caller) = call.caller.as_deref().filter(|caller| is_guest(Some(caller))) {
            return Ok(caller.user.clone());
        }
        let counted = self.limits.guest.count(call.client.address, None).await;
        counted.map_err(|retry_after| Reason::RateLimited { limit: "guest", retry_after })?;
        guests.make().await.map_err(reason_of)
    }

    /// Whether there is such a provider.
    pub(super) fn offers(&self, way: &Way) -> bool {
        match way {
            Way::LocalUserpass => self.providers.local_userpass().is_some(),
            Way::ApiKey => self.providers.api_key().is_some(),
            Way::AnonUser => self.providers.anon_user().is_some(),
            Way::Other(name) => self.providers.other(name).is_some(),
        }
    }

    fn login_again(&self, call: &Call, rd: &ReturnTo, input: &Input, way: &Way, reason: &Reason) -> Page {
        let problem = match (reason, way) {
            (Reason::SignInRefused, Way::LocalUserpass) => Problem::at("email", "E-mail or password is not right."),
            (Reason::SignInRefused, _) => Problem::at("key", "This key is not right, or no longer good."),
            _ => Problem::of(reason, self.clock.now()),
        };
        self.login_page(call, rd, Some(way), (input.typed("email"), Stay::wanted(input))).problems(vec![problem])
    }

    /// The page after an attempt at a provider.
    pub(super) fn login_after(&self, call: &Call, rd: &ReturnTo, way: &Way, reason: &Reason) -> Page {
        self.login_page(call, rd, Some(way), ("", Stay::Kept)).problems(vec![Problem::of(reason, self.clock.now())])
    }

    fn login_page(&self, call: &Call, rd: &ReturnTo, tried: Option<&Way>, (email, stay): (&str, Stay)) -> Page {
        let caller = call.caller.as_deref();
        // After a failed try as somebody else the form stays: that is what was asked for.
        let signed_in_as = signed_in_as(caller).filter(|_| tried.is_none());
        let sign_up = self.providers.local_userpass().map_or(SignUp::Closed, |local| local.settings().sign_up);
        Page::new(
            "login.html",
            context! {
                rd => rd.location(),
                query => rd.query(),
                redirects => self.redirects(Some(&call.headers)),
                keep_days => self.session_lifetime.as_secs() / DAY,
                keep => stay == Stay::Kept,
                going_to => (!rd.is_home()).then(|| rd.shown(&self.public_url)),
                signed_in_as => signed_in_as,
                guest => is_guest(caller),
                local => self.offers(&Way::LocalUserpass),
                anonymous => self.offers(&Way::AnonUser),
                others => self.providers.others().next().is_some(),
                keys => self.offers(&Way::ApiKey),
                key_open => tried == Some(&Way::ApiKey),
                email => email,
                sign_up => sign_up_word(sign_up),
            },
        )
    }
}

const DAY: u64 = 24 * 60 * 60;

/// A password that somebody tries.
pub(super) struct Try {
    pub(super) email: Email,
    pub(super) password: Secret,
    /// What the try counts for; see `tried`.
    pub(super) tried: String,
}

/// Somebody who may come in, and the account elsewhere that proved it.
pub(super) struct Incomer {
    pub(super) user: User,
    pub(super) account: Option<Account>,
}

impl From<User> for Incomer {
    fn from(user: User) -> Self {
        Self { user, account: None }
    }
}

/// The word templates know a sign-up by.
pub(super) fn sign_up_word(sign_up: SignUp) -> &'static str {
    match sign_up {
        SignUp::Open => "open",
        SignUp::Invite => "invite",
        SignUp::Closed => "closed",
    }
}

fn signed_in(tokens: &Tokens) -> serde_json::Value {
    // Exposed to the one program that signed in.
    json!({
        "user_id": tokens.user_id.to_string(),
        "access_token": tokens.access_token.expose(),
        "refresh_token": tokens.refresh_token.expose(),
        "expires_in": tokens.expires_in.as_secs(),
    })
}

/// What went well before, by its name in the address: fixed words, so that no address can say anything else.
fn notice(note: &str) -> Option<&'static str> {
    match note {
        "confirmed" => Some("Your address is confirmed. You can sign in now."),
        "registered" => Some("You can sign in now, with the address and the password you have just chosen."),
        "asked" => Some("Your account is being looked at. Try to sign in, or wait for word on how to go on."),
        "asked-reset" => {
            Some("If there is such an account, its new password is being looked at. Try it, or wait for word.")
        }
        "reset" => Some("Your new password is set. Sign in with it."),
        "welcome" => Some("Your account is ready. You can sign in now."),
        _ => None,
    }
}
