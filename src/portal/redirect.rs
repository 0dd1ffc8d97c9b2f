//! Signing in at a provider: out to it, and back.

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use minijinja::{Value as Shown, context};
use serde_json::{Map, Value};

use super::answer::{empty, see_other};
use super::call::Call;
use super::chosen::Stay;
use super::endpoint::Way;
use super::input::{Accepts, Input};
use super::page::is_guest;
use super::refusal::unavailable;
use super::return_to::ReturnTo;
use super::{Answer, Portal, form};
use crate::account::audit::{Action, Event};
use crate::body::Body;
use crate::id::SessionId;
use crate::provider::oauth2::{self, Begun, Client, Wishes};
use crate::provider::pending::{self, Attempt, Pending};
use crate::rejection::Reason;
use crate::session::{ProviderSession, Travel};
use crate::store::AtProvider;
use crate::visit::Credential;

impl Portal {
    /// Sends a visitor to the provider of this name. Of the request nothing goes there but whom to suggest and what
    /// to show (SEC-OAUTH-04).
    pub(super) async fn begin(&self, call: &Call, way: &Way) -> Answer {
        let found = match way {
            Way::Other(name) => self.providers.redirect(name),
            _ => None,
        };
        let Some(client) = found.filter(|_| call.method == http::Method::GET) else {
            let page = format!("{}/login", self.prefix);
            let allowed = if found.is_some() { "GET, POST" } else { "POST" };
            return if call.is_person() { Ok(see_other(&page)) } else { Err(Reason::MethodNotAllowed(allowed.into())) };
        };
        self.count_try(call, None).await?;
        let rd = call.return_to(&self.allowed);
        let wishes =
            Wishes { login_hint: call.parameter("login_hint"), prompt: call.parameter("prompt"), redirect_uri: None };
        match client.begin(&wishes, self.attempt(call, &rd)).await {
            Ok(begun) => {
                let mut response = see_other(&begun.location);
                self.bind(call, &begun, &mut response);
                Ok(response)
            }
            Err(error) => Ok(self.not_signed_in(call, &rd, way, &reason(call, way.name(), &error))),
        }
    }

    /// What the end of an attempt needs to know of its beginning.
    fn attempt(&self, call: &Call, rd: &ReturnTo) -> Attempt {
        let by_cookie = call.credential == Credential::Cookie;
        let caller = call.caller.as_deref().filter(|_| by_cookie);
        Attempt {
            return_to: rd.location().to_owned(),
            guest: caller.filter(|caller| is_guest(Some(caller))).map(|caller| caller.user.id),
            session: caller.and_then(|caller| caller.session),
            ..Attempt::default()
        }
    }

    /// Binds the attempt to the browser, and lets go of the oldest where there are too many.
    pub(super) fn bind(&self, call: &Call, begun: &Begun, response: &mut Response<Body>) {
        let open = self.cookie.attempts(&call.headers);
        for oldest in &open[..(open.len() + 1).saturating_sub(MOST_ATTEMPTS)] {
            self.set_cookie(response, self.cookie.unbind(oldest));
        }
        let travel = if begun.cross_site { Travel::CrossSite } else { Travel::Lax };
        let seconds = pending::LIFETIME.as_secs();
        self.set_cookie(response, self.cookie.bind(&begun.name, &begun.binding, travel, seconds));
    }

    /// Takes what the provider's answer says in its query.
    pub(super) async fn come_back(&self, call: &Call, name: &str) -> Answer {
        let parameters = form::fields(call.query.as_deref().unwrap_or_default().as_bytes())?;
        self.finish(call, name, &parameters).await
    }

    /// Takes the answer that the provider's page posts: from another site, so that state and cookie are its proof.
    pub(super) async fn come_back_by_form(&self, call: &Call, body: Body, name: &str) -> Answer {
        let input = Input::read(&call.headers, body, Accepts::Both).await?;
        self.finish(call, name, input.fields()).await
    }

    async fn finish(&self, call: &Call, name: &str, parameters: &Map<String, Value>) -> Answer {
        let client = self.providers.redirect(name).ok_or(Reason::NotFound)?;
        let cookie = |attempt: &str| self.cookie.binding(&call.headers, attempt);
        let taken = Pending::take(&self.store, self.clock.now(), parameters, cookie).await;
        let pending = taken.map_err(|error| reason(call, name, &error))?;
        // An attempt ends where it was told to, at the provider it began with (RFC 9700 §4.4).
        let same = pending.provider == name && pending.redirect_uri == client.redirect_uri();
        if !same {
            return Err(reason(call, name, &oauth2::Error::State("the attempt is for another address")));
        }
        let rd = ReturnTo::parse(&pending.attempt.return_to, &self.allowed);
        let ended = match pending.attempt.link {
            Some(_) => self.finish_link(call, client, name, &pending, parameters).await,
            None => self.admitted(call, client, name, &pending, parameters, &rd).await,
        };
        if pending.attempt.link.is_none() {
            self.count_sign_in(name, ended.as_ref().err());
        }
        let mut response = match ended {
            Ok(response) => response,
            Err(reason @ Reason::Malformed(_)) => return Err(reason),
            Err(reason) => self.not_signed_in(call, &rd, &Way::Other(name.to_owned()), &reason),
        };
        let state = parameters.get("state").and_then(Value::as_str).unwrap_or_default();
        self.set_cookie(&mut response, self.cookie.unbind(&pending::name_of(state)));
        Ok(response)
    }

