use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::id::UserId;
use crate::session::keyring::Purpose;
use crate::session::{Caller, Sessions};

/// The assertions about one caller that were signed of late, one for each audience.
#[derive(Debug, Default)]
pub(super) struct Assertions(Mutex<Kept>);

/// Most callers have one: it stands here and not somewhere else in memory.
#[derive(Debug, Default)]
struct Kept {
    latest: Option<Signed>,
    others: Vec<Signed>,
}

#[derive(Debug)]
struct Signed {
    audience: Arc<str>,
    at: Timestamp,
    value: HeaderValue,
}

/// How long an assertion is good.
pub(super) const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// One is signed anew after so long, so that it always has most of its life before it.
const RENEWAL: Duration = Duration::from_secs(60);
/// Audiences come from the configuration; with more than these the oldest is signed again.
const KEPT: usize = 16;

/// What an app is told about a caller, and who says so. The metadata stays in a member of its own, where no
/// field of a provider can pose as a claim.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    iat: i64,
    exp: i64,
    kind: &'static str,
    provider: &'a str,
    roles: Vec<&'a str>,
    data: &'a Map<String, Value>,
}

impl Sessions {
    /// A JWT (ES256, `typ` `assertion+jwt`, good for 5 minutes) that tells the app `audience` who is calling.
    /// It is signed once a minute and no credential here. `None`, when there is no key to sign with: then the
    /// request may not go on.
    pub fn assertion(&self, caller: &Arc<Caller>, audience: &Arc<str>) -> Option<HeaderValue> {
        let now = self.0.cache.lately();
        if let Some(value) = caller.assertions.find(audience, now) {
            return Some(value);
        }
        let value = self.sign_assertion(caller, audience)?;
        caller.assertions.keep(audience, now, value.clone());
        Some(value)
    }

    /// The public keys of access tokens and assertions (RFC 7517), those included that sign soon.
    #[doc(hidden)]
    pub fn jwks(&self) -> Value {
        self.0.ring.jwks(self.0.clock.now())
    }

    fn sign_assertion(&self, caller: &Caller, audience: &str) -> Option<HeaderValue> {
        let now = self.0.clock.now();
        let claims = Claims {
            iss: &self.0.issuer,
            aud: audience,
            sub: caller.user.id,
            iat: now.seconds(),
            exp: (now + LIFETIME).seconds(),
            kind: caller.kind().as_str(),
            provider: &caller.provider,
            roles: caller.user.roles_by(&caller.provider).into_iter().collect(),
            data: &caller.user.data,
        };
        let token = self.0.ring.sign(Purpose::Assertion, &claims, now)?;
        // Exposed to the app it is for.
        let mut value = HeaderValue::from_str(token.expose()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Assertions {
    fn find(&self, audience: &Arc<str>, now: Timestamp) -> Option<HeaderValue> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |signed: &&Signed| signed.is_for(audience) && now.since(signed.at) < RENEWAL;
        kept.latest.iter().chain(&kept.others).find(fresh).map(|signed| signed.value.clone())
    }

    fn keep(&self, audience: &Arc<str>, at: Timestamp, value: HeaderValue) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.latest.replace(Signed { audience: audience.clone(), at, value });
        kept.others.extend(before);
        kept.others.retain(|signed| !signed.is_for(audience));
        if kept.others.len() >= KEPT {
            kept.others.remove(0);
        }
    }
}

impl Signed {
    /// Routes share the names of their audiences: as a rule there are no letters to compare.
    fn is_for(&self, audience: &Arc<str>) -> bool {
        Arc::ptr_eq(&self.audience, audience) || self.audience == *audience
    }
}
