//! Limits how many requests one address and one user may send. Reads the client's address and the caller;
//! refuses with 429. The address counts before any credential is looked at, the user right after.

use std::sync::Arc;

use crate::layer::{Progress, Step};
use crate::limit::Limits;
use crate::rejection::Reason;
use crate::visit::Visit;

/// Counts by client address.
#[derive(Clone)]
pub struct ByAddress(pub Arc<Limits>);

/// Counts by user, guests included.
#[derive(Clone)]
pub struct ByUser(pub Arc<Limits>);

impl Step for ByAddress {
    fn take(&self, visit: Box<Visit>) -> Progress {
        match self.0.request_address.check(visit.client.address) {
            Ok(()) => Progress::Go(visit),
            Err(retry_after) => {
                Progress::refuse(visit, Reason::RateLimited { limit: "requests.per_address", retry_after })
            }
        }
    }
}

impl Step for ByUser {
    fn take(&self, visit: Box<Visit>) -> Progress {
        if self.0.request_user.is_off() {
            return Progress::Go(visit);
        }
        let Some(caller) = &visit.caller else { return Progress::Go(visit) };
        match self.0.request_user.check(caller.user.id) {
            Ok(()) => Progress::Go(visit),
            Err(retry_after) => {
                Progress::refuse(visit, Reason::RateLimited { limit: "requests.per_user", retry_after })
            }
        }
    }
}
