//! Refusals: what providers and the store mean to visitors, what the log is told, and the page that says why.

use http::{HeaderMap, Response};
use minijinja::context;

use super::call::Call;
use super::page::{Moment, Page, Pages, signed_in_as};
use super::register::bad_email;
use super::return_to::ReturnTo;
use crate::body::Body;
use crate::clock::Timestamp;
use crate::rejection::Reason;
use crate::session::Caller;
use crate::visit::RequestId;
use crate::{provider, store};

/// What the page of a refusal tells about the request.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Its name, for whoever is asked for help.
    pub request_id: &'a RequestId,
    /// Who is signed in, if somebody is.
    pub caller: Option<&'a Caller>,
    /// What it was sent with: the language is chosen by it.
    pub headers: &'a HeaderMap,
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
        let mut response = self.show(page.status(reason.status()), refused.headers);
        reason.dress(&mut response);
        response
    }
}

fn error_values(reason: &Reason, refused: Refused<'_>, now: Timestamp) -> minijinja::Value {
    let (title, detail) = reason.words();
    let sign_in = match reason {
        Reason::Malformed(what) => what.starts_with("oauth."),
        _ => matches!(reason, Reason::SignInNeeded | Reason::BadCredential | Reason::SignInRefused),
    };
    let (detail, again) = match reason {
        Reason::RateLimited { retry_after, .. } => {
            ("This was tried too often. Nothing is lost.", Some(Moment::after(now, *retry_after)))
        }
        _ => (detail, None),
    };
    // The start page is behind the same upstream, as a rule.
    let try_again = matches!(reason, Reason::UpstreamDown | Reason::UpstreamTimeout).then(|| refused.target.location());
    context! {
        title => title,
        detail => detail,
        again => again,
        sign_in => sign_in,
        try_again => try_again,
        query => refused.target.query(),
        request_id => refused.request_id.as_str(),
    }
}

/// Tells the log what the visitor is told, and which limit it was.
pub(super) fn note(call: &Call, reason: &Reason) {
    let (request, client, code) = (call.id, call.client.address, reason.code());
    match reason {
        Reason::RateLimited { limit, .. } => tracing::warn!(%request, %client, code, limit, "too many tries"),
        Reason::CrossSite => tracing::warn!(%request, %client, code, "another site sent this"),
        Reason::SignInRefused | Reason::BadCredential => {
            tracing::info!(%request, %client, code, "a sign-in was refused")
        }
        _ => tracing::debug!(%request, %client, code, "a request to our pages was refused"),
    }
}

/// Whether a form is shown again for it; anything else is a page of its own.
pub(super) fn retells(reason: &Reason) -> bool {
    use Reason::{Conflict, Overloaded, RateLimited, SignInRefused, Unprocessable};
    matches!(reason, SignInRefused | Unprocessable(_) | RateLimited { .. } | Overloaded | Conflict(_))
}

/// A provider's no, as ours.
pub(super) fn reason_of(error: provider::Error) -> Reason {
    use provider::Error;
    match error {
        Error::Refused => Reason::SignInRefused,
        Error::WeakPassword(why) => Reason::Unprocessable(format!("password: {why}")),
        Error::BadEmail => bad_email(),
        Error::BadName => Reason::Unprocessable("name: use 1 to 64 characters".into()),
        Error::BadExpiry => Reason::Unprocessable("days: keys may not live so long here".into()),
        Error::LinkOver => Reason::Conflict("link.over"),
        Error::Closed => Reason::Forbidden,
        Error::TooManyKeys => Reason::Conflict("keys.too_many"),
        Error::TooMuchData => Reason::SignInRefused,
        Error::Conflict(what) => Reason::Conflict(what),
        Error::Busy => Reason::Overloaded,
        Error::Store(error) => unavailable(error),
    }
}

/// The store's no: refused, and told in the log alone.
pub(super) fn unavailable(error: store::Error) -> Reason {
    tracing::error!(%error, "the store failed a request to our pages");
    match error {
        store::Error::Unavailable(_) => Reason::Unavailable,
        store::Error::Corrupt(_) => Reason::Internal,
        // Between reading and writing somebody else was quicker: an account was deleted, for instance.
        store::Error::Conflict(_) => Reason::Conflict("account.changed"),
    }
}
