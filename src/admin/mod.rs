//! The operator's listener: probes, figures, a REST interface with a page on it, and the user part of the App Services
//! Admin API.
//!
//! It has a socket of its own, on loopback unless somebody says otherwise, and nothing of it is reachable by the
//! listeners of visitors. All but the probes need a credential of an operator (`access`).

mod access;
mod answer;
mod api;
mod call;
mod deeds;
mod metrics;
mod openapi;
mod page;
mod probes;
mod settings;
mod shown;
mod v3;
mod v3_rest;
mod v3_users;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use http::{Method, Request, Response, StatusCode};

pub use settings::{AppIds, Settings};

use crate::account::audit::{self, By, Origin};
use crate::body::Body;
use crate::client::Client;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::limit::Limits;
use crate::mail::Mailer;
use crate::provider::Providers;
use crate::rejection::Reason;
use crate::session::Sessions;
use crate::store::Store;
use crate::tally::{Reloads, Traffic};
use crate::upstream::Upstreams;
use crate::visit::RequestId;
use access::Operator;
use call::Call;
use v3::Refusal;

/// What operators see and do.
pub struct Admin {
    settings: Settings,
    store: Arc<dyn Store>,
    sessions: Sessions,
    providers: Providers,
    limits: Arc<Limits>,
    upstreams: Arc<Upstreams>,
    traffic: Arc<Traffic>,
    reloads: Arc<Reloads>,
    mailer: Mailer,
    cluster: Option<Cluster>,
    clock: Clock,
    roles: BTreeSet<String>,
    refresh_token: Duration,
    origin: String,
    site: String,
}

/// What an [`Admin`] is built from.
pub struct Parts {
    /// `[admin]`.
    pub settings: Settings,
    /// Where users live.
    pub store: Arc<dyn Store>,
    /// Where sessions begin and end.
    pub sessions: Sessions,
    /// The ways to sign in.
    pub providers: Providers,
    /// What may be tried how often.
    pub limits: Arc<Limits>,
    /// The apps behind.
    pub upstreams: Arc<Upstreams>,
    /// What becomes of requests.
    pub traffic: Arc<Traffic>,
    /// How often another configuration was to come into force.
    pub reloads: Arc<Reloads>,
    /// What sends mails.
    pub mailer: Mailer,
    /// The other instances, if there can be any.
    pub cluster: Option<Cluster>,
    /// The time.
    pub clock: Clock,
    /// The roles the configuration declares.
    pub roles: BTreeSet<String>,
    /// How long a refresh token is good after its last use.
    pub refresh_token: Duration,
    /// The address visitors type: scheme, host and port.
    pub origin: String,
    /// What the site is called.
    pub site: String,
}

/// One request of an operator, without its body.
pub struct Asked {
    /// Its name.
    pub id: RequestId,
    /// Where it came from.
    pub client: Client,
    /// How the listeners of visitors are.
    pub front: Front,
}

/// What operators are told of the listeners of visitors.
#[derive(Clone, Copy, Debug)]
pub struct Front {
    /// Whether new requests are welcome, for the probe.
    pub is_serving: bool,
    /// When the certificate in force ends; none without TLS, and while none has been issued.
    pub certificate_ends: Option<SystemTime>,
}

type Answer = Result<Response<Body>, Reason>;

impl Admin {
    /// Puts it together.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, store, sessions, providers, limits, upstreams, traffic, cluster, clock, .. } = parts;
        let Parts { reloads, mailer, roles, refresh_token, origin, site, .. } = parts;
        Self {
            settings,
            store,
            sessions,
            providers,
            limits,
            upstreams,
            traffic,
            reloads,
            mailer,
            cluster,
            clock,
            roles,
            refresh_token,
            origin,
            site,
        }
    }

    /// Answers one request.
    pub async fn serve(&self, request: Request<Body>, asked: Asked) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut response = match self.answer(request, &asked).await {
            Ok(response) => response,
            Err(reason) => {
                tracing::info!(
                    request = %asked.id,
                    client = %asked.client.address,
                    code = reason.code(),
                    "an operator's request was refused"
                );
                refuse(&reason, &asked)
            }
        };
        answer::dress(&mut response);
        tracing::debug!(request = %asked.id, %method, path, status = response.status().as_u16(), "operator's listener");
        if method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn answer(&self, request: Request<Body>, asked: &Asked) -> Answer {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/healthz" if reads => Ok(answer::typed(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned())),
            "/readyz" if reads => Ok(self.ready(asked.front.is_serving).await),
            "/healthz" | "/readyz" => Err(Reason::MethodNotAllowed("GET, HEAD".into())),
            _ => self.for_operators(request, asked).await,
        }
    }

    async fn for_operators(&self, request: Request<Body>, asked: &Asked) -> Answer {
        if let Some(rest) = request.uri().path().strip_prefix(V3).map(str::to_owned) {
            return Ok(self.app_services(request, &rest, asked).await);
        }
        // Before anything is looked at: a stranger does not learn what there is.
        let operator = self.operator(request.headers(), request.method()).await?;
        let origin = origin(&operator, asked);
        let call = Call::new(request, operator)?;
        audit::on_behalf(origin, async {
            match call.path.first().map(String::as_str) {
                Some("metrics") if call.path.len() == 1 => Ok(self.metrics(asked.front.certificate_ends)),
                Some("api") => self.api(call).await,
                _ => self.page(call).await,
            }
        })
        .await
    }

    /// Signing in comes before an operator is known; all else after.
    async fn app_services(&self, request: Request<Body>, rest: &str, asked: &Asked) -> Response<Body> {
        if self.settings.app.is_none() {
            return self.v3_refuse(&Refusal::unknown());
        }
        let method = request.method().clone();
        let path: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let opens = matches!((method.as_str(), &path[..]), ("POST", ["auth", "providers", _, "login"]))
            || matches!((method.as_str(), &path[..]), ("POST" | "DELETE", ["auth", "session"]));
        let operator = match opens {
            true => Ok(Operator { name: "nobody".to_owned(), user: None }),
            false => self.operator(request.headers(), &method).await,
        };
        let called = operator.and_then(|operator| Ok((origin(&operator, asked), Call::new(request, operator)?)));
        match called {
            Err(reason) => self.v3_refuse(&reason.into()),
            Ok((_, mut call)) if opens => {
                let reply = self.v3_session(method.as_str(), &path, &mut call, asked).await;
                reply.unwrap_or_else(|refusal| self.v3_refuse(&refusal))
            }
            Ok((origin, call)) => audit::on_behalf(origin, self.v3(call)).await,
        }
    }
}

/// On whose behalf the audit log notes what is done.
fn origin(operator: &Operator, asked: &Asked) -> Origin {
    Origin { request_id: Some(asked.id.as_str().to_owned()), by: By::Operator(operator.name.clone()) }
}

const V3: &str = "/api/admin/v3.0/";

/// The answer to a refusal; browsers ask for the password.
fn refuse(reason: &Reason, asked: &Asked) -> Response<Body> {
    let mut response = reason.problem(asked.id.as_str());
    if reason.status() == StatusCode::UNAUTHORIZED {
        let ask = http::HeaderValue::from_static("Basic realm=\"vestibule operator\", charset=\"UTF-8\"");
        response.headers_mut().append(http::header::WWW_AUTHENTICATE, ask);
    }
    response
}
