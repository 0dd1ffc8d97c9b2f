//! The whole of one configuration: store, sessions, pages, and what every request enters.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use std::collections::BTreeSet;

use crate::account::Kind;
use crate::account::password::Hasher;
use crate::admin::{self, Admin};
use crate::body::Body;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::fetch;
use crate::function::{self, Program, Workers};
use crate::ground::{Ground, title};
use crate::limit::Limits;
use crate::listen::{Connection, Handler, Tls, unix_path};
use crate::mail::{self, Mailer};
use crate::portal;
use crate::provider::{self, Delivery, Invitee, Providers, SignUp};
use crate::public_url::PublicUrl;
use crate::rejection::Reason;
use crate::route::{Fault, Router};
use crate::secret;
use crate::session::Sessions;
use crate::stack::{Entrance, House, stack};
use crate::store::{self, Store};
use crate::tally::{Reloads, Traffic};
use crate::upstream::{self, Upstreams};
use crate::visit::{Client, RequestId, Visit};

/// Everything that runs, before it runs.
pub struct App {
    pub(crate) house: Arc<House>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) admin: Option<Arc<Admin>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) mailer: Mailer,
    pub(crate) public_url: PublicUrl,
    pub(crate) clock: Clock,
    pub(crate) reloads: Arc<Reloads>,
    pub(crate) hasher: Hasher,
    pub(crate) workers: Workers,
    pub(crate) listening: Option<SocketAddr>,
}

/// Why it cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Open(#[from] store::OpenError),
    /// The store, once open.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The routes.
    #[error("{}", faults(.0))]
    Routes(Vec<Fault>),
    /// The pages.
    #[error("{}", lines(.0))]
    Pages(Vec<portal::Error>),
    /// Requests of our own.
    #[error(transparent)]
    Fetch(#[from] fetch::Setup),
    /// A provider.
    #[error(transparent)]
    Provider(#[from] provider::Setup),
    /// TLS towards an upstream.
    #[error(transparent)]
    Upstream(#[from] upstream::TlsError),
    /// The mail.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// No address for links and cookies.
    #[error(
        "`public_url` is needed to listen on {0}: write the address visitors type, such as https://blog.example.com"
    )]
    NoPublicUrl(String),
}

impl App {
    /// Opens the store and puts the house together. `listening` is the first address it will listen
    /// on, if it is to be on any.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left behind.
    pub async fn open(config: Config, listening: Option<SocketAddr>) -> Result<Self, Error> {
        Self::open_at(config, listening, Clock::system()).await
    }

    /// The same by another clock.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left behind.
    pub async fn open_at(config: Config, listening: Option<SocketAddr>, clock: Clock) -> Result<Self, Error> {
        Self::build(config, listening, clock, None).await
    }

    /// Puts another house together by another configuration, on the same store and clock. Whatever its settings
    /// leave as it is goes on being the same: sessions and their keys, limits with what they counted, upstreams with
    /// what is known of them, mails that wait.
    ///
    /// # Errors
    /// See [`Error`]; this one is as it was.
    pub async fn rebuild(&self, config: Config) -> Result<Self, Error> {
        Self::build(config, self.listening, self.clock.clone(), Some(self)).await
    }

