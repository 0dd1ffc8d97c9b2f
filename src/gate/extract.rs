//! The identity as an argument of axum's handlers.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::IntoResponse;
use http::Response;
use http::request::Parts;

use super::Identity;
use super::pass::{Pass, no_gate};
use crate::body::Body;
use crate::rejection::Reason;

/// What a handler that wants an [`Identity`] answers when there is none: the way to the sign-in page, 401, or 500 where
/// no gate is in front.
#[derive(Debug)]
pub struct Refused(Response<Body>);

impl IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        self.0.map(axum::body::Body::new)
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await? {
            Some(identity) => Ok(identity),
            None => Err(match Pass::of(&parts.extensions) {
                Some(pass) => Refused(pass.refuse(parts, &Reason::SignInNeeded)),
                None => Refused(no_gate(parts, HANDLER)),
            }),
        }
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Refused> {
        // Nobody because nobody asked who it is must not look like nobody.
        let pass = Pass::of(&parts.extensions).ok_or_else(|| Refused(no_gate(parts, HANDLER)))?;
        Ok(pass.identity().cloned())
    }
}

const HANDLER: &str = "a handler";
