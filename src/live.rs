//! The app in force: it answers until the last request, and another may take its place meanwhile.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use http::Request;
use tokio::sync::Mutex;

use crate::admin;
use crate::app::{self, App};
use crate::body::Body;
use crate::config::{Config, Otlp};
use crate::limit::{self, Timeouts};
use crate::listen::{self, Bound, Connection, Front, Handler, Outcome, Shutdown};

/// An app that can be replaced while it runs: at once for every request that comes after, whichever connection it
/// comes on. What is in progress ends where it began.
pub struct Live {
    app: Arc<ArcSwap<App>>,
    /// One replacement at a time, else the slower would undo the later.
    replacing: Mutex<()>,
}

/// Why the old configuration stays in force.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Keys that count from a start on.
    #[error("{} cannot change while it runs: restart it for that", .0.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "))]
    Fixed(Vec<&'static str>),
    /// There is no app by this configuration.
    #[error(transparent)]
    App(#[from] app::Error),
}

impl Live {
    /// Puts this app in force.
    pub fn new(app: App) -> Arc<Self> {
        Arc::new(Self { app: Arc::new(ArcSwap::from_pointee(app)), replacing: Mutex::default() })
    }

    /// The app in force.
    pub fn app(&self) -> Arc<App> {
        self.app.load_full()
    }

    /// Builds an app by this configuration whole, then puts it in force.
    ///
    /// # Errors
    /// See [`Refused`]; then nothing has changed.
    pub async fn replace(&self, config: Config) -> Result<(), Refused> {
        let _one = self.replacing.lock().await;
        let old = self.app();
        let fixed = fixed(&old.house().config, &config);
        if !fixed.is_empty() {
            return Err(Refused::Fixed(fixed));
        }
        let new = old.rebuild(config).await?;
        new.reloads().took(new.clock().now());
        if !Arc::ptr_eq(&new.upstreams, &old.upstreams) {
            new.upstreams.look();
        }
        self.app.store(Arc::new(new));
        Ok(())
    }

    /// Answers requests until `shutdown` is through; looks after sessions, keys and guests meanwhile.
    /// `make_handler` is asked anew by each worker for each app.
    pub async fn serve<H: Handler>(
        self: Arc<Self>,
        bound: Bound,
        make_handler: impl Fn(&App) -> H + Send + Sync + 'static,
        shutdown: Shutdown,
    ) -> Outcome {
        let keeper = tokio::spawn(self.clone().keep_house());
        let (app, first) = (self.app.clone(), self.app());
        // Before the first request, which goes on with the connections that are there.
        first.upstreams.look();
        let config = &first.house().config;
        let make = Arc::new(make_handler);
        let handler = move |_| InForce::new(&app, Arc::clone(&make));
        let outcome = listen::serve(bound, &config.listen, &config.limits, handler, shutdown).await;
        keeper.abort();
        // Mails that are on their way leave before we do.
        if tokio::time::timeout(LAST_MAILS, self.app().mailer().drain()).await.is_err() {
            tracing::warn!("some mails could not be sent any more");
        }
        outcome
    }

    /// Answers operators' requests until `shutdown` is through, with one worker. `front` is what they are told of.
    pub async fn serve_operators(self: Arc<Self>, bound: Bound, front: Front, shutdown: Shutdown) -> Outcome {
        let (app, first) = (self.app.clone(), self.app());
        let config = &first.house().config;
        let settings = listen::Settings { workers: 1, tls: listen::Tls::Off, ..config.listen.clone() };
        let front = Arc::new(move || admin::Front {
            is_serving: front.is_serving(),
            certificate_ends: front.certificate_ends(),
        });
        let make = Arc::new(move |app: &App| app.operators_entrance(front.clone()));
        let handler = move |_| InForce::new(&app, Arc::clone(&make));
        listen::serve(bound, &settings, &config.limits, handler, shutdown).await
    }

    async fn keep_house(self: Arc<Self>) {
        let mut rounds = tokio::time::interval(HOUSE_KEEPING);
        loop {
            rounds.tick().await;
            self.app().maintain().await;
        }
    }
}

/// What the connections of one worker enter: the app that is in force when the request comes.
struct InForce<H, F>(Rc<Worker<H, F>>);

struct Worker<H, F> {
    make: Arc<F>,
    own: RefCell<Own<H>>,
}

struct Own<H> {
    /// Told apart by one relaxed read for each request.
    in_force: Cache<Arc<ArcSwap<App>>, Arc<App>>,
    made_of: Arc<App>,
    handler: H,
}

impl<H, F: Fn(&App) -> H> InForce<H, F> {
    fn new(app: &Arc<ArcSwap<App>>, make: Arc<F>) -> Self {
        let made_of = app.load_full();
        let handler = make(&made_of);
        let own = RefCell::new(Own { in_force: Cache::new(Arc::clone(app)), made_of, handler });
        Self(Rc::new(Worker { make, own }))
    }
}

impl<H, F> Clone for InForce<H, F> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<H: Handler, F: Fn(&App) -> H + 'static> Handler for InForce<H, F> {
    type Future = H::Future;

    fn call(&self, request: Request<Body>, connection: Connection) -> H::Future {
        let mut own = self.0.own.borrow_mut();
        let Own { in_force, made_of, handler } = &mut *own;
        let now = in_force.load();
        if !Arc::ptr_eq(now, made_of) {
            *handler = (self.0.make)(now);
            *made_of = Arc::clone(now);
        }
        handler.call(request, connection)
    }
}

