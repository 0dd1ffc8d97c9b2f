//! Providers whose accounts are somebody else's: the trait, and what it answers with.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Bearer;
use super::oauth2::Client;
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::visitor::Visitor;

/// A way to find out whose account it is from credentials: a token signed elsewhere, custom logic, a native sign-in.
///
/// Three outcomes, no fourth: [`Verdict::Yes`], [`Verdict::No`], [`Verdict::CannotTell`].
pub trait Provider: Debug + Send + Sync + 'static {
    /// Decides about credentials: the JSON object a client sent, whatever is in it.
    fn sign_in<'a>(&'a self, credentials: &'a Map<String, Value>, facts: &'a Facts) -> Deciding<'a>;

    /// What it makes of tokens that come as `Authorization: Bearer` with any request. Default: nothing.
    fn bearer(&self) -> Option<&dyn Bearer> {
        None
    }

    /// The other way to it: people are sent there and come back. Default: there is none.
    fn redirect(&self) -> Option<&Client> {
        None
    }
}

/// A verdict, some time later.
pub type Deciding<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// What a provider has to say to credentials.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// This account.
    Yes(Box<Account>),
    /// Nobody (401). The text is for the log; the client does not see it.
    No(String),
    /// It cannot be known now (503): something that is needed does not answer. Never a yes. The text is for the log.
    CannotTell(String),
}

/// An account at a provider, and what the provider tells of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Who vouches for the subject; empty when the provider's name says it all.
    pub issuer: String,
    /// The account's name there: stable, never reassigned, never an e-mail address.
    pub subject: String,
    /// An address the provider has verified itself and vouches for.
    pub verified_email: Option<String>,
    /// Whether the provider has the last word about that address, and not only once checked it: Google for addresses
    /// of Gmail and of the domain in `hd`. What `linking.policy = "verified_email"` depends on.
    pub is_authoritative: bool,
    /// Metadata; of a user with several accounts the later sign-in wins, field by field.
    pub data: Map<String, Value>,
    /// Whether the provider leaves out of `data` what it told before: then that stands, else it is gone with the next
    /// sign-in.
    pub is_partial: bool,
    /// Roles of ours that its answer stands for.
    pub roles: BTreeSet<String>,
    /// What it gave for later, if it gave anything.
    pub tokens: Option<Tokens>,
}

/// What an OAuth provider gives with a sign-in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokens {
    /// Its name for its own session (`sid`).
    pub sid: Option<String>,
    /// Its statement about the sign-in.
    pub id_token: Option<Secret>,
    /// For calls to its interfaces.
    pub access_token: Option<Secret>,
    /// For the next access token.
    pub refresh_token: Option<Secret>,
    /// When the access token ends, as far as it said.
    pub expires_at: Option<Timestamp>,
}

/// What is known of a request that wants to sign in.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The request's name in the log.
    pub request_id: String,
    /// The client's address.
    pub address: IpAddr,
    /// The `User-Agent`, at most 256 characters.
    pub user_agent: String,
}

impl Facts {
    /// Of the request that this task works for, if it works for one.
    pub fn current() -> Option<Self> {
        let Visitor { request_id, address, user_agent, .. } = Visitor::current()?;
        Some(Self { request_id, address, user_agent })
    }
}

/// A provider under its name in the configuration.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Its type, such as `oidc`.
    pub kind: &'static str,
    /// What its button says.
    pub label: String,
    /// Who decides about credentials.
    pub provider: Arc<dyn Provider>,
}
