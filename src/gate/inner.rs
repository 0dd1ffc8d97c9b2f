use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Buf as _;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, Uri};
use http_body::Body as HttpBody;
use http_body_util::BodyExt as _;
use tokio::task::AbortHandle;

use super::engine::{Decision, Engines, Later, Outcome};
use super::pass::Pass;
use super::{peer, tunnel};
use crate::app::App;
use crate::body::{self, Body};
use crate::client::{Client, Scheme, UNKNOWN};
use crate::layer::respond::RespondLayer;
use crate::layer::{Answer, Refusal};
use crate::rejection::Reason;
use crate::route::Authorized;
use crate::stack::{self, Ids};
use crate::upstream::forward::Upgrade;
use crate::visit::{Place, RequestId, Visit};

/// What all of a gate's layers, guards and identities share.
pub(super) struct Inner {
    app: Arc<App>,
    respond: RespondLayer,
    ids: Ids,
    engines: Engines,
    scheme: Scheme,
    has_missed_address: AtomicBool,
    keeper: OnceLock<AbortHandle>,
}

/// What of a request does not go through the layers.
pub(super) struct Held<B> {
    body: B,
    /// What the service inside is asked for, where a router around has shortened it.
    target: Option<Uri>,
    /// A router around has chosen already, by the path as it was spelled.
    is_routed: bool,
    /// It opens a WebSocket on a stream of HTTP/2.
    is_tunnel: bool,
    id: RequestId,
}

impl<B> Held<B> {
    pub(super) fn id(&self) -> RequestId {
        self.id
    }
}

/// How a request goes on.
pub(super) enum Next<B> {
    /// Into the app; the visit is for the end.
    App(Request<B>, Box<Visit>),
    /// To a page of ours.
    Page(Later, RequestId),
    /// Back.
    Over(Response<Body>),
}

impl Inner {
    pub(super) fn new(app: App) -> Self {
        let scheme = if app.public_url().is_secure() { Scheme::Https } else { Scheme::Http };
        Self {
            respond: stack::respond(app.house()),
            ids: Ids::default(),
            engines: Engines::new(app.shared_house()),
            scheme,
            app: Arc::new(app),
            has_missed_address: AtomicBool::new(false),
            keeper: OnceLock::new(),
        }
    }

    pub(super) fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub(super) fn respond(&self) -> &RespondLayer {
        &self.respond
    }

    /// This ends with the gate.
    pub(super) fn ends(&self, keeper: AbortHandle) {
        let _ = self.keeper.set(keeper);
    }

    pub(super) async fn drain(&self) {
        if tokio::time::timeout(LAST_MAILS, self.app.mailer().drain()).await.is_err() {
            tracing::warn!("some mails could not be sent any more");
        }
    }

    /// Takes a request apart: what the layers see, and what waits.
    pub(super) fn enter<B>(&self, request: Request<B>, peer: Option<SocketAddr>) -> (Box<Visit>, Held<B>) {
        let (mut parts, body) = request.into_parts();
        let address = peer.map_or(UNKNOWN, |peer| peer.ip());
        if address == UNKNOWN {
            self.miss_address();
        }
        let full = peer::full_target(&parts.extensions, &parts.uri);
        let is_routed = peer::is_routed(&parts.extensions);
        let target = full.map(|full| std::mem::replace(&mut parts.uri, full));
        let is_tunnel = tunnel::unfold(&mut parts);
        let client = Client { peer: address, address, scheme: self.scheme, trusted: false };
        let visit = Visit::new(Request::from_parts(parts, Body::empty()), self.ids.next(), client);
        let held = Held { body, target, is_routed, is_tunnel, id: visit.id };
        (visit, held)
    }

    /// Sends a visit through the layers.
    pub(super) fn decide(&self, visit: Box<Visit>) -> Decision {
        let id = visit.id;
        // The one outside has taken the credentials away: this one would take everybody for a stranger.
        if Pass::of(visit.request.extensions()).is_some_and(|pass| std::ptr::eq(Arc::as_ptr(pass.gate()), self)) {
            tracing::error!(
                request = %id,
                "a gate stands behind itself: keep one of gate.protect(app) and .layer(gate.layer()); inside it \
                 gate.require(…) narrows"
            );
            return Decision::Now(Err(Refusal::new(visit, Reason::Internal)));
        }
        catch_unwind(AssertUnwindSafe(|| self.engines.decide(visit)))
            .unwrap_or_else(|_| Decision::Now(Err(self.after_panic(id))))
    }

