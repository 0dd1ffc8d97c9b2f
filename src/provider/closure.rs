use std::fmt;

use serde_json::{Map, Value};

use super::{Deciding, Facts, Provider, Verdict};

/// A provider that is a closure: it takes the credentials and what is known of the request, and gives a verdict.
///
/// ```
/// use vestibule::provider::{self, Account, Verdict};
///
/// let club = provider::from_fn(|credentials, _facts| async move {
///     match credentials.get("card").and_then(|card| card.as_str()) {
///         Some("4711") => Verdict::Yes(Box::new(Account { subject: "member-17".into(), ..Account::default() })),
///         _ => Verdict::No("no such card".into()),
///     }
/// });
/// # fn check(_: impl provider::Provider) {}
/// # check(club);
/// ```
pub fn from_fn<F, R>(closure: F) -> FromFn<F>
where
    F: Fn(Map<String, Value>, Facts) -> R + Send + Sync + 'static,
    R: Future<Output = Verdict> + Send + 'static,
{
    FromFn(closure)
}

/// See [`from_fn`].
pub struct FromFn<F>(F);

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<F, R> Provider for FromFn<F>
where
    F: Fn(Map<String, Value>, Facts) -> R + Send + Sync + 'static,
    R: Future<Output = Verdict> + Send + 'static,
{
    fn sign_in<'a>(&'a self, credentials: &'a Map<String, Value>, facts: &'a Facts) -> Deciding<'a> {
        Box::pin((self.0)(credentials.clone(), facts.clone()))
    }
}
