//! Our own pages and endpoints under the prefix (`/.auth`): signing in and out, new accounts, lost passwords, the
//! account page, and what programs need.
//!
//! [`Portal::serve`] answers one request. The way inside is always the same: find the `endpoint`, refuse what
//! another site sends ([`csrf`]), read the body (`input`), and one handler per family, a straight line of early
//! returns, with a [`Reason`] for the way out.

mod account;
mod answer;
mod assets;
mod call;
mod chosen;
mod confirm;
pub mod csrf;
mod data;
mod deed;
mod device;
mod endpoint;
mod form;
mod input;
mod link;
mod link_away;
mod login;
mod logout;
mod look;
mod page;
mod redirect;
mod refusal;
mod register;
mod reset;
pub mod return_to;
mod settings;
mod templates;
mod token;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, SET_COOKIE};
use http::{HeaderValue, Method, Response};
use http_body::Body as _;

pub use refusal::Refused;
pub use settings::{Languages, Settings};

use crate::body::Body;
use crate::clock::Clock;
use crate::limit::Limits;
use crate::provider::Providers;
use crate::provider::local_userpass::LocalUserpass;
use crate::public_url::PublicUrl;
use crate::rejection::Reason;
use crate::session::Sessions;
use crate::session::cookie::Name;
use crate::store::Store;
use crate::visit::{Trouble, Visit};
use answer::see_other;
use call::Call;
use endpoint::Endpoint;
use page::{Page, Pages};
use refusal::note;
use return_to::{Allowed, ReturnTo};

/// The pages and endpoints of one site.
pub struct Portal {
    pages: Pages,
    allowed: Allowed,
    cookie: Name,
    public_url: PublicUrl,
    prefix: String,
    providers: Providers,
    sessions: Sessions,
    session_lifetime: Duration,
    limits: Arc<Limits>,
    store: Arc<dyn Store>,
    clock: Clock,
}

/// What a portal is built from.
pub struct Parts {
    /// `[pages]`.
    pub settings: Settings,
    /// The address visitors type.
    pub public_url: PublicUrl,
    /// Where the pages are: a slash, a word, no slash at the end. Default `/.auth`.
    pub prefix: String,
    /// `return_to`: other origins a sign-in may return to.
    pub return_to: Vec<String>,
    /// The ways to sign in.
    pub providers: Providers,
    /// Where sessions begin and end.
    pub sessions: Sessions,
    /// How long a browser keeps the cookie: `session.max_lifetime`.
    pub session_lifetime: Duration,
    /// What may be tried how often.
    pub limits: Arc<Limits>,
    /// Where users live.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Clock,
}

