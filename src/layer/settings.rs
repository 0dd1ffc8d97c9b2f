use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use ipnet::IpNet;

/// `[identity_headers]`: under which names the app learns who asks.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct IdentityHeaders {
    /// The set of names.
    pub preset: Preset,
    /// `set`: further names and what they carry, in the order of the names.
    pub set: Vec<(HeaderName, Source)>,
}

/// `identity_headers.preset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preset {
    /// `X-Auth-User` and its kin.
    #[default]
    XAuth,
    /// `X-Auth-Request-User` and its kin, as oauth2-proxy names them.
    XAuthRequest,
    /// `Remote-User`, `Remote-Groups`, `Remote-Email`, `Remote-Name`, as Authelia names them.
    Remote,
    /// None but those of `set`.
    None,
}

/// A word of `aliases`: whose endpoint names are ours, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// `oauth2-proxy`: `/oauth2/auth` and its pages.
    Oauth2Proxy,
    /// `authelia`: `/api/verify` and `/api/authz/…`.
    Authelia,
    /// `envoy`: `ext_authz` over gRPC, `/envoy.service.auth.v3.Authorization/Check`.
    Envoy,
}

/// What a header of `identity_headers.set` carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `id`: the user's id.
    Id,
    /// `kind`: `user`, `guest` or `service`.
    Kind,
    /// `provider`: the name of the provider of this sign-in.
    Provider,
    /// `email`.
    Email,
    /// `name`.
    Name,
    /// `roles`, joined with commas.
    Roles,
    /// `data.FIELD`: a metadata field.
    Data(String),
    /// `custom_data.FIELD`: a field of the user's custom data.
    CustomData(String),
}

/// Text that names no source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header carries id, kind, provider, email, name, roles, data.FIELD or custom_data.FIELD")]
pub struct SourceError;

/// `[trusted_proxies]`: who may say where a request came from.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TrustedProxies {
    /// Their networks; empty means nobody is believed. They never cover every address.
    pub addresses: Vec<IpNet>,
    /// Where they write what they know.
    pub header: ForwardedHeader,
}

/// `trusted_proxies.header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, with `-Proto` and `-Host`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// `underscore_headers`: what becomes of header fields with `_` in their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnderscoreHeaders {
    /// Removed: many apps cannot tell `X_User` from `X-User`.
    #[default]
    Drop,
    /// Those that fold to no identity header go on.
    Keep,
}

impl Source {
    /// Every word that stands alone, and every prefix with its dot: for messages.
    pub const WORDS: [&str; 8] = ["id", "kind", "provider", "email", "name", "roles", "data.", "custom_data."];
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match (text, text.split_once('.')) {
            ("id", _) => Ok(Self::Id),
            ("kind", _) => Ok(Self::Kind),
            ("provider", _) => Ok(Self::Provider),
            ("email", _) => Ok(Self::Email),
            ("name", _) => Ok(Self::Name),
            ("roles", _) => Ok(Self::Roles),
            (_, Some(("data", field))) if !field.is_empty() => Ok(Self::Data(field.to_owned())),
            (_, Some(("custom_data", field))) if !field.is_empty() => Ok(Self::CustomData(field.to_owned())),
            _ => Err(SourceError),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("id"),
            Self::Kind => f.write_str("kind"),
            Self::Provider => f.write_str("provider"),
            Self::Email => f.write_str("email"),
            Self::Name => f.write_str("name"),
            Self::Roles => f.write_str("roles"),
            Self::Data(field) => write!(f, "data.{field}"),
            Self::CustomData(field) => write!(f, "custom_data.{field}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_read_and_written_alike() {
        for text in ["id", "kind", "provider", "email", "name", "roles", "data.tenant", "custom_data.a.b"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        for text in ["", "data", "data.", "custom_data.", "identity", "Id"] {
            assert_eq!(text.parse::<Source>(), Err(SourceError), "{text}");
        }
    }
}
