//! Refuses unsafe methods and upgrades that another site made a browser send along with our cookie. Reads
//! credential, `Sec-Fetch-Site`, `Origin` and `Host`; refuses with 403. Sits below authentication, which says
//! whether a cookie is what speaks. Our own pages ask the same of their forms, with or without a cookie.

use http::Method;
use http::header::{HOST, ORIGIN};

use crate::layer::{Progress, Step};
use crate::portal::csrf::{self, CrossSite, Site};
use crate::rejection::Reason;
use crate::upstream::forward::Upgrade;
use crate::visit::{Credential, Place, Visit};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Csrf;

impl Step for Csrf {
    fn take(&self, visit: Box<Visit>) -> Progress {
        let reads = matches!(*method(&visit), Method::GET | Method::HEAD | Method::OPTIONS);
        let changes = !reads || visit.wants() != Upgrade::No;
        if !changes || visit.credential != Credential::Cookie || visit.place != Place::App || is_same_site(&visit) {
            Progress::Go(visit)
        } else {
            Progress::refuse(visit, Reason::CrossSite)
        }
    }
}

/// A question that does not say the method may be about any. What browsers send along with all that changes something,
/// and hardly ever with what reads, is `Origin` (Fetch, "append a request `Origin` header").
fn method(visit: &Visit) -> &Method {
    let is_any = visit.check.as_ref().is_some_and(|check| check.every_method);
    if is_any && visit.request.headers().contains_key(ORIGIN) { &Method::POST } else { visit.request.method() }
}

/// The app's own pages live at the host that was asked for. What says nothing at all was no browser of today, but
/// nobody upgrades in silence.
fn is_same_site(visit: &Visit) -> bool {
    let (headers, uri) = (visit.request.headers(), visit.request.uri());
    let spelled = || headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = uri.authority().map(|authority| authority.as_str()).or_else(spelled).unwrap_or_default();
    let site = Site { scheme: visit.client.scheme, authority };
    match csrf::check(headers, method(visit), visit.wants(), site) {
        Ok(()) => true,
        Err(CrossSite::Unproven) => visit.wants() == Upgrade::No,
        Err(CrossSite::Foreign) => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Request};

    use super::*;
    use crate::body::Body;
    use crate::client::{Client, Scheme};
    use crate::visit::RequestId;

    fn visit(method: Method, upgrade: Upgrade, headers: &[(&'static str, &'static str)]) -> Box<Visit> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        request.headers_mut().insert(HOST, HeaderValue::from_static("app.test"));
        for (name, value) in headers {
            request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let address = [127, 0, 0, 1].into();
        let client = Client { peer: address, address, scheme: Scheme::Https, trusted: false };
        let mut visit = Visit::new(request, RequestId::from_number(1), client);
        (visit.credential, visit.upgrade) = (Credential::Cookie, upgrade);
        visit
    }

    fn passes(visit: Box<Visit>) -> bool {
        matches!(Csrf.take(visit), Progress::Go(_))
    }

    #[test]
    fn sec_csrf_01_the_site_is_the_host_that_was_asked_for() {
        let post = |headers: &[(&'static str, &'static str)]| passes(visit(Method::POST, Upgrade::No, headers));
        assert!(post(&[("origin", "https://app.test")]));
        assert!(!post(&[("origin", "http://app.test")]));
        assert!(!post(&[("origin", "https://evil.test")]));
        assert!(!post(&[("sec-fetch-site", "same-site")]));
        assert!(passes(visit(Method::GET, Upgrade::No, &[("origin", "https://evil.test")])));
    }

    #[test]
    fn sec_csrf_01_what_sends_no_cookie_may_say_what_it_likes() {
        let evil = [("origin", "https://evil.test")];
        assert!(!passes(visit(Method::POST, Upgrade::No, &evil)));
        let mut bearer = visit(Method::POST, Upgrade::No, &evil);
        bearer.credential = Credential::Bearer;
        assert!(passes(bearer));
    }

    #[test]
    fn silence_is_a_program_but_not_for_an_upgrade() {
        assert!(passes(visit(Method::POST, Upgrade::No, &[])));
        assert!(!passes(visit(Method::GET, Upgrade::WebSocket, &[])));
        assert!(passes(visit(Method::GET, Upgrade::WebSocket, &[("origin", "https://app.test")])));
    }
}
