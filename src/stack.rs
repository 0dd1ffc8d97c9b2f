//! The way of a request through the house, outermost first. The one place that knows the order.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::header::SET_COOKIE;
use http::{Request, Response};
use tower::service_fn;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::account::audit::{self, By, Origin};
use crate::app_services::{self, AppServices};
use crate::body::Body;
use crate::config::Config;
use crate::language::Language;
use crate::layer::authenticate::Authenticate;
use crate::layer::authorize::{Authorize, Guests};
use crate::layer::body_limit::BodyLimit;
use crate::layer::client_addr::ClientAddr;
use crate::layer::csrf::Csrf;
use crate::layer::data_api::DataApi;
use crate::layer::ext_authz::ExtAuthz;
use crate::layer::forward::{Behind, forward};
use crate::layer::forward_auth::ForwardAuth;
use crate::layer::identity_headers::IdentityHeaders;
use crate::layer::locate::Locate;
use crate::layer::other_hosts::OtherHosts;
use crate::layer::provider_token::ProviderToken;
use crate::layer::rate_limit::{ByAddress, ByUser};
use crate::layer::respond::RespondLayer;
use crate::layer::sanitize::Sanitize;
use crate::layer::trace::TraceLayer;
use crate::layer::verdict::Verdict;
use crate::layer::{Answer, Refusal, Step as _, StepLayer};
use crate::limit::Limits;
use crate::portal::Portal;
use crate::provider::Providers;
use crate::rejection::Reason;
use crate::route::{Route, Router};
use crate::secret;
use crate::session::cookie::Memento;
use crate::session::{Sessions, cookie};
use crate::tally::Traffic;
use crate::upstream::{Pool, Round};
use crate::visit::{Client, Place, RequestId, Visit};
use crate::visitor::Visitor;

/// What the layers share; one for all workers.
pub struct House {
    /// What the operator wrote.
    pub config: Config,
    /// The route table.
    pub router: Arc<Router>,
    /// Sessions, tokens and keys.
    pub sessions: Sessions,
    /// Ways to sign in.
    pub providers: Providers,
    /// Rate limits.
    pub limits: Arc<Limits>,
    /// What becomes of requests, in figures.
    pub traffic: Arc<Traffic>,
    /// Our own pages.
    pub portal: Arc<Portal>,
    /// The client API of App Services, if it is on.
    pub app_services: Option<Arc<AppServices>>,
    /// Who checks the header fields of its Data API; there with it.
    pub data_api: Option<Arc<DataApi>>,
    /// The session cookie.
    pub cookie: cookie::Name,
    /// Reads what other proxies ask.
    pub forward_auth: ForwardAuth,
    /// Makes requests spans.
    pub trace: TraceLayer,
    /// Notices visits by hosts that are not `public_url`.
    pub other_hosts: Arc<OtherHosts>,
    /// The origin that assertions are for, unless a route says otherwise.
    pub audience: String,
}

/// Assembles the stack for one worker and its connections to the upstreams.
pub fn stack(
    house: &House,
    pool: Pool,
) -> impl Service<Box<Visit>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + use<> {
    around(house, upstream(house, pool))
}

/// Puts the layers around whatever answers for the apps behind.
pub fn around<U>(
    house: &House,
    app: U,
) -> impl Service<Box<Visit>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + use<U>
where
    U: Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static> + Clone + Send + 'static,
{
    // Whatever happens below becomes one response and one log line.
    let answered =
        respond(house).layer(way_to(house, Door { own: own_pages(house), client_api: client_api(house), app }));
    // Outermost: a span has in it all that a request waits for.
    house.trace.layer(answered)
}

/// What words every outcome.
pub fn respond(house: &House) -> RespondLayer {
    RespondLayer {
        portal: house.portal.clone(),
        router: house.router.clone(),
        traffic: house.traffic.clone(),
        app_services: house.app_services.clone(),
    }
}

