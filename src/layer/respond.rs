//! Turns every outcome into a response: answers, refusals, and panics. Reads how the asker wants to be
//! refused; writes the one log line of the request; adds the cookies the layers below have set. Sits above all
//! other layers.

use std::borrow::Cow;
use std::convert::Infallible;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode, Version};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::account::api_key;
use crate::app_services::{self, AppServices};
use crate::body::Body;
use crate::layer::{Answer, Refusal, ext_authz, locate, trace};
use crate::portal::{Portal, Refused};
use crate::rejection::Reason;
use crate::route::{Route, Router};
use crate::tally::{Outcome, Traffic};
use crate::visit::{Asker, Check, Dialect, Names, Place, RequestId, Visit};
use crate::{span, spare};

/// See the [module](self).
#[derive(Clone)]
pub struct RespondLayer {
    /// Draws refusals for people.
    pub portal: Arc<Portal>,
    /// Names the rules in the log.
    pub router: Arc<Router>,
    /// Counts what becomes of requests.
    pub traffic: Arc<Traffic>,
    /// Words refusals for apps of App Services, if it is on.
    pub app_services: Option<Arc<AppServices>>,
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond { inner, parts: Arc::new(self.clone()) }
    }
}

/// See the [module](self).
#[derive(Clone)]
pub struct Respond<S> {
    inner: S,
    parts: Arc<RespondLayer>,
}

impl<S> Service<Box<Visit>> for Respond<S>
where
    S: Service<Box<Visit>, Response = Answer, Error = Refusal>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RespondFuture<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Nothing below ever says it is not ready: limits refuse, they do not queue.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, visit: Box<Visit>) -> Self::Future {
        let id = visit.id;
        let inner = std::panic::catch_unwind(AssertUnwindSafe(|| self.inner.call(visit))).ok();
        RespondFuture { inner, id, parts: self.parts.clone() }
    }
}

pin_project! {
    /// What [`Respond`] answers with.
    pub struct RespondFuture<F> {
        #[pin]
        inner: Option<F>,
        id: RequestId,
        parts: Arc<RespondLayer>,
    }
}

impl<F> Future for RespondFuture<F>
where
    F: Future<Output = Result<Answer, Refusal>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = match this.inner.as_pin_mut() {
            None => Err(None),
            Some(future) => match std::panic::catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(answer))) => Ok(answer),
                Ok(Poll::Ready(Err(refusal))) => Err(Some(refusal)),
                Err(_) => Err(None),
            },
        };
        Poll::Ready(Ok(match outcome {
            Ok(answer) => this.parts.answer(answer),
            Err(Some(refusal)) => this.parts.refuse(refusal),
            Err(None) => {
                // The panic hook has told the log where; the client learns the number and nothing else.
                let traffic = &this.parts.traffic;
                traffic.note(traffic.none(), Outcome::ServerFault, Duration::ZERO);
                tracing::error!(request = %this.id, "a request ended in a panic");
                let mut response = Reason::Internal.problem(this.id.as_str());
                response.headers_mut().insert(REQUEST_ID, this.id.as_header());
                response
            }
        }))
    }
}

impl RespondLayer {
    /// What goes back when there is an answer.
    pub fn answer(&self, answer: Answer) -> Response<Body> {
        let (mut response, mut visit) = answer.into_parts();
        self.complete(&mut visit, &mut response);
        let response = for_asker(response, &visit);
        spare::keep_map(std::mem::take(visit.request.headers_mut()));
        response
    }

    /// Adds the cookies of this visit to its answer, and writes its line in the log.
    pub fn complete<B>(&self, visit: &mut Visit, response: &mut Response<B>) {
        add(response, &mut visit.reply);
        self.note(visit, response.status(), None);
    }

