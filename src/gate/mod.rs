//! Vestibule inside a Rust server: a tower layer, guards, and the identity of whoever asks.

mod body;
mod builder;
mod engine;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod identity;
mod inner;
mod keeper;
mod layer;
#[cfg(doctest)]
mod mistakes;
mod pass;
mod peer;
mod protect;
mod provider;
mod require;
mod route;
#[cfg(feature = "axum")]
mod serve;
mod tunnel;

use std::path::Path;
use std::sync::Arc;

pub use body::Body;
pub use builder::Builder;
pub use error::Error;
#[cfg(feature = "axum")]
pub use extract::Refused;
pub use identity::{Identity, identity};
pub use layer::{Guarded, GuardedFuture, Layer};
pub use peer::Peer;
pub use protect::Protected;
pub use provider::{Account, Credentials, Facts, Provider, Verdict};
pub use require::{
    Require, Required, RequiredFuture, anyone, guest, nobody, policy, provider, role, service, signed_in,
};
pub use route::Route;
#[cfg(feature = "axum")]
pub use serve::{Connected, ConnectedFuture, MakeProtected};

pub use crate::mail::Sent;
pub use crate::route::{EmailPattern, Who, WhoError};

use crate::app::App;
use inner::Inner;

/// The gate in front of an app: who may come in, and who that is. A clone is the same gate.
///
/// ```
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::get};
/// use vestibule::{Identity, Vestibule};
///
/// let gate = Vestibule::builder()
///     .public_url("http://localhost:3000")
///     .toml("[store]\nurl = \"memory:\"\n[routes]\n\"/**\" = { all = \"signed_in\" }")
///     .build()
///     .await?;
/// let app = Router::new().route("/", get(|who: Identity| async move { format!("Hello, {}", who.id()) }));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(listener, gate.protect(app).into_make_service()).await?;
/// # Ok(())
/// # }
/// ```
///
/// While any clone, layer or protected app of it lives, it looks after its store: it rotates keys and removes what has
/// ended. Nothing of it is global; two gates in one process know nothing of each other.
#[derive(Clone, Debug)]
pub struct Vestibule(Arc<Inner>);

impl Vestibule {
    /// A gate by a configuration file, the one that `vestibule run` reads: routes, providers, store, mail and all else
    /// count; `listen`, `[tls]`, `workers`, `upstream` and `[shutdown]` are for the server and do nothing here.
    /// Overrides and secrets come from the environment, as there.
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once; or what cannot be opened. Needs to run in tokio.
    pub async fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Builder::new().file(path).build().await
    }

    /// A gate by a text in the form of that file, and what the program brings along.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Puts the gate around a service, or around a part of an app.
    ///
    /// In axum a route that is added after `.layer(…)` is open: [`protect`](Self::protect) leaves no way to do that.
    ///
    /// The gate's own pages under `/.auth` are answered where requests for them come through it: by `Router::layer` of the
    /// whole they do, by `route_layer` or within `nest` they do not, and whoever is sent there to sign in finds nothing.
    /// Then give them a place of their own:
    ///
    /// ```
    /// # fn part(gate: vestibule::Vestibule, admin: axum::Router) -> axum::Router {
    /// axum::Router::new()
    ///     .nest("/admin", admin.layer(gate.layer()))
    ///     .route_service("/.auth/{*page}", gate.protect(axum::Router::new()))
    /// # }
    /// ```
    pub fn layer(&self) -> Layer {
        Layer::new(self.0.clone())
    }

    /// A further guard inside [`layer`](Self::layer) or [`protect`](Self::protect), for a part of the app. It only
    /// narrows: whom the rules refuse never comes so far. Nobody passes it where this gate is not in front.
    ///
    /// ```
    /// # fn guarded(gate: vestibule::Vestibule) -> axum::Router {
    /// use axum::{Router, routing::post};
    ///
    /// Router::new().route("/publish", post(|| async {})).route_layer(gate.require(vestibule::role("editor")))
    /// # }
    /// ```
    pub fn require(&self, who: Who) -> Require {
        Require::new(self.0.clone(), who)
    }

    /// Puts the gate around a whole app. What comes back takes no more routes: nothing of it is outside.
    pub fn protect<S>(&self, app: S) -> Protected<S> {
        Protected::new(Guarded::new(self.0.clone(), app))
    }

    /// The app it stands on, for the kit of tests.
    pub(crate) fn app(&self) -> &App {
        self.0.app()
    }

    /// Waits for the mails that are on their way, at most five seconds. For the end of the program; the gate goes on
    /// answering.
    pub async fn drain(&self) {
        self.0.drain().await;
    }
}