/// The layers that decide, around the three ways on.
pub fn way_to<O, C, A>(
    house: &House,
    door: Door<O, C, A>,
) -> impl Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static> + Clone + Send + use<O, C, A>
where
    O: Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static> + Clone + Send + 'static,
    C: Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static> + Clone + Send + 'static,
    A: Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static> + Clone + Send + 'static,
{
    let config = &house.config;
    let locate = Locate::new(&config.prefix, config.hosts.iter().cloned()).noticing(house.other_hosts.clone());
    let locate = match &house.app_services {
        Some(_) => locate.with_client_api(app_services::ROOT),
        None => locate,
    };
    let guests = Guests {
        providers: house.providers.clone(),
        sessions: house.sessions.clone(),
        limits: house.limits.clone(),
        cookie: house.cookie,
        cookie_lifetime: config.session.max_lifetime,
    };
    let identity_headers = IdentityHeaders::new(
        config.identity_headers.clone(),
        house.router.clone(),
        house.sessions.clone(),
        house.cookie,
        &house.audience,
    );

    let provider_token = ProviderToken::new(house.router.clone(), house.providers.tokens().clone());
    let sanitize = Sanitize::new(&config.identity_headers, config.underscore_headers)
        .and(house.router.routes().iter().filter_map(Route::provider_token))
        .at(Round::first(&house.audience));

    // Cookies travel by themselves: what another site made the browser send is not its owner's wish.
    let decide = Csrf
        // After the caller is known, before anything is done for him.
        .then(ByUser(house.limits.clone()))
        // The decision. Everything below holds its proof.
        .then(Authorize::new(house.router.clone(), Arc::new(guests)))
        // Only now is a body worth anything.
        .then(BodyLimit::new(house.router.clone(), config.limits.body))
        // What may have to be asked for, for those routes that want it.
        .then(provider_token)
        // Last, so that nothing below can be mistaken for what a client sent.
        .then(identity_headers)
        // Whoever only asked gets the identity; nothing is sent on.
        .then(Verdict);
    let app = StepLayer(decide).layer(door.app);

    // Who is at the other end; limits and rules count by it.
    let recognize = ClientAddr::new(config.trusted_proxies.clone())
        // Envoy's question names another client, who is the one to count.
        .then(ExtAuthz(house.forward_auth.clone()))
        // Cheapest refusal first: a flood is turned away before it costs a look at the store.
        .then(ByAddress(house.limits.clone()))
        // A question of another proxy becomes the request it is about.
        .then(house.forward_auth.clone())
        // Nothing below may read what a client is not to say.
        .then(sanitize)
        // One host, one path; ours or an app's.
        .then(locate)
        // Who it is. Our own pages want to know, too.
        .then(
            Authenticate::new(house.sessions.clone(), house.providers.bearers().clone(), house.cookie)
                .with_data_api(house.data_api.clone()),
        );
    StepLayer(recognize).layer(Door { own: door.own, client_api: door.client_api, app })
}

/// The innermost service of an app's side.
fn upstream(
    house: &House,
    pool: Pool,
) -> impl Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static>
+ Clone
+ Send
+ 'static
+ use<> {
    let router = house.router.clone();
    // In one piece: each request holds on to it.
    let round = Round::first(&house.audience);
    let behind = Arc::new(Behind { pool, cookie: house.cookie, sessions: house.sessions.clone(), round });
    service_fn(move |visit: Box<Visit>| {
        let upstream = visit.authorized.map(|authorized| router.route(authorized).upstream());
        // Boxed: else every layer above would move its kilobytes on.
        Box::pin(forward(visit, behind.clone(), upstream))
    })
}

/// What answers for our own pages.
pub fn own_pages(
    house: &House,
) -> impl Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static>
+ Clone
+ Send
+ 'static
+ use<> {
    let (portal, cookie) = (house.portal.clone(), house.cookie);
    service_fn(move |mut visit: Box<Visit>| {
        let portal = portal.clone();
        // Boxed: pages are rare and their future is large.
        Box::pin(async move {
            let mut rest = Visit::new(Request::default(), visit.id, visit.client);
            rest.started = visit.started;
            rest.span = visit.span.clone();
            rest.place = Place::Own;
            rest.asker = Some(visit.asker());
            rest.caller = visit.caller.clone();
            rest.reply = std::mem::take(&mut visit.reply);
            *rest.request.method_mut() = visit.request.method().clone();
            *rest.request.uri_mut() = visit.request.uri().clone();
            let caller = visit.caller.as_ref().map(|caller| caller.user.id);
            let origin = Origin { request_id: Some(visit.id.to_string()), by: By::Visitor(caller) };
            let language = cookie.remembered(visit.request.headers(), Memento::Language).and_then(Language::of);
            let visitor = Visitor::of(visit.request.headers(), visit.id.as_str(), visit.client.address);
            let visitor = visitor.speaking(language);
            let response = visitor.serve(audit::on_behalf(origin, portal.serve(*visit))).await;
            // A page that sets the cookie has the last word: the clearing of an ended one must not undo it.
            if response.headers().contains_key(SET_COOKIE) {
                rest.reply.retain(|(name, _)| *name != SET_COOKIE);
            }
            Ok(Answer::new(rest, response))
        })
    })
}

