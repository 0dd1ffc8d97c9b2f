//! Decides by the route table. Reads host, canonical path, method, caller and address; sets the proof that the
//! upstream demands; refuses with 401 or 403. On the first visit of a navigation to a route that admits guests
//! it makes a guest. Sits right above the layers that act for an app behind.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{SET_COOKIE, USER_AGENT};

use crate::account::Kind;
use crate::account::audit::{self, By, Origin};
use crate::layer::{Progress, Refusal, Step};
use crate::limit::Limits;
use crate::provider::{ANON_USER, Providers};
use crate::rejection::Reason;
use crate::route::{Authorized, Denied, Path, Question, Refused, Router, Subject};
use crate::secret::Digest;
use crate::session::{Device, Sessions, cookie};
use crate::span;
use crate::upstream::forward::Upgrade;
use crate::visit::{Asker, Credential, Trouble, Visit};

/// See the [module](self).
#[derive(Clone)]
pub struct Authorize {
    router: Arc<Router>,
    guests: Arc<Guests>,
}

/// What it takes to make a guest.
pub struct Guests {
    /// Makes the user, if guests are on.
    pub providers: Providers,
    /// Opens the session.
    pub sessions: Sessions,
    /// Counts guests per address.
    pub limits: Arc<Limits>,
    /// The session cookie.
    pub cookie: cookie::Name,
    /// How long a browser keeps it: `session.max_lifetime`.
    pub cookie_lifetime: Duration,
}

impl Authorize {
    /// Decides by this table.
    pub fn new(router: Arc<Router>, guests: Arc<Guests>) -> Self {
        Self { router, guests }
    }
}

impl Step for Authorize {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        let denied = match decide(&self.router, &visit) {
            Ok(authorized) if is_among(&visit) => {
                tracing::trace!(request = %visit.id, route = authorized.route(), "allowed");
                span::event(&visit.span, "allowed");
                visit.authorized = Some(authorized);
                return Progress::Go(visit);
            }
            Ok(_) if visit.caller.as_ref().is_some_and(|caller| caller.kind() != Kind::Guest) => {
                return Progress::refuse(visit, Reason::Malformed("forward_auth.narrowed"));
            }
            Ok(_) => Denied::SignIn { guest_would_do: false },
            Err(Refused::Irregular) => return Progress::refuse(visit, Reason::Malformed("path.not_plain")),
            Err(Refused::Case) => return Progress::refuse(visit, Reason::CaseMismatch),
            Err(Refused::NoRoute(denied) | Refused::Denied(denied)) => denied,
        };
        tracing::trace!(request = %visit.id, ?denied, trouble = ?visit.trouble, "not allowed");
        span::event(&visit.span, "not allowed");
        match (denied, visit.trouble) {
            (Denied::Forbidden, _) => {
                let reason = methods_instead(&self.router, &visit).unwrap_or(Reason::Forbidden);
                Progress::refuse(visit, reason)
            }
            (_, Some(Trouble::Unavailable)) => Progress::refuse(visit, Reason::Unavailable),
            (_, Some(Trouble::Bad)) => Progress::refuse(visit, Reason::BadCredential),
            (Denied::SignIn { guest_would_do: true }, None) if self.guests.may_be_made_for(&visit) => {
                let this = self.clone();
                Progress::Wait(Box::pin(async move { this.with_guest(visit).await.into() }))
            }
            (Denied::SignIn { .. }, None) => Progress::refuse(visit, Reason::SignInNeeded),
        }
    }
}

impl Authorize {
    async fn with_guest(&self, mut visit: Box<Visit>) -> Result<Box<Visit>, Refusal> {
        let origin = Origin { request_id: Some(visit.id.to_string()), by: By::Visitor(None) };
        if let Err(reason) = audit::on_behalf(origin, self.guests.make(&mut visit)).await {
            return Err(Refusal::new(visit, reason));
        }
        match decide(&self.router, &visit) {
            Ok(authorized) => {
                visit.authorized = Some(authorized);
                Ok(visit)
            }
            Err(_) => Err(Refusal::new(visit, Reason::SignInNeeded)),
        }
    }
}

