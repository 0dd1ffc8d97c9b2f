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
use crate::app_services::{self, AppServices};
use crate::body::Body;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::fetch::{self, Fetch};
use crate::function::{self, Program, Workers};
use crate::layer::data_api::DataApi;
use crate::layer::forward_auth::ForwardAuth;
use crate::limit::Limits;
use crate::listen::{Connection, Handler, Tls};
use crate::mail::{self, Mailer};
use crate::portal::{self, Portal};
use crate::provider::{self, Delivery, Invitee, Providers, SignUp};
use crate::public_url::PublicUrl;
use crate::route::{Fault, Router};
use crate::session::{Sessions, cookie};
use crate::stack::{Entrance, House, stack};
use crate::store::{self, Store};
use crate::upstream::Upstreams;
use crate::visit::{Client, Visit};

/// Everything that runs, before it runs.
pub struct App {
    house: Arc<House>,
    upstreams: Arc<Upstreams>,
    store: Arc<dyn Store>,
    cluster: Option<Cluster>,
    mailer: Mailer,
    public_url: PublicUrl,
    clock: Clock,
    hasher: Hasher,
    workers: Workers,
    listening: SocketAddr,
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
    /// Opens the store and puts the house together. `listening` is the first address it will listen on.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left behind.
    pub async fn open(config: Config, listening: SocketAddr) -> Result<Self, Error> {
        Self::build(config, listening, None).await
    }

    /// Puts another house together by another configuration, on the same store and clock. Whatever its settings
    /// leave as it is goes on being the same: sessions and their keys, limits with what they counted, upstreams with
    /// what is known of them, mails that wait.
    ///
    /// # Errors
    /// See [`Error`]; this one is as it was.
    pub async fn rebuild(&self, config: Config) -> Result<Self, Error> {
        Self::build(config, self.listening, Some(self)).await
    }

    async fn build(config: Config, listening: SocketAddr, before: Option<&Self>) -> Result<Self, Error> {
        let clock = before.map_or_else(Clock::system, |app| app.clock.clone());
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
        let upstreams = alike(|old, new| old.limits.timeouts == new.limits.timeouts)
            .filter(|app| app.house.router.upstreams() == router.upstreams())
            .map(|app| app.upstreams.clone())
            .unwrap_or_else(|| Upstreams::new(router.upstreams().to_vec(), config.limits.timeouts));
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
            .unwrap_or_else(|| Hasher::new(hash_threads(&config)));
        let workers = alike(|old, new| old.functions == new.functions)
            .map(|app| app.workers.clone())
            .unwrap_or_else(|| Workers::new(Program::own(&[function::WORKER]), config.functions.clone()));
        let ground = Ground {
            router,
            sessions,
            limits,
            upstreams,
            store,
            cluster,
            mailer,
            public_url,
            clock,
            hasher,
            workers,
            listening,
        };
        ground.furnish(config)
    }

    /// What the layers share.
    pub fn house(&self) -> &House {
        &self.house
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

/// What an app stands on.
struct Ground {
    router: Router,
    sessions: Sessions,
    limits: Arc<Limits>,
    upstreams: Arc<Upstreams>,
    store: Arc<dyn Store>,
    cluster: Option<Cluster>,
    mailer: Mailer,
    public_url: PublicUrl,
    clock: Clock,
    hasher: Hasher,
    workers: Workers,
    listening: SocketAddr,
}

impl Ground {
    /// Ways to sign in, pages, and the house around them: made anew for each configuration.
    fn furnish(self, config: Config) -> Result<App, Error> {
        let Self {
            router,
            sessions,
            limits,
            upstreams,
            store,
            cluster,
            mailer,
            public_url,
            clock,
            hasher,
            workers,
            listening,
        } = self;
        let providers = Providers::new(&provider::Parts {
            settings: config.providers.clone(),
            store: store.clone(),
            sessions: sessions.clone(),
            hasher: hasher.clone(),
            mailer: mailer.clone(),
            fetch: Fetch::new(&config.outgoing)?,
            workers: workers.clone(),
            clock: clock.clone(),
            public_url: public_url.clone(),
            prefix: config.prefix.clone(),
            site: title(&config, &public_url),
        })?;
        let portal = Portal::new(portal::Parts {
            settings: config.pages.clone(),
            public_url: public_url.clone(),
            prefix: config.prefix.clone(),
            return_to: config.return_to.clone(),
            providers: providers.clone(),
            sessions: sessions.clone(),
            session_lifetime: config.session.max_lifetime,
            limits: limits.clone(),
            store: store.clone(),
            clock: clock.clone(),
        })
        .map_err(Error::Pages)?;
        let app_services = config.app_services.clone().map(|settings| {
            Arc::new(AppServices::new(app_services::Parts {
                settings,
                public_url: public_url.clone(),
                providers: providers.clone(),
                sessions: sessions.clone(),
                limits: limits.clone(),
                store: store.clone(),
                workers: workers.clone(),
                clock: clock.clone(),
            }))
        });
        let data_api =
            app_services.as_ref().map(|_| Arc::new(DataApi::new(providers.clone(), limits.clone(), store.clone())));
        let house = Arc::new(House {
            forward_auth: ForwardAuth::new(&config.prefix),
            audience: public_url.origin().to_owned(),
            cookie: cookie::Name::new(public_url.is_secure()),
            router: Arc::new(router),
            portal: Arc::new(portal),
            app_services,
            data_api,
            config,
            sessions,
            providers,
            limits,
        });
        Ok(App { house, upstreams, store, cluster, mailer, public_url, clock, hasher, workers, listening })
    }
}

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
fn public_url(config: &Config, listening: SocketAddr) -> Result<PublicUrl, Error> {
    if let Some(public_url) = &config.public_url {
        return Ok(public_url.clone());
    }
    let first = config.listen.addresses.first().map(String::as_str).unwrap_or_default();
    let host = first.rsplit_once(':').map_or(first, |(host, _)| host);
    let scheme = match config.listen.tls {
        Tls::Off => "http",
        Tls::Files { .. } => "https",
    };
    format!("{scheme}://{host}:{}", listening.port()).parse().map_err(|_| Error::NoPublicUrl(first.to_owned()))
}

fn title(config: &Config, public_url: &PublicUrl) -> String {
    config.pages.title.clone().unwrap_or_else(|| public_url.host().to_owned())
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
