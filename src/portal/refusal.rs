//! The page of a refusal: why, and what can be done.

use http::Response;
use minijinja::context;

use super::page::{Moment, Page, Pages, signed_in_as};
use super::return_to::ReturnTo;
use crate::body::Body;
use crate::clock::Timestamp;
use crate::rejection::Reason;
use crate::session::Caller;
use crate::visit::RequestId;

/// What the page of a refusal tells about the request.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Its name, for whoever is asked for help.
    pub request_id: &'a RequestId,
    /// Who is signed in, if somebody is.
    pub caller: Option<&'a Caller>,
    /// Where to return after signing in: path and query of a navigation, else empty.
    pub target: &'a ReturnTo,
}

impl Pages {
    /// The page for a refusal, dressed as the reason wants it.
    pub(super) fn refusal(&self, reason: &Reason, refused: Refused<'_>, now: Timestamp) -> Response<Body> {
        let page = match reason {
            Reason::Forbidden => Page::new(
                "refused.html",
                context! {
                    signed_in_as => signed_in_as(refused.caller),
                    query => refused.target.query(),
                    request_id => refused.request_id.as_str(),
                },
            ),
            _ => Page::new("error.html", error_values(reason, refused, now)),
        };
        let mut response = self.show(page.status(reason.status()));
        reason.dress(&mut response);
        response
    }
}

fn error_values(reason: &Reason, refused: Refused<'_>, now: Timestamp) -> minijinja::Value {
    let (title, detail) = reason.words();
    let sign_in = matches!(reason, Reason::SignInNeeded | Reason::BadCredential | Reason::SignInRefused);
    let (detail, again) = match reason {
        Reason::RateLimited { retry_after, .. } => {
            ("This was tried too often. Nothing is lost.", Some(Moment::after(now, *retry_after)))
        }
        _ => (detail, None),
    };
    context! {
        title => title,
        detail => detail,
        again => again,
        sign_in => sign_in,
        query => refused.target.query(),
        request_id => refused.request_id.as_str(),
    }
}
