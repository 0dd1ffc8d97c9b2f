//! The client API of MongoDB App Services under `/api/client/v2.0`: apps that were written against it change their base
//! URL, and their users sign in here.
//!
//! [`AppServices::serve`] answers one request, always in the same way: cross-origin rules (`cors`), the `endpoint`, the
//! body (`call`), one handler per family, a `refusal` for the way out. Who asks says so by
//! a token, so another site cannot make a browser ask; the one cookie here binds a sign-in at a provider to its browser.

mod api_keys;
mod call;
mod claims;
mod cors;
mod credentials;
mod device;
mod ejson;
mod email;
mod endpoint;
mod functions;
mod link;
mod login;
mod popup;
mod popup_link;
mod profile;
mod refusal;
mod session;
mod settings;

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;
use tower_layer::Layer as _;

pub use functions::{Folder, FolderError};
pub use settings::{Accounts, Settings};

use crate::account::audit::{self, By, Origin};
use crate::body::Body;
use crate::clock::Clock;
use crate::function::Workers;
use crate::limit::Limits;
use crate::provider::Providers;
use crate::public_url::PublicUrl;
use crate::rejection::Reason;
use crate::session::cookie::Name;
use crate::session::{Caller, Sessions};
use crate::store::Store;
use crate::visit::{RequestId, Visit};
use crate::visitor::Visitor;
use call::Call;
use cors::Origins;
use endpoint::{AppEndpoint, Endpoint, UserEndpoint};
use functions::Functions;
use refusal::Refusal;

/// Where the client API is.
pub const ROOT: &str = "/api/client/v2.0";

/// The client API of one app.
pub struct AppServices {
    settings: Settings,
    /// Names the app's users as a whole, in tokens: 24 hexadecimal digits that follow from the app's id.
    domain: String,
    origins: Origins,
    cors: CorsLayer,
    cookie: Name,
    functions: Functions,
    public_url: PublicUrl,
    providers: Providers,
    sessions: Sessions,
    limits: Arc<Limits>,
    store: Arc<dyn Store>,
    clock: Clock,
}

/// What it is built from.
pub struct Parts {
    /// `[app_services]`.
    pub settings: Settings,
    /// The address apps are given as their base URL.
    pub public_url: PublicUrl,
    /// The ways to sign in.
    pub providers: Providers,
    /// Where sessions begin and end.
    pub sessions: Sessions,
    /// What may be tried how often.
    pub limits: Arc<Limits>,
    /// Where users live.
    pub store: Arc<dyn Store>,
    /// Who runs functions.
    pub workers: Workers,
    /// The time.
    pub clock: Clock,
}

/// Whom a request speaks for, once that is known; for the log.
type Who = OnceLock<Arc<Caller>>;

type Answer = Result<Response<Body>, Refusal>;

