use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::account::User;
use crate::account::audit::{Action, Event};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::json;
use crate::secret::{self, Digest, Secret};
use crate::session::credential::{self, Claim};
use crate::session::family::RefreshToken;
use crate::session::keyring::{Purpose, Refused};
use crate::session::sessions::{Inner, LONGEST, Limits, Sessions};
use crate::session::{Caller, Device, Session};
use crate::store::{self, Rotated};

/// What an app gets that signs in without cookies.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Whose they are.
    pub user_id: UserId,
    /// The session they belong to.
    pub session: SessionId,
    /// For `Authorization: Bearer`: a JWT (ES256, `typ` `at+jwt`), good while its session lives.
    pub access_token: Secret,
    /// For the next access token; good once.
    pub refresh_token: Secret,
    /// How long the access token is good.
    pub expires_in: Duration,
}

/// The claims of an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccessClaims {
    pub(super) iss: String,
    pub(super) sub: UserId,
    pub(super) sid: SessionId,
    pub(super) iat: i64,
    pub(super) exp: i64,
    jti: String,
}

/// How our access tokens begin: `{"typ":"at+jwt"`. A hint where to look first, and nothing more.
const OWN: &str = "eyJ0eXAiOiJhdCtqd3Qi";
const ACCESS_TYPE: &str = "at+jwt";

/// An app that did not get the answer may ask again for so long.
const GRACE: Duration = Duration::from_secs(30);

impl Sessions {
    /// Opens an app's session. It ends unless it is used within [`refresh_token`](crate::session::Settings),
    /// and after the longer of that and `max_lifetime` in any case.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn start_tokens(&self, user: &User, provider: &str, device: Device) -> Result<Tokens, store::Error> {
        let settings = &self.0.settings;
        let limits = Limits { idle: settings.refresh_token, whole: settings.max_lifetime.max(settings.refresh_token) };
        let now = self.0.clock.now();
        self.0.ring.ready(now).await?;
        let id = SessionId::generate(now);
        let refresh_token = self.0.ring.refresh_token(id, now).ok_or_else(unsigned)?;
        // Exposed to be digested: the store never sees the token.
        let digest = credential::refresh(refresh_token.expose());
        let session = self.add(id, user, provider, device, digest, limits).await?;
        self.0.tokens(&session, refresh_token)
    }

    /// What is known of a bearer without asking the store: one hash and one read of the cache.
    pub fn cached_bearer(&self, text: &str) -> Option<Arc<Caller>> {
        if text.len() > LONGEST {
            return None;
        }
        match text.contains('.') {
            true if text.starts_with(OWN) => self.cached(&credential::access(text)),
            // Somebody else's, most likely; if not, the long way finds out.
            true => None,
            false => self.cached(&Digest::of(text)),
        }
    }

    /// Whether a token says that it is an access token of ours, good or not.
    pub fn is_own(&self, text: &str) -> bool {
        let mut parts = text.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let mut object = || json::object(&parts.next()??).ok();
        object().is_some_and(|header| header.get("typ").is_some_and(|typ| typ == ACCESS_TYPE))
            && object().is_some_and(|claims| claims.get("iss").is_some_and(|issuer| *issuer == self.0.issuer))
    }

    /// Whom a bearer speaks for: a session's token, or an access token of ours whose session lives.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn by_bearer(&self, text: &str) -> Result<Option<Arc<Caller>>, store::Error> {
        if text.len() > LONGEST {
            return Ok(None);
        }
        if !text.contains('.') {
            return self.by_cookie(&Digest::of(text)).await;
        }
        let name = credential::access(text);
        if let Some(caller) = self.cached(&name) {
            return Ok(Some(caller));
        }
        let Some(claim) = self.0.access_claim(text).await? else { return Ok(None) };
        self.0.resolve(name, claim).await
    }

    /// New tokens for a refresh token, which is good once. If any of a session's tokens comes a second time, later
    /// than a lost answer explains, two have it: then the session ends. `None`: it is not good.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Option<Tokens>, store::Error> {
        let Some(token) = RefreshToken::parse(refresh_token) else { return Ok(None) };
        let now = self.0.clock.now();
        let old = credential::refresh(refresh_token);
        let mut idle_expires_at = now + self.0.settings.refresh_token;
        if let Some((session, user)) = self.0.store.session_by_token(old).await? {
            if user.disabled || self.0.ended(&session).await {
                return Ok(None);
            }
            idle_expires_at = idle_expires_at.min(session.expires_at);
        }
        self.0.ring.ready(now).await?;
        let successors = self.0.ring.successors(&token, now);
        let Some(successor) = successors.first() else { return Err(unsigned()) };
        // Exposed to be digested.
        let new = credential::refresh(successor.expose());
        match self.0.store.rotate_token(old, new, now, idle_expires_at).await? {
            Rotated::Unknown => self.replaced_long_ago(&token, old, now).await,
            Rotated::Done(session, user) if user.disabled || !session.is_live(now) => Ok(None),
            Rotated::Done(session, _) => self.0.tokens(&session, successor.clone()).map(Some),
            Rotated::Reused(session) => self.reused(*session, successors, now).await,
        }
    }

    /// Ends the session of this refresh token, also if it was replaced since. `false`: it is not good.
    ///
    /// # Errors
    /// When the store does not answer; then the session may go on.
    pub async fn revoke(&self, refresh_token: &str) -> Result<bool, store::Error> {
        let Some(token) = RefreshToken::parse(refresh_token) else { return Ok(false) };
        let current = self.0.store.session_by_token(credential::refresh(refresh_token)).await?;
        let session = match current {
            Some((session, _)) => session,
            // Whoever took the session over has the current one.
            None if self.0.made(&token).await? => match self.0.store.session(token.session).await? {
                Some((session, _)) => session,
                None => return Ok(false),
            },
            None => return Ok(false),
        };
        let event = Event::new(Action::SIGN_OUT, session.user_id, self.0.clock.now());
        self.end_noting(session.id, vec![event.before("session", session.id.to_string())]).await
    }

    /// A token that was replaced before. Within the grace the same successor is answered again, so that two
    /// pages that refresh at once end up with one token and not in a race.
    async fn reused(
        &self,
        session: Session,
        successors: Vec<Secret>,
        now: Timestamp,
    ) -> Result<Option<Tokens>, store::Error> {
        let replaced_at = session.previous.map(|(_, at)| at);
        // Exposed to be digested.
        let current = successors.into_iter().find(|token| credential::refresh(token.expose()).matches(&session.token));
        match (current, replaced_at) {
            (Some(current), Some(at)) if now.since(at) < GRACE => {
                let user = self.0.store.session(session.id).await?.map(|(_, user)| user);
                if user.is_none_or(|user| user.disabled) || self.0.ended(&session).await {
                    return Ok(None);
                }
                self.0.tokens(&session, current).map(Some)
            }
            _ => self.end_reused(&session).await,
        }
    }

    /// A token the store does not know. One that was made here is of before the previous one: its successor was
    /// used, so no answer was lost. A made-up one ends nothing, or anybody who reads an id could.
    async fn replaced_long_ago(
        &self,
        token: &RefreshToken<'_>,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<Tokens>, store::Error> {
        if !self.0.made(token).await? {
            return Ok(None);
        }
        match self.0.store.session(token.session).await? {
            Some((session, _)) if session.is_live(now) && !session.token.matches(&digest) => {
                self.end_reused(&session).await
            }
            _ => Ok(None),
        }
    }

    async fn end_reused(&self, session: &Session) -> Result<Option<Tokens>, store::Error> {
        tracing::warn!(
            code = "session.token_reused",
            session = %session.id,
            user = %session.user_id,
            "a refresh token came a second time, its session ends"
        );
        let event = Event::new(Action::SESSION_REVOKE, session.user_id, self.0.clock.now());
        let event = event.before("session", session.id.to_string()).after("reason", "session.token_reused");
        self.end_noting(session.id, vec![event]).await?;
        Ok(None)
    }
}

