//! A page before it is shown: which template, which values, what went wrong.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use minijinja::{Value, context};

use super::answer::{Fields, Referrer};
use super::assets::{self, Assets};
use super::chosen;
use super::return_to::Allowed;
use super::settings::Settings;
use super::templates::{self, Templates};
use crate::account::Kind;
use crate::body::Body;
use crate::clock::Timestamp;
use crate::language::Language;
use crate::provider::Providers;
use crate::public_url::PublicUrl;
use crate::rejection::Reason;
use crate::session::Caller;
use crate::session::cookie::{Memento, Name};

/// Shows pages in the site's frame.
#[derive(Debug)]
pub(super) struct Pages {
    templates: Templates,
    languages: Vec<Language>,
    cookie: Name,
    pub(super) assets: Assets,
    pub(super) fields: Fields,
    providers: Providers,
    site: Value,
}

/// A page to be shown.
pub(super) struct Page {
    template: &'static str,
    values: Value,
    status: StatusCode,
    problems: Vec<Problem>,
    notice: Option<&'static str>,
    referrer: Referrer,
    /// Its address, where it can be asked for again.
    here: Option<String>,
}

/// Something that went wrong, in the summary and at its field.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    field: Option<&'static str>,
    text: String,
    /// When the next try counts.
    at: Option<Moment>,
}

/// A moment for people and for machines.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    machine: String,
    text: String,
    clock: String,
}

