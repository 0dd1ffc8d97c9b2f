//! Ways to sign in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::created::Created;
use crate::account::new_password::Weak;
use crate::account::password::{Busy, Hasher};
use crate::clock::Clock;
use crate::fetch::Fetch;
use crate::function::{Function, Source, Workers};
use crate::mail::Mailer;
use crate::public_url::PublicUrl;
use crate::session::Sessions;
use crate::store::{self, Store};

mod add_password;
mod admission;
pub mod anon_user;
pub mod api_key;
mod apple;
mod approval;
mod bearer;
mod change_email;
mod client_proof;
mod created;
pub mod custom_function;
pub mod custom_token;
mod decision;
mod dialect;
mod discovery;
mod enrolment;
mod external;
mod facebook;
mod github;
mod google;
mod invitation;
mod issuers;
mod link;
mod link_password;
mod links;
pub mod local_userpass;
mod merge;
mod microsoft;
pub mod oauth2;
mod oauth_settings;
mod oidc;
mod openid;
pub mod pending;
mod recovery;
mod registration;
mod renewal;
pub mod server_key;
mod settings;
mod sign_ins;
mod signed_out;
mod token_endpoint;
mod told;

pub use crate::account::metadata::MetadataField;
pub use admission::{Admission, Admitted};
pub use approval::Waiting;
pub use bearer::{Bearer, Bearers, Fit, Found, Verifying, Word};
pub use created::shown;
pub use decision::Decision;
pub use external::{Account, Deciding, Facts, Named, Provider, Tokens, Verdict};
pub use invitation::{Delivery, Invitee};
pub use issuers::Asked;
pub use link::{Linked, Linker};
pub use links::{OpenLink, going_on_to};
pub use merge::TwoPasswords;
pub use oauth_settings::{AssertionAudience, OAuth, OAuthKind, Overrides, Proof, ResponseMode};
pub use registration::Registered;
pub use renewal::ProviderTokens;
pub use settings::{AnonUser, ApiKeys, Confirm, LocalUserpass, Other, Reset, Settings, SignUp};
pub use sign_ins::{SignIn, SignIns};

/// Name of the provider of guests.
pub const ANON_USER: &str = "anon-user";
/// Name of the provider of e-mail and password.
pub const LOCAL_USERPASS: &str = "local-userpass";
/// Name of the provider of API keys.
pub const API_KEY: &str = "api-key";

/// The providers that are on.
#[derive(Clone, Debug)]
pub struct Providers {
    anon_user: Option<anon_user::AnonUser>,
    local_userpass: Option<local_userpass::LocalUserpass>,
    api_key: Option<api_key::ApiKeys>,
    others: Arc<BTreeMap<String, Named>>,
    admission: Admission,
    sign_ins: Arc<SignIns>,
    bearers: Bearers,
    tokens: ProviderTokens,
}

/// What providers are built from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Which are on, and how.
    pub settings: Settings,
    /// Where users live.
    pub store: Arc<dyn Store>,
    /// Where sessions end.
    pub sessions: Sessions,
    /// Who hashes passwords.
    pub hasher: Hasher,
    /// Who sends mails.
    pub mailer: Mailer,
    /// The way to providers and webhooks.
    pub fetch: Fetch,
    /// Who runs functions in JavaScript.
    pub workers: Workers,
    /// The time.
    pub clock: Clock,
    /// What links in mails begin with.
    pub public_url: PublicUrl,
    /// Where our pages are, for instance `/.auth`.
    pub prefix: String,
    /// What the site is called; it makes no password.
    pub site: String,
}

impl Parts {
    /// The function of this source; `key` is where its address stands.
    fn function(&self, source: &Source, name: &str, key: &str) -> Result<Function, Setup> {
        let built = source.build(name, &self.workers, &self.fetch, &self.clock);
        built.map_err(|error| Setup(format!("{key}: {error}")))
    }
}

impl Providers {
    /// Builds those that the settings name.
    ///
    /// # Errors
    /// What of the settings cannot be used, naming the key.
    pub fn new(parts: &Parts) -> Result<Self, Setup> {
        Self::after(parts, None)
    }