impl Inner {
    pub(super) fn tokens(&self, session: &Session, refresh_token: Secret) -> Result<Tokens, store::Error> {
        let now = self.clock.now();
        let expires_in = self.settings.access_token;
        let claims = self.access_claims(session.user_id, session.id, now);
        let access_token = self.ring.sign(Purpose::Access, &claims, now).ok_or_else(unsigned)?;
        Ok(Tokens { user_id: session.user_id, session: session.id, access_token, refresh_token, expires_in })
    }

    /// What every access token of a session says at this moment.
    pub(super) fn access_claims(&self, user: UserId, session: SessionId, now: Timestamp) -> AccessClaims {
        AccessClaims {
            iss: self.issuer.clone(),
            sub: user,
            sid: session,
            iat: now.seconds(),
            exp: (now + self.settings.access_token).seconds(),
            jti: token_id(),
        }
    }

    /// Whether we made this refresh token, with a key that another instance may have made a moment ago.
    async fn made(&self, token: &RefreshToken<'_>) -> Result<bool, store::Error> {
        let looked = self.ring.made(token) || self.ring.look_again(self.cache.now(), self.clock.now()).await?;
        Ok(looked && self.ring.made(token))
    }

    /// What a JWT claims, if we signed it as an access token and it has not ended.
    async fn access_claim(&self, text: &str) -> Result<Option<Claim>, store::Error> {
        let now = self.clock.now();
        let mut verified = self.ring.verify::<AccessClaims>(Purpose::Access, text, now);
        if matches!(verified, Err(Refused::UnknownKey)) && self.ring.look_again(self.cache.now(), now).await? {
            verified = self.ring.verify(Purpose::Access, text, now);
        }
        let claims = match verified {
            Ok(claims) => claims,
            Err(reason) => {
                tracing::debug!(%reason, "an access token was refused");
                return Ok(None);
            }
        };
        let expires_at = Timestamp::from_seconds(claims.exp);
        if claims.iss != self.issuer || now >= expires_at {
            return Ok(None);
        }
        Ok(Some(Claim::Access { user: claims.sub, session: claims.sid, expires_at }))
    }
}

/// A name for one token (RFC 7519 §4.1.7).
pub(super) fn token_id() -> String {
    secret::random::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unsigned() -> store::Error {
    store::Error::Unavailable("no signing key is in force".to_owned())
}