/// Why there can be no portal; the text names the key or the file and line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of `[pages]`.
    #[error(transparent)]
    Page(#[from] page::Error),
    /// Of `return_to`.
    #[error(transparent)]
    ReturnTo(#[from] return_to::Error),
}

/// The stylesheet of our pages, for other pages of ours.
pub const STYLE: &str = assets::STYLE;

type Answer = Result<Response<Body>, Reason>;

impl Portal {
    /// Compiles the templates and checks the settings.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn new(parts: Parts) -> Result<Self, Vec<Error>> {
        let Parts { settings, public_url, prefix, return_to, providers, sessions, .. } = parts;
        let allowed = Allowed::new(&public_url, &return_to).map_err(|error| vec![error.into()])?;
        let pages = Pages::new(&settings, &public_url, &prefix, &allowed, &providers)
            .map_err(|errors| errors.into_iter().map(Error::from).collect::<Vec<_>>())?;
        Ok(Self {
            pages,
            allowed,
            cookie: Name::new(public_url.is_secure()),
            public_url,
            prefix,
            providers,
            sessions,
            session_lifetime: parts.session_lifetime,
            limits: parts.limits,
            store: parts.store,
            clock: parts.clock,
        })
    }

    /// Answers a request whose path is the prefix or lies under it, or is `/.well-known/change-password`.
    ///
    /// Reads `caller` and `credential`; sets cookies on its answer itself and leaves `reply` to whoever called.
    pub async fn serve(&self, visit: Visit) -> Response<Body> {
        let (call, body) = Call::new(visit);
        let mut response = match self.answer(&call, body).await {
            Ok(response) => response,
            Err(reason) => self.refuse(&call, &reason),
        };
        self.pages.fields.any(response.headers_mut());
        if call.method == Method::HEAD { bare(response) } else { response }
    }

    /// The page for a refusal, for those who look at pages; programs get
    /// [`Reason::problem`](crate::rejection::Reason::problem).
    pub fn refusal_page(&self, reason: &Reason, refused: Refused<'_>) -> Response<Body> {
        self.pages.refusal(reason, refused, self.clock.now())
    }

    /// 303 to the login page, which returns to `target` after the sign-in.
    pub fn to_login(&self, target: &ReturnTo) -> Response<Body> {
        let mut response = see_other(&format!("{}/login?{}", self.prefix, target.query()));
        self.pages.fields.any(response.headers_mut());
        response
    }

    /// A place to return to, parsed: what a request asked for, `/path?query`.
    pub fn target(&self, path_and_query: &str) -> ReturnTo {
        ReturnTo::parse(path_and_query, &self.allowed)
    }

    async fn answer(&self, call: &Call, body: Body) -> Answer {
        let endpoint = Endpoint::find(&self.prefix, &call.path).ok_or(Reason::NotFound)?;
        if matches!(&endpoint, Endpoint::SignIn(way) if !self.offers(way)) {
            return Err(Reason::NotFound);
        }
        if !endpoint.allow().split(", ").any(|method| call.method == method) {
            return match endpoint.page() {
                Some(page) if call.method == Method::GET && call.is_person() => {
                    Ok(see_other(&format!("{}/{page}", self.prefix)))
                }
                _ => Err(Reason::MethodNotAllowed(endpoint.allow().into())),
            };
        }
        // Somebody may well be signed in: neither the login page nor "you are not" would be true.
        if call.trouble == Some(Trouble::Unavailable) && endpoint.asks_who() {
            return Err(Reason::Unavailable);
        }
        if call.method != Method::POST {
            if let Some(response) = self.choose_language(call, &endpoint) {
                return Ok(response);
            }
            return self.show(call, endpoint).await;
        }
        if !endpoint.is_from_elsewhere() {
            call.same_site(self.cookie, self.public_url.origin())?;
        }
        self.take(call, body, endpoint).await
    }

    /// What is read: nothing of it changes anything.
    async fn show(&self, call: &Call, endpoint: Endpoint) -> Answer {
        match endpoint {
            Endpoint::Asset(name) => self.pages.assets.serve(&name).ok_or(Reason::NotFound),
            Endpoint::Login => Ok(self.login(call)),
            Endpoint::Register => self.register(call),
            Endpoint::Confirm => self.confirm(call).await,
            Endpoint::ConfirmSend => self.ask_confirm(call),
            Endpoint::Reset => self.reset(call).await,
            Endpoint::Logout => Ok(self.logout(call)),
            Endpoint::Account => self.account(call).await,
            Endpoint::Data => self.data(call).await,
            Endpoint::Me => self.me(call),
            Endpoint::UserInfo => self.user_info(call),
            Endpoint::Keys => Ok(self.keys()),
            Endpoint::ChangePassword => Ok(see_other(&format!("{}/account#password", self.prefix))),
            Endpoint::SignIn(way) => self.begin(call, &way).await,
            Endpoint::Callback(name) => self.come_back(call, &name).await,
            Endpoint::Backchannel(_)
            | Endpoint::ResetSend
            | Endpoint::Link(_)
            | Endpoint::Deed(_)
            | Endpoint::Refresh
            | Endpoint::Revoke => Err(Reason::MethodNotAllowed(endpoint.allow().into())),
        }
    }

    /// What is sent.
    async fn take(&self, call: &Call, body: Body, endpoint: Endpoint) -> Answer {
        match endpoint {
            Endpoint::SignIn(way) if call.parameter("link").as_deref() == Some("true") => {
                self.link(call, body, &way).await
            }
            Endpoint::SignIn(way) => self.sign_in(call, body, way).await,
            Endpoint::Callback(name) => self.come_back_by_form(call, body, &name).await,
            Endpoint::Backchannel(name) => self.ended_there(call, body, &name).await,
            Endpoint::Register => self.sign_up(call, body).await,
            Endpoint::Confirm => self.prove(call, body).await,
            Endpoint::ConfirmSend => self.send_confirm(call, body).await,
            Endpoint::Reset => self.set_password(call, body).await,
            Endpoint::ResetSend => self.send_reset(call, body).await,
            Endpoint::Logout => self.sign_out(call, body).await,
            Endpoint::Link(name) => self.link_away(call, body, &name).await,
            Endpoint::Deed(deed) => self.deed(call, body, deed).await,
            Endpoint::Refresh => self.refresh(call, body).await,
            Endpoint::Revoke => self.revoke(call, body).await,
            Endpoint::Asset(_)
            | Endpoint::Login
            | Endpoint::Account
            | Endpoint::Data
            | Endpoint::Me
            | Endpoint::UserInfo
            | Endpoint::Keys
            | Endpoint::ChangePassword => Err(Reason::MethodNotAllowed(endpoint.allow().into())),
        }
    }

    fn refuse(&self, call: &Call, reason: &Reason) -> Response<Body> {
        note(call, reason);
        let for_programs = Endpoint::find(&self.prefix, &call.path).is_some_and(|endpoint| endpoint.is_for_programs());
        if for_programs || !call.is_person() {
            return reason.problem(call.id.as_str());
        }
        self.refusal_page(reason, call.refused(&ReturnTo::home()))
    }

    /// A page again, with what went wrong in it, under the status of the refusal.
    fn retold(&self, call: &Call, reason: &Reason, page: Page) -> Response<Body> {
        note(call, reason);
        let mut response = self.show_page(call, page.status(reason.status()));
        reason.dress(&mut response);
        response
    }

    /// A page, in the language of whoever asks for it.
    fn show_page(&self, call: &Call, page: Page) -> Response<Body> {
        self.pages.show(self.reachable(call, page), &call.headers)
    }

    fn set_cookie(&self, response: &mut Response<Body>, value: HeaderValue) {
        response.headers_mut().append(SET_COOKIE, value);
    }

    /// E-mail and password, where they are on; elsewhere their addresses do not exist.
    fn local(&self) -> Result<&LocalUserpass, Reason> {
        self.providers.local_userpass().ok_or(Reason::NotFound)
    }
}

/// The answer to HEAD: all fields, no body (RFC 9110 §9.3.2).
fn bare(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod chosen_tests;
#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod html_tests;
#[cfg(test)]
mod security_tests;
#[cfg(test)]
mod tests;
