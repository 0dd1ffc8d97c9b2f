use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::account::{Kind, User};
use crate::id::{SessionId, UserId};
use crate::secret::Secret;
use crate::session::credential::{self, Claim};
use crate::session::keyring::Purpose;
use crate::session::sessions::{LONGEST, Limits, Sessions};
use crate::session::tokens::{AccessClaims, token_id, unsigned};
use crate::session::{Caller, Device, Session};
use crate::store;

/// What an app gets whose refresh token stays the same until its session ends, as App Services had it.
#[derive(Clone, Debug)]
pub struct StaticTokens {
    /// Whose they are, and on what device.
    pub session: Session,
    /// For `Authorization: Bearer`, as any other access token.
    pub access_token: Secret,
    /// For the next access token: a JWT (`typ` `rt+jwt`), so that SDKs can read it, with 128 random bits. It is known by
    /// its digest alone; `/.auth/token/refresh` does not take it.
    pub refresh_token: Secret,
}

/// A token's own claims, and what else it is to say.
#[derive(Serialize)]
struct Extended<'a, C> {
    #[serde(flatten)]
    own: C,
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct RefreshClaims {
    sub: UserId,
    iat: i64,
    exp: i64,
    jti: String,
}

/// Guests have nothing else to come back with: theirs last until the guest is removed.
const OF_GUESTS: Duration = Duration::from_hours(50 * 365 * 24);

impl Sessions {
    /// Opens an app's session with a refresh token that stays the same. It ends
    /// [`refresh_token`](crate::session::Settings) after the sign-in; a guest's ends with the guest. `more` makes the
    /// further claims of each of the two tokens, which name none of ours.
    ///
    /// # Errors
    /// When the store does not answer.
    #[doc(hidden)]
    pub async fn start_static(
        &self,
        user: &User,
        provider: &str,
        device: Device,
        more: impl FnOnce(SessionId) -> (Map<String, Value>, Map<String, Value>),
    ) -> Result<StaticTokens, store::Error> {
        let now = self.0.clock.now();
        self.0.ring.ready(now).await?;
        let life = if user.kind == Kind::Guest { OF_GUESTS } else { self.0.settings.refresh_token };
        let id = SessionId::generate(now);
        let (of_access, of_refresh) = more(id);
        let own = RefreshClaims { sub: user.id, iat: now.seconds(), exp: (now + life).seconds(), jti: token_id() };
        let claims = Extended { own, more: &of_refresh };
        let refresh_token = self.0.ring.sign(Purpose::Refresh, &claims, now).ok_or_else(unsigned)?;
        let access_token = self.access_token(user.id, id, &of_access)?;
        // Exposed to be digested: the store never sees the token.
        let digest = credential::static_refresh(refresh_token.expose());
        let session = self.add(id, user, provider, device, digest, Limits { idle: life, whole: life }).await?;
        Ok(StaticTokens { session, access_token, refresh_token })
    }

    /// Another access token of a session, with these further claims. It is for the caller to know that the session
    /// lives. One that would be too long to be taken back is made without them.
    ///
    /// # Errors
    /// When no signing key is in force.
    #[doc(hidden)]
    pub fn access_token(
        &self,
        user: UserId,
        session: SessionId,
        more: &Map<String, Value>,
    ) -> Result<Secret, store::Error> {
        let now = self.0.clock.now();
        let own: AccessClaims = self.0.access_claims(user, session, now);
        let token =
            self.0.ring.sign(Purpose::Access, &Extended { own: own.clone(), more }, now).ok_or_else(unsigned)?;
        if token.expose().len() <= LONGEST {
            return Ok(token);
        }
        tracing::warn!(event = "claims.too_long", %user, "an access token was made without its further claims");
        self.0.ring.sign(Purpose::Access, &own, now).ok_or_else(unsigned)
    }

    /// Whom a refresh token that stays the same speaks for; nobody, when its session is unknown or has ended. It is good
    /// for what the caller makes of it, and no bearer.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn by_static_refresh(&self, text: &str) -> Result<Option<Arc<Caller>>, store::Error> {
        if text.len() > LONGEST {
            return Ok(None);
        }
        let name = credential::static_refresh(text);
        self.0.resolve(name, Claim::Static(name)).await
    }

    /// The same as the store has it at this moment: one read, whether or not the session was at work before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn by_static_refresh_now(&self, text: &str) -> Result<Option<Arc<Caller>>, store::Error> {
        if text.len() > LONGEST {
            return Ok(None);
        }
        let name = credential::static_refresh(text);
        self.0.resolve_now(name, Claim::Static(name)).await
    }
}