    /// The same in place of others, on the same ground: whose settings stay goes on with what is known of its issuer,
    /// documents and keys.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn after(parts: &Parts, before: Option<(&Settings, &Self)>) -> Result<Self, Setup> {
        let Settings { anon_user, local_userpass, api_key, on_user_created, others, linking, .. } = &parts.settings;
        let on = [
            (ANON_USER, anon_user.is_some()),
            (LOCAL_USERPASS, local_userpass.is_some()),
            (API_KEY, api_key.is_some()),
        ];
        let ours = on.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned());
        let sign_ins = Arc::new(SignIns::new(ours.chain(others.keys().cloned())));
        let told = on_user_created
            .as_ref()
            .map(|source| parts.function(source, "on_user_created", "providers.on_user_created.webhook.url"));
        let created = Created::new(told.transpose()?);
        let local = |settings| local_userpass::LocalUserpass::new(settings, parts, &created);
        let others = others.iter().map(|(name, settings)| {
            let kept =
                before.and_then(|(old, providers)| providers.other(name).filter(|_| old.keeps(name, &parts.settings)));
            let named = kept.cloned().map_or_else(|| settings.build(name, parts), Ok)?;
            Ok((name.clone(), named))
        });
        let others: Arc<BTreeMap<_, _>> = Arc::new(others.collect::<Result<_, _>>()?);
        let admission =
            Admission::new(parts.store.clone(), parts.sessions.clone(), parts.clock.clone(), *linking, created.clone());
        Ok(Self {
            tokens: ProviderTokens::new(parts, Arc::clone(&others)),
            bearers: Bearers::new(others.values(), admission.clone(), parts.sessions.clone(), parts.clock.clone()),
            anon_user: anon_user.as_ref().map(|settings| anon_user::AnonUser::new(settings, parts)),
            local_userpass: local_userpass.as_ref().map(local).transpose()?,
            api_key: api_key.as_ref().map(|settings| api_key::ApiKeys::new(settings, parts)),
            others,
            admission,
            sign_ins,
        })
    }

    /// Guests, if on.
    pub fn anon_user(&self) -> Option<&anon_user::AnonUser> {
        self.anon_user.as_ref()
    }

    /// E-mail and password, if on.
    pub fn local_userpass(&self) -> Option<&local_userpass::LocalUserpass> {
        self.local_userpass.as_ref()
    }

    /// By name, whether what each provider with an issuer said of itself could be read lately.
    pub fn states(&self) -> impl Iterator<Item = (&str, bool)> {
        self.others().filter_map(|named| Some((named.name.as_str(), named.provider.redirect()?.is_available())))
    }

    /// The provider of this name whose accounts are somebody else's, if there is one.
    pub fn other(&self, name: &str) -> Option<&Named> {
        self.others.get(name)
    }

    /// All of them, in the order of their names.
    pub fn others(&self) -> impl Iterator<Item = &Named> {
        self.others.values()
    }

    /// The same with one more, or another of its name: a provider of the program this library is in.
    #[must_use]
    pub fn with(self, named: Named) -> Self {
        let mut others = (*self.others).clone();
        others.insert(named.name.clone(), named);
        let sign_ins = self.sign_ins.counting(others.keys());
        Self { others: Arc::new(others), sign_ins: Arc::new(sign_ins), ..self }
    }

    /// The provider of this name that people are sent to, if there is one.
    pub fn redirect(&self, name: &str) -> Option<&oauth2::Client> {
        self.other(name)?.provider.redirect()
    }

    /// The access tokens that providers gave.
    pub fn tokens(&self) -> &ProviderTokens {
        &self.tokens
    }

    /// Asks the issuers for what is needed of them, behind the scenes, so that the first visitor does not wait.
    pub fn look_ahead(&self) {
        self.others().filter_map(|named| named.provider.redirect()).for_each(oauth2::Client::look_ahead);
    }

    /// Where browsers may be sent to by the form that signs them out.
    pub fn end_session_origins(&self) -> BTreeSet<String> {
        self.others().filter_map(|named| named.provider.redirect()?.end_session_origin()).collect()
    }

    /// Who makes users of accounts elsewhere.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// How sign-ins end, in figures.
    pub fn sign_ins(&self) -> &SignIns {
        &self.sign_ins
    }

    /// Who knows whom somebody else's tokens speak for.
    pub fn bearers(&self) -> &Bearers {
        &self.bearers
    }

    /// API keys, if on.
    pub fn api_key(&self) -> Option<&api_key::ApiKeys> {
        self.api_key.as_ref()
    }
}

/// A provider that cannot be built from its settings; the text names the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Setup(pub String);

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong, unknown, disabled or unconfirmed: one and the same, so that nobody learns which.
    #[error("refused")]
    Refused,
    /// A password that is not taken, and why: lower case, no full stop.
    #[error("{0}")]
    WeakPassword(String),
    /// Not an e-mail address.
    #[error("not an e-mail address such as ann@example.com")]
    BadEmail,
    /// Not a name of 1 to 64 characters.
    #[error("use a name of 1 to 64 characters")]
    BadName,
    /// An end that is past or further away than `max_lifetime`.
    #[error("the end is past, or further away than keys may live here")]
    BadExpiry,
    /// A link or code that was used, has ended, or never was.
    #[error("the link has ended, was used, or never was")]
    LinkOver,
    /// Sign-up is not open.
    #[error("sign-up is not open here")]
    Closed,
    /// The user has as many keys as one may have.
    #[error("there are as many keys as one may have")]
    TooManyKeys,
    /// The provider told more of the user than is kept: 16 KiB in all.
    #[error("the provider tells more of the user than is kept")]
    TooMuchData,
    /// Something else is in the way; the word names it.
    #[error("{0}")]
    Conflict(&'static str),
    /// Too many passwords wait to be hashed, or somebody else writes the same user all the time: try again later.
    #[error("too much to do; try again later")]
    Busy,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<Busy> for Error {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<Weak> for Error {
    fn from(weak: Weak) -> Self {
        Self::WeakPassword(weak.to_string())
    }
}

#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod link_tests;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod recovery_tests;

#[cfg(test)]
mod invitation_tests;

#[cfg(test)]
mod bearer_tests;
