//! Access tokens for those who ask about them, and operators' own: read afresh, past the cache.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::account::{User, api_key};
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::session::credential;
use crate::session::keyring::{Purpose, Refused};
use crate::session::sessions::LONGEST;
use crate::session::tokens::AccessClaims;
use crate::session::{Session, Sessions};
use crate::store::{self, Use};

/// What an access token is worth.
#[derive(Clone, Debug)]
pub enum Inspected {
    /// Nothing: it is no access token.
    Malformed,
    /// Nothing: we did not sign it.
    Unsigned,
    /// It was one of ours, and has ended.
    Expired,
    /// Its session or its user is gone or disabled.
    Over,
    /// It counts.
    Good(Box<Good>),
}

/// An access token that counts.
#[derive(Clone, Debug)]
pub struct Good {
    /// Its session.
    pub session: Session,
    /// Whose it is.
    pub user: User,
    /// Who made it: our origin.
    pub issuer: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Sessions {
    /// What an access token is worth at this moment, whoever has it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn inspect(&self, token: &str) -> Result<Inspected, store::Error> {
        let now = self.0.clock.now();
        if token.len() > LONGEST || token.split('.').count() != 3 || !has_claims(token) {
            return Ok(Inspected::Malformed);
        }
        let mut verified = self.0.ring.verify::<AccessClaims>(Purpose::Access, token, now);
        if matches!(verified, Err(Refused::UnknownKey)) && self.0.ring.look_again(self.0.cache.now(), now).await? {
            verified = self.0.ring.verify(Purpose::Access, token, now);
        }
        let claims = match verified {
            Ok(claims) if claims.iss == self.0.issuer => claims,
            Ok(_) | Err(Refused::UnknownKey | Refused::Signature) => return Ok(Inspected::Unsigned),
            Err(Refused::Form) => return Ok(Inspected::Malformed),
        };
        let expires_at = Timestamp::from_seconds(claims.exp);
        if now >= expires_at {
            return Ok(Inspected::Expired);
        }
        let found = self.0.store.session(claims.sid).await?;
        let Some((session, user)) = found.filter(|(session, user)| user.id == claims.sub && session.is_live(now))
        else {
            return Ok(Inspected::Over);
        };
        if user.disabled {
            return Ok(Inspected::Over);
        }
        let issued_at = Timestamp::from_seconds(claims.iat);
        let issuer = claims.iss;
        Ok(Inspected::Good(Box::new(Good { session, user, issuer, issued_at, expires_at })))
    }

    /// Another access token for an operator whose refresh token stays the same, as the App Services Admin API has it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn renew_operator(&self, refresh_token: &str) -> Result<Option<Secret>, store::Error> {
        if refresh_token.len() > LONGEST {
            return Ok(None);
        }
        let now = self.0.clock.now();
        let found = self.0.store.session_by_token(credential::refresh(refresh_token)).await?;
        let good = |(session, user): &(Session, User)| session.is_live(now) && user.is_operator() && !user.disabled;
        let Some((session, _)) = found.filter(good) else { return Ok(None) };
        self.0.ring.ready(now).await?;
        let idle = (now + self.0.settings.refresh_token).min(session.expires_at);
        self.0.store.touch_sessions(vec![Use { session: session.id, at: now, idle_expires_at: idle }]).await?;
        self.0.tokens(&session, Secret::new(refresh_token)).map(|tokens| Some(tokens.access_token))
    }

    /// The operator this credential belongs to: a key of theirs, or an access token that was given for one. Read from
    /// the store each time; nobody else is ever found here.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn operator(&self, credential: &str) -> Result<Option<User>, store::Error> {
        if credential.len() > LONGEST {
            return Ok(None);
        }
        let user = match api_key::parse(credential) {
            Some((id, digest)) => {
                let now = self.0.clock.now();
                let found = self.0.store.key(id).await?;
                let good = found.filter(|(key, _)| {
                    key.digest.matches(&digest) && !key.disabled && key.expires_at.is_none_or(|end| now < end)
                });
                good.map(|(_, user)| user)
            }
            None => match self.inspect(credential).await? {
                Inspected::Good(good) => Some(good.user),
                _ => None,
            },
        };
        Ok(user.filter(|user| user.is_operator() && !user.disabled))
    }
}

/// Whether its middle is a JSON object, whatever it claims.
fn has_claims(token: &str) -> bool {
    let middle = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    middle.is_some_and(|bytes| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok())
}
