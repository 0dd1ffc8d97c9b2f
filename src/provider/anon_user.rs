//! Guests: stored users without credentials.

use std::sync::Arc;
use std::time::Duration;

use super::{ANON_USER, AnonUser as Settings, Error, Parts};
use crate::account::audit::{Action, Event};
use crate::account::{Identity, Kind, User};
use crate::clock::{Clock, Timestamp};
use crate::id::UserId;
use crate::store::{Along, Saved, Store};

/// The provider `anon-user`.
#[derive(Clone, Debug)]
pub struct AnonUser {
    store: Arc<dyn Store>,
    clock: Clock,
    lifetime: Duration,
}

impl AnonUser {
    pub(super) fn new(settings: &Settings, parts: &Parts) -> Self {
        Self { store: Arc::clone(&parts.store), clock: parts.clock.clone(), lifetime: settings.lifetime }
    }

    /// Makes a guest and stores it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn make(&self) -> Result<User, Error> {
        let now = self.clock.now();
        let mut user = User::new(UserId::generate(now), Kind::Guest, now);
        user.last_sign_in_at = Some(now);
        user.identities.push(Identity::new(ANON_USER, "", &user.id.to_string(), now));
        let event = Event::new(Action::SIGN_IN, user.id, now).after("provider", ANON_USER);
        match self.store.save_user_with(&user, &Along::event(event)).await? {
            Saved::Done => {
                user.version += 1;
                Ok(user)
            }
            // An id of 64 random bits that somebody has already.
            Saved::Stale | Saved::IdentityTaken | Saved::EmailTaken => Err(Error::Busy),
        }
    }

    /// Removes the guests that were not seen for their lifetime, a batch at a time so that other writers get their
    /// turn; answers with their number.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, Error> {
        let mut removed = 0;
        loop {
            let batch = self.store.sweep_guests(now - self.lifetime, BATCH).await?;
            removed += batch;
            if batch < BATCH {
                return Ok(removed);
            }
        }
    }
}

const BATCH: usize = 500;