    /// What goes back when there is none.
    pub fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let Refusal { reason, mut visit } = refusal;
        if let Some(response) = self.to_app(&reason, &mut visit) {
            self.note(&visit, response.status(), Some(&reason));
            return response;
        }
        let mut response = self.worded(&reason, &visit);
        add(&mut response, &mut visit.reply);
        // The status of a gRPC answer says nothing.
        let status = if visit.asker() == Asker::Grpc { reason.status() } else { response.status() };
        self.note(&visit, status, Some(&reason));
        for_asker(response, &visit)
    }

    /// A refusal in the form its asker reads.
    pub fn worded(&self, reason: &Reason, visit: &Visit) -> Response<Body> {
        let mut response = match (&visit.check, visit.asker()) {
            (Some(check), _) => self.to_proxy(reason, visit, check),
            (None, Asker::Grpc) => reason.grpc(visit.id.as_str()),
            (None, Asker::Program) => reason.problem(visit.id.as_str()),
            (None, Asker::Navigation) => self.to_person(reason, visit),
        };
        if *visit.request.method() == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response.headers_mut().insert(REQUEST_ID, visit.id.as_header());
        // Whoever does not say one host is not understood further: something in between reads it otherwise than we do.
        let is_of_host =
            matches!(reason, Reason::Malformed(what) if what.starts_with("host.")) || visit.request.uri().path() == "*";
        if is_of_host && visit.request.version() < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Apps of App Services read refusals in their own form, and with the fields that let a page read them.
    fn to_app(&self, reason: &Reason, visit: &mut Visit) -> Option<Response<Body>> {
        let path = visit.request.uri().path();
        let app_services = self.app_services.as_ref().filter(|_| {
            path.strip_prefix(app_services::ROOT).is_some_and(|rest| rest.starts_with('/')) && visit.check.is_none()
        })?;
        let mut request = Request::new(Body::empty());
        *request.method_mut() = visit.request.method().clone();
        *request.uri_mut() = visit.request.uri().clone();
        *request.headers_mut() = visit.request.headers().clone();
        // It waits for nothing: what there is to find out has been found out.
        let mut response = app_services.refuse(request, reason, &visit.id).now_or_never()?;
        response.headers_mut().insert(REQUEST_ID, visit.id.as_header());
        Some(response)
    }

    fn to_person(&self, reason: &Reason, visit: &Visit) -> Response<Body> {
        let asked = visit.request.uri().path_and_query().map_or("/", |target| target.as_str());
        let target = self.portal.target(asked);
        match reason {
            Reason::SignInNeeded => self.portal.to_login(&target),
            Reason::InTheClear(there) if visit.request.method().is_safe() => over_tls(there),
            _ => self.portal.refusal_page(
                reason,
                Refused {
                    request_id: &visit.id,
                    caller: visit.caller.as_deref(),
                    headers: visit.request.headers(),
                    target: &target,
                },
            ),
        }
    }

    /// Gateways know two refusals: who it is must be said (401, with the way there), and no (403). A person is sent to
    /// the sign-in page where the gateway hands that on.
    fn to_proxy(&self, reason: &Reason, visit: &Visit, check: &Check) -> Response<Body> {
        if reason.status() != StatusCode::UNAUTHORIZED {
            return reason.problem_as(StatusCode::FORBIDDEN, visit.id.as_str());
        }
        let mut response = reason.problem(visit.id.as_str());
        let asked = visit.request.uri().path_and_query().map_or("/", |target| target.as_str());
        let mut to_login = self.portal.to_login(&self.portal.target(asked));
        if check.dialect == Dialect::Forwarded || check.names == Names::Remote {
            make_absolute(to_login.headers_mut(), visit);
        }
        if *reason == Reason::SignInNeeded && visit.asker() == Asker::Navigation && hands_on(check) {
            return to_login;
        }
        if let Some(location) = to_login.headers().get(LOCATION) {
            response.headers_mut().insert(LOCATION, location.clone());
        }
        response
    }

    fn note(&self, visit: &Visit, status: StatusCode, reason: Option<&Reason>) {
        let number = self.route(visit);
        let (total, own) = match &visit.upstream {
            // Up to the beginning of the answer; what comes after is not worth another look at the clock.
            Some(Range { start, end }) => (*end - visit.started, *start - visit.started),
            None => {
                let total = visit.started.elapsed();
                (total, total)
            }
        };
        let outcome = match reason {
            None => Outcome::of(status),
            Some(reason) => {
                self.traffic.refuse(reason.code());
                Outcome::Refused
            }
        };
        let counted = number.unwrap_or(match visit.place {
            Place::Own | Place::AppServices => self.traffic.own(),
            Place::App => self.traffic.none(),
        });
        self.traffic.note(counted, outcome, own);
        let route = number.and_then(|number| self.router.routes().get(number));
        trace::note(visit, status, reason, route);
        self.log(visit, status, reason, route, (total, own));
    }

    fn log(
        &self,
        visit: &Visit,
        status: StatusCode,
        reason: Option<&Reason>,
        route: Option<&Route>,
        (total, own): (Duration, Duration),
    ) {
        if !tracing::enabled!(target: "vestibule::request", tracing::Level::INFO) {
            return;
        }
        let user = visit.caller.as_ref().map(|caller| caller.user.id.to_string());
        let caller = visit.caller.as_deref();
        macro_rules! tell {
            ($tell:ident) => {
                tracing::$tell!(
                    target: "vestibule::request",
                    request = %visit.id,
                    status = status.as_u16(),
                    method = %visit.request.method(),
                    path = &*shown(visit.request.uri().path()),
                    client = %visit.client.address,
                    user,
                    kind = caller.map(|caller| caller.kind().as_str()),
                    provider = caller.map(|caller| caller.provider.as_str()),
                    route = route.map(Route::key),
                    rule = route.and_then(|route| route.who(visit.request.method())),
                    reason = reason.map(Reason::code),
                    trace = span::trace_id(&visit.span),
                    ms = total.as_secs_f64() * 1e3,
                    own_ms = own.as_secs_f64() * 1e3,
                )
            };
        }
        if is_icon_of_stranger(visit, reason) { tell!(debug) } else { tell!(info) }
    }
}

