//! What a visitor chose: the language of our pages, how he signs in, and whether this browser stays signed in.

use http::{HeaderMap, Method, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::see_other;
use super::call::Call;
use super::endpoint::Endpoint;
use super::form;
use super::input::Input;
use super::{Page, Portal};
use crate::body::Body;
use crate::language::Language;
use crate::session::cookie::Memento;

/// For how long a browser keeps the cookie of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// As long as the session may last.
    Kept,
    /// Until it is closed.
    UntilClosed,
}

impl Stay {
    /// What the box of a form says. A form without the box, as one of somebody else's templates, keeps.
    pub(super) fn wanted(input: &Input) -> Self {
        let asked = !input.typed("may_keep").is_empty();
        if asked && input.typed("keep").is_empty() { Self::UntilClosed } else { Self::Kept }
    }
}

impl Portal {
    /// Remembers the language that the address of a page names, and leads to the page without it.
    pub(super) fn choose_language(&self, call: &Call, endpoint: &Endpoint) -> Option<Response<Body>> {
        if matches!(endpoint, Endpoint::Asset(_) | Endpoint::Callback(_)) || endpoint.is_for_programs() {
            return None;
        }
        let language = self.pages.spoken(&call.parameter(LANGUAGE)?)?;
        let rest = form::without(call.query.as_deref(), LANGUAGE);
        let mut response = see_other(&with(&call.path, &rest));
        self.set_cookie(&mut response, self.cookie.remember(Memento::Language, language.code()));
        Some(response)
    }

    /// The page, with the way to it in other languages. What a form was answered with is reached by its page.
    pub(super) fn reachable(&self, call: &Call, page: Page) -> Page {
        let form = Endpoint::find(&self.prefix, &call.path).and_then(|endpoint| endpoint.page());
        let path = form.map_or_else(|| call.path.clone(), |form| format!("{}/{form}", self.prefix));
        // Nothing else of the address is shown: where to go on to is the page's to say, as it was read.
        let token = Some(call).filter(|call| call.method == Method::GET).and_then(|call| call.parameter("token"));
        let token = token.map(|token| format!("token={}", utf8_percent_encode(&token, NON_ALPHANUMERIC)));
        let query = [token, page.query()].into_iter().flatten().collect::<Vec<_>>().join("&");
        page.at(with(&path, &query))
    }

    /// Remembers by which provider this browser was signed in, where there is a button for it to be found again.
    pub(super) fn remember_provider(&self, call: &Call, provider: &str, response: &mut Response<Body>) {
        let before = self.cookie.remembered(&call.headers, Memento::Provider);
        let has_button = self.providers.redirect(provider).is_some();
        if before != Some(provider) && (has_button || before.is_some()) {
            self.set_cookie(response, self.cookie.remember(Memento::Provider, provider));
        }
    }

    /// Whether this browser was signed in by it the last time.
    pub(super) fn was_last(&self, headers: &HeaderMap, provider: &str) -> bool {
        self.cookie.remembered(headers, Memento::Provider) == Some(provider)
    }
}

/// What a link to the same page in another language is like.
pub(super) fn in_language(here: &str, language: Language) -> String {
    let joint = if here.contains('?') { '&' } else { '?' };
    format!("{here}{joint}{LANGUAGE}={}", language.code())
}

fn with(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The parameter of a page's address that names the language wanted.
const LANGUAGE: &str = "lang";