impl AppServices {
    /// Builds it.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, public_url, providers, sessions, limits, store, workers, clock } = parts;
        let origins = Origins::new(&settings, public_url.origin());
        Self {
            domain: claims::derived_id(&["domain", &settings.app_id]),
            cookie: Name::new(public_url.is_secure()),
            cors: origins.layer(),
            origins,
            functions: Functions::new(settings.functions.clone().unwrap_or_default(), workers),
            settings,
            public_url,
            providers,
            sessions,
            limits,
            store,
            clock,
        }
    }

    /// Answers a request whose path lies under [`ROOT`]; also with whom it spoke for, if it said so.
    pub async fn serve(&self, visit: Visit) -> (Response<Body>, Option<Arc<Caller>>) {
        let Visit { request, id, client, .. } = visit;
        let who = Who::new();
        let inner = service_fn(|request: Request<Body>| async {
            let (call, body) = Call::new(request, id, client);
            Ok::<_, Infallible>(self.finish(self.answer(&call, body, &who).await, &id))
        });
        // What is done to accounts is written down with the request that asked for it.
        let origin = Origin { request_id: Some(id.as_str().to_owned()), by: By::Visitor(None) };
        let visitor = Visitor::of(request.headers(), id.as_str(), client.address);
        let response = visitor.serve(audit::on_behalf(origin, self.with_cors(request, inner))).await;
        (response, who.into_inner())
    }

    /// The answer to a request that was refused before it got here, in the form apps understand.
    pub async fn refuse(&self, request: Request<Body>, reason: &Reason, id: &RequestId) -> Response<Body> {
        let inner =
            service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(self.finish(Err(Refusal::of(reason)), id)) });
        self.with_cors(request, inner).await
    }

    async fn with_cors<S>(&self, request: Request<Body>, inner: S) -> Response<Body>
    where
        S: tower_service::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        match self.cors.layer(inner).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn answer(&self, call: &Call, body: Body, who: &Who) -> Answer {
        if !self.origins.admits(&call.headers) {
            return Err(Refusal::origin());
        }
        let endpoint = Endpoint::find(&call.path).ok_or_else(Refusal::no_such_path)?;
        match endpoint {
            Endpoint::App { id, .. } if id != self.settings.app_id => Err(Refusal::no_such_app(id)),
            Endpoint::App { endpoint, .. } => self.of_app(call, body, endpoint, who).await,
            Endpoint::Callback => self.come_back(call, body).await,
            Endpoint::User(endpoint) => self.of_user(call, body, endpoint, who).await,
        }
    }

    /// What is asked of the app.
    async fn of_app(&self, call: &Call, body: Body, endpoint: AppEndpoint<'_>, who: &Who) -> Answer {
        if let (AppEndpoint::Login(provider), "GET") = (endpoint, call.method.as_str()) {
            return self.popup(call, provider, who).await;
        }
        call.expect(endpoint.method())?;
        match endpoint {
            AppEndpoint::Location => Ok(json(StatusCode::OK, &self.location())),
            AppEndpoint::Login(provider) => self.login(call, body, provider, who).await,
            AppEndpoint::Email(endpoint) => self.email(call, body, endpoint).await,
            AppEndpoint::Functions => {
                let caller = self.by_access(call, who).await?;
                self.call_function(call, body, &caller).await
            }
        }
    }

    /// What users do with their own sessions, accounts and keys.
    async fn of_user(&self, call: &Call, body: Body, endpoint: UserEndpoint<'_>, who: &Who) -> Answer {
        match endpoint {
            UserEndpoint::Session => self.session(call, who).await,
            UserEndpoint::Profile => {
                call.expect("GET")?;
                let caller = self.by_access(call, who).await?;
                self.take_over(call, &caller).await?;
                self.profile(&caller).await
            }
            UserEndpoint::Delete => {
                call.expect("DELETE")?;
                let caller = self.by_access(call, who).await?;
                self.delete(call, &caller).await
            }
            UserEndpoint::Keys | UserEndpoint::Key(_) | UserEndpoint::KeySwitch(..) => {
                let caller = self.by_refresh(call, who).await?;
                self.api_keys(call, body, &caller, endpoint).await
            }
        }
    }

    /// Where all later calls go.
    fn location(&self) -> Value {
        let origin = self.public_url.origin();
        // http becomes ws, https becomes wss.
        let sockets = origin.replacen("http", "ws", 1);
        json!({ "deployment_model": "GLOBAL", "location": "US-VA", "hostname": origin, "ws_hostname": sockets })
    }

    fn finish(&self, answer: Answer, id: &RequestId) -> Response<Body> {
        let mut response = answer.unwrap_or_else(|refusal| {
            refusal.note(id);
            let link = format!("{}{ROOT}/app/{}/logs?co_id={id}", self.public_url.origin(), self.settings.app_id);
            refusal.response(&link)
        });
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        response
    }
}

/// Exactly this type: with a charset some SDKs lose the code of an error.
fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Without a body, and so without a type: an SDK would read whatever claims to be JSON.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-appservices-request-id");
