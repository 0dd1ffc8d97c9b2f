use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::account::Fields;
use crate::account::email::Email;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::secret::Secret;

/// A person, guest or machine with a stable id, and every way it may sign in.
///
/// The unit that stores read and write whole: see [`Store::save_user`](crate::store::Store::save_user).
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Never changes, whatever is linked or unlinked.
    pub id: UserId,
    /// What the caller counts as in rules and in `X-Auth-Kind`.
    pub kind: Kind,
    /// Metadata: the union of what the providers told, by field.
    pub data: Fields,
    /// Data of the app's own, set by the operator.
    pub custom_data: Fields,
    /// Roles given by the operator.
    pub roles: BTreeSet<String>,
    /// A disabled user cannot sign in, and its sessions and keys do not count.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last signed in.
    pub last_sign_in_at: Option<Timestamp>,
    /// External accounts, in the order they were linked.
    pub identities: Vec<Identity>,
    /// The password, when it has one.
    pub password: Option<PasswordCredential>,
    /// Counts writes: a save must name the version it read (0 before the first).
    pub version: u64,
}

impl User {
    /// A new one without identities, data or roles.
    pub fn new(id: UserId, kind: Kind, now: Timestamp) -> Self {
        Self {
            id,
            kind,
            data: Fields::new(),
            custom_data: Fields::new(),
            roles: BTreeSet::new(),
            disabled: false,
            created_at: now,
            last_sign_in_at: None,
            identities: Vec::new(),
            password: None,
            version: 0,
        }
    }

    /// The e-mail address in its metadata, proved or not.
    pub fn email(&self) -> Option<&str> {
        self.data.text("email")
    }

    /// The e-mail address it has proved to hold, for `email:` rules.
    pub fn verified_email(&self) -> Option<&str> {
        let password = self.password.as_ref().filter(|password| password.verified);
        password
            .map(|password| password.email.as_str())
            .or_else(|| self.identities.iter().find_map(|identity| identity.verified_email.as_deref()))
    }

    /// The name in its metadata.
    pub fn name(&self) -> Option<&str> {
        self.data.text("name")
    }

    /// The roles of somebody who signed in by this provider: the operator's, and what that provider tells. What
    /// another provider told does not count: a weaker sign-in must not bring a stronger one's roles.
    pub fn roles_by(&self, provider: &str) -> BTreeSet<&str> {
        let told = self.identities.iter().filter(|identity| identity.provider == provider);
        let told = told.flat_map(|identity| &identity.roles);
        self.roles.iter().chain(told).map(String::as_str).collect()
    }

    /// Whether [`roles_by`](Self::roles_by) has this one.
    pub fn has_role(&self, role: &str, provider: &str) -> bool {
        let told = |identity: &Identity| identity.provider == provider && identity.roles.contains(role);
        self.roles.contains(role) || self.identities.iter().any(told)
    }

    /// Whether it is an operator: a service whose keys open the operator's listener, and nothing else.
    pub fn is_operator(&self) -> bool {
        self.kind == Kind::Service && self.identities.iter().any(|identity| identity.issuer == OPERATOR)
    }

    /// Takes back what was told of the user by an identity, or a password, that is no longer there: such a field has
    /// what the others told, the latest first, or goes.
    pub fn withdraw(&mut self, told: &Fields) {
        for (field, value) in told {
            if self.data.get(field) != Some(value) {
                continue;
            }
            let tellers = self.identities.iter().filter(|identity| identity.data.contains_key(field));
            let latest = tellers.max_by_key(|identity| identity.last_sign_in_at).map(|identity| &identity.data[field]);
            let own = self.password.as_ref().filter(|_| field == "email").map(|password| password.email.as_str());
            match latest.cloned().or(own.map(Value::from)) {
                Some(other) => self.data.insert(field.clone(), other),
                None => self.data.remove(field),
            };
        }
    }

    /// The identity of this provider, if linked.
    pub fn identity(&self, provider: &str) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.provider == provider)
    }
}

/// The issuer of an operator's identity. Accounts elsewhere have a URL or nothing there, and never make a service.
pub const OPERATOR: &str = "operator";

/// What a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A full account.
    User,
    /// A stored guest without credentials.
    Guest,
    /// An operator's API key.
    Service,
}

impl Kind {
    /// The word in `X-Auth-Kind` and in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Guest => "guest",
            Self::Service => "service",
        }
    }
}

/// One external account: named by provider, issuer and subject, never by an e-mail address.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The provider's name in the configuration.
    pub provider: String,
    /// Who vouches for the subject; empty for our own providers.
    pub issuer: String,
    /// The account's name there.
    pub subject: String,
    /// An e-mail address its provider has verified.
    pub verified_email: Option<String>,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it was last signed in with, or linked.
    pub last_sign_in_at: Option<Timestamp>,
    /// What the provider told at the last sign-in; part of the user's `data`.
    pub data: Fields,
    /// Roles of ours that the provider's answer stood for at the last sign-in.
    pub roles: BTreeSet<String>,
}

impl Identity {
    /// One that was linked now, of which nothing else is known.
    pub fn new(provider: &str, issuer: &str, subject: &str, now: Timestamp) -> Self {
        Self {
            provider: provider.to_owned(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            verified_email: None,
            created_at: now,
            last_sign_in_at: Some(now),
            data: Fields::new(),
            roles: BTreeSet::new(),
        }
    }

    /// Whether it is the account of this name.
    pub fn is(&self, provider: &str, issuer: &str, subject: &str) -> bool {
        self.provider == provider && self.issuer == issuer && self.subject == subject
    }
}

/// The password of a user and the address it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct PasswordCredential {
    /// The address as it was typed and as it is looked up; unique over all users.
    pub email: Email,
    /// The hash in PHC form, with its parameters.
    pub hash: Secret,
    /// Whether a mail to the address was answered.
    pub verified: bool,
    /// When the password was last set.
    pub changed_at: Timestamp,
}
