use crate::clock::Timestamp;
use crate::secret::Secret;

/// What a mail is about, with what it has to say.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Prove the address of a new account.
    Confirm(Link),
    /// Choose a new password.
    Reset(Link),
    /// Choose the first password.
    Invite(Link),
    /// Somebody tried to register an address that has an account; the link resets its password.
    AlreadyRegistered(Link),
    /// The password is another one.
    PasswordChanged {
        /// When it was changed.
        at: Timestamp,
        /// Where a new one can be asked for.
        reset_url: String,
    },
    /// Prove the new address of an account; sent there.
    ChangeEmail(Link),
    /// The account has another address; sent to the old one.
    EmailChanged {
        /// When it was changed.
        at: Timestamp,
    },
}

impl Kind {
    /// Its name in logs, lists and templates.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Confirm(_) => "confirm",
            Self::Reset(_) => "reset",
            Self::Invite(_) => "invite",
            Self::AlreadyRegistered(_) => "already_registered",
            Self::PasswordChanged { .. } => "password_changed",
            Self::ChangeEmail(_) => "change_email",
            Self::EmailChanged { .. } => "email_changed",
        }
    }

    pub(super) fn link(&self) -> Option<&Link> {
        match self {
            Self::Confirm(link)
            | Self::Reset(link)
            | Self::Invite(link)
            | Self::AlreadyRegistered(link)
            | Self::ChangeEmail(link) => Some(link),
            Self::PasswordChanged { .. } | Self::EmailChanged { .. } => None,
        }
    }
}

/// A link that works once, and the code that does the same.
#[derive(Clone, Debug)]
pub struct Link {
    /// The address to open, token included.
    pub url: Secret,
    /// When it ends.
    pub valid_until: Timestamp,
    /// The short code as it is shown, and when it ends; some links have none.
    pub code: Option<(Secret, Timestamp)>,
}
