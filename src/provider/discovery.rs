//! Where an issuer's endpoints are: from the configuration, else from the document the issuer publishes
//! (OpenID Connect Discovery 1.0), which is kept for a while and never asked for too often.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use serde::Deserialize;
use url::Url;

use super::oauth2::Error;
use super::{OAuth, OAuthKind};
use crate::clock::{Clock, Timestamp};
use crate::fetch::Fetch;

/// Where everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Endpoints {
    #[serde(default)]
    pub(super) issuer: String,
    #[serde(rename = "authorization_endpoint", default)]
    pub(super) authorization: String,
    #[serde(rename = "token_endpoint", default)]
    pub(super) token: String,
    #[serde(rename = "userinfo_endpoint")]
    pub(super) userinfo: Option<String>,
    #[serde(rename = "jwks_uri")]
    pub(super) jwks: Option<String>,
    #[serde(rename = "end_session_endpoint")]
    pub(super) end_session: Option<String>,
    /// RFC 9207 §3: then a callback without `iss` is somebody else's.
    #[serde(rename = "authorization_response_iss_parameter_supported")]
    pub(super) names_itself: Option<bool>,
    #[serde(rename = "token_endpoint_auth_methods_supported")]
    pub(super) proofs: Option<Vec<String>>,
}

/// Finds the endpoints of one provider. Clones share what was found.
#[derive(Clone, Debug)]
pub(super) struct Discovery(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    /// None where the configuration or the brand says everything.
    issuer: Option<String>,
    fixed: OAuth,
    /// Origins of the other providers, where an issuer's document must not lead.
    foreign: BTreeSet<String>,
    fetch: Fetch,
    clock: Clock,
    found: RwLock<Found>,
    flight: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Found {
    endpoints: Option<(Arc<Endpoints>, Timestamp)>,
    /// The last time it could not be found, and why.
    failed: Option<(Timestamp, String)>,
}

impl Discovery {
    /// Of the provider with these settings; nothing is asked yet.
    pub(super) fn new(name: &str, settings: &OAuth, foreign: BTreeSet<String>, fetch: Fetch, clock: Clock) -> Self {
        let (known, issuer) = known(settings);
        let found = Found { endpoints: known.map(|known| (Arc::new(known), clock.now())), failed: None };
        let (found, flight) = (RwLock::new(found), tokio::sync::Mutex::default());
        let (name, fixed) = (name.to_owned(), settings.clone());
        Self(Arc::new(Inner { name, issuer, fixed, foreign, fetch, clock, found, flight }))
    }

    /// The endpoints: at hand, or asked for now. One look at a time, and after a failure none for half a minute.
    ///
    /// # Errors
    /// [`Error::Down`] when the issuer does not say.
    pub(super) async fn endpoints(&self) -> Result<Arc<Endpoints>, Error> {
        if let Some(endpoints) = self.at_hand() {
            return Ok(endpoints);
        }
        let _flight = self.0.flight.lock().await;
        match self.at_hand() {
            Some(endpoints) => Ok(endpoints),
            None => match self.lately_failed() {
                Some(why) => Err(Error::Down(format!("a moment ago: {why}"))),
                None => self.look().await,
            },
        }
    }

    /// The endpoints, if they are known without asking.
    pub(super) fn at_hand(&self) -> Option<Arc<Endpoints>> {
        self.known_for(CEILING)
    }

    /// Whether there is hope: nothing is known to be wrong. Looks again behind the scenes when it is time to.
    pub(super) fn is_available(&self) -> bool {
        self.look_ahead();
        self.at_hand().is_some() || self.read(|found| found.failed.is_none())
    }

    /// Looks behind the scenes if what is known grows old, so that nobody waits for it.
    pub(super) fn look_ahead(&self) {
        if self.known_for(CEILING - AHEAD).is_some() || self.lately_failed().is_some() {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let Ok(_flight) = this.0.flight.try_lock() else { return };
            if let Err(error) = this.look().await {
                tracing::debug!(provider = this.0.name, %error, "the issuer could not be looked up");
            }
        });
    }

    async fn look(&self) -> Result<Arc<Endpoints>, Error> {
        let outcome = self.ask().await.map(Arc::new);
        let mut found = self.0.found.write().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(endpoints) => {
                if found.failed.take().is_some() {
                    tracing::info!(provider = self.0.name, "the issuer answers again");
                }
                found.endpoints = Some((endpoints.clone(), self.0.clock.now()));
            }
            Err(error) => {
                tracing::warn!(provider = self.0.name, %error, "the issuer cannot be used now");
                found.failed = Some((self.0.clock.now(), error.to_string()));
            }
        }
        outcome
    }

    async fn ask(&self) -> Result<Endpoints, Error> {
        let down = |why: String| Error::Down(why);
        let issuer = self.0.issuer.as_deref().unwrap_or_default();
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let request = Request::get(&address).body(Bytes::new()).map_err(|error| down(error.to_string()))?;
        let answer = self.0.fetch.send(request).await.map_err(|error| down(error.to_string()))?;
        if answer.status != StatusCode::OK {
            return Err(down(format!("{} answered {} for the issuer's document", answer.host(), answer.status)));
        }
        let document = answer.json().map_err(|error| down(error.to_string()))?;
        let told: Endpoints = serde_json::from_value(document)
            .map_err(|_| down(format!("the issuer's document of {} cannot be read", answer.host())))?;
        self.checked(told, issuer)
    }

    /// OpenID Connect Discovery 1.0 §4.3: the document must name the very issuer it was asked of. Its endpoints are
    /// as safe as the issuer's own address, and none is another provider's (RFC 9700 §4.4).
    fn checked(&self, told: Endpoints, issuer: &str) -> Result<Endpoints, Error> {
        let fixed = &self.0.fixed;
        let right = match fixed.kind {
            // One document serves all tenants and names none (Microsoft identity platform, "OpenID Connect").
            OAuthKind::Microsoft => told.issuer == issuer || super::microsoft::is_template(&told.issuer, issuer),
            _ => told.issuer == issuer,
        };
        if !right {
            // The commonest slip is a slash at the end: both spellings side by side show it.
            let named = told.issuer.chars().take(LONGEST_SHOWN).collect::<String>();
            return Err(Error::Down(format!("the issuer's document is of {named:?}, and `issuer` says {issuer:?}")));
        }
        let secure = issuer.starts_with("https:");
        let own = origin(issuer);
        let all = [Some(&told.authorization), Some(&told.token)].into_iter();
        let all = all.chain([told.userinfo.as_ref(), told.jwks.as_ref(), told.end_session.as_ref()]).flatten();
        for endpoint in all {
            let Some(place) = origin(endpoint) else {
                return Err(Error::Down("the issuer's document names an endpoint that is no address".to_owned()));
            };
            if secure && !endpoint.starts_with("https:") {
                return Err(Error::Down("the issuer's document leads away from https".to_owned()));
            }
            if Some(&place) != own.as_ref() && self.0.foreign.contains(&place) {
                return Err(Error::Down("the issuer's document leads to another provider".to_owned()));
            }
        }
        Ok(overridden(told, fixed))
    }

    /// For this address: the operator may name any, the issuer's document only what is public or its own.
    pub(super) fn fetch(&self, address: &str) -> Fetch {
        let document = self.0.issuer.as_ref().filter(|_| !self.0.fixed.endpoints.names(address));
        let document = document.and_then(|issuer| issuer.parse::<Uri>().ok());
        let narrowed = document.and_then(|document| self.0.fetch.named_by(&document).ok());
        narrowed.unwrap_or_else(|| self.0.fetch.clone())
    }

    fn known_for(&self, span: Duration) -> Option<Arc<Endpoints>> {
        let now = self.0.clock.now();
        let fresh = |since: Timestamp| self.0.issuer.is_none() || now.since(since) < span;
        self.read(|found| found.endpoints.as_ref().filter(|(_, since)| fresh(*since)).map(|(known, _)| known.clone()))
    }

    /// Why it could not be found, if that was a moment ago.
    fn lately_failed(&self) -> Option<String> {
        let now = self.0.clock.now();
        let lately = |failed: &&(Timestamp, String)| now.since(failed.0) < FLOOR;
        self.read(|found| found.failed.as_ref().filter(lately).map(|(_, why)| why.clone()))
    }

    fn read<T>(&self, look: impl FnOnce(&Found) -> T) -> T {
        look(&self.0.found.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is known without asking anybody; or else the issuer to be asked.
fn known(settings: &OAuth) -> (Option<Endpoints>, Option<String>) {
    let own = &settings.endpoints;
    let brand = match settings.kind {
        OAuthKind::Github => Some(super::github::endpoints()),
        OAuthKind::Facebook => Some(super::facebook::endpoints()),
        _ if own.authorization.is_some() && own.token.is_some() && own.jwks.is_some() => {
            Some(Endpoints { issuer: issuer(settings), ..Endpoints::default() })
        }
        _ => None,
    };
    match brand {
        Some(brand) => (Some(overridden(brand, settings)), None),
        None => (None, Some(issuer(settings))),
    }
}

/// The issuer of these settings.
pub(super) fn issuer(settings: &OAuth) -> String {
    let brand = || match settings.kind {
        OAuthKind::Google => super::google::ISSUER.to_owned(),
        OAuthKind::Apple => super::apple::ISSUER.to_owned(),
        OAuthKind::Facebook => super::facebook::ISSUER.to_owned(),
        OAuthKind::Github => super::github::ISSUER.to_owned(),
        OAuthKind::Microsoft => super::microsoft::issuer(&settings.tenant),
        OAuthKind::Oidc => String::new(),
    };
    settings.endpoints.issuer.clone().unwrap_or_else(brand)
}

/// The operator's word goes first.
fn overridden(told: Endpoints, settings: &OAuth) -> Endpoints {
    let own = settings.endpoints.clone();
    Endpoints {
        issuer: own.issuer.unwrap_or(told.issuer),
        authorization: own.authorization.unwrap_or(told.authorization),
        token: own.token.unwrap_or(told.token),
        userinfo: own.userinfo.or(told.userinfo),
        jwks: own.jwks.or(told.jwks),
        end_session: own.end_session.or(told.end_session),
        ..told
    }
}

/// Scheme, host and port of an address.
pub(super) fn origin(address: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())?;
    Some(url.origin().ascii_serialization())
}

/// Characters of a stranger's name that are shown.
const LONGEST_SHOWN: usize = 200;
/// How long a document is kept.
const CEILING: Duration = Duration::from_hours(1);
/// So long before its end it is asked for again, if anybody comes.
const AHEAD: Duration = Duration::from_mins(10);
/// After a failure nobody asks again for so long.
const FLOOR: Duration = Duration::from_secs(30);

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
