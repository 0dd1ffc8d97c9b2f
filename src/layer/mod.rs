//! The layers a request passes, one file each.

mod settings;

pub use settings::{ForwardedHeader, IdentityHeaders, Preset, Source, SourceError, TrustedProxies, UnderscoreHeaders};
