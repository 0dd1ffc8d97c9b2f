//! Whether an account may be added to the user who asks: decided from facts alone.

use std::time::Duration;

use super::{Kind, User};
use crate::clock::Timestamp;

/// `linking.policy`: how one user gets several ways to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// Whoever is signed in may add an account by proving it, too.
    #[default]
    Ask,
    /// And who signs in with an account of an address becomes the user who has proved that address, if the provider
    /// has the last word about it.
    VerifiedEmail,
    /// Every account is a user of its own, and a guest who signs in is left behind.
    Never,
}

/// Who wants to add an account.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// As the store has it now.
    pub user: &'a User,
    /// When its owner last signed in to the session that asks, in person.
    pub signed_in_at: Timestamp,
}

/// What kind of account was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// A guest's: nobody could prove it a second time.
    Guest,
    /// E-mail and password: a user has one at most.
    Password,
    /// Any other.
    Other,
}

/// Whose the account is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody's.
    Nobody,
    /// It was registered by itself and nothing was ever done with it: whoever proves it may take it along.
    Untouched,
    /// The asker's.
    Asker,
    /// Another user's.
    Another,
}

/// How a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The account is the asker's from now on.
    Linked,
    /// It was before, and nothing changes.
    AlreadyYours,
    /// It is another user's, who is not named.
    OwnedByAnother,
    /// The asker has an e-mail address and a password already.
    SecondEmailAccount,
    /// A guest cannot be added to a user.
    GuestCredential,
    /// `linking.policy` says never, or the asker is the user of a server key.
    PolicyForbids,
    /// The asker signed in longer ago than [`RECENT`], or by an API key.
    SignInTooOld,
}

impl Outcome {
    /// Whether the account is the asker's now.
    pub fn is_yes(self) -> bool {
        matches!(self, Self::Linked | Self::AlreadyYours)
    }

    /// Its stable name: the `code` of a 409 where it is a refusal.
    pub fn code(self) -> &'static str {
        match self {
            Self::Linked => "link.done",
            Self::AlreadyYours => "link.already_yours",
            Self::OwnedByAnother => "link.owned_by_another",
            Self::SecondEmailAccount => "link.second_email_account",
            Self::GuestCredential => "link.guest_credential",
            Self::PolicyForbids => "link.forbidden",
            Self::SignInTooOld => "link.sign_in_too_old",
        }
    }
}

/// Decides about one account. What is refused whoever owns the account comes before its owner is looked at, so that
/// an old session learns nothing.
pub fn decide(asker: Asker<'_>, presented: Presented, owner: Owner, policy: Policy, now: Timestamp) -> Outcome {
    if presented == Presented::Guest {
        return Outcome::GuestCredential;
    }
    if owner == Owner::Asker {
        return Outcome::AlreadyYours;
    }
    if policy == Policy::Never || asker.user.kind == Kind::Service {
        return Outcome::PolicyForbids;
    }
    // A guest has nothing to sign in with a second time.
    if asker.user.kind != Kind::Guest && !is_recent(asker.signed_in_at, now) {
        return Outcome::SignInTooOld;
    }
    if owner == Owner::Another {
        return Outcome::OwnedByAnother;
    }
    if presented == Presented::Password && asker.user.password.is_some() {
        return Outcome::SecondEmailAccount;
    }
    Outcome::Linked
}

/// Whether somebody signed in lately enough to change how the account is signed in to.
pub fn is_recent(signed_in_at: Timestamp, now: Timestamp) -> bool {
    now.since(signed_in_at) <= RECENT
}

/// Whether a sign-in by an account that is nobody's goes to the user who holds its address, unasked. Both sides must
/// have proved the address, and the provider must have the last word about it: whoever else verifies addresses may
/// have done so before they changed hands.
pub fn goes_to_holder(policy: Policy, is_authoritative: bool, holder: &User) -> bool {
    let proved = holder.password.as_ref().is_some_and(|password| password.verified);
    policy == Policy::VerifiedEmail && is_authoritative && proved && holder.kind == Kind::User && !holder.disabled
}

/// How old a sign-in may be for linking and unlinking (OWASP ASVS 5.0 §7.5.1).
pub const RECENT: Duration = Duration::from_mins(5);