/// 307: the same page, asked for over TLS.
fn over_tls(there: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    // A target that was read is plain ASCII; if it were not, the start page is never wrong.
    let there = HeaderValue::try_from(there).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, there);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Browsers ask for it by themselves beside every page, also of those who have not signed in.
fn is_icon_of_stranger(visit: &Visit, reason: Option<&Reason>) -> bool {
    reason == Some(&Reason::SignInNeeded)
        && visit.request.uri().path() == "/favicon.ico"
        && visit.asker() == Asker::Program
}

impl RespondLayer {
    /// The number of the route that decided, or would have.
    fn route(&self, visit: &Visit) -> Option<usize> {
        match (visit.authorized, visit.place) {
            (Some(authorized), _) => Some(authorized.route()),
            (None, Place::Own | Place::AppServices) => None,
            (None, Place::App) => {
                let host = visit.host.as_deref().map(Cow::Borrowed).or_else(|| locate::host(&visit.request).ok());
                self.router.find_number(&host.unwrap_or_default(), visit.request.uri().path())
            }
        }
    }
}

/// A path as the log may show it: without the secret of an API key that somebody wrote into it.
pub(super) fn shown(path: &str) -> Cow<'_, str> {
    match path.find(api_key::PREFIX) {
        None => Cow::Borrowed(path),
        Some(start) => Cow::Owned(format!("{}***", &path[..start + api_key::PREFIX.len()])),
    }
}

/// Whether a redirect gets through to the visitor. Whoever asks in the words of oauth2-proxy knows 2xx, 401 and 403.
fn hands_on(check: &Check) -> bool {
    check.dialect != Dialect::Original && check.names != Names::XAuthRequest
}

/// Traefik takes an address without a host for one of ours, not for one of the site that was asked for; nginx, where it
/// is set up for Authelia, for a location of its own to show.
fn make_absolute(headers: &mut HeaderMap, visit: &Visit) {
    let (Some(path), Some(host)) = (headers.get(LOCATION), visit.request.headers().get(HOST)) else { return };
    let address = [visit.client.scheme.as_str().as_bytes(), b"://", host.as_bytes(), path.as_bytes()].concat();
    if let Ok(address) = HeaderValue::from_bytes(&address) {
        headers.insert(LOCATION, address);
    }
}

/// The answer in the words of the question.
fn for_asker(response: Response<Body>, visit: &Visit) -> Response<Body> {
    match &visit.check {
        Some(check) if check.dialect == Dialect::Grpc => ext_authz::answer(response),
        _ => response,
    }
}

fn add<B>(response: &mut Response<B>, reply: &mut Vec<(HeaderName, HeaderValue)>) {
    for (name, value) in reply.drain(..) {
        response.headers_mut().append(name, value);
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
