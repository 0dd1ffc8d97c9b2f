use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, Request, Response};

use super::Identity;
use super::inner::Inner;
use super::peer;
use crate::body::Body;
use crate::client::{Client, Scheme, UNKNOWN};
use crate::rejection::Reason;
use crate::upstream;
use crate::visit::{RequestId, Visit};

/// What a request carries that a gate has let in.
#[derive(Clone)]
pub(super) enum Pass {
    /// It speaks for nobody.
    Nobody(Arc<Inner>),
    /// It speaks for somebody.
    Known(Identity),
}

impl Pass {
    pub(super) fn new(inner: &Arc<Inner>, visit: &Visit) -> Self {
        match &visit.caller {
            Some(caller) => Self::Known(Identity::new(inner.clone(), caller.clone(), visit.credential)),
            None => Self::Nobody(inner.clone()),
        }
    }

    /// The pass of the nearest gate, if there is one in front.
    pub(super) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Nobody(_) => None,
            Self::Known(identity) => Some(identity),
        }
    }

    pub(super) fn gate(&self) -> &Arc<Inner> {
        match self {
            Self::Nobody(gate) => gate,
            Self::Known(identity) => identity.gate(),
        }
    }

    /// A refusal behind the gate, in the form its asker reads.
    pub(super) fn refuse(&self, parts: &Parts, reason: &Reason) -> Response<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = peer::full_target(&parts.extensions, &parts.uri).unwrap_or_else(|| parts.uri.clone());
        *request.headers_mut() = parts.headers.clone();
        let id = parts.headers.get("x-request-id").and_then(|id| RequestId::given(id.as_bytes()));
        let id = id.unwrap_or_else(|| RequestId::from_number(0));
        let client = Client { peer: UNKNOWN, address: UNKNOWN, scheme: Scheme::Http, trusted: false };
        let mut visit = Visit::new(request, id, client);
        visit.caller = self.identity().map(|identity| identity.caller().clone());
        self.gate().respond().worded(reason, &visit)
    }
}

/// What to answer where no gate is in front: an error of the program, told in the log with the way out.
pub(super) fn no_gate(parts: &Parts, what: &str) -> Response<Body> {
    tracing::error!(
        path = parts.uri.path(),
        "{what} asks for an identity, but no gate is in front of it: serve gate.protect(app), or add \
         .layer(gate.layer()) after this route"
    );
    if upstream::is_grpc(&parts.headers) { Reason::Internal.grpc("-") } else { Reason::Internal.problem("-") }
}
