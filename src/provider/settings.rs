use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::custom_function::CustomFunction;
use super::custom_token::{self, CustomToken};
use super::{Named, OAuth, Parts, Provider, Setup, discovery};
use crate::account::linking::Policy;
use crate::function;
use crate::own::Own;

/// `[providers]`: what is absent is off.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Settings {
    /// `[providers.anon-user]`.
    pub anon_user: Option<AnonUser>,
    /// `[providers.local-userpass]`.
    pub local_userpass: Option<LocalUserpass>,
    /// `[providers.api-key]`.
    pub api_key: Option<ApiKeys>,
    /// `on_user_created`: a function that is told of new users.
    pub on_user_created: Option<function::Source>,
    /// All others, by name.
    pub others: BTreeMap<String, Other>,
    /// `[linking] policy`. Default ask.
    pub linking: Policy,
    /// Whether some route asks for the access tokens that providers give: else none is kept.
    pub keep_tokens: bool,
}

/// A provider whose accounts are somebody else's, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Other {
    /// Custom logic decides.
    Function(function::Source),
    /// People are sent there and come back.
    OAuth(Box<OAuth>),
    /// Tokens that somebody else signed.
    CustomToken(custom_token::Settings),
    /// The program this library is in decides.
    Own(Own<dyn Provider>),
}

impl Settings {
    /// Whether the provider of this name would be built in the same way by these settings, and knows of issuers only
    /// what it asked for itself. Functions are built anew: their files are read when their settings are.
    pub(super) fn keeps(&self, name: &str, new: &Self) -> bool {
        match (self.others.get(name), new.others.get(name)) {
            (Some(Other::Function(_)), _) | (None, _) => false,
            (old, other) => {
                old == other && self.keep_tokens == new.keep_tokens && self.foreign_to(name) == new.foreign_to(name)
            }
        }
    }

    /// Origins of the other issuers, where the documents of this one must not lead.
    pub(super) fn foreign_to(&self, name: &str) -> BTreeSet<String> {
        let others = self.others.iter().filter(|(other, _)| *other != name);
        let origins = others.filter_map(|(_, other)| match other {
            Other::OAuth(other) => discovery::origin(&discovery::issuer(other)),
            Other::Function(_) | Other::CustomToken(_) | Other::Own(_) => None,
        });
        origins.collect()
    }
}

impl Other {
    /// The provider of these settings.
    pub(super) fn build(&self, name: &str, parts: &Parts) -> Result<Named, Setup> {
        match self {
            Self::Function(source) => CustomFunction::build(source, name, parts),
            Self::OAuth(settings) => settings.build(name, parts),
            Self::CustomToken(settings) => CustomToken::build(settings, name, parts),
            Self::Own(own) => {
                let (provider, label) = (own.0.clone(), name.to_owned());
                Ok(Named { name: name.to_owned(), kind: OWN, label, provider })
            }
        }
    }
}

/// The type of providers that are the program's own.
const OWN: &str = "own";

/// `[providers.anon-user]`: guests.
#[derive(Clone, Debug, PartialEq)]
pub struct AnonUser {
    /// A guest that is not seen for so long is removed. Default 90 days.
    pub lifetime: Duration,
}

impl Default for AnonUser {
    fn default() -> Self {
        Self { lifetime: Duration::from_hours(90 * 24) }
    }
}

/// `[providers.local-userpass]`: e-mail and password.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalUserpass {
    /// Who may make an account. Default closed.
    pub sign_up: SignUp,
    /// How a new address is proved. Default mail.
    pub confirm: Confirm,
    /// The function of `confirm = "function"`.
    pub confirm_function: Option<function::Source>,
    /// What a new password without the old one needs. Default mail.
    pub reset: Reset,
    /// The function of `reset = "function"`.
    pub reset_function: Option<function::Source>,
    /// The shortest password in characters. Default 8.
    pub min_length: usize,
    /// How long links in mails are good. Default 30 min.
    pub link_lifetime: Duration,
    /// How long an invitation is good. Default 7 days.
    pub invite_lifetime: Duration,
    /// A page of the app's own that confirmation links lead to; they carry `token` and `tokenId`.
    pub confirm_url: Option<String>,
    /// A page of the app's own that reset links lead to; they carry `token` and `tokenId`.
    pub reset_url: Option<String>,
    /// Hashes computed at the same time; 0 means one per core but one, at least one.
    pub hash_threads: usize,
}

impl Default for LocalUserpass {
    fn default() -> Self {
        Self {
            sign_up: SignUp::Closed,
            confirm: Confirm::Mail,
            confirm_function: None,
            reset: Reset::Mail,
            reset_function: None,
            min_length: 8,
            link_lifetime: Duration::from_mins(30),
            invite_lifetime: Duration::from_hours(7 * 24),
            confirm_url: None,
            reset_url: None,
            hash_threads: 0,
        }
    }
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Everybody.
    Open,
    /// Whom the operator sent a link.
    Invite,
    /// Nobody; the operator makes accounts.
    Closed,
}

/// How a new address is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// A mail with a link and a code.
    Mail,
    /// Not at all: the account counts at once, its address does not count as verified.
    Automatic,
    /// A function decides, and delivers the token if it is to come back.
    Function,
}

/// What a new password without the old one needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// A mail with a link and a code.
    Mail,
    /// A function decides, and delivers the token if it is to come back.
    Function,
}

/// `[providers.api-key]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeys {
    /// How many keys a user may make on the account page; 0 lets nobody. Default 20.
    pub user_keys: usize,
    /// The longest life a user may give a key; no limit if absent.
    pub max_lifetime: Option<Duration>,
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self { user_keys: 20, max_lifetime: None }
    }
}
