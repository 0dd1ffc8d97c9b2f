use http::Method;

use crate::route::{Action, Spec, Who};

/// A line of `[routes]` from the program: who may do what at a place. Nobody may do what it does not name.
///
/// The key is that of the file: a path pattern, or a host and a path pattern, of literal segments, `*` for one segment and
/// `**` at the end for the rest. The most specific key decides. What else a line of the file can say (`from`, `body`,
/// `allow_in_path` and the like) only the file says.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use vestibule::gate::{Route, anyone, role, service, signed_in};
///
/// let builder = vestibule::Vestibule::builder()
///     .toml("[providers.api-key]\n[providers.local-userpass]")
///     .roles(["editor"])
///     .route(Route::new("/**").read(anyone()).write(signed_in()))
///     .route(Route::new("/publish").write(role("editor")).write(service()));
/// # vestibule::test::TestVestibule::build(builder).await?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Route(Spec);

impl Route {
    /// A line for this key, by which nobody may do anything yet.
    pub fn new(key: impl Into<String>) -> Self {
        Self(Spec { key: key.into(), ..Spec::default() })
    }

    /// These may GET and HEAD, besides those named before.
    pub fn read(self, who: Who) -> Self {
        self.lets(Action::Read, who)
    }

    /// These may POST, PUT, PATCH and DELETE, besides those named before.
    pub fn write(self, who: Who) -> Self {
        self.lets(Action::Write, who)
    }

    /// These may use every method that the same line does not name more exactly, besides those named before.
    pub fn all(self, who: Who) -> Self {
        self.lets(Action::All, who)
    }

    /// These may use exactly this method, besides those named before. CONNECT and TRACE never come through.
    pub fn method(self, method: Method, who: Who) -> Self {
        self.lets(Action::Method(method), who)
    }

    fn lets(mut self, action: Action, who: Who) -> Self {
        match self.0.actions.iter_mut().find(|(named, _)| *named == action) {
            Some((_, whos)) => whos.push(who),
            None => self.0.actions.push((action, vec![who])),
        }
        self
    }

    pub(super) fn into_spec(self) -> Spec {
        self.0
    }
}
