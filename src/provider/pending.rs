//! Sign-ins that are on their way: kept in the store, so that every instance can finish them, and each once.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::oauth2::Error;
use crate::account::one_time::{OneTime, Purpose};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::secret::{self, Digest, Secret};
use crate::store::Store;

/// What is remembered of an attempt for the one who began it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Where to go afterwards, as it was allowed when it began.
    pub return_to: String,
    /// The guest who began it, and who keeps the user id.
    pub guest: Option<UserId>,
    /// The session it began in, which ends when the new one begins.
    pub session: Option<SessionId>,
    /// The user to whom the account shall be linked; then nobody is signed in.
    pub link: Option<UserId>,
    /// Whatever else whoever began it needs at its end.
    #[serde(default)]
    pub extra: Value,
}

/// An attempt as it was taken from the store; it can be finished now, and never again.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Name of the provider.
    pub provider: String,
    /// Where the provider was told to send the visitor.
    pub redirect_uri: String,
    /// What was remembered.
    pub attempt: Attempt,
    pub(super) nonce: String,
    pub(super) verifier: Secret,
}

/// An attempt, and whether this is the browser it began in.
#[derive(Clone, Debug)]
pub enum Taken {
    /// It is.
    Here(Pending),
    /// It is not, or it keeps no cookies of sites that it shows within others.
    Elsewhere(Unbound),
}

/// An attempt that somebody else may have begun: nothing can be finished with it here.
#[derive(Clone, Debug)]
pub struct Unbound(Pending);

/// A new attempt, before it is kept.
pub(super) struct New {
    pub(super) state: Secret,
    pub(super) binding: Secret,
    pub(super) nonce: String,
    pub(super) verifier: Secret,
}

/// The form in the store.
#[derive(Serialize, Deserialize)]
struct Kept {
    provider: String,
    redirect_uri: String,
    nonce: String,
    verifier: String,
    /// Of the secret in the browser's cookie, as hexadecimal digits.
    binding: String,
    attempt: Attempt,
    /// What the callback said, once it came to a browser that nothing binds to the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<Map<String, Value>>,
}

impl New {
    /// State, browser binding, nonce and PKCE verifier: 256 bits each (RFC 9700 §2.1.1, §4.7).
    pub(super) fn random() -> Self {
        Self {
            state: secret::token(),
            binding: secret::token(),
            nonce: secret::token().expose().to_owned(),
            verifier: secret::token(),
        }
    }

    /// Writes it down.
    pub(super) async fn keep(
        &self,
        store: &Arc<dyn Store>,
        (provider, redirect_uri): (&str, &str),
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<(), Error> {
        let kept = Kept {
            provider: provider.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            nonce: self.nonce.clone(),
            // Exposed to be kept where nobody but us reads it, for ten minutes.
            verifier: self.verifier.expose().to_owned(),
            binding: hex(&Digest::of(self.binding.expose())),
            attempt,
            said: None,
        };
        kept.keep(store, token(self.state.expose()), now + LIFETIME).await
    }
}

impl Pending {
    /// Takes the attempt a callback belongs to: of many callbacks at once one gets it. `cookie` gives the value of
    /// the attempt's cookie, by the [name](name_of) of the attempt.
    ///
    /// # Errors
    /// [`Error::Malformed`] for parameters that contradict each other; [`Error::State`] for an attempt that is
    /// unknown, over, finished, or of another browser.
    pub async fn take(
        store: &Arc<dyn Store>,
        now: Timestamp,
        parameters: &Map<String, Value>,
        cookie: impl FnOnce(&str) -> Option<Secret>,
    ) -> Result<Self, Error> {
        match Self::take_from(store, now, parameters, cookie).await? {
            Taken::Here(pending) => Ok(pending),
            Taken::Elsewhere(_) => Err(Error::State("the attempt began in another browser")),
        }
    }

