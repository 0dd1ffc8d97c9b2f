//! Finds out whom a request speaks for. Reads the session cookie, `Authorization` (a session's token, an access
//! token of ours, somebody else's token that a provider takes), `X-API-Key` and, where App Services is on, the header
//! fields of its Data API, in this order; the first that is present decides. Sets caller, credential and trouble;
//! removes the credential it used. Refuses only who tries too many passwords: whether a bad credential matters is for
//! the rule to say. Sits above everything that asks who.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, SET_COOKIE};

use crate::layer::data_api::{self, DataApi, Pair};
use crate::layer::{Progress, Step};
use crate::provider::{Bearers, Found};
use crate::rejection::Reason;
use crate::secret::{Digest, Secret};
use crate::session::cookie::{self, Cookie};
use crate::session::{Caller, Sessions};
use crate::store;
use crate::visit::{Credential, Place, Trouble, Visit};
use crate::visitor::Visitor;

/// See the [module](self).
#[derive(Clone)]
pub struct Authenticate {
    sessions: Sessions,
    bearers: Bearers,
    cookie: cookie::Name,
    /// Where the header fields of App Services' Data API count.
    data_api: Option<Arc<DataApi>>,
}

impl Authenticate {
    /// Asks these sessions for cookies of this name, and these providers about tokens that are not ours.
    pub fn new(sessions: Sessions, bearers: Bearers, cookie: cookie::Name) -> Self {
        Self { sessions, bearers, cookie, data_api: None }
    }

    /// The header fields of App Services' Data API count, too, if there is somebody to check them.
    #[must_use]
    pub fn with_data_api(self, data_api: Option<Arc<DataApi>>) -> Self {
        Self { data_api, ..self }
    }
}

impl Step for Authenticate {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        // Its tokens are of other kinds, and a cookie says nothing there.
        if visit.place == Place::AppServices {
            return Progress::Go(visit);
        }
        let token = match self.cookie.read(visit.request.headers()) {
            Cookie::One(token) => Some(token),
            Cookie::Absent => None,
            // Two cookies of our name: one of them was planted. Neither counts.
            Cookie::Duplicate => {
                tracing::info!(request = %visit.id, "cookie.duplicate");
                None
            }
        };
        if let Some(caller) = token.as_ref().and_then(|token| self.sessions.cached(token)) {
            self.by_cookie(&mut visit, caller);
            return Progress::Go(visit);
        }
        if token.is_none() {
            match self.known(visit.request.headers()) {
                Known::Nothing => return Progress::Go(visit),
                Known::Caller(caller, header, credential) => {
                    self.let_in(&mut visit, caller, &header, credential);
                    return Progress::Go(visit);
                }
                Known::NotYet => {}
            }
        }
        let this = self.clone();
        Progress::Wait(Box::pin(async move {
            // A token of somebody else may make a user, which functions are told of.
            let visitor = Visitor::of(visit.request.headers(), visit.id.as_str(), visit.client.address);
            match visitor.serve(this.look_up(&mut visit, token)).await {
                Ok(()) => Progress::Go(visit),
                Err(reason) => Progress::refuse(visit, reason),
            }
        }))
    }
}

/// What can be said of a request without waiting.
enum Known {
    /// It carries no credential.
    Nothing,
    /// It has to be looked up.
    NotYet,
    Caller(Arc<Caller>, HeaderName, Credential),
}

impl Authenticate {
    fn known(&self, headers: &HeaderMap) -> Known {
        let (caller, header, credential) = match self.presented(headers) {
            Presented::Nothing => return Known::Nothing,
            Presented::Unreadable => return Known::NotYet,
            Presented::Bearer(text, header) => {
                let caller = self.sessions.cached_bearer(text).or_else(|| self.bearers.cached(text));
                (caller, header, Credential::Bearer)
            }
            Presented::Pair(..) => return Known::NotYet,
            Presented::Key(key, header) => (self.sessions.cached_key(key.text()), header, Credential::Key),
        };
        caller.map_or(Known::NotYet, |caller| Known::Caller(caller, header, credential))
    }