    async fn build(
        config: Config,
        listening: Option<SocketAddr>,
        clock: Clock,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let public_url = public_url(&config, listening)?;
        let router = Router::new(&config.routes).map_err(Error::Routes)?;
        let alike = |same: fn(&Config, &Config) -> bool| before.filter(|app| same(&app.house.config, &config));
        let at_home = |same| alike(same).filter(|app| app.public_url == public_url);
        let store = match before {
            Some(app) => app.store.clone(),
            None => store::open(&config.store)?,
        };
        let cluster = match (before, &config.cluster) {
            (Some(app), _) => app.cluster.clone(),
            (None, Some(settings)) => Some(Cluster::join(settings).await),
            (None, None) => None,
        };
        // Certificate files may have changed although their names have not.
        let upstreams = match alike(|old, new| old.limits.timeouts == new.limits.timeouts && new.upstreams.is_empty())
            .filter(|app| app.house.config.upstreams.is_empty() && app.house.router.upstreams() == router.upstreams())
        {
            Some(app) => app.upstreams.clone(),
            None => Upstreams::open(router.upstreams().to_vec(), config.limits.timeouts, &config.upstreams)?,
        };
        // What is known of a caller has the identity headers with it, built by the settings of its day.
        let sessions =
            match at_home(|old, new| old.session == new.session && old.identity_headers == new.identity_headers) {
                Some(app) => app.house.sessions.clone(),
                None => {
                    let sessions =
                        Sessions::open(store.clone(), clock.clone(), config.session.clone(), &public_url).await?;
                    cluster.iter().for_each(|cluster| cluster.connect(&sessions));
                    sessions
                }
            };
        let mailer = match at_home(|old, new| old.mail == new.mail && old.pages.title == new.pages.title) {
            Some(app) => app.mailer.clone(),
            None => Mailer::new(&config.mail, &title(&config, &public_url), &public_url, clock.clone())?,
        };
        let limits = alike(|old, new| old.limits.rates() == new.limits.rates())
            .map(|app| app.house.limits.clone())
            .unwrap_or_else(|| Arc::new(Limits::new(&config.limits, &clock).shared(cluster.as_ref())));
        let hasher = alike(|old, new| hash_threads(old) == hash_threads(new))
            .map(|app| app.hasher.clone())
            .unwrap_or_else(|| Hasher::at_cost(hash_threads(&config), config.hash_cost));
        let traffic = traffic(&router, before);
        let reloads = before.map_or_else(|| Arc::new(Reloads::since(clock.now())), |app| app.reloads.clone());
        let workers =
            alike(|old, new| old.functions == new.functions).map(|app| app.workers.clone()).unwrap_or_else(|| {
                let program = config.functions.program.clone().unwrap_or_else(|| Program::own(&[function::WORKER]));
                Workers::new(program, config.functions.clone())
            });
        // A file of authorities may have changed although its name has not.
        let before =
            at_home(|old, new| old.prefix == new.prefix && old.outgoing == new.outgoing && new.outgoing.ca.is_none())
                .map(|app| (app.house.config.providers.clone(), app.house.providers.clone()));
        let ground = Ground {
            router,
            sessions,
            limits,
            upstreams,
            traffic,
            store,
            cluster,
            mailer,
            public_url,
            clock,
            reloads,
            hasher,
            workers,
            before,
            listening,
        };
        ground.furnish(config)
    }

    /// What the layers share.
    pub fn house(&self) -> &House {
        &self.house
    }

    /// The same, shared.
    pub fn shared_house(&self) -> Arc<House> {
        self.house.clone()
    }

    /// The clock everything goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How often another configuration was to come into force.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// The store, for what a command does before the first request.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The other instances, if there can be any.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Ways to sign in, likewise.
    pub fn providers(&self) -> &Providers {
        &self.house.providers
    }

    /// The mails that were sent, where they are kept in memory.
    pub fn mailer(&self) -> &Mailer {
        &self.mailer
    }

    /// The address visitors type.
    pub fn public_url(&self) -> &PublicUrl {
        &self.public_url
    }

    /// What every request enters; one for each worker.
    pub fn entrance(&self) -> impl Handler + use<> {
        Entrance::new(stack(&self.house, self.upstreams.pool()))
    }

    /// What requests of operators enter, who are told of the `front` of visitors. Everything is 404 without `[admin]`.
    pub fn operators_entrance(&self, front: Arc<dyn Fn() -> admin::Front + Send + Sync>) -> impl Handler + use<> {
        let admin = self.admin.clone();
        move |request: Request<Body>, connection: Connection| {
            let (admin, peer) = (admin.clone(), connection.peer.ip());
            let client = Client { peer, address: peer, scheme: connection.scheme, trusted: false };
            let id = RequestId::from_number(u64::from_be_bytes(secret::random::<8>()));
            let asked = admin::Asked { id, client, front: front() };
            async move {
                match admin {
                    Some(admin) => admin.serve(request, asked).await,
                    None => Reason::NotFound.problem(asked.id.as_str()),
                }
            }
        }
    }