    /// The same, where it is not an error yet that nothing binds this browser to the attempt.
    ///
    /// # Errors
    /// As [`Pending::take`].
    pub async fn take_from(
        store: &Arc<dyn Store>,
        now: Timestamp,
        parameters: &Map<String, Value>,
        cookie: impl FnOnce(&str) -> Option<Secret>,
    ) -> Result<Taken, Error> {
        let text = |name: &str| parameters.get(name).and_then(Value::as_str);
        if ["id_token", "access_token"].iter().any(|name| parameters.contains_key(*name)) {
            return Err(Error::Malformed("a token came where only a code is asked for"));
        }
        if text("code").is_some() == text("error").is_some() {
            return Err(Error::Malformed("a callback has either a code or an error"));
        }
        let state = text("state").filter(|state| state.len() == STATE).ok_or(Error::State("no state"))?;
        let cookie = cookie(&name_of(state));
        let kept = Kept::take(store, token(state), now).await?;
        // RFC 9700 §4.7: whoever began it, in the same browser, or somebody else's account is signed in here.
        let bound = cookie.is_some_and(|cookie| {
            use subtle::ConstantTimeEq as _;
            hex(&Digest::of(cookie.expose())).as_bytes().ct_eq(kept.binding.as_bytes()).into()
        });
        let pending = Self::from(kept);
        Ok(if bound { Taken::Here(pending) } else { Taken::Elsewhere(Unbound(pending)) })
    }

