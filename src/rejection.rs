//! Every reason to refuse a request, and the one place that says with which status and words.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;

use crate::body::Body;
use crate::unreadable;

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The path is not in plain form, or a header that decides is malformed; the word says what.
    Malformed(&'static str),
    /// Only in lower case the path would fall under another rule.
    CaseMismatch,
    /// No such page of ours.
    NotFound,
    /// A page of ours, or a route, that does not know this method; these it knows.
    MethodNotAllowed(Cow<'static, str>),
    /// TRACE or CONNECT.
    MethodNotImplemented,
    /// A body of another type than the endpoint reads.
    UnsupportedMediaType,
    /// A body that says nothing useful; the text names the field and the way out.
    Unprocessable(String),
    /// A host we do not serve.
    UnknownHost,
    /// A request in the clear to a site that is served over TLS, and where that is.
    InTheClear(String),
    /// Nobody is signed in, and the rule wants somebody.
    SignInNeeded,
    /// A credential was sent and is not good.
    BadCredential,
    /// The sign-in itself was refused: wrong, unknown, disabled or unconfirmed, and nobody learns which.
    SignInRefused,
    /// Whoever was sent to a provider came back without having signed in there.
    SignInCancelled,
    /// Somebody signed in at a provider, and that account may not come in here.
    SignInNotAllowed,
    /// A provider does not answer, or not in a way that can be used.
    ProviderFailed,
    /// Somebody is signed in, but the rule wants somebody else.
    Forbidden,
    /// A question of forward-auth from somebody who is no trusted proxy.
    UntrustedPeer,
    /// An unsafe method from another site.
    CrossSite,
    /// Something exists already, or is in a state that forbids this; the word names it.
    Conflict(&'static str),
    /// Too often; come back after so long.
    RateLimited {
        /// Which limit.
        limit: &'static str,
        /// When the next try counts.
        retry_after: Duration,
    },
    /// A body beyond its limit.
    BodyTooLarge,
    /// A body of unknown length, where only its length could tell whether it is too long.
    LengthRequired,
    /// A request target beyond its limit.
    TargetTooLong,
    /// A header block beyond its limit.
    HeadersTooLarge,
    /// The store, or what else the decision needs, does not answer.
    Unavailable,
    /// We do more than we can already.
    Overloaded,
    /// The upstream does not answer.
    UpstreamDown,
    /// The upstream does not answer in time.
    UpstreamTimeout,
    /// The upstream leads back here.
    Loop,
    /// Our own fault.
    Internal,
}

impl Reason {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::CaseMismatch => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::MethodNotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnknownHost | Self::InTheClear(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::SignInNeeded | Self::BadCredential | Self::SignInRefused | Self::SignInCancelled => {
                StatusCode::UNAUTHORIZED
            }
            Self::Forbidden | Self::CrossSite | Self::SignInNotAllowed | Self::UntrustedPeer => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Unavailable | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamDown | Self::ProviderFailed => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            // RFC 5842 §7.2
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Its stable name in `problem+json` and in the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(what) => what,
            Self::CaseMismatch => "path.case",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed(_) => "method.not_allowed",
            Self::MethodNotImplemented => "method.not_implemented",
            Self::UnsupportedMediaType => "media_type",
            Self::Unprocessable(_) => "invalid_input",
            Self::UnknownHost => "host.unknown",
            Self::InTheClear(_) => "scheme.plain",
            Self::SignInNeeded => "authn.needed",
            Self::BadCredential => "authn.denied",
            Self::SignInRefused => "authn.refused",
            Self::SignInCancelled => "authn.cancelled",
            Self::SignInNotAllowed => "authn.not_allowed",
            Self::ProviderFailed => "provider.failed",
            Self::Forbidden => "authz.denied",
            Self::UntrustedPeer => "forward_auth.untrusted_peer",
            Self::CrossSite => "csrf.rejected",
            Self::Conflict(what) => what,
            Self::RateLimited { .. } => "rate.limited",
            Self::BodyTooLarge => "body.too_large",
            Self::LengthRequired => "body.length_required",
            Self::TargetTooLong => "target.too_long",
            Self::HeadersTooLarge => "headers.too_large",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::UpstreamDown => "upstream.down",
            Self::UpstreamTimeout => "upstream.timeout",
            Self::Loop => "upstream.loop",
            Self::Internal => "internal",
        }
    }

    /// What a person reads: a title, and what can be done about it.
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Malformed(what) => unreadable::words(what),
            Self::CaseMismatch => ("This address cannot be read", "Check upper and lower case in the address."),
            Self::NotFound => ("There is no such page", "Check the address."),
            Self::MethodNotAllowed(_) | Self::MethodNotImplemented => {
                ("This cannot be done here", "The method is not known at this address.")
            }
            Self::UnsupportedMediaType => {
                ("This form cannot be read", "Send application/json, or the form of the page.")
            }
            Self::Unprocessable(what) if what.ends_with("missing") => ("Something is missing", what),
            Self::Unprocessable(what) => ("Something cannot be taken as it is", what),
            Self::UnknownHost => ("This site is not served here", "Check the address."),
            Self::InTheClear(_) => ("This site is served over https alone", "Write https:// before the address."),
            Self::SignInNeeded => ("You are not signed in", "Sign in and try again."),
            Self::BadCredential => ("This sign-in is not valid", "Sign in again, or use another key or token."),
            Self::SignInRefused => ("Sign-in failed", "These credentials are not right."),
            Self::SignInCancelled => ("Sign-in was cancelled", "Try again, or sign in another way."),
            Self::SignInNotAllowed => {
                ("This account may not sign in here", "Use another account, or ask whoever runs this site.")
            }
            Self::ProviderFailed => {
                ("This way to sign in does not work right now", "Try again in a moment, or sign in another way.")
            }
            Self::Forbidden => ("You may not do this", "Your account lacks the right to it."),
            Self::UntrustedPeer => ("You may not ask this", "Only proxies in trusted_proxies may ask for decisions."),
            Self::CrossSite => ("This came from another site", "Go to the page itself and try again."),
            Self::Conflict(_) => ("This cannot be done now", "Something else is in the way."),
            Self::RateLimited { .. } => ("Too many tries", "Wait a while and try again."),
            Self::BodyTooLarge => ("This is too large", "Send less."),
            Self::LengthRequired => ("How long is this?", "Send the length with it."),
            Self::TargetTooLong => ("This address is too long", "Use a shorter one."),
            Self::HeadersTooLarge => ("This request is too large", "Delete some cookies of this site and try again."),
            Self::Unavailable | Self::Overloaded => ("Not available right now", "Try again in a moment."),
            Self::UpstreamDown => ("The site behind this sign-in does not answer", "Try again in a moment."),
            Self::UpstreamTimeout => ("The site behind this sign-in is too slow", "Try again in a moment."),
            Self::Loop => {
                ("This address leads back to itself", "Tell the operator: `upstream` is an address of this site.")
            }
            Self::Internal => {
                ("Something went wrong here", "Try again; if it stays, tell the operator the number below.")
            }
        }
    }

    /// The answer for programs: `application/problem+json` (RFC 9457).
    pub fn problem(&self, request_id: &str) -> Response<Body> {
        self.problem_as(self.status(), request_id)
    }

    /// The same with another status, for somebody who knows few of them.
    pub fn problem_as(&self, status: StatusCode, request_id: &str) -> Response<Body> {
        let (title, detail) = self.words();
        let body = json!({
            "title": title,
            "status": status.as_u16(),
            "code": self.code(),
            "detail": detail,
            "request_id": request_id,
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.dress(&mut response);
        response
    }

    /// The answer for gRPC clients: the status alone, which they call trailers-only (gRPC over HTTP/2, "Responses").
    pub fn grpc(&self, request_id: &str) -> Response<Body> {
        let (title, detail) = self.words();
        let message = format!("{title}. {detail} ({}, {request_id})", self.code());
        let mut response = Response::new(Body::empty());
        self.dress(&mut response);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, HeaderValue::from(self.grpc_status()));
        let message = utf8_percent_encode(&message, NOT_IN_GRPC_MESSAGE).to_string();
        if let Ok(message) = HeaderValue::try_from(message) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }

    /// Its code in gRPC (google.rpc.Code).
    fn grpc_status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::CaseMismatch | Self::Unprocessable(_) | Self::TargetTooLong => INVALID_ARGUMENT,
            Self::UpstreamTimeout => DEADLINE_EXCEEDED,
            Self::Forbidden | Self::SignInNotAllowed | Self::CrossSite | Self::UntrustedPeer => PERMISSION_DENIED,
            Self::RateLimited { .. } | Self::BodyTooLarge | Self::LengthRequired | Self::HeadersTooLarge => {
                RESOURCE_EXHAUSTED
            }
            Self::Conflict(_) => FAILED_PRECONDITION,
            Self::NotFound
            | Self::MethodNotAllowed(_)
            | Self::MethodNotImplemented
            | Self::UnsupportedMediaType
            | Self::UnknownHost
            | Self::InTheClear(_) => UNIMPLEMENTED,
            Self::Internal | Self::Loop => INTERNAL,
            Self::Unavailable | Self::Overloaded | Self::ProviderFailed | Self::UpstreamDown => UNAVAILABLE,
            Self::SignInNeeded | Self::BadCredential | Self::SignInRefused | Self::SignInCancelled => UNAUTHENTICATED,
        }
    }

    /// Sets what every answer to this refusal carries, page or problem.
    pub fn dress(&self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Cookie, Authorization"));
        match self {
            Self::SignInNeeded | Self::SignInRefused | Self::SignInCancelled => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // RFC 6750 §3.1
            Self::BadCredential => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
            }
            Self::MethodNotAllowed(allow) => {
                headers.extend(HeaderValue::try_from(&**allow).ok().map(|allow| (ALLOW, allow)));
            }
            Self::RateLimited { retry_after, .. } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
            }
            Self::Unavailable
            | Self::Overloaded
            | Self::UpstreamDown
            | Self::UpstreamTimeout
            | Self::ProviderFailed => {
                headers.insert(RETRY_AFTER, HeaderValue::from(5));
            }
            _ => {}
        }
    }
}

