//! Which addresses under the prefix there are, and what may be done at each.

use crate::id::{KeyId, SessionId};
use crate::provider::{ANON_USER, API_KEY, LOCAL_USERPASS};

/// An address of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A stylesheet, script or picture.
    Asset(String),
    /// The page with every way to sign in.
    Login,
    /// Where credentials go.
    SignIn(Way),
    /// Where the provider of this name sends visitors back to.
    Callback(String),
    /// Where the provider of this name says that its sessions are over.
    Backchannel(String),
    /// A new account.
    Register,
    /// Proving an address.
    Confirm,
    /// Another mail for it.
    ConfirmSend,
    /// A new password without the old one.
    Reset,
    /// The mail for it.
    ResetSend,
    /// The end of a session.
    Logout,
    /// Everything about oneself.
    Account,
    /// Where one is sent to this provider from, to add an account of it.
    Link(String),
    /// All that is kept about oneself, as a file.
    Data,
    /// What may be done there.
    Deed(Deed),
    /// Oneself, for programs.
    Me,
    /// Oneself in the few fields that oauth2-proxy tells.
    UserInfo,
    /// The public keys of our tokens.
    Keys,
    /// A new access token.
    Refresh,
    /// The end of a program's session.
    Revoke,
    /// Where password managers send people (W3C "A Well-Known URL for Changing Passwords").
    ChangePassword,
}

/// A way to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// E-mail and password.
    LocalUserpass,
    /// An API key.
    ApiKey,
    /// As a guest.
    AnonUser,
    /// By the provider of this name, if there is one.
    Other(String),
}

/// What somebody does to the own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Another password.
    Password,
    /// A first password.
    AddPassword,
    /// A way to sign in that is taken away.
    Unlink,
    /// Another address.
    Email,
    /// One more key.
    AddKey,
    /// A key that counts no longer, for now.
    DisableKey(KeyId),
    /// A key that counts again.
    EnableKey(KeyId),
    /// A key that is gone.
    DeleteKey(KeyId),
    /// A session that is over.
    EndSession(SessionId),
    /// All sessions but this one.
    EndOthers,
    /// The whole account.
    Delete,
}

impl Endpoint {
    /// The address with this path as it was sent. Any other spelling is none of ours, nor is anything after it:
    /// `/.auth/me/x.css` must not look like a file that a cache may keep.
    pub(super) fn find(prefix: &str, path: &str) -> Option<Self> {
        if path == WELL_KNOWN {
            return Some(Self::ChangePassword);
        }
        let rest = path.strip_prefix(prefix)?.strip_prefix('/')?;
        let segments: Vec<&str> = rest.split('/').collect();
        Some(match segments[..] {
            ["assets", name] => Self::Asset(name.to_owned()),
            ["login"] => Self::Login,
            ["login", name] => Self::SignIn(Way::named(name)?),
            ["callback", name] => Self::Callback(provider(name)?),
            ["backchannel", name] => Self::Backchannel(provider(name)?),
            ["register"] => Self::Register,
            ["confirm"] => Self::Confirm,
            ["confirm", "send"] => Self::ConfirmSend,
            ["reset"] => Self::Reset,
            ["reset", "send"] => Self::ResetSend,
            ["logout"] => Self::Logout,
            ["account"] => Self::Account,
            ["account", "data"] => Self::Data,
            ["account", "link", name] => Self::Link(Way::other(name)?),
            ["account", ref deed @ ..] => Self::Deed(Deed::find(deed)?),
            ["me"] => Self::Me,
            ["userinfo"] => Self::UserInfo,
            ["jwks.json"] => Self::Keys,
            ["token", "refresh"] => Self::Refresh,
            ["token", "revoke"] => Self::Revoke,
            _ => return None,
        })
    }