    /// Where an account can be made while there is none: a link that works once.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn first_account_link(&self) -> Result<Option<String>, store::Error> {
        let Some(local) = self.house.providers.local_userpass() else { return Ok(None) };
        if local.settings().sign_up == SignUp::Open || self.store.count_users(Kind::User).await? > 0 {
            return Ok(None);
        }
        match local.invite(Invitee::Anybody, BTreeSet::new(), Delivery::Hand).await {
            // Shown to the operator's terminal, whose link it is.
            Ok(link) => Ok(Some(link.expose().to_owned())),
            Err(provider::Error::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(%error, "no link for the first account can be made");
                Ok(None)
            }
        }
    }

    /// Rotation, and what nobody else removes. A failure is told and tried again the next time.
    pub async fn maintain(&self) {
        // Nobody has to wait for an issuer's document at the first sign-in.
        self.house.providers.look_ahead();
        if let Err(error) = self.house.sessions.maintain().await {
            tracing::error!(%error, "sessions and keys could not be looked after");
        }
        if let Some(guests) = self.house.providers.anon_user()
            && let Err(error) = guests.sweep(self.clock.now()).await
        {
            tracing::error!(%error, "guests could not be looked after");
        }
        if let Err(error) = self.sweep_audit().await {
            tracing::error!(%error, "the audit log could not be looked after");
        }
    }

    async fn sweep_audit(&self) -> Result<(), store::Error> {
        let before = self.clock.now() - self.house.config.observe.audit.keep;
        while self.store.sweep_audit(before, SWEPT).await? >= SWEPT {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// How many entries of the audit log go at a time.
const SWEPT: usize = 1000;

impl<S> Handler for Entrance<S>
where
    S: Service<Box<Visit>, Response = Response<Body>, Error = Infallible> + Clone + 'static,
{
    type Future = Certain<S::Future>;

    fn call(&self, request: Request<Body>, connection: Connection) -> Self::Future {
        let peer = connection.peer.ip();
        let client = Client { peer, address: peer, scheme: connection.scheme, trusted: false };
        Certain { future: self.enter(request, client) }
    }
}

pin_project! {
    /// A future that cannot fail, as a plain response.
    pub struct Certain<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Certain<F> {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        self.project().future.poll(cx).map(|answer| match answer {
            Ok(response) => response,
            Err(never) => match never {},
        })
    }
}

/// What visitors type: as configured, else the first address listened on, if it is one of this machine alone.
fn public_url(config: &Config, listening: Option<SocketAddr>) -> Result<PublicUrl, Error> {
    if let Some(public_url) = &config.public_url {
        return Ok(public_url.clone());
    }
    let first = config.listen.addresses.iter().find(|place| unix_path(place).is_none());
    let (Some(first), Some(listening)) = (first, listening) else {
        return Err(Error::NoPublicUrl(config.listen.addresses.join(", ")));
    };
    let host = first.rsplit_once(':').map_or(first.as_str(), |(host, _)| host);
    let scheme = match config.listen.tls {
        Tls::Off => "http",
        Tls::Files { .. } | Tls::Acme(_) => "https",
    };
    format!("{scheme}://{host}:{}", listening.port()).parse().map_err(|_| Error::NoPublicUrl(first.to_owned()))
}

/// Counts on where the routes stay the same.
fn traffic(router: &Router, before: Option<&App>) -> Arc<Traffic> {
    let keys = || router.routes().iter().map(|route| route.key());
    let same = before.map(|app| app.house.traffic.clone()).filter(|traffic| traffic.is_for(keys()));
    same.unwrap_or_else(|| Arc::new(Traffic::new(keys().map(str::to_owned))))
}

fn hash_threads(config: &Config) -> usize {
    config.providers.local_userpass.as_ref().map_or(0, |local| local.hash_threads)
}

fn lines(errors: &[portal::Error]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn faults(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("routes.\"{}\": {}", fault.key, fault.kind)).collect::<Vec<_>>().join("\n")
}
