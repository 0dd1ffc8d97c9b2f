use std::time::Duration;

use tokio::time::{self, Instant};

use crate::session::Caller;
use crate::session::sessions::{Inner, Sessions};
use crate::store;

/// So many rounds without an answer of the store are believed to be a revocation.
const ROUNDS: u32 = 3;
/// The store is asked at most so often about one stream, however little is believed.
const SHORTEST: Duration = Duration::from_millis(250);

impl Sessions {
    /// Waits until the caller's credential counts no more: its session or key has ended, or its user was disabled
    /// or deleted. For what goes on after a request was let in: tunnels and event streams.
    ///
    /// Asks the store at once and then every [`Settings::cache`](crate::session::Settings); what this process
    /// revokes is noticed at once. Three rounds without an answer end it too. The end of an access token is not
    /// the end of its session.
    pub async fn over(&self, caller: &Caller) {
        let (inner, revocations) = (&self.0, &self.0.cache.revocations);
        let period = inner.settings.cache.max(SHORTEST);
        let mut unanswered = 0;
        loop {
            let (next, read_at) = (Instant::now() + period, revocations.count());
            match time::timeout_at(next, inner.counts(caller)).await {
                Ok(Ok(false)) => return,
                Ok(Ok(true)) => {
                    unanswered = 0;
                    let revoked = revocations.revoked(read_at, caller.user.id, caller.session);
                    // Either way the store is asked.
                    let _ = time::timeout_at(next, revoked).await;
                }
                Ok(Err(_)) | Err(_) => {
                    unanswered += 1;
                    if unanswered >= ROUNDS {
                        tracing::warn!(user = %caller.user.id, "the store does not answer, a stream is taken for revoked");
                        return;
                    }
                    time::sleep_until(next).await;
                }
            }
        }
    }
}

impl Inner {
    /// Whether the store still vouches for the caller.
    async fn counts(&self, caller: &Caller) -> Result<bool, store::Error> {
        let user = match (caller.session, caller.key) {
            (Some(session), _) => match self.store.session(session).await? {
                Some((session, user)) if !self.ended(&session).await => Some(user),
                _ => None,
            },
            (None, Some(key)) => {
                let now = self.clock.now();
                let found = self.store.key(key).await?;
                let good = found.filter(|(key, _)| !key.disabled && key.expires_at.is_none_or(|end| now < end));
                good.map(|(_, user)| user)
            }
            (None, None) if caller.expires_at.is_some_and(|end| self.clock.now() >= end) => None,
            (None, None) => self.store.user(caller.user.id).await?,
        };
        Ok(user.is_some_and(|user| user.id == caller.user.id && !user.disabled))
    }
}