    /// The attempt that was [handed](Unbound::hand_to) to the holder of this access token, with what its callback said;
    /// once.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::State`] for an attempt that is damaged.
    pub async fn claim(
        store: &Arc<dyn Store>,
        now: Timestamp,
        access_token: &Secret,
    ) -> Result<Option<(Self, Map<String, Value>)>, Error> {
        // Exposed to be digested. Nearly every token has none: that is found out by reading.
        let name = claim(access_token.expose());
        if store.one_time(name, now).await?.is_none() {
            return Ok(None);
        }
        match Kept::take(store, name, now).await {
            Ok(mut kept) => Ok(kept.said.take().map(|said| (kept.into(), said))),
            // Of many at once one gets it.
            Err(Error::State(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Unbound {
    /// Whether somebody is to be linked, and what was remembered.
    pub fn attempt(&self) -> &Attempt {
        &self.0.attempt
    }

    /// Leaves the attempt and what its callback said to whoever comes with this access token. The token has to go
    /// nowhere but to the browser that consented: somebody else who began the attempt never sees it (RFC 9700 §4.7).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn hand_to(
        self,
        access_token: &Secret,
        parameters: &Map<String, Value>,
        (store, now): (&Arc<dyn Store>, Timestamp),
    ) -> Result<(), Error> {
        let Pending { provider, redirect_uri, attempt, nonce, verifier } = self.0;
        // Exposed to be kept where nobody but us reads it, for a minute.
        let verifier = verifier.expose().to_owned();
        let said = Some(parameters.clone());
        let kept = Kept { provider, redirect_uri, nonce, verifier, binding: String::new(), attempt, said };
        // Exposed to be digested.
        kept.keep(store, claim(access_token.expose()), now + CLAIM_LIFETIME).await
    }
}

impl Kept {
    async fn keep(self, store: &Arc<dyn Store>, token: Digest, expires_at: Timestamp) -> Result<(), Error> {
        let record = OneTime {
            token,
            purpose: Purpose::SignIn,
            email_key: String::new(),
            // There is no code to type; a random one is found by nobody.
            code: Digest::from_bytes(secret::random()),
            user_id: self.attempt.link,
            payload: serde_json::to_value(self).map_err(|_| Error::State("the attempt cannot be written down"))?.into(),
            expires_at,
            code_expires_at: expires_at,
            attempts: 0,
        };
        Ok(store.add_one_time(&record).await?)
    }

    async fn take(store: &Arc<dyn Store>, token: Digest, now: Timestamp) -> Result<Self, Error> {
        let taken = store.take_one_time(token, now).await?;
        let taken = taken.filter(|taken| taken.purpose == Purpose::SignIn);
        let taken = taken.ok_or(Error::State("the attempt is unknown, over or finished"))?;
        serde_json::from_value(taken.payload.into()).map_err(|_| Error::State("the attempt is damaged"))
    }
}

impl From<Kept> for Pending {
    fn from(kept: Kept) -> Self {
        let Kept { provider, redirect_uri, nonce, verifier, attempt, .. } = kept;
        Self { provider, redirect_uri, attempt, nonce, verifier: Secret::new(verifier) }
    }
}

/// The name of an attempt, from its state: what its cookie is called after. Nothing can be made from it.
pub fn name_of(state: &str) -> String {
    hex(&token(state))[..16].to_owned()
}

/// How long somebody may take at the provider.
pub const LIFETIME: Duration = Duration::from_mins(10);

/// How long an app's page may take to come back with what it was handed.
const CLAIM_LIFETIME: Duration = Duration::from_mins(1);

/// Characters of a state: 256 bits as base64url.
const STATE: usize = 43;

/// What an attempt is found by. Bound to its purpose, so that no other token finds it.
fn token(state: &str) -> Digest {
    Digest::of(format!("sign_in\0{state}"))
}

/// What an attempt is found by that was handed to the holder of an access token.
fn claim(access_token: &str) -> Digest {
    Digest::of(format!("claim\0{access_token}"))
}

fn hex(digest: &Digest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{self, Address};

    fn parameters(state: &str) -> Map<String, Value> {
        json!({ "code": "c", "state": state }).as_object().unwrap().clone()
    }

    async fn kept() -> (Arc<dyn Store>, New) {
        let store = store::open(&Address::Memory).unwrap();
        let new = New::random();
        let attempt = Attempt { return_to: "/x".into(), ..Attempt::default() };
        new.keep(&store, ("corp", "https://app.test/cb"), attempt, Timestamp::default()).await.unwrap();
        (store, new)
    }

    #[tokio::test]
    async fn an_attempt_is_taken_once_and_in_its_own_browser() {
        let (store, new) = kept().await;
        let (state, now) = (new.state.expose(), Timestamp::from_seconds(599));
        let cookie = |name: &str| (name == name_of(state)).then(|| new.binding.clone());
        let pending = Pending::take(&store, now, &parameters(state), cookie).await.unwrap();
        assert_eq!((pending.provider.as_str(), pending.attempt.return_to.as_str()), ("corp", "/x"));
        assert_eq!(pending.verifier, new.verifier);
        let again = Pending::take(&store, now, &parameters(state), cookie).await;
        assert!(matches!(again, Err(Error::State(_))), "{again:?}");
    }

    #[tokio::test]
    async fn sec_oauth_01_what_is_not_this_browsers_open_attempt_is_refused() {
        let other = secret::token();
        for (cookie, at) in [(None, 1), (Some(other.clone()), 1), (Some(Secret::new("")), 1)] {
            let (store, new) = kept().await;
            let at = Timestamp::from_seconds(at);
            let taken = Pending::take(&store, at, &parameters(new.state.expose()), |_| cookie).await;
            assert!(matches!(taken, Err(Error::State(_))), "{taken:?}");
            let good = Pending::take(&store, at, &parameters(new.state.expose()), |_| Some(new.binding)).await;
            assert!(good.is_err(), "it is consumed in any case");
        }
        let (store, new) = kept().await;
        let late = Timestamp::from_seconds(600);
        for state in [new.state.expose(), other.expose(), "", "x"] {
            let taken = Pending::take(&store, late, &parameters(state), |_| Some(new.binding.clone())).await;
            assert!(matches!(taken, Err(Error::State(_))), "{state}");
        }
    }

    #[tokio::test]
    async fn what_is_handed_on_goes_once_and_in_time_to_the_holder_of_that_token() {
        let (now, token) = (Timestamp::default(), Secret::new("a.b.c"));
        for (holder, after, is_theirs) in [("a.b.c", 59, true), ("a.b.c", 60, false), ("a.b.d", 1, false)] {
            let (store, new) = kept().await;
            let said = parameters(new.state.expose());
            let taken = Pending::take_from(&store, now, &said, |_| None).await.unwrap();
            let Taken::Elsewhere(unbound) = taken else { panic!("nothing binds it") };
            unbound.hand_to(&token, &said, (&store, now)).await.unwrap();
            let (holder, at) = (Secret::new(holder), Timestamp::from_seconds(after));
            let claimed = Pending::claim(&store, at, &holder).await.unwrap();
            assert_eq!(
                claimed.map(|(pending, said)| (pending.verifier, said)),
                is_theirs.then_some((new.verifier, said))
            );
            assert!(Pending::claim(&store, at, &holder).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn sec_oauth_04_parameters_that_contradict_each_other_consume_nothing() {
        let (store, new) = kept().await;
        let state = &new.state.expose().to_owned();
        for odd in [
            json!({ "state": state }),
            json!({ "state": state, "code": "c", "error": "access_denied" }),
            json!({ "state": state, "code": "c", "id_token": "x" }),
            json!({ "state": state, "code": "c", "access_token": "x" }),
        ] {
            let odd = odd.as_object().unwrap();
            let taken = Pending::take(&store, Timestamp::default(), odd, |_| Some(new.binding.clone())).await;
            assert!(matches!(taken, Err(Error::Malformed(_))), "{taken:?}");
        }
        let good = Pending::take(&store, Timestamp::default(), &parameters(state), |_| Some(new.binding)).await;
        assert!(good.is_ok());
    }
}
