//! Limits the length of a body on its way to an app behind. Reads `Content-Length` and the route; refuses
//! with 413, or breaks a body off that grows beyond. Sits below authorization: who is refused anyway need not
//! be told a length.

use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http_body_util::Limited;

use crate::body::Body;
use crate::layer::{Progress, Step};
use crate::rejection::Reason;
use crate::route::Router;
use crate::visit::Visit;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct BodyLimit {
    router: Arc<Router>,
    everywhere: Option<u64>,
}

impl BodyLimit {
    /// The limit of the route, else `everywhere`, else none.
    pub fn new(router: Arc<Router>, everywhere: Option<u64>) -> Self {
        Self { router, everywhere }
    }
}

impl Step for BodyLimit {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        let own = visit.authorized.and_then(|authorized| self.router.route(authorized).body());
        let Some(limit) = own.or(self.everywhere) else { return Progress::Go(visit) };
        let declared = visit.request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > limit) {
            return Progress::refuse(visit, Reason::BodyTooLarge);
        }
        if visit.request.body().whole().is_some_and(|body| body.len() as u64 <= limit) {
            return Progress::Go(visit);
        }
        let body = std::mem::take(visit.request.body_mut());
        *visit.request.body_mut() = Body::new(Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)));
        Progress::Go(visit)
    }
}
