//! Users from elsewhere, written down one by one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::operator::{Failure, Operator};
use super::print_error;
use crate::account::audit::{Action, Event};
use crate::account::email::Email;
use crate::account::password::{check_foreign, unset};
use crate::account::{Identity, Kind, PasswordCredential, User};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::provider::LOCAL_USERPASS;
use crate::secret::Secret;
use crate::store::{Along, Saved};

/// A user as somebody else had it.
#[derive(Default)]
pub(super) struct Incoming {
    /// Where in the source it stands, for the report.
    pub(super) place: String,
    /// Kept, where it has our form.
    pub(super) id: Option<UserId>,
    pub(super) is_guest: bool,
    /// The address it signs in with by password.
    pub(super) email: Option<String>,
    pub(super) verified: bool,
    /// Absent: it signs in after a reset.
    pub(super) hash: Option<String>,
    pub(super) identities: Vec<Account>,
    pub(super) data: Map<String, Value>,
    pub(super) custom_data: Map<String, Value>,
    pub(super) roles: BTreeSet<String>,
    pub(super) disabled: bool,
    pub(super) created_at: Option<Timestamp>,
    pub(super) last_sign_in_at: Option<Timestamp>,
}

/// An account elsewhere.
pub(super) struct Account {
    pub(super) provider: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) verified_email: Option<String>,
}

/// Takes users in, and keeps the account of it.
pub(super) struct Importer<'a> {
    pub(super) operator: &'a Operator,
    pub(super) dry_run: bool,
    counts: BTreeMap<&'static str, usize>,
    notes: Vec<String>,
    seen: BTreeSet<String>,
}

impl<'a> Importer<'a> {
    pub(super) fn new(operator: &'a Operator, dry_run: bool) -> Self {
        Self { operator, dry_run, counts: BTreeMap::new(), notes: Vec::new(), seen: BTreeSet::new() }
    }

    /// Something the operator has to know.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Takes one in, unless it is there.
    pub(super) async fn take(&mut self, incoming: Incoming) -> Result<(), Failure> {
        let place = incoming.place.clone();
        let Some(user) = self.user(incoming) else {
            self.count("refused");
            return Ok(());
        };
        if let Some(password) = &user.password
            && !self.seen.insert(password.email.key().to_owned())
        {
            self.note(format!("{place}: {} stands twice, upper and lower case aside", password.email));
            self.count("refused");
            return Ok(());
        }
        if self.is_there(&user).await? {
            self.count("there already");
            return Ok(());
        }
        if user.password.as_ref().is_some_and(|password| password.hash == unset()) {
            self.count("without a password, to be set by a reset");
        }
        if self.dry_run {
            self.count("taken");
            return Ok(());
        }
        let event = Event::new(Action::REGISTER, user.id, self.operator.clock.now()).after("source", "import");
        match self.operator.store.save_user_with(&user, &Along::event(event)).await? {
            Saved::Done => self.count("taken"),
            Saved::Stale | Saved::IdentityTaken | Saved::EmailTaken => {
                self.note(format!("{place}: its id, address or account elsewhere belongs to another user"));
                self.count("refused");
            }
        }
        Ok(())
    }

    fn user(&mut self, incoming: Incoming) -> Option<User> {
        let now = self.operator.clock.now();
        let kind = if incoming.is_guest { Kind::Guest } else { Kind::User };
        let id = incoming.id.unwrap_or_else(|| UserId::generate(now));
        let mut user = User::new(id, kind, incoming.created_at.unwrap_or(now));
        user.data = incoming.data.into();
        user.custom_data = incoming.custom_data.into();
        user.roles = incoming.roles;
        user.disabled = incoming.disabled;
        user.last_sign_in_at = incoming.last_sign_in_at;
        for account in incoming.identities {
            let mut identity = Identity::new(&account.provider, &account.issuer, &account.subject, user.created_at);
            identity.last_sign_in_at = incoming.last_sign_in_at;
            identity.verified_email = account.verified_email;
            user.identities.push(identity);
        }
        if let Some(typed) = incoming.email {
            let Ok(email) = Email::parse(&typed) else {
                self.note(format!("{}: {typed:?} is no e-mail address", incoming.place));
                return None;
            };
            if let Some(hash) = &incoming.hash
                && let Err(why) = check_foreign(hash)
            {
                self.note(format!(
                    "{}: {email}: the hash cannot be taken: {why}; the way out is a new password: `users add {email}`",
                    incoming.place
                ));
                return None;
            }
            if user.identity(LOCAL_USERPASS).is_none() {
                let subject = UserId::generate(now).to_string();
                user.identities.push(Identity::new(LOCAL_USERPASS, "", &subject, user.created_at));
            }
            let hash = incoming.hash.map_or_else(unset, Secret::new);
            user.data.insert("email".to_owned(), Value::from(email.as_str()));
            user.password =
                Some(PasswordCredential { email, hash, verified: incoming.verified, changed_at: user.created_at });
        }
        if user.identities.is_empty() && !incoming.is_guest {
            self.note(format!("{}: there is no way to sign in that is known here", incoming.place));
            return None;
        }
        Some(user)
    }

    /// By its id, its accounts elsewhere, then its address.
    async fn is_there(&self, user: &User) -> Result<bool, Failure> {
        let store = &self.operator.store;
        if store.user(user.id).await?.is_some() {
            return Ok(true);
        }
        for Identity { provider, issuer, subject, .. } in &user.identities {
            if store.user_by_identity(provider, issuer, subject).await?.is_some() {
                return Ok(true);
            }
        }
        match &user.password {
            Some(password) => Ok(store.user_by_email(password.email.key()).await?.is_some()),
            None => Ok(false),
        }
    }

    /// Says what was taken and what was not.
    pub(super) fn report(&self) {
        self.notes.iter().for_each(|note| print_error(&format!("note: {note}")));
        let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let counts = if counts.is_empty() { "nobody".to_owned() } else { counts.join(", ") };
        let end = if self.dry_run { "; nothing was changed (--dry-run)" } else { "" };
        print_error(&format!("users: {counts}{end}"));
    }
}

/// The values of a file: one array, or one object per line.
pub(super) fn objects(text: &str) -> Result<Vec<Map<String, Value>>, Failure> {
    let wrong = |error: serde_json::Error| Failure::Refused(format!("not the JSON of an export: {error}"));
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(wrong);
    }
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).map_err(wrong)).collect()
}

/// The text of a field.
pub(super) fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// An id: its digits, or as Extended JSON has it.
pub(super) fn id(value: Option<&Value>) -> Option<String> {
    let value = value?;
    value.as_str().or_else(|| value.get("$oid")?.as_str()).map(str::to_owned)
}
