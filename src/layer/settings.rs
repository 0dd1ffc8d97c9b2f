use http::HeaderName;
use ipnet::IpNet;

/// `[identity_headers]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct IdentityHeaders {
    /// Which family of names. Default `x-auth`.
    pub preset: Preset,
    /// Further headers and the fields they carry: `id`, `kind`, `provider`, `email`, `name`, `roles`,
    /// `data.FIELD` or `custom_data.FIELD`.
    pub set: Vec<(HeaderName, String)>,
}

/// A family of identity headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preset {
    /// `X-Auth-User` and the rest of its set, with the signed assertion.
    #[default]
    XAuth,
    /// oauth2-proxy's `X-Auth-Request-User`, `-Email`, `-Preferred-Username`, `-Groups`.
    XAuthRequest,
    /// Authelia's `Remote-User`, `Remote-Email`, `Remote-Name`, `Remote-Groups`.
    Remote,
    /// None but those in `set`.
    None,
}

/// `[trusted_proxies]`: peers whose forwarding headers are believed.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TrustedProxies {
    /// Their networks; empty means nobody.
    pub addresses: Vec<IpNet>,
    /// Which header they write the client's address into. Default `X-Forwarded-For`.
    pub header: ForwardedHeader,
}

/// Where trusted proxies write the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// `underscore_headers`: what becomes of header names with `_`, which some upstreams read as `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Underscores {
    /// They are removed.
    #[default]
    Drop,
    /// Those stay that no identity header folds to.
    Keep,
}
