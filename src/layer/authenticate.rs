//! Finds out whom a request speaks for. Reads the session cookie, `Authorization` (a session's token, an access
//! token of ours, somebody else's token that a provider takes) and `X-API-Key`, in this order; the first that is
//! present decides. Sets caller, credential and trouble; removes the credential it used. Refuses nothing: whether a bad credential matters is for the rule to say. Sits above everything that
//! asks who.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, SET_COOKIE};

use crate::layer::{Progress, Step};
use crate::provider::{Bearers, Found};
use crate::secret::{Digest, Secret};
use crate::session::cookie::{self, Cookie};
use crate::session::{Caller, Sessions};
use crate::store;
use crate::visit::{Credential, Trouble, Visit};

/// See the [module](self).
#[derive(Clone)]
pub struct Authenticate {
    sessions: Sessions,
    bearers: Bearers,
    cookie: cookie::Name,
}

impl Authenticate {
    /// Asks these sessions for cookies of this name, and these providers about tokens that are not ours.
    pub fn new(sessions: Sessions, bearers: Bearers, cookie: cookie::Name) -> Self {
        Self { sessions, bearers, cookie }
    }
}

impl Step for Authenticate {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
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
            this.look_up(&mut visit, token).await;
            Ok(visit)
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
        let (caller, header, credential) = match presented(headers) {
            Presented::Nothing => return Known::Nothing,
            Presented::Unreadable => return Known::NotYet,
            Presented::Bearer(text) => {
                let caller = self.sessions.cached_bearer(text).or_else(|| self.bearers.cached(text));
                (caller, AUTHORIZATION, Credential::Bearer)
            }
            Presented::Key(key, header) => (self.sessions.cached_key(key.text()), header, Credential::Key),
        };
        caller.map_or(Known::NotYet, |caller| Known::Caller(caller, header, credential))
    }

    async fn look_up(&self, visit: &mut Visit, token: Option<Digest>) {
        if let Some(token) = token {
            match self.sessions.by_cookie(&token).await {
                Ok(Some(caller)) => return self.by_cookie(visit, caller),
                // Ended or unknown: as if it were absent, so that a returning visitor sees the sign-in page.
                Ok(None) => visit.reply.push((SET_COOKIE, self.cookie.clear())),
                Err(error) => return trouble(visit, &error),
            }
        }
        match presented(visit.request.headers()) {
            Presented::Nothing => {}
            Presented::Unreadable => visit.trouble = Some(Trouble::Bad),
            Presented::Bearer(text) => {
                let text = Secret::new(text);
                self.by_bearer(visit, &text).await;
            }
            Presented::Key(key, header) => {
                let key = Secret::new(key.text());
                // Exposed to be looked up.
                match self.sessions.by_key(key.expose()).await {
                    Ok(Some(caller)) => self.let_in(visit, caller, &header, Credential::Key),
                    Ok(None) => self.turn_away(visit),
                    Err(error) => trouble(visit, &error),
                }
            }
        }
    }

    /// Ours first; what is nobody's is bad, and an app whose rule asks for nothing gets it as its own.
    async fn by_bearer(&self, visit: &mut Visit, text: &Secret) {
        // Exposed to be looked up.
        match self.sessions.by_bearer(text.expose()).await {
            Ok(Some(caller)) => return self.let_in(visit, caller, &AUTHORIZATION, Credential::Bearer),
            Ok(None) => {}
            Err(error) => return trouble(visit, &error),
        }
        // Exposed to be verified.
        match self.bearers.find(text.expose()).await {
            Found::Caller(caller) => self.let_in(visit, caller, &AUTHORIZATION, Credential::Bearer),
            Found::Stranger => self.turn_away(visit),
            // It was meant for us: an app behind must not come to trust what was refused here.
            Found::Bad => {
                visit.request.headers_mut().remove(AUTHORIZATION);
                self.turn_away(visit);
            }
            Found::CannotTell => {
                visit.request.headers_mut().remove(AUTHORIZATION);
                visit.trouble = Some(Trouble::Unavailable);
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

    fn turn_away(&self, visit: &mut Visit) {
        visit.trouble = Some(Trouble::Bad);
        self.scrub(visit.request.headers_mut());
    }

    /// Removes credentials of ours that did not decide: an app behind must not get to hold them.
    fn scrub(&self, headers: &mut HeaderMap) {
        if headers.get(X_API_KEY).is_some_and(|value| value.as_bytes().starts_with(KEY_PREFIX)) {
            headers.remove(X_API_KEY);
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
    }
}

enum Presented<'h> {
    Nothing,
    Unreadable,
    Bearer(&'h str),
    Key(Key<'h>, HeaderName),
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
                    false => Presented::Bearer(token),
                };
            }
            if let Some(key) = scheme.eq_ignore_ascii_case("basic").then(|| basic_key(rest)).flatten() {
                return Presented::Key(Key::Decoded(key), AUTHORIZATION);
            }
        }
        (None, _) => {}
    }
    let mut keys = headers.get_all(X_API_KEY).iter();
    match (keys.next(), keys.next()) {
        (None, _) => Presented::Nothing,
        (Some(key), None) => match key.to_str() {
            Ok(text) => Presented::Key(Key::Plain(text), X_API_KEY),
            Err(_) => Presented::Unreadable,
        },
        (Some(_), Some(_)) => Presented::Unreadable,
    }
}

/// The API key in the password of `Basic` credentials (RFC 7617), if it is one.
fn basic_key(encoded: &str) -> Option<Secret> {
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (_, password) = text.split_once(':')?;
    password.as_bytes().starts_with(KEY_PREFIX).then(|| Secret::new(password))
}

fn trouble(visit: &mut Visit, error: &store::Error) {
    tracing::error!(request = %visit.id, %error, "a credential cannot be checked");
    visit.trouble = Some(Trouble::Unavailable);
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KEY_PREFIX: &[u8] = b"vk_";
const LONGEST: usize = 8 << 10;