    async fn admitted(
        &self,
        call: &Call,
        client: &Client,
        name: &str,
        pending: &Pending,
        parameters: &Map<String, Value>,
        rd: &ReturnTo,
    ) -> Answer {
        let finished = client.finish(pending, parameters).await;
        let account = finished.map_err(|error| reason(call, name, &error))?;
        let incomer = self.admit_from(name, account, pending.attempt.guest).await.map_err(|reason| match reason {
            // The provider has let them in; it is we who do not.
            Reason::SignInRefused => Reason::SignInNotAllowed,
            other => other,
        })?;
        let mut response = see_other(rd.location());
        self.open(call, &incomer, name, Stay::Kept, &mut response).await?;
        if let Some(session) = pending.attempt.session {
            // With a posted answer the browser has not sent the old session's cookie along.
            self.end_named(session, Action::SIGN_OUT, |event| event).await?;
        }
        Ok(response)
    }

    /// The login page again, in our words, with every other way to sign in.
    fn not_signed_in(&self, call: &Call, rd: &ReturnTo, way: &Way, reason: &Reason) -> Response<Body> {
        if !call.is_person() {
            return reason.problem(call.id.as_str());
        }
        self.retold(call, reason, self.login_after(call, rd, way, reason))
    }

    /// What the provider of this name says about the end of sessions there, by itself.
    pub(super) async fn ended_there(&self, call: &Call, body: Body, name: &str) -> Answer {
        let client = self.providers.redirect(name).ok_or(Reason::NotFound)?;
        let input = Input::read(&call.headers, body, Accepts::Both).await?;
        let token = input.secret("logout_token")?;
        // Exposed to be verified.
        let notice = client.logout(token.expose()).await.map_err(|error| {
            let why = error.to_string();
            tracing::warn!(request = %call.id, provider = name, why, "a logout token was not taken");
            match error {
                oauth2::Error::Down(_) => Reason::Unavailable,
                oauth2::Error::Store(error) => unavailable(error),
                _ => Reason::Malformed("oauth.logout_token"),
            }
        })?;
        let ended = self.end_those(&notice.sessions, name).await;
        if ended.is_err() {
            // Told again, it has to count again.
            let _ = self.store.take_one_time(notice.seen, self.clock.now()).await;
        }
        let count = ended?;
        tracing::info!(request = %call.id, provider = name, count, "a provider ended sessions");
        Ok(empty(StatusCode::OK))
    }

    async fn end_those(&self, named: &AtProvider, provider: &str) -> Result<usize, Reason> {
        let mut sessions = self.store.sessions_at_provider(named).await.map_err(unavailable)?;
        if named.sid.is_some() && named.subject.is_some() {
            let anywhere = AtProvider { sid: None, ..named.clone() };
            for session in self.store.sessions_at_provider(&anywhere).await.map_err(unavailable)? {
                let kept = self.store.provider_session(session).await.map_err(unavailable)?;
                // It never said which of its sessions this belongs to: it may be the one that is over.
                if kept.is_some_and(|kept| kept.sid.is_none()) {
                    sessions.push(session);
                }
            }
        }
        for session in &sessions {
            self.end_named(*session, Action::SESSION_REVOKE, |event| event.after("provider", provider)).await?;
        }
        Ok(sessions.len())
    }

    /// Ends a session that the request did not come with.
    async fn end_named(
        &self,
        session: SessionId,
        action: Action,
        about: impl FnOnce(Event) -> Event + Send,
    ) -> Result<(), Reason> {
        let Some((_, user)) = self.store.session(session).await.map_err(unavailable)? else { return Ok(()) };
        let event = Event::new(action, user.id, self.clock.now()).before("session", session.to_string());
        self.sessions.end_noting(session, vec![about(event)]).await.map(drop).map_err(unavailable)
    }

    /// Where a browser goes on to after signing out here, so that it is signed out there, too.
    pub(super) async fn onward(&self, there: &ProviderSession, rd: &ReturnTo) -> Option<String> {
        let client = self.providers.redirect(&there.provider)?;
        let back = self.public_url.join(&format!("{}/logout", self.prefix));
        let location = client.end_session(there.id_token.as_ref(), &back, rd.location()).await?;
        HeaderValue::try_from(&location).is_ok().then_some(location)
    }

    /// A button for every provider that people are sent to.
    pub(super) fn redirects(&self, headers: Option<&HeaderMap>) -> Vec<Shown> {
        let button = |named: &crate::provider::Named| {
            let client = named.provider.redirect()?;
            Some(context! {
                name => named.name.as_str(),
                label => named.label.as_str(),
                available => client.is_available(),
                last => headers.is_some_and(|headers| self.was_last(headers, &named.name)),
            })
        };
        self.providers.others().filter_map(button).collect()
    }
}

/// A provider's no, as ours; what it was in detail is for the log.
pub(super) fn reason(call: &Call, name: &str, error: &oauth2::Error) -> Reason {
    use oauth2::Error;
    let (reason, code) = match error {
        Error::State(_) => (Reason::Malformed("oauth.state"), "oauth.state"),
        Error::Malformed(_) => (Reason::Malformed("oauth.callback"), "oauth.callback"),
        Error::Cancelled => (Reason::SignInCancelled, "oauth.cancelled"),
        Error::NotAllowed(_) => (Reason::SignInNotAllowed, "oauth.not_allowed"),
        Error::Refused(_) | Error::Down(_) => (Reason::ProviderFailed, "oauth.failed"),
        Error::Store(_) => (Reason::Unavailable, "oauth.store"),
    };
    tracing::warn!(request = %call.id, client = %call.client.address, provider = name, code, %error, "nobody was signed in");
    reason
}

/// Attempts a browser may have open; beyond that the oldest is over.
const MOST_ATTEMPTS: usize = 8;
