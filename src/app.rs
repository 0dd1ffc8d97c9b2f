//! The running whole: store, sessions, pages and workers, from configuration to the last request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;
use crate::limit::Limits;
use crate::listen::{self, Bound, Connection, Handler, Outcome};
use crate::mail::{self, Mailer};
use crate::portal::{self, Portal, PortalParts};
use crate::provider::Providers;
use crate::public_url::PublicUrl;
use crate::route::{Fault, Router};
use crate::session::{Sessions, cookie};
use crate::stack::{Entrance, House, stack};
use crate::store::{self, Store};
use crate::upstream::Upstreams;

/// Everything that runs, before it runs.
pub struct App {
    house: Arc<House>,
    upstreams: Arc<Upstreams>,
    store: Arc<dyn Store>,
    mailer: Mailer,
    public_url: PublicUrl,
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
    #[error(transparent)]
    Pages(#[from] portal::Error),
    /// The mail.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// No address for links and cookies.
    #[error("`public_url` is needed to listen on {0}: write the address visitors type, such as https://blog.example.com")]
    NoPublicUrl(String),
}

impl App {
    /// Opens the store and puts the house together. `listening` is the first address it will listen on.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left behind.
    pub async fn open(config: Config, listening: &str) -> Result<Self, Error> {
        let clock = Clock::system();
        let public_url = public_url(&config, listening)?;
        let router = Router::new(&config.routes).map_err(Error::Routes)?;
        let upstreams = Upstreams::new(router.upstreams().to_vec(), config.limits.timeouts);
        let store = store::open(&config.store)?;
        let sessions = Sessions::open(store.clone(), clock.clone(), config.session.clone(), &public_url).await?;
        let title = config.pages.title.clone().unwrap_or_else(|| public_url.host().to_owned());
        let mailer = Mailer::new(&config.mail, &title, &public_url, clock.clone())?;
        let limits = Arc::new(Limits::new(&config.limits, &clock));
        let cookie = cookie::Name::new(public_url.is_secure());
        let providers = Arc::new(Providers::new(
            &config.providers,
            store.clone(),
            sessions.clone(),
            mailer.clone(),
            clock.clone(),
            &title,
        ));
        let portal = Portal::new(PortalParts {
            settings: config.pages.clone(),
            public_url: public_url.clone(),
            prefix: config.prefix.clone(),
            return_to: config.return_to.clone(),
            providers: providers.clone(),
            sessions: sessions.clone(),
            limits: limits.clone(),
            store: store.clone(),
            clock,
            cookie,
        })?;
        let house = House {
            audience: public_url.origin().to_owned(),
            router: Arc::new(router),
            portal: Arc::new(portal),
            config,
            sessions,
            providers,
            limits,
            cookie,
        };
        Ok(Self { house: Arc::new(house), upstreams, store, mailer, public_url })
    }
}
