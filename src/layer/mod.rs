//! What happens to a request on its way in, one thing per file. [`stack`](crate::stack) gives the order.

mod aliases;
#[cfg(test)]
mod assertion_tests;
pub mod authenticate;
pub mod authorize;
pub mod body_limit;
pub mod client_addr;
pub mod csrf;
mod cut;
pub mod data_api;
pub mod ext_authz;
pub mod forward;
pub mod forward_auth;
pub mod identity_headers;
pub mod locate;
pub mod other_hosts;
mod protobuf;
pub mod provider_token;
pub mod rate_limit;
pub mod respond;
pub mod sanitize;
mod settings;
mod step;
pub mod trace;
pub mod verdict;

pub use settings::{
    Alias, ForwardedHeader, IdentityHeaders, Preset, Source, SourceError, TrustedProxies, UnderscoreHeaders,
};
pub use step::{Answer, Progress, Refusal, Step, StepFuture, StepLayer, StepService, Then, Waiting};