    /// The methods it knows.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Asset(_)
            | Self::Login
            | Self::Account
            | Self::Data
            | Self::Me
            | Self::UserInfo
            | Self::Keys
            | Self::ChangePassword => READ,
            Self::Register | Self::Confirm | Self::ConfirmSend | Self::Reset | Self::Logout => BOTH,
            Self::SignIn(Way::Other(_)) => BOTH,
            Self::Callback(_) => "GET, POST",
            Self::Backchannel(_)
            | Self::SignIn(_)
            | Self::ResetSend
            | Self::Link(_)
            | Self::Deed(_)
            | Self::Refresh
            | Self::Revoke => WRITE,
        }
    }

    /// For an address that only takes a form: the page with the form, for those who type the address or come
    /// back to it.
    pub(super) fn page(&self) -> Option<&'static str> {
        match self {
            Self::SignIn(_) => Some("login"),
            Self::ResetSend => Some("reset"),
            Self::Link(_) | Self::Deed(_) => Some("account"),
            _ => None,
        }
    }

    /// Whether only programs come here.
    pub(super) fn is_for_programs(&self) -> bool {
        matches!(self, Self::Me | Self::UserInfo | Self::Keys | Self::Refresh | Self::Revoke | Self::Backchannel(_))
    }

    /// Whether what is sent here comes from elsewhere by design, and carries a proof of its own.
    pub(super) fn is_from_elsewhere(&self) -> bool {
        matches!(self, Self::Callback(_) | Self::Backchannel(_))
    }

    /// Whether the answer depends on who is signed in.
    pub(super) fn asks_who(&self) -> bool {
        !matches!(self, Self::Asset(_) | Self::Keys | Self::Refresh | Self::Revoke | Self::ChangePassword)
    }
}

impl Way {
    fn named(name: &str) -> Option<Self> {
        let ours = [Self::LocalUserpass, Self::ApiKey, Self::AnonUser];
        ours.into_iter().find(|way| way.name() == name).or_else(|| provider(name).map(Self::Other))
    }

    /// The name of a provider that is none of ours, if it can be one.
    fn other(name: &str) -> Option<String> {
        match Self::named(name)? {
            Self::Other(name) => Some(name),
            _ => None,
        }
    }

    /// The provider's name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::LocalUserpass => LOCAL_USERPASS,
            Self::ApiKey => API_KEY,
            Self::AnonUser => ANON_USER,
            Self::Other(name) => name,
        }
    }
}

/// What may be the name of a provider.
fn provider(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let may_be_one = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(plain);
    may_be_one.then(|| name.to_owned())
}

impl Deed {
    fn find(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            ["password"] => Self::Password,
            ["add-password"] => Self::AddPassword,
            ["unlink"] => Self::Unlink,
            ["email"] => Self::Email,
            ["keys"] => Self::AddKey,
            ["keys", id, "disable"] => Self::DisableKey(id.parse().ok()?),
            ["keys", id, "enable"] => Self::EnableKey(id.parse().ok()?),
            ["keys", id, "delete"] => Self::DeleteKey(id.parse().ok()?),
            ["sessions", "end-others"] => Self::EndOthers,
            ["sessions", id, "end"] => Self::EndSession(id.parse().ok()?),
            ["delete"] => Self::Delete,
            _ => return None,
        })
    }
}

const WELL_KNOWN: &str = "/.well-known/change-password";
const LONGEST_NAME: usize = 64;
const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";
const BOTH: &str = "GET, HEAD, POST";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_by_their_one_spelling() {
        let find = |path| Endpoint::find("/.auth", path);
        assert_eq!(find("/.auth/login"), Some(Endpoint::Login));
        assert_eq!(find("/.auth/login/api-key"), Some(Endpoint::SignIn(Way::ApiKey)));
        assert_eq!(find("/.auth/account/sessions/end-others"), Some(Endpoint::Deed(Deed::EndOthers)));
        assert_eq!(find("/.well-known/change-password"), Some(Endpoint::ChangePassword));
        assert_eq!(Endpoint::find("/oauth2/x", "/oauth2/x/me"), Some(Endpoint::Me));
    }

    /// SEC-ERR-02
    #[test]
    fn sec_err_02_what_follows_an_address_makes_it_unknown() {
        for path in [
            "/.auth/me/x.css",
            "/.auth/me/",
            "/.auth/me.css",
            "/.auth/account/x.css",
            "/.auth/account/",
            "/.auth//me",
            "/.auth/ME",
            "/.auth/%6de",
            "/.auth/me;x.css",
            "/.auth/login/x.css",
            "/.auth/login/local-userpass/x",
            "/.auth/account/keys/1/delete",
            "/.auth",
            "/.auth/",
            "/.authme",
            "/x/.auth/me",
        ] {
            assert_eq!(Endpoint::find("/.auth", path), None, "{path}");
        }
    }
}
