//! Which addresses there are.

use super::ROOT;

/// An address of the client API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    /// Of an app.
    App {
        /// Which one.
        id: &'a str,
        /// What of it.
        endpoint: AppEndpoint<'a>,
    },
    /// Where providers send popups back to.
    Callback,
    /// Of whoever the token names. It stands with and without an app before it.
    User(UserEndpoint<'a>),
}

/// What is asked of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppEndpoint<'a> {
    /// Where it lives.
    Location,
    /// Signing in by the provider of this name.
    Login(&'a str),
    /// Accounts with e-mail and password.
    Email(EmailEndpoint),
    /// Calling a function.
    Functions,
}

/// What is done for accounts with e-mail and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EmailEndpoint {
    Register,
    Confirm,
    ConfirmSend,
    ConfirmCall,
    Reset,
    ResetSend,
    ResetCall,
}

/// What users do for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserEndpoint<'a> {
    Session,
    Profile,
    Delete,
    Keys,
    Key(&'a str),
    KeySwitch(&'a str, Switch),
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    Enable,
    Disable,
}

impl<'a> Endpoint<'a> {
    /// The address with this path, exactly as it stands.
    pub(super) fn find(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(ROOT)?.strip_prefix('/')?;
        let segments: Vec<&str> = rest.split('/').collect();
        match segments[..] {
            ["auth", "callback"] => Some(Self::Callback),
            ["auth", ref rest @ ..] => UserEndpoint::find(rest).map(Self::User),
            ["app", id, "location"] => Some(Self::App { id, endpoint: AppEndpoint::Location }),
            ["app", id, "functions", "call"] => Some(Self::App { id, endpoint: AppEndpoint::Functions }),
            ["app", id, "auth", "providers", provider, "login"] => {
                Some(Self::App { id, endpoint: AppEndpoint::Login(provider) })
            }
            ["app", id, "auth", "providers", "local-userpass", ref rest @ ..] => {
                EmailEndpoint::find(rest).map(|email| Self::App { id, endpoint: AppEndpoint::Email(email) })
            }
            ["app", _, "auth", ref rest @ ..] => UserEndpoint::find(rest).map(Self::User),
            _ => None,
        }
    }
}

impl AppEndpoint<'_> {
    /// The method it knows.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Location => "GET",
            Self::Login(_) | Self::Email(_) | Self::Functions => "POST",
        }
    }
}

impl EmailEndpoint {
    fn find(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            ["register"] => Self::Register,
            ["confirm"] => Self::Confirm,
            ["confirm", "send"] => Self::ConfirmSend,
            ["confirm", "call"] => Self::ConfirmCall,
            ["reset"] => Self::Reset,
            ["reset", "send"] => Self::ResetSend,
            ["reset", "call"] => Self::ResetCall,
            _ => return None,
        })
    }
}

impl<'a> UserEndpoint<'a> {
    fn find(segments: &[&'a str]) -> Option<Self> {
        Some(match *segments {
            ["session"] => Self::Session,
            ["profile"] => Self::Profile,
            ["delete"] => Self::Delete,
            ["api_keys"] => Self::Keys,
            ["api_keys", id] => Self::Key(id),
            ["api_keys", id, "enable"] => Self::KeySwitch(id, Switch::Enable),
            ["api_keys", id, "disable"] => Self::KeySwitch(id, Switch::Disable),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_user_stands_with_and_without_an_app() {
        for rest in ["session", "profile", "delete", "api_keys", "api_keys/a1", "api_keys/a1/enable"] {
            let short = format!("{ROOT}/auth/{rest}");
            let long = format!("{ROOT}/app/blog-abcde/auth/{rest}");
            assert!(matches!(Endpoint::find(&short), Some(Endpoint::User(_))), "{short}");
            assert_eq!(Endpoint::find(&short), Endpoint::find(&long));
        }
    }

    #[test]
    fn what_is_of_the_app_names_it() {
        let of = |rest: &str| Endpoint::find(&format!("{ROOT}/app/a/{rest}")).map(|found| format!("{found:?}"));
        for rest in ["location", "auth/providers/anon-user/login", "functions/call"] {
            assert!(of(rest).unwrap().contains("id: \"a\""), "{rest}");
        }
        for rest in ["register", "confirm", "confirm/send", "confirm/call", "reset", "reset/send", "reset/call"] {
            assert!(of(&format!("auth/providers/local-userpass/{rest}")).is_some(), "{rest}");
            assert!(of(&format!("auth/providers/anon-user/{rest}")).is_none(), "{rest}");
        }
        for rest in ["", "location/", "auth/providers/login", "auth", "auth/session/x", "functions"] {
            assert!(of(rest).is_none(), "{rest}");
        }
        assert!(
            Endpoint::find("/api/client/v2.0").is_none() && Endpoint::find("/api/client/v2.0x/auth/session").is_none()
        );
    }
}
