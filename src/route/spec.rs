use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::{HeaderName, Method};
use ipnet::IpNet;

use crate::route::Who;
use crate::upstream;

/// What the configuration says about routes, before it is one [`Router`](crate::route::Router).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    /// `[routes]`; empty means `"/**" = { all = "signed_in" }`.
    pub specs: Vec<Spec>,
    /// `[policies]`.
    pub policies: BTreeMap<String, Policy>,
    /// `case`.
    pub case: Case,
    /// `upstream`, for routes that name none.
    pub upstream: Option<upstream::Address>,
    /// The app is in this process, so a route needs no upstream.
    pub in_process: bool,
}

/// One line of `[routes]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Spec {
    /// The key as it stands in the file: `/path/**` or `host/path/**`.
    pub key: String,
    /// Who may do what.
    pub actions: Vec<(Action, Vec<Who>)>,
    /// An upstream of its own.
    pub upstream: Option<upstream::Address>,
    /// Client networks; empty means all.
    pub from: Vec<IpNet>,
    /// What else is taken in a path.
    pub allow_in_path: Vec<Relax>,
    /// The longest body; `limits.body` if absent.
    pub body: Option<u64>,
    /// `aud` of the assertion; the public URL's origin if absent.
    pub audience: Option<String>,
    /// The header that carries the access token of the caller's provider to the app; none if absent.
    pub provider_token: Option<HeaderName>,
}

/// One entry of `[policies]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// `require = […]`: all of these.
    All(Vec<Who>),
    /// A plain list: any of these.
    Any(Vec<Who>),
}

/// What a request does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// GET and HEAD.
    Read,
    /// POST, PUT, PATCH and DELETE.
    Write,
    /// Every method the same route does not name more exactly.
    All,
    /// Exactly this method.
    Method(Method),
}

/// Text that is no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an action is read, write, all or a method in capitals")]
pub struct ActionError;

/// What `case` says about paths that differ only in case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Case {
    /// A path that only in lower case would get another verdict is refused.
    #[default]
    Guard,
    /// Paths are compared as they are.
    Exact,
}

/// What a route takes in a path although it is not plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relax {
    /// `;`: parameters of a segment.
    Semicolon,
    /// `//`: empty segments.
    EmptySegments,
    /// `%2F`: an encoded slash, passed on as it is.
    EncodedSlash,
    /// `%25`: an encoded percent sign, passed on as it is.
    EncodedPercent,
}

impl FromStr for Action {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, ActionError> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "all" => Ok(Self::All),
            // RFC 9110 §9.3.6 and §9.3.8: neither is ever forwarded, so no rule may promise it.
            "CONNECT" | "TRACE" => Err(ActionError),
            _ if !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => {
                Method::from_bytes(text.as_bytes()).map(Self::Method).map_err(|_| ActionError)
            }
            _ => Err(ActionError),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Write => f.write_str("write"),
            Self::All => f.write_str("all"),
            Self::Method(method) => f.write_str(method.as_str()),
        }
    }
}

impl Relax {
    /// Its spelling in `allow_in_path`.
    pub const SPELLINGS: [(&str, Self); 4] = [
        (";", Self::Semicolon),
        ("//", Self::EmptySegments),
        ("%2F", Self::EncodedSlash),
        ("%25", Self::EncodedPercent),
    ];
}
