use std::fmt::Debug;
use std::sync::Arc;

use crate::account::User;
use crate::clock::Timestamp;
use crate::secret::{self, Digest};
use crate::session::Caller;
use crate::session::credential::{self, Claim};
use crate::session::sessions::Sessions;
use crate::store;

/// Somebody else's word for whom a credential speaks, found good already. Whoever vouches keeps it: to ask again
/// who the user is costs no signature.
pub trait Vouched: Debug + Send + Sync {
    /// Name of the provider.
    fn provider(&self) -> &str;

    /// When the word ends.
    fn expires_at(&self) -> Timestamp;

    /// The user, as the store has it now; nobody if it may not come in.
    fn user(&self) -> store::Answer<'_, Option<User>>;
}

/// Keeps the names of credentials that one set of providers vouches for apart from those of every other set: the
/// same text may mean somebody else once the configuration has changed (SEC-SESS-06).
#[derive(Clone, Debug)]
pub struct Realm([u8; 16]);

impl Realm {
    /// One that nobody else has.
    #[expect(clippy::new_without_default, reason = "no two are alike")]
    pub fn new() -> Self {
        Self(secret::random())
    }

    /// The name of a credential: one hash of it.
    pub fn name(&self, text: &str) -> Digest {
        credential::foreign(&self.0, text)
    }
}

impl Sessions {
    /// Whom a credential speaks for that somebody else vouches for; `name` is its name in a [`Realm`]. From the
    /// cache, else from [`Vouched::user`]: asked again every [`Settings::cache`](crate::session::Settings).
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn by_vouched(
        &self,
        name: Digest,
        vouched: Arc<dyn Vouched>,
    ) -> Result<Option<Arc<Caller>>, store::Error> {
        self.0.resolve(name, Claim::Vouched(vouched)).await
    }
}
