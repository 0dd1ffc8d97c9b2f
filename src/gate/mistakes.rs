//! The usual mistakes do not compile.
//!
//! A route outside the gate:
//!
//! ```compile_fail,E0599
//! fn opened(gate: vestibule::Vestibule) {
//!     gate.protect(axum::Router::<()>::new()).route("/open", axum::routing::get(async || "open"));
//! }
//! ```
//!
//! A provider that is none:
//!
//! ```compile_fail,E0277
//! struct Club;
//! vestibule::Vestibule::builder().provider("club", Club);
//! ```
//!
//! A provider with a fourth outcome:
//!
//! ```compile_fail,E0271
//! vestibule::Vestibule::builder().provider_fn("club", |_, _| async { true });
//! ```
//!
//! A store that is none:
//!
//! ```compile_fail,E0277
//! #[derive(Debug)]
//! struct Shelf;
//! vestibule::Vestibule::builder().store(Shelf);
//! ```
//!
//! The gate of a test in the place of a real one:
//!
//! ```compile_fail,E0308
//! fn serve(_: vestibule::Vestibule) {}
//! async fn test() {
//!     serve(vestibule::test::TestVestibule::new("").await.unwrap());
//! }
//! ```
//!
//! Signing somebody in at a real one:
//!
//! ```compile_fail,E0599
//! async fn test(gate: vestibule::Vestibule) {
//!     gate.sign_in("ann@example.com").await;
//! }
//! ```
//!
//! An identity out of nothing:
//!
//! ```compile_fail,E0599
//! let ann = vestibule::Identity::default();
//! ```
//!
//! A guard in the place of the gate:
//!
//! ```compile_fail,E0599
//! fn guarded(gate: vestibule::Vestibule) {
//!     gate.require(vestibule::role("editor")).protect(axum::Router::<()>::new());
//! }
//! ```