/// Why the pages cannot be shown at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of `pages.templates`.
    #[error(transparent)]
    Template(#[from] templates::Error),
    /// Of `pages.accent` or `pages.logo`.
    #[error(transparent)]
    Asset(#[from] assets::Error),
    /// `pages.terms_url` or `pages.support_url` is no address that a page may link to.
    #[error("{key}: {text:?} is not an address that begins with https://, http:// or mailto:")]
    Link {
        /// Which of them.
        key: &'static str,
        /// What it says.
        text: String,
    },
}

impl Pages {
    /// Compiles every template and checks every setting that pages depend on.
    pub(super) fn new(
        settings: &Settings,
        public_url: &PublicUrl,
        prefix: &str,
        allowed: &Allowed,
        providers: &Providers,
    ) -> Result<Self, Vec<Error>> {
        let mut errors = Vec::new();
        let languages = settings.languages.0.clone();
        let links = [("pages.terms_url", &settings.terms_url), ("pages.support_url", &settings.support_url)];
        for (key, link) in links {
            if let Some(text) = link.as_ref().filter(|link| !is_link(link)) {
                errors.push(Error::Link { key, text: text.clone() });
            }
        }
        let templates = Templates::load(settings.templates.as_deref(), &languages);
        let assets = Assets::new(settings);
        match (templates, assets) {
            (Ok(templates), Ok(assets)) if errors.is_empty() => {
                let site = site(settings, public_url, prefix, &assets);
                let (fields, providers) = (Fields::new(public_url, allowed), providers.clone());
                let cookie = Name::new(public_url.is_secure());
                Ok(Self { templates, languages, cookie, assets, fields, providers, site })
            }
            (templates, assets) => {
                errors.extend(templates.err().into_iter().flatten().map(Error::from));
                errors.extend(assets.err().map(Error::from));
                Err(errors)
            }
        }
    }

    /// The answer with this page in it.
    pub(super) fn show(&self, page: Page, headers: &HeaderMap) -> Response<Body> {
        let language = self.language(headers);
        let values = context! {
            site => self.site.clone(),
            languages => page.here.as_deref().map(|here| self.others(here, language)),
            problems => page.problems,
            notice => page.notice,
            ..page.values
        };
        let mut response = match self.templates.render(page.template, &values, language) {
            Some(html) => {
                let mut response = Response::new(Body::from(html));
                *response.status_mut() = page.status;
                response
            }
            None => {
                let mut response = Response::new(Body::from(LAST_RESORT));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        };
        self.fields.page(response.headers_mut(), page.referrer, &self.providers.end_session_origins());
        response
    }
}

impl Pages {
    /// The language with this code, if pages are written in it.
    pub(super) fn spoken(&self, code: &str) -> Option<Language> {
        Language::of(code).filter(|language| self.languages.contains(language))
    }

    /// What this browser remembers, else what it says of itself.
    fn language(&self, headers: &HeaderMap) -> Language {
        let chosen = self.cookie.remembered(headers, Memento::Language).and_then(|code| self.spoken(code));
        chosen.unwrap_or_else(|| Language::choose(headers, &self.languages))
    }

    /// The ways to a page in the languages it is not shown in.
    fn others(&self, here: &str, shown: Language) -> Vec<Value> {
        let others = self.languages.iter().filter(|language| **language != shown);
        let link = |language: &Language| {
            context! { code => language.code(), name => language.name(), href => chosen::in_language(here, *language) }
        };
        others.map(link).collect()
    }
}

impl Page {
    /// A page of this template with these values.
    pub(super) fn new(template: &'static str, values: Value) -> Self {
        let (status, referrer) = (StatusCode::OK, Referrer::SameOrigin);
        Self { template, values, status, problems: Vec::new(), notice: None, referrer, here: None }
    }

    pub(super) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// What went wrong, in the order of the fields.
    pub(super) fn problems(self, problems: Vec<Problem>) -> Self {
        Self { problems, ..self }
    }

    /// What went well, told politely.
    pub(super) fn notice(self, notice: Option<&'static str>) -> Self {
        Self { notice, ..self }
    }

    /// Where it can be asked for again.
    pub(super) fn at(self, here: String) -> Self {
        Self { here: Some(here), ..self }
    }

    /// What the links on it carry on: where its visitor goes on to.
    pub(super) fn query(&self) -> Option<String> {
        let query = self.values.get_attr("query").ok()?;
        query.as_str().filter(|query| !query.is_empty()).map(str::to_owned)
    }

    /// For pages whose address holds a token: nobody learns the address.
    pub(super) fn with_token(self) -> Self {
        Self { referrer: Referrer::Nobody, ..self }
    }
}

impl Problem {
    /// Something wrong with one field, named by its id on the page.
    pub(super) fn at(field: &'static str, text: impl Into<String>) -> Self {
        Self { field: Some(field), text: text.into(), at: None }
    }

    /// Something wrong with the whole.
    pub(super) fn told(text: &'static str) -> Self {
        Self { field: None, text: text.to_owned(), at: None }
    }

    /// The same at another field.
    pub(super) fn on(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// Why the whole was refused; a detail that begins with the name of a field leads to it.
    pub(super) fn of(reason: &Reason, now: Timestamp) -> Self {
        let (title, detail) = reason.words();
        let named = FIELDS.iter().find_map(|(name, label)| {
            Some(Self::at(name, format!("{label}: {}.", detail.strip_prefix(name)?.strip_prefix(": ")?)))
        });
        if let (Reason::Unprocessable(_), Some(named)) = (reason, named) {
            return named;
        }
        match reason {
            Reason::RateLimited { retry_after, .. } => {
                Self { field: None, text: format!("{title}."), at: Some(Moment::after(now, *retry_after)) }
            }
            Reason::SignInRefused | Reason::Unprocessable(_) => Self { field: None, text: detail.to_owned(), at: None },
            _ => Self { field: None, text: format!("{title}. {detail}"), at: None },
        }
    }
}

impl Moment {
    pub(super) fn new(at: Timestamp) -> Self {
        let date = at.date();
        let month = date.month().to_string();
        let clock = format!("{:02}:{:02}", date.hour(), date.minute());
        let text = format!("{} {} {}, {clock} UTC", date.day(), month.get(..3).unwrap_or(&month), date.year());
        Self { machine: at.rfc3339(), text, clock }
    }

    /// The first full minute after so long.
    pub(super) fn after(now: Timestamp, span: Duration) -> Self {
        let seconds = (now + span).seconds();
        Self::new(Timestamp::from_seconds(seconds + 60 - seconds.rem_euclid(60)))
    }
}

impl From<Problem> for Value {
    fn from(problem: Problem) -> Self {
        context! { field => problem.field, text => problem.text, at => problem.at }
    }
}

impl From<Moment> for Value {
    fn from(moment: Moment) -> Self {
        context! { machine => moment.machine, text => moment.text, clock => moment.clock }
    }
}

/// What a page calls the one who is signed in; guests and strangers are nobody.
pub(super) fn signed_in_as(caller: Option<&Caller>) -> Option<String> {
    let user = &caller.filter(|caller| caller.kind() != Kind::Guest)?.user;
    Some(user.email().or(user.name()).map_or_else(|| user.id.to_string(), str::to_owned))
}

/// Whether a stored guest is here.
pub(super) fn is_guest(caller: Option<&Caller>) -> bool {
    caller.is_some_and(|caller| caller.kind() == Kind::Guest)
}

fn site(settings: &Settings, public_url: &PublicUrl, prefix: &str, assets: &Assets) -> Value {
    let file = |name: &str| format!("{prefix}/assets/{name}");
    context! {
        title => settings.title.as_deref().unwrap_or_else(|| public_url.host()),
        prefix => prefix,
        style => file(assets.style()),
        script => file(assets.script()),
        logo => assets.logo().map(file),
        terms_url => settings.terms_url.as_deref(),
        support_url => settings.support_url.as_deref(),
    }
}

fn is_link(text: &str) -> bool {
    let known = ["https://", "http://", "mailto:"].iter().any(|start| text.starts_with(start));
    known && !text.chars().any(|c| c.is_control() || c.is_whitespace()) && url::Url::parse(text).is_ok()
}

/// Fields and what pages call them.
const FIELDS: &[(&str, &str)] = &[
    ("email", "E-mail"),
    ("new_email", "New e-mail"),
    ("password", "Password"),
    ("current_password", "Current password"),
    ("new_password", "New password"),
    ("code", "Code"),
    ("key", "API key"),
    ("name", "Name"),
    ("days", "Days"),
];

const LAST_RESORT: &str = "<!doctype html><html lang=\"en\"><title>Error</title><h1>Something went wrong here</h1>\
                           <p>Try again in a moment.</p></html>";
