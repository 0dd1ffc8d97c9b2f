//! The entrance hall for web apps: every request to the app behind it carries a verified identity, or does not arrive.
//!
//! The same house stands in two places. The `vestibule` command puts it in front of other servers as a proxy, or beside
//! another gateway. This library puts it around a service of this program: an axum app, a hyper function, a tonic server,
//! anything that is a [`tower_service::Service`] of `http` requests.
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::{get, post}};
//! use vestibule::{Identity, Vestibule, role};
//!
//! let gate = Vestibule::from_file("vestibule.toml").await?;
//! let editors = Router::new().route("/publish", post(async || "published")).route_layer(gate.require(role("editor")));
//! let app = Router::new().route("/", get(home)).merge(editors);
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, gate.protect(app).into_make_service()).await?;
//! # Ok(())
//! # }
//!
//! async fn home(who: Option<vestibule::Identity>) -> String {
//!     who.map_or("Hello, stranger".to_owned(), |who| format!("Hello, {}", who.name().unwrap_or("friend")))
//! }
//! ```
//!
//! # The way of a request
//!
//! 1. Where it came from: the [`Peer`], or whom a trusted proxy names.
//! 2. Limits per address.
//! 3. Whatever a client must not say is removed: identity headers in every spelling, and their kin. This cannot be switched
//!    off.
//! 4. Its host and path get one form; that is what the rules are about and what the app sees.
//! 5. Who it is: session cookie, bearer token, API key.
//! 6. `/.auth/…` is answered by the gate itself: pages to sign in, sign up, sign out, and what programs need.
//! 7. For everything else: does another site misuse a cookie (CSRF)? Limits per user. Then the rule of its route decides. What
//!    no route names is refused.
//! 8. The identity headers are written, and the [`Identity`] is put into the request.
//! 9. The app answers. Its body, its error type and its trailers stay as they are.
//!
//! A refusal is a response in the form its asker reads: a page or a redirect for people, `problem+json` (RFC 9457) for
//! programs, a status of gRPC for its clients. Whatever cannot be known refuses.
//!
//! # What to use for what
//!
//! | | |
//! |---|---|
//! | [`Vestibule::protect`] | a whole app: nothing can be added outside |
//! | [`Vestibule::layer`] | a part of an app, or a [`tower_layer::Layer`] among others |
//! | [`Vestibule::require`] | a further guard inside, which only narrows |
//! | [`role`], [`anyone`], and more in [`gate`] | whom a guard or a [`Route`](gate::Route) means |
//! | [`Identity`], [`identity`] | who asks; in axum an extractor |
//! | [`Builder`] | configuration in the program; providers ([`custom`]), [`store`], mailer and clock of one's own |
//! | [`test`](mod@test) | tests: sign in as anybody, read the mails, move the clock |
//!
//! # In debug builds
//!
//! Without optimisation one password takes the better part of a second. Tests with the [kit](mod@test) pay nothing for it;
//! for a program that is run from `cargo run`, write into its `Cargo.toml`:
//!
//! ```toml
//! [profile.dev.package.argon2]
//! opt-level = 3
//! [profile.dev.package.blake2]
//! opt-level = 3
//! ```
//!
//! # Features
//!
//! All are on by default. Without defaults the gate identifies and decides for an app in this process: a store of one's own
//! or in memory, no database, no server, no TLS, no command line.
//!
//! | Feature | What it adds |
//! |---|---|
//! | `axum` | extractors, and protected apps under `axum::serve` |
//! | `sqlite`, `postgres` | the stores |
//! | `redis` | what several instances share besides the store |
//! | `smtp` | mails to a server or into a folder |
//! | `javascript` | functions in JavaScript |
//! | `outgoing` | requests of our own: OAuth providers, key sets, webhooks |
//! | `server` | the proxy: listeners, TLS, upstreams |
//! | `acme` | certificates ordered from an authority; with `server` and `outgoing` |
//! | `admin` | the operator's listener: figures, REST interface, page; with `server` |
//! | `conformance` | what every store has to do, as a test of one's own: [`test::conforms`] |
//! | `cli` | the `vestibule` command; switches on all but `axum` and `conformance` |
//!
//! What a configuration asks for and the build lacks is an error when the gate is built; a gate listens nowhere, so `[tls]`,
//! `[admin]` and `[observe]` are read and left alone: what a gate has to tell goes to the subscribers of `tracing` that the
//! program has, calls to the store and to issuers as spans (target `vestibule::span`). What no feature adds is there to know
//! people and to decide: the rules, sessions and tokens with their cryptography, password hashes, providers, and the pages
//! and interfaces under `/.auth` and of App Services. Of hyper that takes the types of its bodies alone.

// What follows without documentation is for the `vestibule` command, its tests and its benches: it has no promise.
pub mod account;
#[doc(hidden)]
pub mod acme;
#[cfg_attr(not(feature = "admin"), path = "admin/absent.rs")]
#[doc(hidden)]
pub mod admin;
#[doc(hidden)]
pub mod app;
#[doc(hidden)]
pub mod app_services;
#[doc(hidden)]
pub mod body;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod client;
pub mod clock;
#[cfg_attr(not(feature = "redis"), path = "cluster/absent.rs")]
#[doc(hidden)]
pub mod cluster;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod fetch;
#[doc(hidden)]
pub mod function;
pub mod gate;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod gather;
mod ground;
#[doc(hidden)]
pub mod head;
pub mod id;
#[doc(hidden)]
pub mod json;
#[doc(hidden)]
pub mod language;
#[doc(hidden)]
pub mod layer;
#[doc(hidden)]
pub mod limit;
#[doc(hidden)]
pub mod listen;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod live;
#[doc(hidden)]
pub mod mail;
#[doc(hidden)]
pub mod own;
#[doc(hidden)]
pub mod portal;
#[doc(hidden)]
pub mod provider;
#[doc(hidden)]
pub mod public_url;
#[doc(hidden)]
pub mod rejection;
#[doc(hidden)]
pub mod request_id;
#[doc(hidden)]
pub mod route;
pub mod secret;
pub mod session;
#[doc(hidden)]
pub mod span;
#[doc(hidden)]
pub mod spare;
#[doc(hidden)]
pub mod stack;
pub mod store;
#[doc(hidden)]
pub mod tally;
pub mod test;
#[doc(hidden)]
pub mod token;
mod unreadable;
#[doc(hidden)]
pub mod upstream;
#[doc(hidden)]
pub mod visit;
#[doc(hidden)]
pub mod visitor;

/// Ways to sign in of the program's own.
///
/// For clients each is a name under `/.auth/login/{name}`, which takes a JSON object or a form by POST: a program gets
/// tokens, a browser a cookie, and goes on to the form's `rd`. The sign-in page has no form for it, as it cannot know its
/// fields: a page of the app that `anyone` may see asks for them.
///
/// ```html
/// <form method="post" action="/.auth/login/club">
///   <input name="card"> <input type="hidden" name="rd" value="/members"> <button>Come in</button>
/// </form>
/// ```
pub mod custom {
    #[doc(inline)]
    pub use crate::gate::{Account, Credentials, Facts, Provider, Verdict};
}

#[doc(inline)]
pub use gate::{Builder, Error, Identity, Peer, Vestibule, anyone, identity, role};
