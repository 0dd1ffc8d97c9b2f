//! Providers whose tokens count as `Authorization: Bearer` on any request.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::{Account, Admission, Error, Named};
use crate::account::User;
use crate::clock::{Clock, Timestamp};
use crate::session::{Caller, Realm, Sessions, Vouched};
use crate::store;
use crate::token::{Memory, Unverified};

/// What a provider makes of tokens that come with requests.
pub trait Bearer: Send + Sync {
    /// Whether a token could be its own, by what it says of itself.
    fn fit(&self, token: &Unverified) -> Fit;

    /// Decides about one.
    fn verify<'a>(&'a self, text: &'a str) -> Verifying<'a>;
}

/// A decision, some time later.
pub type Verifying<'a> = Pin<Box<dyn Future<Output = Word> + Send + 'a>>;

/// How a token could be a provider's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Not at all.
    No,
    /// Nothing speaks against it.
    Maybe,
    /// It names the provider's issuer.
    ByIssuer,
}

/// What a provider has to say to a token.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// This account, until then.
    Yes(Box<Account>, Timestamp),
    /// Nobody. The text is for the log.
    No(String),
    /// It cannot be known now. The text is for the log.
    CannotTell(String),
}

/// Finds out whom somebody else's tokens speak for. Clones share what they know.
#[derive(Clone)]
pub struct Bearers(Arc<Inner>);

struct Inner {
    providers: Vec<Named>,
    admission: Admission,
    sessions: Sessions,
    realm: Realm,
    memory: Memory<Known>,
}

/// What became of a token.
#[derive(Debug)]
pub enum Found {
    /// No provider takes it for its own.
    Stranger,
    /// It is not good.
    Bad,
    /// Whom it speaks for.
    Caller(Arc<Caller>),
    /// What is needed to know it does not answer.
    CannotTell,
}

impl Bearers {
    /// Asks those of these providers that take tokens.
    pub(super) fn new<'a>(
        all: impl Iterator<Item = &'a Named>,
        admission: Admission,
        sessions: Sessions,
        clock: Clock,
    ) -> Self {
        let providers = all.filter(|named| named.provider.bearer().is_some()).cloned().collect();
        Self(Arc::new(Inner { providers, admission, sessions, realm: Realm::new(), memory: Memory::new(clock) }))
    }

    /// Whom a token speaks for, if that is known: one hash and one read of the cache.
    pub fn cached(&self, text: &str) -> Option<Arc<Caller>> {
        if self.0.providers.is_empty() || !text.contains('.') {
            return None;
        }
        self.0.sessions.cached(&self.0.realm.name(text))
    }

    /// Whom a token speaks for. Its issuer's provider decides; without one all that could, and the answer has to be
    /// the same whichever of them answers first.
    pub async fn find(&self, text: &str) -> Found {
        let Inner { sessions, realm, memory, .. } = &*self.0;
        if self.0.providers.is_empty() {
            return Found::Stranger;
        }
        let name = realm.name(text);
        let known = match memory.find(&name) {
            Some(known) => known,
            None => match self.verify(text).await {
                Ok(known) => {
                    let (known, size) = (Arc::new(known), text.len());
                    memory.keep(name, known.clone(), known.size() + size);
                    known
                }
                Err(found) => return found,
            },
        };
        match sessions.by_vouched(name, known).await {
            Ok(Some(caller)) => Found::Caller(caller),
            Ok(None) => Found::Bad,
            Err(error) => {
                tracing::error!(%error, "a token cannot be checked");
                Found::CannotTell
            }
        }
    }

    async fn verify(&self, text: &str) -> Result<Known, Found> {
        let Some(token) = Unverified::read(text) else { return Err(Found::Stranger) };
        let fits = |wanted: Fit| {
            let all = self.0.providers.iter().filter_map(|named| Some((named, named.provider.bearer()?)));
            all.filter(|(_, bearer)| bearer.fit(&token) == wanted).collect::<Vec<_>>()
        };
        let mut candidates = fits(Fit::ByIssuer);
        if candidates.is_empty() {
            candidates = fits(Fit::Maybe);
        }
        let mut outcome = Found::Stranger;
        for (named, bearer) in candidates {
            match bearer.verify(text).await {
                Word::Yes(account, expires_at) => {
                    let (provider, admission) = (named.name.clone(), self.0.admission.clone());
                    return Ok(Known { provider, account: *account, expires_at, admission });
                }
                Word::No(why) => {
                    tracing::info!(event = "token.refused", provider = named.name, why, "a token was refused");
                    outcome = Found::Bad;
                }
                // The next one must not decide in its place: whom a token speaks for would depend on the weather.
                Word::CannotTell(why) => {
                    tracing::warn!(event = "token.unknown", provider = named.name, why, "a token cannot be checked");
                    return Err(Found::CannotTell);
                }
            }
        }
        Err(outcome)
    }
}

impl fmt::Debug for Bearers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.providers.iter().map(|named| &named.name)).finish()
    }
}

/// A token that was verified: whose account it named.
#[derive(Debug)]
struct Known {
    provider: String,
    account: Account,
    expires_at: Timestamp,
    admission: Admission,
}

impl Known {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        let data = serde_json::to_string(&self.account.data).map_or(0, |text| text.len());
        self.account.issuer.len() + self.account.subject.len() + 2 * data
    }
}

impl Vouched for Known {
    fn provider(&self) -> &str {
        &self.provider
    }

    fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    fn user(&self) -> store::Answer<'_, Option<User>> {
        Box::pin(async move {
            match self.admission.recognise(&self.provider, &self.account).await {
                Ok(admitted) => Ok(Some(admitted.user)),
                Err(Error::Store(error)) => Err(error),
                Err(Error::Busy) => Err(store::Error::Unavailable(Error::Busy.to_string())),
                Err(error) => {
                    tracing::info!(event = "token.refused", provider = self.provider, %error, "a token was refused");
                    Ok(None)
                }
            }
        })
    }
}
