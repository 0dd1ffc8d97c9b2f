use std::fmt;
use std::str::FromStr;

/// Whom a rule lets in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Everybody; an identity is forwarded if there is one, none is asked for.
    Anyone,
    /// A guest or better.
    Guest,
    /// A full account.
    SignedIn,
    /// A server key.
    Service,
    /// Whoever has this role.
    Role(String),
    /// Whoever signed in by this provider.
    Provider(String),
    /// Whoever has proved to hold such an address.
    Email(EmailPattern),
    /// Whoever has proved to hold the address of the account.
    VerifiedEmail,
    /// Whoever has this value in this metadata field.
    Data {
        /// The field of `data`.
        field: String,
        /// Its value as text.
        value: String,
    },
    /// Whoever fulfils this policy.
    Policy(String),
    /// Nobody at all.
    Nobody,
}

/// An address or, as `*@domain`, every address of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EmailPattern {
    /// Exactly this one, without regard to case.
    Address(String),
    /// Every address of exactly this domain (not of its subdomains).
    Domain(String),
}

/// Text that does not say who.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhoError {
    /// No such word.
    #[error("\"{0}\" does not say who")]
    Unknown(String),
    /// A word that needs something after its colon.
    #[error("\"{0}\" names nothing after the colon")]
    Empty(String),
    /// `email:` without an address or `*@domain`.
    #[error("\"{0}\" is neither an address nor *@domain")]
    Email(String),
    /// `data:` without `field=value`.
    #[error("\"{0}\" is not data:field=value")]
    Data(String),
}

impl Who {
    /// Every word that stands alone, and every prefix with its colon: for messages and completions.
    pub const WORDS: [&str; 11] = [
        "anyone",
        "guest",
        "signed_in",
        "verified_email",
        "service",
        "role:",
        "provider:",
        "email:",
        "data:",
        "policy:",
        "nobody",
    ];
}

impl FromStr for Who {
    type Err = WhoError;

    fn from_str(text: &str) -> Result<Self, WhoError> {
        match text {
            "anyone" => return Ok(Self::Anyone),
            "guest" => return Ok(Self::Guest),
            "signed_in" => return Ok(Self::SignedIn),
            "service" => return Ok(Self::Service),
            "verified_email" => return Ok(Self::VerifiedEmail),
            "nobody" => return Ok(Self::Nobody),
            _ => {}
        }
        let (word, name) = text.split_once(':').ok_or_else(|| WhoError::Unknown(text.to_owned()))?;
        if !["role", "provider", "email", "data", "policy"].contains(&word) {
            return Err(WhoError::Unknown(text.to_owned()));
        }
        if name.is_empty() {
            return Err(WhoError::Empty(text.to_owned()));
        }
        match word {
            "role" => Ok(Self::Role(name.to_owned())),
            "provider" => Ok(Self::Provider(name.to_owned())),
            "policy" => Ok(Self::Policy(name.to_owned())),
            "email" => EmailPattern::parse(name).map(Self::Email).ok_or_else(|| WhoError::Email(text.to_owned())),
            _ => match name.split_once('=') {
                Some((field, value)) if !field.is_empty() => {
                    Ok(Self::Data { field: field.to_owned(), value: value.to_owned() })
                }
                _ => Err(WhoError::Data(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Guest => f.write_str("guest"),
            Self::SignedIn => f.write_str("signed_in"),
            Self::Service => f.write_str("service"),
            Self::VerifiedEmail => f.write_str("verified_email"),
            Self::Nobody => f.write_str("nobody"),
            Self::Role(name) => write!(f, "role:{name}"),
            Self::Provider(name) => write!(f, "provider:{name}"),
            Self::Policy(name) => write!(f, "policy:{name}"),
            Self::Email(EmailPattern::Address(address)) => write!(f, "email:{address}"),
            Self::Email(EmailPattern::Domain(domain)) => write!(f, "email:*@{domain}"),
            Self::Data { field, value } => write!(f, "data:{field}={value}"),
        }
    }
}

impl EmailPattern {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let plain = |part: &str| !part.is_empty() && !part.contains(['*', '@', ' ']);
        match local {
            "*" if plain(domain) => Some(Self::Domain(domain.to_lowercase())),
            _ if plain(local) && plain(domain) => Some(Self::Address(text.to_lowercase())),
            _ => None,
        }
    }

    /// Whether it covers this address.
    pub fn covers(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        match self {
            Self::Address(wanted) => *wanted == address,
            Self::Domain(wanted) => address.rsplit_once('@').is_some_and(|(_, domain)| domain == wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_alike() {
        for text in [
            "anyone",
            "guest",
            "signed_in",
            "service",
            "nobody",
            "verified_email",
            "role:editor",
            "provider:corp",
            "policy:staff",
            "email:ann@example.com",
            "email:*@example.com",
            "data:plan=pro",
        ] {
            assert_eq!(text.parse::<Who>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_word_that_names_nobody_is_an_error() {
        for text in [
            "anyon",
            "",
            "role",
            "role:",
            "email:*",
            "email:a@b@c",
            "email:*@*.com",
            "data:plan",
            "data:=pro",
            "group:x",
        ] {
            assert!(text.parse::<Who>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_domain_covers_neither_subdomains_nor_longer_names() {
        let pattern = EmailPattern::parse("*@example.com").unwrap();
        assert!(pattern.covers("Ann@Example.com"));
        assert!(!pattern.covers("ann@evil-example.com"));
        assert!(!pattern.covers("ann@sub.example.com"));
        assert!(!pattern.covers("ann@example.com@evil.test"));
    }
}