    async fn look_up(&self, visit: &mut Visit, token: Option<Digest>) -> Result<(), Reason> {
        if let Some(token) = token {
            match self.sessions.by_cookie(&token).await {
                Ok(Some(caller)) => {
                    self.by_cookie(visit, caller);
                    return Ok(());
                }
                // Ended or unknown: as if it were absent, so that a returning visitor sees the sign-in page.
                Ok(None) => visit.reply.push((SET_COOKIE, self.cookie.clear())),
                Err(error) => {
                    self.cannot_tell(visit, &error);
                    return Ok(());
                }
            }
        }
        match self.presented(visit.request.headers()) {
            Presented::Nothing => {}
            Presented::Unreadable => self.turn_away(visit, Trouble::Bad),
            Presented::Bearer(text, header) => {
                let text = Secret::new(text);
                self.by_bearer(visit, &text, header).await;
            }
            Presented::Pair(pair, data_api) => {
                let found = data_api.caller(visit.client.address, &pair).await?;
                DataApi::scrub(visit.request.headers_mut());
                match found {
                    Some(caller) => self.let_in(visit, caller, &data_api::TOKEN, Credential::Bearer),
                    None => self.turn_away(visit, Trouble::Bad),
                }
            }
            Presented::Key(key, header) => {
                let key = Secret::new(key.text());
                // Exposed to be looked up.
                match self.sessions.by_key(key.expose()).await {
                    Ok(Some(caller)) => self.let_in(visit, caller, &header, Credential::Key),
                    Ok(None) => self.turn_away(visit, Trouble::Bad),
                    Err(error) => self.cannot_tell(visit, &error),
                }
            }
        }
        Ok(())
    }

    /// The credential beside the cookie that decides.
    fn presented<'h>(&self, headers: &'h HeaderMap) -> Presented<'h> {
        match (presented(headers), &self.data_api) {
            (Presented::Nothing, Some(data_api)) => presented_to_data_api(headers, data_api),
            (decides, _) => decides,
        }
    }

    /// Ours first; what is nobody's is bad, and an app whose rule asks for nothing gets it as its own.
    async fn by_bearer(&self, visit: &mut Visit, text: &Secret, header: HeaderName) {
        // Exposed to be looked up.
        match self.sessions.by_bearer(text.expose()).await {
            Ok(Some(caller)) => return self.let_in(visit, caller, &header, Credential::Bearer),
            Ok(None) => {}
            Err(error) => return self.cannot_tell(visit, &error),
        }
        // Exposed to be verified.
        match self.bearers.find(text.expose()).await {
            Found::Caller(caller) => self.let_in(visit, caller, &header, Credential::Bearer),
            Found::Stranger => self.turn_away(visit, Trouble::Bad),
            // It was meant for us: an app behind must not come to trust what was refused here.
            Found::Bad => {
                visit.request.headers_mut().remove(&header);
                self.turn_away(visit, Trouble::Bad);
            }
            Found::CannotTell => {
                visit.request.headers_mut().remove(&header);
                self.turn_away(visit, Trouble::Unavailable);
            }
        }
    }

    fn by_cookie(&self, visit: &mut Visit, caller: Arc<Caller>) {
        self.scrub(visit.request.headers_mut());
        visit.caller = Some(caller);
        visit.credential = Credential::Cookie;
    }

    fn let_in(&self, visit: &mut Visit, caller: Arc<Caller>, header: &HeaderName, credential: Credential) {
        visit.request.headers_mut().remove(header);
        self.scrub(visit.request.headers_mut());
        visit.caller = Some(caller);
        visit.credential = credential;
    }

    fn turn_away(&self, visit: &mut Visit, trouble: Trouble) {
        visit.trouble = Some(trouble);
        self.scrub(visit.request.headers_mut());
    }

    fn cannot_tell(&self, visit: &mut Visit, error: &store::Error) {
        tracing::error!(request = %visit.id, %error, "a credential cannot be checked");
        self.turn_away(visit, Trouble::Unavailable);
    }

    /// Removes credentials of ours that did not decide: an app behind must not get to hold them.
    fn scrub(&self, headers: &mut HeaderMap) {
        if headers.get(X_API_KEY).is_some_and(|value| value.as_bytes().starts_with(KEY_PREFIX)) {
            headers.remove(X_API_KEY);
        }
        if self.data_api.is_some() {
            if headers.get(data_api::API_KEY).is_some_and(|value| value.as_bytes().starts_with(KEY_PREFIX)) {
                headers.remove(data_api::API_KEY);
            }
            if headers.contains_key("email") && headers.contains_key("password") {
                DataApi::scrub(headers);
            }
        }
        let ours = headers.get_all(AUTHORIZATION).iter().any(|value| {
            let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else { return false };
            if scheme.eq_ignore_ascii_case("basic") {
                return basic_key(rest).is_some();
            }
            scheme.eq_ignore_ascii_case("bearer") && self.is_ours(rest.trim())
        });
        if ours {
            headers.remove(AUTHORIZATION);
        }
    }

    fn is_ours(&self, token: &str) -> bool {
        token.as_bytes().starts_with(KEY_PREFIX)
            || self.sessions.cached(&Digest::of(token)).is_some()
            || self.sessions.is_own(token)
            // Refresh tokens of apps are ours, too, and no bearers.
            || token.split_once('.').and_then(|(header, _)| URL_SAFE_NO_PAD.decode(header).ok())
                .is_some_and(|header| String::from_utf8_lossy(&header).contains("rt+jwt"))
    }
}

