//! Answers another proxy that only asked: 200 with the identity that [`identity_headers`](super::identity_headers) wrote,
//! in place of an app. Reads what the client sent that no app may hold; refuses nothing. Sits below all others, where the
//! app would be.

use http::StatusCode;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, VARY};

use crate::layer::{Answer, Progress, Step, data_api};
use crate::visit::{Check, Names, Visit};

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Verdict;

impl Step for Verdict {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        let Some(check) = &visit.check else { return Progress::Go(visit) };
        let mut response = std::mem::take(&mut visit.response);
        // What oauth2-proxy answers; some look for exactly this.
        if check.names == Names::XAuthRequest {
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        if check.dialect.takes_away() {
            take_away(check, visit.request.headers(), response.headers_mut());
        }
        Progress::Answer(Answer::new(visit, response))
    }
}

/// What stands in every answer besides the identity: it is for this request alone.
pub(super) fn fields() -> [(HeaderName, HeaderValue); 2] {
    [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (VARY, HeaderValue::from_static("Cookie, Authorization"))]
}

/// Envoy takes out of the request what it is told to: what the client sent under names of ours, and credentials of
/// ours, which no app may hold.
fn take_away(check: &Check, left: &HeaderMap, answer: &mut HeaderMap) {
    let mut removed: Vec<&str> = check.removed.iter().map(HeaderName::as_str).collect();
    removed.retain(|name| answer.get(*name).is_none_or(HeaderValue::is_empty));
    for name in &CREDENTIALS {
        let sent = check.credentials.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value);
        if sent.eq(left.get_all(name)) {
            continue;
        }
        // Only of cookies some can be left; they stand on one line then.
        match left.get(name) {
            Some(rest) => drop(answer.insert(name.clone(), rest.clone())),
            None => removed.push(name.as_str()),
        }
    }
    if let Ok(removed) = HeaderValue::from_str(&removed.join(","))
        && !removed.is_empty()
    {
        answer.insert(TO_REMOVE, removed);
    }
}

/// What the client sent in fields that may carry a credential of ours.
pub(super) fn credentials(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let lines = |name| headers.get_all(name).iter().map(move |value| (HeaderName::clone(name), value.clone()));
    CREDENTIALS.iter().flat_map(lines).collect()
}

/// What Envoy takes out of the request before it goes on (`ext_authz` over HTTP).
pub(super) const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// Where [`authenticate`](super::authenticate) finds credentials.
static CREDENTIALS: [HeaderName; 7] = [
    COOKIE,
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    data_api::API_KEY,
    data_api::TOKEN,
    data_api::EMAIL,
    data_api::PASSWORD,
];
