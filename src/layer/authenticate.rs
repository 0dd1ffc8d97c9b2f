//! Finds out whom a request speaks for. Reads the session cookie, `Authorization`, `X-API-Key` and, where App Services
//! is on, the header fields of its Data API, in this order; the first that is present decides. Sets caller, credential and trouble; removes the credential it
//! used. Refuses only who tries too many passwords: whether a bad credential matters is for the rule to say. Sits above everything that
//! asks who.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, SET_COOKIE};

use crate::layer::data_api::{self, DataApi, Pair};
use crate::layer::{Progress, Refusal, Step};
use crate::rejection::Reason;
use crate::secret::{Digest, Secret};
use crate::session::cookie::{self, Cookie};
use crate::session::{Caller, Sessions};
use crate::store;
use crate::visit::{Credential, Place, Trouble, Visit};

/// See the [module](self).
#[derive(Clone)]
pub struct Authenticate {
    sessions: Sessions,
    cookie: cookie::Name,
    /// Where the header fields of App Services' Data API count.
    data_api: Option<Arc<DataApi>>,
}

impl Authenticate {
    /// Asks these sessions for cookies of this name.
    pub fn new(sessions: Sessions, cookie: cookie::Name) -> Self {
        Self { sessions, cookie, data_api: None }
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
            self.scrub(visit.request.headers_mut());
            visit.caller = Some(caller);
            visit.credential = Credential::Cookie;
            return Progress::Go(visit);
        }
        if token.is_none() && !self.has_credential(visit.request.headers()) {
            return Progress::Go(visit);
        }
        let this = self.clone();
        Progress::Wait(Box::pin(async move {
            match this.look_up(&mut visit, token).await {
                Ok(()) => Ok(visit),
                Err(reason) => Err(Refusal::new(visit, reason)),
            }
        }))
    }
}

impl Authenticate {
    async fn look_up(&self, visit: &mut Visit, token: Option<Digest>) -> Result<(), Reason> {
        if let Some(token) = token {
            match self.sessions.by_cookie(&token).await {
                Ok(Some(caller)) => {
                    self.scrub(visit.request.headers_mut());
                    visit.caller = Some(caller);
                    visit.credential = Credential::Cookie;
                    return Ok(());
                }
                // Ended or unknown: as if it were absent, so that a returning visitor sees the sign-in page.
                Ok(None) => visit.reply.push((SET_COOKIE, self.cookie.clear())),
                Err(error) => {
                    trouble(visit, &error);
                    return Ok(());
                }
            }
        }
        let presented = self.presented(visit.request.headers());
        let (found, header, credential) = match presented {
            Presented::Nothing => return Ok(()),
            Presented::Unreadable => {
                visit.trouble = Some(Trouble::Bad);
                return Ok(());
            }
            Presented::Pair(pair, data_api) => {
                let found = data_api.caller(visit.client.address, &pair).await?;
                DataApi::scrub(visit.request.headers_mut());
                (Ok(found), AUTHORIZATION, Credential::Bearer)
            }
            Presented::Bearer(text, header) => {
                (self.sessions.by_bearer(text.expose()).await, header, Credential::Bearer)
            }
            Presented::Key(text, header) => (self.sessions.by_key(text.expose()).await, header, Credential::Key),
        };
        self.note(visit, found, header, credential);
        Ok(())
    }

    fn has_credential(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(AUTHORIZATION)
            || headers.contains_key(X_API_KEY)
            || (self.data_api.is_some() && !matches!(self.presented_to_data_api(headers), Presented::Nothing))
    }

    /// The credential beside the cookie that decides.
    fn presented(&self, headers: &HeaderMap) -> Presented {
        match presented(headers) {
            Presented::Nothing => self.presented_to_data_api(headers),
            decides => decides,
        }
    }

    fn presented_to_data_api(&self, headers: &HeaderMap) -> Presented {
        let Some(data_api) = &self.data_api else { return Presented::Nothing };
        match single(headers, &data_api::API_KEY, Presented::Key) {
            Presented::Nothing => {}
            decides => return decides,
        }
        match Pair::of(headers) {
            Some(pair) => Presented::Pair(pair, data_api.clone()),
            None => single(headers, &data_api::TOKEN, Presented::Bearer),
        }
    }

    fn note(
        &self,
        visit: &mut Visit,
        found: Result<Option<Arc<Caller>>, store::Error>,
        header: HeaderName,
        credential: Credential,
    ) {
        match found {
            Ok(Some(caller)) => {
                visit.request.headers_mut().remove(header);
                self.scrub(visit.request.headers_mut());
                visit.caller = Some(caller);
                visit.credential = credential;
            }
            Ok(None) => {
                visit.trouble = Some(Trouble::Bad);
                self.scrub(visit.request.headers_mut());
            }
            Err(error) => trouble(visit, &error),
        }
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
            || token.split_once('.').and_then(|(header, _)| URL_SAFE_NO_PAD.decode(header).ok()).is_some_and(|header| {
                let header = String::from_utf8_lossy(&header);
                // Access tokens, and refresh tokens of apps, which are no bearers.
                header.contains("at+jwt") || header.contains("rt+jwt")
            })
    }
}

enum Presented {
    Nothing,
    Unreadable,
    Bearer(Secret, HeaderName),
    Key(Secret, HeaderName),
    Pair(Pair, Arc<DataApi>),
}

/// The credential in the fields that always count. Basic without a key as password is the app's own affair.
fn presented(headers: &HeaderMap) -> Presented {
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
                    true => Presented::Key(Secret::new(token), AUTHORIZATION),
                    false => Presented::Bearer(Secret::new(token), AUTHORIZATION),
                };
            }
            if let Some(key) = scheme.eq_ignore_ascii_case("basic").then(|| basic_key(rest)).flatten() {
                return Presented::Key(key, AUTHORIZATION);
            }
        }
        (None, _) => {}
    }
    single(headers, &X_API_KEY, Presented::Key)
}

/// What stands in a field of its own.
fn single(headers: &HeaderMap, name: &HeaderName, form: fn(Secret, HeaderName) -> Presented) -> Presented {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Presented::Nothing,
        (Some(line), None) if line.len() <= LONGEST => match line.to_str() {
            Ok(text) => form(Secret::new(text), name.clone()),
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

fn trouble(visit: &mut Visit, error: &store::Error) {
    tracing::error!(request = %visit.id, %error, "a credential cannot be checked");
    visit.trouble = Some(Trouble::Unavailable);
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KEY_PREFIX: &[u8] = b"vk_";
const LONGEST: usize = 8 << 10;