    /// What becomes of a request after the layers.
    pub(super) fn next<B>(self: &Arc<Self>, outcome: Outcome, held: Held<B>) -> Next<B>
    where
        B: HttpBody<Data: Send, Error: Into<body::Error>> + Send + 'static,
    {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(refusal) => return Next::Over(self.respond.refuse(refusal)),
        };
        match answer.visit().place {
            // Who only asked has the answer.
            Place::App if answer.visit().check.is_some() => Next::Over(self.respond.answer(answer)),
            Place::App => match self.admit(answer, held) {
                Ok((request, visit)) => Next::App(request, visit),
                Err(refusal) => Next::Over(self.respond.refuse(refusal)),
            },
            place => {
                let (_, mut visit) = answer.into_parts();
                *visit.request.body_mut() = any_body(held.body);
                let page = match place {
                    Place::AppServices => self.engines.client_api(visit),
                    _ => self.engines.own(visit),
                };
                Next::Page(page, held.id)
            }
        }
    }

    fn admit<B: HttpBody>(
        self: &Arc<Self>,
        answer: Answer,
        held: Held<B>,
    ) -> Result<(Request<B>, Box<Visit>), Refusal> {
        let (_, mut visit) = answer.into_parts();
        // Only the rules give this: a visit without it went past them.
        let Some(authorized) = visit.authorized else {
            tracing::error!(request = %visit.id, "a request came through without a decision");
            return Err(Refusal::new(visit, Reason::Internal));
        };
        if let Err(reason) = self.fits(&held.body, authorized) {
            return Err(Refusal::new(visit, reason));
        }
        // Whoever chose by another spelling chose for another path than the rules decided about.
        if (held.is_routed || held.target.is_some()) && visit.is_rewritten {
            return Err(Refusal::new(visit, Reason::Malformed("path.not_plain")));
        }
        visit.write_identity();
        let mut request = std::mem::take(&mut visit.request);
        if held.is_tunnel {
            tunnel::fold(&mut request);
        }
        *visit.request.method_mut() = request.method().clone();
        *visit.request.version_mut() = request.version();
        *visit.request.uri_mut() = match held.target {
            Some(target) => std::mem::replace(request.uri_mut(), target),
            None => request.uri().clone(),
        };
        if visit.upgrade == Upgrade::WebSocket && !held.is_tunnel {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        request.extensions_mut().insert(Pass::new(self, &visit));
        Ok((request.map(|_| held.body), visit))
    }

    /// Whether a body keeps to its limit. Nothing may come between a body and its type, so its length has to be known.
    fn fits(&self, body: &impl HttpBody, authorized: Authorized) -> Result<(), Reason> {
        let house = self.app.house();
        let Some(limit) = house.router.route(authorized).body().or(house.config.limits.body) else { return Ok(()) };
        match body.size_hint().upper() {
            Some(length) if length <= limit => Ok(()),
            Some(_) => Err(Reason::BodyTooLarge),
            None => Err(Reason::LengthRequired),
        }
    }

    /// What went wrong is in the log already, by the panic hook.
    pub(super) fn after_panic(&self, id: RequestId) -> Refusal {
        tracing::error!(request = %id, "a request ended in a panic");
        let client = Client { peer: UNKNOWN, address: UNKNOWN, scheme: self.scheme, trusted: false };
        Refusal::new(Visit::new(Request::default(), id, client), Reason::Internal)
    }

    /// The end of a request that the app has answered.
    pub(super) fn complete<R>(&self, mut visit: Box<Visit>, mut response: Response<R>) -> Response<R> {
        self.app.house().cookie.guard(response.headers_mut());
        self.respond.complete(&mut visit, &mut response);
        response
    }

    fn miss_address(&self) {
        if !self.has_missed_address.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "requests come without the address of their client: limits count accounts only, and routes with `from` \
                 refuse; see vestibule::Peer"
            );
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vestibule").field("public_url", &self.app.public_url().origin()).finish_non_exhaustive()
    }
}

/// Any body as our pages read it.
fn any_body<B>(body: B) -> Body
where
    B: HttpBody<Data: Send, Error: Into<body::Error>> + Send + 'static,
{
    Body::new(body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))))
}

const LAST_MAILS: Duration = Duration::from_secs(5);