/// The keys that differ although what they say was given to sockets, workers, store and log for good.
fn fixed(old: &Config, new: &Config) -> Vec<&'static str> {
    let sweep = |timeouts: Timeouts| (timeouts.handshake, timeouts.header, timeouts.stall, timeouts.idle);
    let limits = |limits: &limit::Settings| {
        (limits.header_bytes, limits.header_fields, limits.connections, limits.streams, sweep(limits.timeouts))
    };
    let addresses = |config: &Config| config.admin.as_ref().map(|admin| admin.addresses.clone());
    let (was, is) = (limits(&old.limits), limits(&new.limits));
    let differs = [
        ("listen", old.listen.addresses != new.listen.addresses),
        ("admin.listen", addresses(old) != addresses(new)),
        ("workers", old.listen.workers != new.listen.workers),
        ("tls", old.listen.tls != new.listen.tls),
        ("shutdown", (old.listen.drain, old.listen.timeout) != (new.listen.drain, new.listen.timeout)),
        ("store.url", old.store != new.store),
        ("cluster", old.cluster != new.cluster),
        ("limits.header_bytes", was.0 != is.0),
        ("limits.header_fields", was.1 != is.1),
        ("limits.connections", was.2 != is.2),
        ("limits.streams", was.3 != is.3),
        ("limits.timeouts", was.4 != is.4),
        ("observe.log", old.observe.log != new.observe.log),
        ("observe.otlp", collector(old) != collector(new)),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// Where traces go; which requests are traced may change.
fn collector(config: &Config) -> Option<impl PartialEq> {
    config.observe.otlp.as_ref().map(Otlp::collector)
}

const HOUSE_KEEPING: Duration = Duration::from_secs(30);
const LAST_MAILS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Kind, User};
    use crate::clock::Timestamp;
    use crate::config;
    use crate::id::UserId;
    use crate::secret::Digest;
    use crate::session::Device;

    fn read(toml: &str) -> Config {
        let text = format!("upstream = \"http://127.0.0.1:3\"\n{toml}\n[providers.local-userpass]\n");
        config::parse(&text, "a.toml", std::iter::empty()).unwrap()
    }

    async fn live(toml: &str) -> Arc<Live> {
        let config = read(&format!("{toml}\n[store]\nurl = \"memory:\""));
        Live::new(App::open(config, Some(([127, 0, 0, 1], 8080).into())).await.unwrap())
    }

    async fn replaced(live: &Live, toml: &str) -> Result<Arc<App>, String> {
        let config = read(&format!("{toml}\n[store]\nurl = \"memory:\""));
        live.replace(config).await.map(|()| live.app()).map_err(|refused| refused.to_string())
    }

    #[tokio::test]
    async fn what_was_given_away_for_good_is_refused_by_name() {
        let live = live("").await;
        let old = live.app();
        for (key, toml) in [
            ("listen", "listen = \"127.0.0.1:1\""),
            ("workers", "workers = 3"),
            ("shutdown", "[shutdown]\ndrain = \"9s\""),
            ("limits.header_bytes", "limits.header_bytes = \"16KiB\""),
            ("limits.header_fields", "limits.header_fields = 50"),
            ("limits.connections", "limits.connections = 5"),
            ("limits.streams", "limits.streams = 5"),
            ("limits.timeouts", "limits.timeouts.idle = \"9s\""),
            ("observe.log", "observe.log.level = \"debug\""),
            ("observe.otlp", "observe.otlp.endpoint = \"http://127.0.0.1:4318\""),
        ] {
            let refused = replaced(&live, toml).await.err().unwrap();
            assert_eq!(refused, format!("`{key}` cannot change while it runs: restart it for that"));
            assert!(Arc::ptr_eq(&live.app(), &old), "{key}");
        }
        let refused = live.replace(read("[store]\nurl = \"sqlite:elsewhere.db\"")).await.unwrap_err().to_string();
        assert!(refused.starts_with("`store.url` cannot"), "{refused}");
        assert!(!Arc::ptr_eq(&replaced(&live, "roles = [\"editor\"]").await.unwrap(), &old));
    }

    /// Whether a session that one of them has in its cache is in the other's.
    async fn share_sessions(one: &App, other: &App) -> bool {
        let user = User::new(UserId::generate(Timestamp::default()), Kind::User, Timestamp::default());
        one.store().save_user(&user).await.unwrap();
        let token = one.house().sessions.start(&user, "local-userpass", Device::default()).await.unwrap();
        let name = Digest::of(token.expose());
        assert!(one.house().sessions.by_cookie(&name).await.unwrap().is_some());
        other.house().sessions.cached(&name).is_some()
    }

    #[tokio::test]
    async fn what_did_not_change_stays_the_same_object() {
        let live = live("").await;
        let old = live.app();
        let other = replaced(&live, "roles = [\"editor\"]\nlimits.body = \"1MiB\"").await.unwrap();
        assert!(Arc::ptr_eq(&old.house().limits, &other.house().limits));
        assert!(share_sessions(&old, &other).await);
        let limited = replaced(&live, "limits.requests.per_user = \"5/1s\"").await.unwrap();
        assert!(!Arc::ptr_eq(&old.house().limits, &limited.house().limits));
        assert!(share_sessions(&old, &limited).await);
        let shorter = replaced(&live, "session.idle_timeout = \"1h\"").await.unwrap();
        assert!(!share_sessions(&old, &shorter).await);
    }

    #[tokio::test]
    async fn a_configuration_without_an_app_changes_nothing() {
        let live = live("").await;
        let old = live.app();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("login.html"), "{% if %}").unwrap();
        let toml = format!("[pages]\ntemplates = {:?}", folder.path());
        assert!(replaced(&live, &toml).await.err().unwrap().contains("login.html"));
        assert!(Arc::ptr_eq(&live.app(), &old));
        std::fs::remove_file(folder.path().join("login.html")).unwrap();
        assert!(!Arc::ptr_eq(&replaced(&live, &toml).await.unwrap(), &old));
    }
}