enum Presented<'h> {
    Nothing,
    Unreadable,
    Bearer(&'h str, HeaderName),
    Key(Key<'h>, HeaderName),
    Pair(Pair, Arc<DataApi>),
}

/// An API key as it stands in the request, or as it was decoded.
enum Key<'h> {
    Plain(&'h str),
    Decoded(Secret),
}

impl Key<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            // Exposed as the plain one is.
            Self::Decoded(text) => text.expose(),
        }
    }
}

/// The credential beside the cookie that decides. Basic without a key as password is the app's own affair.
fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => return Presented::Unreadable,
        (Some(line), None) if line.len() > LONGEST => return Presented::Unreadable,
        (Some(line), None) => {
            let Ok(text) = line.to_str() else { return Presented::Unreadable };
            let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                let token = rest.trim_matches(' ');
                if token.is_empty() || token.contains(' ') {
                    return Presented::Unreadable;
                }
                return match token.as_bytes().starts_with(KEY_PREFIX) {
                    true => Presented::Key(Key::Plain(token), AUTHORIZATION),
                    false => Presented::Bearer(token, AUTHORIZATION),
                };
            }
            if let Some(key) = scheme.eq_ignore_ascii_case("basic").then(|| basic_key(rest)).flatten() {
                return Presented::Key(Key::Decoded(key), AUTHORIZATION);
            }
        }
        (None, _) => {}
    }
    single(headers, &X_API_KEY, |text, header| Presented::Key(Key::Plain(text), header))
}

/// The same in the fields of the Data API.
fn presented_to_data_api<'h>(headers: &'h HeaderMap, data_api: &Arc<DataApi>) -> Presented<'h> {
    match single(headers, &data_api::API_KEY, |text, header| Presented::Key(Key::Plain(text), header)) {
        Presented::Nothing => {}
        decides => return decides,
    }
    match Pair::of(headers) {
        Some(pair) => Presented::Pair(pair, data_api.clone()),
        None => single(headers, &data_api::TOKEN, Presented::Bearer),
    }
}

/// What stands in a field of its own.
fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    form: fn(&'h str, HeaderName) -> Presented<'h>,
) -> Presented<'h> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Presented::Nothing,
        (Some(line), None) if line.len() <= LONGEST => match line.to_str() {
            Ok(text) => form(text, name.clone()),
            Err(_) => Presented::Unreadable,
        },
        (Some(_), _) => Presented::Unreadable,
    }
}

/// The API key in the password of `Basic` credentials (RFC 7617), if it is one.
fn basic_key(encoded: &str) -> Option<Secret> {
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (_, password) = text.split_once(':')?;
    password.as_bytes().starts_with(KEY_PREFIX).then(|| Secret::new(password))
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KEY_PREFIX: &[u8] = b"vk_";
const LONGEST: usize = 8 << 10;