impl Guests {
    /// Only for a person who opens a page: a script without a cookie would make one with every request.
    fn may_be_made_for(&self, visit: &Visit) -> bool {
        let is_asked_for_others = visit.check.as_ref().is_some_and(|check| check.narrow.is_some());
        visit.caller.is_none()
            && !is_asked_for_others
            && visit.asker() == Asker::Navigation
            && self.providers.anon_user().is_some()
    }

    async fn make(&self, visit: &mut Visit) -> Result<(), Reason> {
        let provider = self.providers.anon_user().ok_or(Reason::SignInNeeded)?;
        let counted = self.limits.guest.count(visit.client.address, None).await;
        counted.map_err(|retry_after| Reason::RateLimited { limit: "guest", retry_after })?;
        let user = provider.make().await.map_err(|error| {
            tracing::error!(request = %visit.id, %error, "no guest can be made");
            Reason::Unavailable
        })?;
        let device = device(visit);
        let token = self.sessions.start(&user, ANON_USER, device).await.map_err(|error| {
            tracing::error!(request = %visit.id, %error, "no session can be opened");
            Reason::Unavailable
        })?;
        self.providers.sign_ins().note_end(ANON_USER, None);
        let digest = Digest::of(token.expose());
        let caller = self.sessions.by_cookie(&digest).await.ok().flatten().ok_or(Reason::Unavailable)?;
        // A clearing cookie of an ended session must not undo the new one.
        visit.reply.retain(|(name, _)| *name != SET_COOKIE);
        visit.reply.push((SET_COOKIE, self.cookie.set(&token, self.cookie_lifetime)));
        visit.caller = Some(caller);
        visit.credential = Credential::Cookie;
        Ok(())
    }
}

/// What a session is opened from.
pub fn device(visit: &Visit) -> Device {
    let agent = visit.request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Device { user_agent: agent.chars().take(256).collect(), address: Some(visit.client.address), app: None }
}

fn decide(router: &Router, visit: &Visit) -> Result<Authorized, Refused> {
    let request = &visit.request;
    let check = visit.check.as_deref();
    let host = visit.host.as_deref().unwrap_or_default();
    let path = Path::known(request.uri().path(), visit.irregular);
    let ask = |method| router.decide(host, &path, &question(visit, method));
    if check.is_some_and(|check| check.every_method) {
        UNSAFE.iter().try_for_each(|method| ask(method).map(drop))?;
    }
    ask(request.method())
}

fn question<'v>(visit: &'v Visit, method: &'v Method) -> Question<'v> {
    let (upgrade, address) = (visit.wants() == Upgrade::WebSocket, visit.client.address);
    Question { method, upgrade, address, subject: subject(visit) }
}

fn subject(visit: &Visit) -> Option<Subject<'_>> {
    visit.caller.as_ref().map(|caller| Subject { user: &caller.user, provider: &caller.provider })
}

/// Whether the caller is among those whom the question itself lets in. It says nothing of whom the rules refuse.
fn is_among(visit: &Visit) -> bool {
    let narrow = visit.check.as_ref().and_then(|check| check.narrow.as_ref());
    narrow.is_none_or(|narrow| subject(visit).is_some_and(|subject| narrow.admits(subject)))
}

/// RFC 9110 §15.5.6: a method that the route has no rule for is not a matter of who asks.
fn methods_instead(router: &Router, visit: &Visit) -> Option<Reason> {
    let (host, request) = (visit.host.as_deref().unwrap_or_default(), &visit.request);
    let instead = router.methods_instead(host, request.uri().path(), &question(visit, request.method()));
    instead.map(|methods| Reason::MethodNotAllowed(methods.into()))
}

/// What a request may be that does not say its method, beside GET.
static UNSAFE: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