/// Apps that were written against App Services ask here.
pub fn client_api(
    house: &House,
) -> impl Service<Box<Visit>, Response = Answer, Error = Refusal, Future: Send + Unpin + 'static>
+ Clone
+ Send
+ 'static
+ use<> {
    let app_services = house.app_services.clone();
    service_fn(move |visit: Box<Visit>| {
        let app_services = app_services.clone();
        // Boxed, as those of our pages.
        Box::pin(async move {
            let Some(app_services) = app_services else { return Err(Refusal::new(visit, Reason::NotFound)) };
            let mut rest = Visit::new(Request::default(), visit.id, visit.client);
            (rest.started, rest.place, rest.asker) = (visit.started, visit.place, Some(visit.asker()));
            rest.span = visit.span.clone();
            *rest.request.method_mut() = visit.request.method().clone();
            *rest.request.uri_mut() = visit.request.uri().clone();
            let (response, caller) = app_services.serve(*visit).await;
            rest.caller = caller;
            Ok(Answer::new(rest, response))
        })
    })
}

/// Three ways on: our own pages, the client API of App Services, or an app behind.
#[derive(Clone)]
pub struct Door<O, C, A> {
    /// Answers for our own pages.
    pub own: O,
    /// Answers for the client API of App Services.
    pub client_api: C,
    /// Answers for the app.
    pub app: A,
}

impl<O, C, A> Service<Box<Visit>> for Door<O, C, A>
where
    O: Service<Box<Visit>, Response = Answer, Error = Refusal>,
    C: Service<Box<Visit>, Response = Answer, Error = Refusal>,
    A: Service<Box<Visit>, Response = Answer, Error = Refusal>,
{
    type Response = Answer;
    type Error = Refusal;
    type Future = Either<Either<O::Future, C::Future>, A::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        match (self.own.poll_ready(cx), self.client_api.poll_ready(cx)) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => self.app.poll_ready(cx),
            (Poll::Ready(Ok(())), other) | (other, _) => other,
        }
    }

    fn call(&mut self, visit: Box<Visit>) -> Self::Future {
        match visit.place {
            Place::Own => Either::Left(Either::Left(self.own.call(visit))),
            Place::AppServices => Either::Left(Either::Right(self.client_api.call(visit))),
            Place::App => Either::Right(self.app.call(visit)),
        }
    }
}

/// Where requests enter the stack: one for each connection, all of a worker counting together.
pub struct Entrance<S> {
    service: Mutex<S>,
    ids: Arc<Ids>,
}

impl<S: Clone> Clone for Entrance<S> {
    fn clone(&self) -> Self {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { service: Mutex::new(service), ids: self.ids.clone() }
    }
}

impl<S> Entrance<S>
where
    S: Service<Box<Visit>, Response = Response<Body>, Error = Infallible>,
{
    /// Leads into this stack.
    pub fn new(service: S) -> Self {
        Self { service: Mutex::new(service), ids: Arc::default() }
    }

    /// Takes a request that came from this client.
    pub fn enter(&self, request: Request<Body>, client: Client) -> S::Future {
        let visit = Visit::new(request, self.ids.next(), client);
        // Uncontended: a connection hands over its requests one after the other.
        self.service.lock().unwrap_or_else(PoisonError::into_inner).call(visit)
    }
}

/// Names of requests: a random beginning, and counting on.
pub struct Ids(AtomicU64);

impl Default for Ids {
    fn default() -> Self {
        Self(AtomicU64::new(u64::from_be_bytes(secret::random::<8>())))
    }
}

impl Ids {
    /// One that was not given yet.
    pub fn next(&self) -> RequestId {
        // Multiplied by an odd number, so that neighbours do not look alike.
        RequestId::from_number(self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}
