//! The operator's listener: probes, figures, a REST interface with a page on it, and the user part of the App Services
//! Admin API.
//!
//! It has a socket of its own, on loopback unless somebody says otherwise, and nothing of it is reachable by the
//! listeners of visitors. All but the probes need a credential of an operator (`access`).

mod access;
mod answer;
mod metrics;
mod probes;
mod settings;

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};

pub use settings::{AppIds, Settings};

use crate::body::Body;
use crate::client::Client;
use crate::clock::Clock;
use crate::limit::Limits;
use crate::provider::Providers;
use crate::rejection::Reason;
use crate::session::Sessions;
use crate::store::Store;
use crate::tally::Traffic;
use crate::upstream::Upstreams;
use crate::visit::RequestId;

/// What operators see and do.
pub struct Admin {
    settings: Settings,
    store: Arc<dyn Store>,
    sessions: Sessions,
    providers: Providers,
    limits: Arc<Limits>,
    upstreams: Arc<Upstreams>,
    traffic: Arc<Traffic>,
    clock: Clock,
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
    /// The time.
    pub clock: Clock,
}

/// One request of an operator, without its body.
pub struct Asked {
    /// Its name.
    pub id: RequestId,
    /// Where it came from.
    pub client: Client,
    /// Whether the server takes new requests, for the probe.
    pub is_serving: bool,
}

type Answer = Result<Response<Body>, Reason>;

impl Admin {
    /// Puts it together.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, store, sessions, providers, limits, upstreams, traffic, clock } = parts;
        Self { settings, store, sessions, providers, limits, upstreams, traffic, clock }
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
            "/readyz" if reads => Ok(self.ready(asked.is_serving).await),
            "/healthz" | "/readyz" => Err(Reason::MethodNotAllowed("GET, HEAD")),
            _ => self.for_operators(request, asked).await,
        }
    }

    async fn for_operators(&self, request: Request<Body>, _asked: &Asked) -> Answer {
        // Before anything is looked at: a stranger does not learn what there is.
        let _operator = self.operator(request.headers(), request.method()).await?;
        match request.uri().path() {
            "/metrics" => Ok(self.metrics()),
            _ => Err(Reason::NotFound),
        }
    }
}

/// The answer to a refusal; browsers ask for the password.
fn refuse(reason: &Reason, asked: &Asked) -> Response<Body> {
    let mut response = reason.problem(asked.id.as_str());
    if reason.status() == StatusCode::UNAUTHORIZED {
        let ask = http::HeaderValue::from_static("Basic realm=\"vestibule operator\", charset=\"UTF-8\"");
        response.headers_mut().append(http::header::WWW_AUTHENTICATE, ask);
    }
    response
}
