//! What an app stands on, and the house that is built there.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::account::password::Hasher;
#[cfg(feature = "admin")]
use crate::admin::{self, Admin};
use crate::app::{App, Error};
use crate::app_services::{self, AppServices};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::fetch::Fetch;
use crate::function::Workers;
use crate::layer::client_addr::ClientAddr;
use crate::layer::data_api::DataApi;
use crate::layer::forward_auth::ForwardAuth;
use crate::layer::other_hosts::OtherHosts;
use crate::layer::trace::TraceLayer;
use crate::limit::Limits;
use crate::mail::Mailer;
use crate::portal::{self, Portal};
use crate::provider::{self, Providers};
use crate::public_url::PublicUrl;
use crate::route::{Route, Router, canonical_host};
use crate::session::{Sessions, cookie};
use crate::stack::House;
use crate::store::Store;
use crate::tally::{Reloads, Traffic};
use crate::upstream::Upstreams;

/// What an app stands on.
pub(crate) struct Ground {
    pub(crate) router: Router,
    pub(crate) sessions: Sessions,
    pub(crate) limits: Arc<Limits>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) mailer: Mailer,
    pub(crate) public_url: PublicUrl,
    pub(crate) clock: Clock,
    pub(crate) reloads: Arc<Reloads>,
    pub(crate) hasher: Hasher,
    pub(crate) workers: Workers,
    /// Ways to sign in by the settings before, if they stand on the same ground.
    pub(crate) before: Option<(provider::Settings, Providers)>,
    pub(crate) listening: Option<SocketAddr>,
}

impl Ground {
    /// Ways to sign in, pages, and the house around them: made anew for each configuration.
    pub(crate) fn furnish(self, config: Config) -> Result<App, Error> {
        let Self {
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
        } = self;
        let parts = provider::Parts {
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
        };
        let before = before.as_ref().map(|(settings, providers)| (settings, providers));
        let providers = Providers::after(&parts, before)?;
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
        #[cfg(not(feature = "admin"))]
        let admin = None;
        #[cfg(feature = "admin")]
        let admin = config.admin.clone().map(|settings| {
            Arc::new(Admin::new(admin::Parts {
                settings,
                store: store.clone(),
                sessions: sessions.clone(),
                providers: providers.clone(),
                limits: limits.clone(),
                upstreams: upstreams.clone(),
                traffic: traffic.clone(),
                reloads: reloads.clone(),
                mailer: mailer.clone(),
                cluster: cluster.clone(),
                clock: clock.clone(),
                roles: config.roles.clone(),
                refresh_token: config.session.refresh_token,
                origin: public_url.origin().to_owned(),
                site: title(&config, &public_url),
            }))
        });
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
            traffic,
            trace: TraceLayer::new(
                config.observe.otlp.as_ref().map(|otlp| otlp.sample),
                ClientAddr::new(config.trusted_proxies.clone()),
            ),
            other_hosts: Arc::new(OtherHosts::new(&public_url, names(&config, &router))),
            forward_auth: ForwardAuth::new(&config.prefix, &config.aliases),
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
        Ok(App {
            house,
            upstreams,
            admin,
            store,
            cluster,
            mailer,
            public_url,
            clock,
            reloads,
            hasher,
            workers,
            listening,
        })
    }
}

/// What the site is called.
pub(crate) fn title(config: &Config, public_url: &PublicUrl) -> String {
    config.pages.title.clone().unwrap_or_else(|| public_url.host().to_owned())
}

/// The names that the configuration gives the site besides `public_url`.
fn names(config: &Config, router: &Router) -> Vec<String> {
    let of_routes = router.routes().iter().map(Route::key).filter_map(|key| Some(key.split_once('/')?.0.to_owned()));
    let origins =
        config.return_to.iter().filter_map(|origin| url::Url::parse(origin).ok()?.host_str().map(str::to_owned));
    let all = config.hosts.iter().cloned().chain(of_routes).chain(origins);
    all.filter_map(|host| canonical_host(host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name))).collect()
}