const INVALID_ARGUMENT: u16 = 3;
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const FAILED_PRECONDITION: u16 = 9;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// gRPC over HTTP/2, "Percent-Encoded": everything but printable ASCII, and the sign itself.
const NOT_IN_GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Language, translated};

    #[test]
    fn every_refusal_is_one_and_has_its_words_in_every_language() {
        use Reason::*;
        let wait = Duration::from_secs(1);
        for reason in [
            Malformed("x"),
            CaseMismatch,
            NotFound,
            MethodNotAllowed("GET".into()),
            MethodNotImplemented,
            UnsupportedMediaType,
            Unprocessable("missing".to_owned()),
            UnknownHost,
            InTheClear("https://a.test/".to_owned()),
            SignInNeeded,
            BadCredential,
            SignInRefused,
            SignInCancelled,
            SignInNotAllowed,
            ProviderFailed,
            Forbidden,
            CrossSite,
            Conflict("x"),
            RateLimited { limit: "x", retry_after: wait },
            BodyTooLarge,
            LengthRequired,
            TargetTooLong,
            HeadersTooLarge,
            Unavailable,
            Overloaded,
            UpstreamDown,
            UpstreamTimeout,
            Loop,
            Internal,
        ] {
            assert!(reason.problem("r1").status().as_u16() >= 400, "{reason:?}");
            let (title, detail) = reason.words();
            for text in [title, detail] {
                assert_ne!(translated(Language::German, text), text, "{reason:?}");
            }
        }
    }

    #[test]
    fn only_what_is_missing_is_said_to_be_missing() {
        let title = |what: &str| Reason::Unprocessable(what.to_owned()).words().0;
        assert_eq!(title("password: missing"), "Something is missing");
        let short = "password: use at least 8 characters";
        assert_eq!(title(short), "Something cannot be taken as it is");
        assert_ne!(translated(Language::German, title(short)), title(short));
    }

    #[test]
    fn a_grpc_refusal_is_a_status_of_grpc_that_is_never_ok() {
        let wait = Duration::from_secs(1);
        for (reason, status) in [
            (Reason::SignInNeeded, "16"),
            (Reason::BadCredential, "16"),
            (Reason::Forbidden, "7"),
            (Reason::RateLimited { limit: "x", retry_after: wait }, "8"),
            (Reason::Unavailable, "14"),
            (Reason::UpstreamDown, "14"),
            (Reason::UpstreamTimeout, "4"),
            (Reason::Malformed("x"), "3"),
            (Reason::Internal, "13"),
        ] {
            let response = reason.grpc("r1");
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[GRPC_STATUS], status, "{reason:?}");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
        }
        let response = Reason::Unprocessable("100 % \u{e4}".to_owned()).grpc("r1");
        assert_eq!(
            response.headers()[GRPC_MESSAGE],
            "Something cannot be taken as it is. 100 %25 %C3%A4 (invalid_input, r1)"
        );
    }

    #[test]
    fn every_401_says_how_to_authenticate() {
        for reason in [Reason::SignInNeeded, Reason::BadCredential, Reason::SignInRefused, Reason::SignInCancelled] {
            assert!(reason.problem("r1").headers().contains_key(WWW_AUTHENTICATE), "{reason:?}");
        }
        assert!(!Reason::Forbidden.problem("r1").headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn a_limit_says_when_to_come_back() {
        let reason = Reason::RateLimited { limit: "sign_in", retry_after: Duration::from_millis(200) };
        assert_eq!(reason.problem("r1").headers()[RETRY_AFTER], "1");
    }
}
