use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Extensions;

/// The other end of the connection a request came on. Rules with `from`, limits per address and `[trusted_proxies]` go
/// by it.
///
/// A server knows it and a request does not, so somebody has to say it:
///
/// - axum: [`into_make_service`](super::Protected::into_make_service) of a protected app does; with
///   [`layer`](super::Vestibule::layer) serve `app.into_make_service_with_connect_info::<SocketAddr>()`;
/// - hyper: [`from_peer`](super::Protected::from_peer) for each connection, or put a `Peer` into the extensions of the
///   request;
/// - tonic and others: [`peer_from`](super::Layer::peer_from) takes it from what they put there.
///
/// Without it limits count accounts only, no proxy is trusted, and routes with `from` refuse.
///
/// ```
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(vestibule::Peer(([192, 0, 2, 1], 443).into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Finds the peer of a request.
pub(super) type Find = dyn Fn(&Extensions) -> Option<SocketAddr> + Send + Sync;

/// Where the peer of a request is to be found.
#[derive(Clone, Default)]
pub(super) enum Source {
    /// Among the request's extensions.
    #[default]
    Usual,
    /// Whatever this finds there.
    Own(Arc<Find>),
    /// All come from there.
    Connection(SocketAddr),
}

impl Source {
    pub(super) fn peer(&self, extensions: &Extensions) -> Option<SocketAddr> {
        match self {
            Self::Usual => extensions.get::<Peer>().map(|peer| peer.0).or_else(|| of_framework(extensions)),
            Self::Own(find) => find(extensions),
            Self::Connection(peer) => Some(*peer),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usual => "Usual",
            Self::Own(_) => "Own",
            Self::Connection(_) => "Connection",
        })
    }
}

#[cfg(feature = "axum")]
mod framework {
    use std::net::SocketAddr;

    use axum::extract::{ConnectInfo, MatchedPath, OriginalUri};
    use http::{Extensions, Uri};

    pub(super) fn of_framework(extensions: &Extensions) -> Option<SocketAddr> {
        extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
    }

    /// A nested router sees a part of the path; the rules are about the whole.
    pub(in crate::gate) fn full_target(extensions: &Extensions, seen: &Uri) -> Option<Uri> {
        extensions.get::<OriginalUri>().filter(|full| full.0 != *seen).map(|full| full.0.clone())
    }

    pub(in crate::gate) fn is_routed(extensions: &Extensions) -> bool {
        extensions.get::<MatchedPath>().is_some()
    }
}

#[cfg(not(feature = "axum"))]
mod framework {
    use std::net::SocketAddr;

    use http::{Extensions, Uri};

    pub(super) fn of_framework(_: &Extensions) -> Option<SocketAddr> {
        None
    }

    pub(in crate::gate) fn full_target(_: &Extensions, _: &Uri) -> Option<Uri> {
        None
    }

    pub(in crate::gate) fn is_routed(_: &Extensions) -> bool {
        false
    }
}

use framework::of_framework;
pub(super) use framework::{full_target, is_routed};
