//! The access tokens that providers gave: kept with the session, renewed before they end, one renewal at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use oauth2::TokenResponse as _;
use tokio::sync::Mutex;

use super::oauth2::Error;
use super::{Named, Parts};
use crate::clock::{Clock, Timestamp};
use crate::id::SessionId;
use crate::secret::Secret;
use crate::session::{Neighbours, ProviderSession};
use crate::store::Store;

/// Gives the access token of a session for calls to its provider. Clones share everything.
#[derive(Clone, Debug)]
pub struct ProviderTokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    neighbours: Option<Arc<dyn Neighbours>>,
    clock: Clock,
    others: Arc<BTreeMap<String, Named>>,
    known: Cache<SessionId, Known>,
    flights: Cache<SessionId, Arc<Mutex<()>>>,
}

/// What was found for a session, and until when that holds.
#[derive(Clone, Debug)]
struct Known {
    token: Option<Secret>,
    until: Timestamp,
}

/// A token and its end, as far as that is known.
type Lasting = (Secret, Option<Timestamp>);

impl ProviderTokens {
    pub(super) fn new(parts: &Parts, others: Arc<BTreeMap<String, Named>>) -> Self {
        let (store, clock, neighbours) = (parts.store.clone(), parts.clock.clone(), parts.sessions.neighbours());
        let known = Cache::builder().max_capacity(SESSIONS).time_to_live(KEPT).build();
        let flights = Cache::builder().max_capacity(SESSIONS).time_to_idle(KEPT).build();
        Self(Arc::new(Inner { store, neighbours, clock, others, known, flights }))
    }

    /// The access token of this session, good for a while yet. None where the provider gave none, it is over, and
    /// where it cannot be renewed now: a wrong one is worse than none.
    pub async fn of(&self, session: SessionId) -> Option<Secret> {
        if let Some(known) = self.known(session) {
            return known.token;
        }
        // Whoever asked may go away meanwhile; what a renewal gave must be written down nevertheless.
        let this = self.clone();
        tokio::spawn(async move { this.find(session).await }).await.ok().flatten()
    }

    fn known(&self, session: SessionId) -> Option<Known> {
        self.0.known.get(&session).filter(|known| self.0.clock.now() < known.until)
    }

    async fn find(&self, session: SessionId) -> Option<Secret> {
        let flight = self.0.flights.get_with(session, Arc::default);
        let _flight = flight.lock().await;
        if let Some(known) = self.known(session) {
            return known.token;
        }
        let now = self.0.clock.now();
        let (token, until) = match self.look(session, now).await {
            Ok(Some((token, end))) => {
                let soon = now + REMEMBERED;
                (Some(token), end.map_or(soon, |end| soon.min(end)))
            }
            Ok(None) => (None, now + REMEMBERED),
            Err(error) => {
                tracing::warn!(%error, "a provider's access token cannot be had; its header is left out");
                (None, now + AFTER_FAILURE)
            }
        };
        self.0.known.insert(session, Known { token: token.clone(), until });
        token
    }

    /// The token and its end.
    async fn look(&self, session: SessionId, now: Timestamp) -> Result<Option<Lasting>, Error> {
        let Some(kept) = self.0.store.provider_session(session).await? else { return Ok(None) };
        let Some(token) = kept.access_token.clone() else { return Ok(None) };
        let Some(end) = kept.expires_at else { return Ok(Some((token, None))) };
        if now + EARLY < end {
            return Ok(Some((token, Some(end))));
        }
        // A provider that gives each refresh token once ends the session of whoever sends one twice (RFC 9700 §4.14.2).
        let turn = match &self.0.neighbours {
            Some(neighbours) => neighbours.turn(format!("refresh:{session}")).await,
            None => None,
        };
        let renewed = match &turn {
            Some(_) => self.renew_unless_done(session, &kept, now).await,
            None => self.renew(&kept, now).await,
        };
        if let Some(turn) = turn {
            turn.end().await;
        }
        match renewed {
            Ok(Some(renewed)) => Ok(Some(renewed)),
            // What is still good is used to its end.
            _ if now < end => Ok(Some((token, Some(end)))),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes what another instance got while this one waited for its turn, else renews.
    async fn renew_unless_done(
        &self,
        session: SessionId,
        before: &ProviderSession,
        now: Timestamp,
    ) -> Result<Option<Lasting>, Error> {
        let Some(kept) = self.0.store.provider_session(session).await? else { return Ok(None) };
        match (&kept.access_token, kept.expires_at) {
            (Some(token), end) if kept.access_token != before.access_token && end.is_none_or(|end| now < end) => {
                Ok(Some((token.clone(), end)))
            }
            _ => self.renew(&kept, now).await,
        }
    }

    /// Another token for the refresh token, written down; none without one.
    async fn renew(&self, kept: &ProviderSession, now: Timestamp) -> Result<Option<Lasting>, Error> {
        let client = self.0.others.get(&kept.provider).and_then(|named| named.provider.redirect());
        let (Some(client), Some(refresh_token)) = (client, &kept.refresh_token) else { return Ok(None) };
        let answer = client.refresh(refresh_token).await?;
        let token = Secret::new(answer.access_token().secret());
        let expires_at = answer.expires_in().map(|span| now + span);
        let next = answer.refresh_token().map(|next| Secret::new(next.secret()));
        let renewed = ProviderSession {
            access_token: Some(token.clone()),
            refresh_token: next.or_else(|| kept.refresh_token.clone()),
            expires_at,
            ..kept.clone()
        };
        self.0.store.save_provider_session(&renewed).await?;
        Ok(Some((token, expires_at)))
    }
}

/// So long before its end a token is renewed: it has to last for the request it goes with.
const EARLY: Duration = Duration::from_mins(1);
/// How long an answer of the store is believed.
const REMEMBERED: Duration = Duration::from_secs(5);
/// How long nobody asks again after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
const KEPT: Duration = Duration::from_mins(1);
const SESSIONS: u64 = 10_000;
