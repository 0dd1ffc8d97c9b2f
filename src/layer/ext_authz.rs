//! Envoy's `ext_authz` over gRPC (`envoy.service.auth.v3.Authorization/Check`): the question becomes the request it is
//! about, which goes the way of every other question, and the answer is said in Envoy's words. Reads the peer and the
//! message; sets request, client and name; refuses whoever is no trusted proxy before it reads anything of the message,
//! and whatever is no question. Sits below [`client_addr`](super::client_addr), which says who is trusted, and above
//! everything that counts or decides by address: the client is whom Envoy names.

use std::net::IpAddr;
use std::str;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

use crate::body::{Body, ReadError};
use crate::client::UNKNOWN;
use crate::layer::forward_auth::{self, ForwardAuth};
use crate::layer::protobuf::{Broken, Fields, Message, Value};
use crate::layer::verdict::TO_REMOVE;
use crate::layer::{Progress, Refusal, Step};
use crate::rejection::Reason;
use crate::visit::{Asker, Dialect, Names, RequestId, Scheme, Visit};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ExtAuthz(pub ForwardAuth);

impl Step for ExtAuthz {
    fn take(&self, visit: Box<Visit>) -> Progress {
        if visit.request.uri().path() != PATH || !self.0.speaks_grpc() {
            return Progress::Go(visit);
        }
        if let Some(reason) = self.0.distrusts(&visit.client) {
            return Progress::refuse(visit, reason);
        }
        if visit.request.method() != Method::POST || visit.asker() != Asker::Grpc {
            return Progress::refuse(visit, Reason::UnsupportedMediaType);
        }
        Progress::Wait(Box::pin(async { unfold(visit).await.into() }))
    }
}

/// Puts the request that is asked about in the place of the question.
async fn unfold(mut visit: Box<Visit>) -> Result<Box<Visit>, Refusal> {
    let body = std::mem::take(visit.request.body_mut());
    let bytes = match body.read(LONGEST).await {
        Ok(bytes) => bytes,
        Err(ReadError::TooLarge) => return Err(Refusal::new(visit, Reason::BodyTooLarge)),
        Err(ReadError::Broken(_)) => return Err(Refusal::new(visit, Reason::Malformed("body.broken"))),
    };
    let Ok(asked) = message(&bytes).and_then(Asked::read) else {
        return Err(Refusal::new(visit, Reason::Malformed("ext_authz.form")));
    };
    // Whom Envoy does not name (a socket without address) is not Envoy: `from` admits nobody unknown.
    visit.client.address = asked.client.unwrap_or(UNKNOWN);
    visit.id = asked.id.unwrap_or(visit.id);
    visit.request = Request::default();
    *visit.request.headers_mut() = asked.headers;
    asked.question.put_into(&mut visit, Names::Own, None);
    Ok(visit)
}

/// The one message of a call: not compressed, and nothing after it (gRPC over HTTP2, "Length-Prefixed-Message").
fn message(body: &[u8]) -> Result<&[u8], Broken> {
    let (head, message) = body.split_at_checked(5).ok_or(Broken)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if head[0] == 0 && usize::try_from(length) == Ok(message.len()) { Ok(message) } else { Err(Broken) }
}

/// What a `CheckRequest` says. Of two lines for one field the last counts, as everywhere in protobuf.
struct Asked {
    question: forward_auth::Question,
    headers: HeaderMap,
    client: Option<IpAddr>,
    id: Option<RequestId>,
}

/// `AttributeContext.HttpRequest`.
#[derive(Default)]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    host: &'a str,
    scheme: &'a str,
    headers: HeaderMap,
}

impl Asked {
    fn read(message: &[u8]) -> Result<Self, Broken> {
        let (mut http, mut client) = (Http::default(), None);
        each(message, |field, attributes| match field {
            1 => each(attributes.bytes()?, |field, value| match field {
                1 => address(value).map(|address| client = address.or(client)),
                4 => each(value.bytes()?, |field, value| if field == 2 { http.read(value) } else { Ok(()) }),
                _ => Ok(()),
            }),
            _ => Ok(()),
        })?;
        let id = http.headers.get("x-request-id").and_then(|id| RequestId::given(id.as_bytes()));
        Ok(Self {
            question: forward_auth::Question {
                dialect: Dialect::Grpc,
                method: Some(Method::from_bytes(http.method.as_bytes()).map_err(|_| Broken)?),
                target: target(http.path)?,
                host: Some(HeaderValue::from_str(http.host).map_err(|_| Broken)?),
                scheme: match http.scheme {
                    "https" => Some(Scheme::Https),
                    "http" => Some(Scheme::Http),
                    _ => None,
                },
            },
            client,
            id,
            headers: http.headers,
        })
    }
}

impl<'a> Http<'a> {
    fn read(&mut self, value: Value<'a>) -> Result<(), Broken> {
        each(value.bytes()?, |field, value| {
            match field {
                2 => self.method = value.text()?,
                3 => self.header(value)?,
                4 => self.path = value.text()?,
                5 => self.host = value.text()?,
                6 => self.scheme = value.text()?,
                // `encode_raw_headers` of the filter: every line by itself.
                13 => each(value.bytes()?, |field, value| if field == 1 { self.header(value) } else { Ok(()) })?,
                _ => {}
            }
            Ok(())
        })
    }

    /// An entry of the map of headers, or a `HeaderValue`: they differ in where the value may stand.
    fn header(&mut self, entry: Value<'a>) -> Result<(), Broken> {
        let (mut name, mut content) = ("", &b""[..]);
        each(entry.bytes()?, |field, value| {
            match field {
                1 => name = value.text()?,
                2 | 3 => content = value.bytes()?,
                _ => {}
            }
            Ok(())
        })?;
        // `:method` and its kin have fields of their own.
        if name.starts_with(':') {
            return Ok(());
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Broken)?;
        let value = HeaderValue::from_bytes(content).map_err(|_| Broken)?;
        self.headers.try_append(name, value).map(drop).map_err(|_| Broken)
    }
}

/// Of a `Peer`: `address.socket_address.address`, if it is one of IP.
fn address(peer: Value<'_>) -> Result<Option<IpAddr>, Broken> {
    let mut found = None;
    each(peer.bytes()?, |field, address| match field {
        1 => each(address.bytes()?, |field, socket| match field {
            1 => each(socket.bytes()?, |field, value| match field {
                2 => value.text().map(|text| found = text.parse().ok()),
                _ => Ok(()),
            }),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    Ok(found.map(|address: IpAddr| address.to_canonical()))
}

fn target(path: &str) -> Result<PathAndQuery, Broken> {
    forward_auth::parse(path).map_err(|_| Broken)
}

fn each<'a>(message: &'a [u8], mut take: impl FnMut(u64, Value<'a>) -> Result<(), Broken>) -> Result<(), Broken> {
    Fields::of(message).try_for_each(|field| field.and_then(|(number, value)| take(number, value)))
}

/// The answer to a question, as a `CheckResponse` in a gRPC answer.
pub(super) fn answer(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let status = match parts.status {
        StatusCode::OK => OK,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        _ => UNAUTHENTICATED,
    };
    let message = Message::default().message(1, &Message::default().number(1, status));
    let message = if status == OK {
        message.message(3, &allowed(&parts.headers))
    } else {
        // Refusals are short, and whole already.
        let body = body.read(LONGEST).now_or_never().and_then(Result::ok).unwrap_or_default();
        message.message(2, &denied(parts.status, &parts.headers, &body))
    };
    framed(&message.into_bytes())
}

/// `OkHttpResponse`: what is empty is removed, as is what the client sent in its own name.
fn allowed(headers: &HeaderMap) -> Message {
    let mut message = Message::default();
    for (name, value) in headers.iter().filter(|(name, _)| ![CACHE_CONTROL, VARY, X_REQUEST_ID].contains(name)) {
        message = match str::from_utf8(value.as_bytes()) {
            _ if name == SET_COOKIE => message.message(6, &option(name, value, APPEND)),
            Ok(names) if name == TO_REMOVE => {
                names.split(',').fold(message, |message, name| message.bytes(5, name.as_bytes()))
            }
            Ok("") | Err(_) => message.bytes(5, name.as_str().as_bytes()),
            Ok(_) => message.message(2, &option(name, value, OVERWRITE)),
        };
    }
    message
}

/// `DeniedHttpResponse`.
fn denied(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Message {
    let message = Message::default().message(1, &Message::default().number(1, status.as_u16().into()));
    let sayable =
        headers.iter().filter(|(name, value)| *name != CONTENT_LENGTH && str::from_utf8(value.as_bytes()).is_ok());
    let message = sayable.fold(message, |message, (name, value)| {
        // Of its own it has one content type, and there may be several cookies.
        message.message(2, &option(name, value, if name == SET_COOKIE { APPEND } else { OVERWRITE }))
    });
    if str::from_utf8(body).is_ok() { message.bytes(3, body) } else { message }
}

/// `HeaderValueOption`.
fn option(name: &HeaderName, value: &HeaderValue, action: u64) -> Message {
    let header = Message::default().bytes(1, name.as_str().as_bytes()).bytes(2, value.as_bytes());
    Message::default().message(1, &header).number(3, action)
}

/// One message, and that the call went well.
fn framed(message: &[u8]) -> Response<Body> {
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend(u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    frame.extend(message);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(OK))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Where Envoy asks.
const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";
/// The longest question: twice the longest header block that Envoy takes as it comes.
const LONGEST: usize = 128 << 10;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// `google.rpc.Code`.
const OK: u64 = 0;
const PERMISSION_DENIED: u64 = 7;
const UNAUTHENTICATED: u64 = 16;

/// `HeaderValueOption.HeaderAppendAction`.
const APPEND: u64 = 0;
const OVERWRITE: u64 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `GET /a` of `a.test`, asked by 192.0.2.1.
    fn question() -> Vec<u8> {
        let text = |message: Message, field, text: &str| message.bytes(field, text.as_bytes());
        let http = text(text(text(Message::default(), 2, "GET"), 4, "/a"), 5, "a.test");
        let socket = text(Message::default(), 2, "::ffff:192.0.2.1");
        let peer = Message::default().message(1, &Message::default().message(1, &socket));
        let request = Message::default().message(2, &http);
        Message::default().message(1, &Message::default().message(1, &peer).message(4, &request)).into_bytes()
    }

    #[test]
    fn sec_rate_02_the_client_is_whom_envoy_names() {
        let asked = Asked::read(&question()).unwrap();
        assert_eq!(asked.client.unwrap().to_string(), "192.0.2.1");
        assert_eq!((asked.question.target.as_str(), asked.question.method), ("/a", Some(Method::GET)));
    }

    #[test]
    fn nothing_but_200_allows() {
        for status in [200, 202, 303, 401, 403, 500, 503] {
            let response = Response::builder().status(status).body(Body::empty()).unwrap();
            let frame = answer(response).into_body().read(1 << 10).now_or_never().unwrap().unwrap();
            // Field 1 comes first: a `Status` of two bytes, its code.
            assert_eq!(frame[5..8], [0x0a, 2, 0x08]);
            assert_eq!(frame[8] == 0, status == 200, "{status}");
        }
    }

    proptest! {
        #[test]
        fn a_question_with_any_byte_changed_is_read_or_broken(at in 0..60_usize, byte: u8) {
            let mut changed = question();
            let at = at % changed.len();
            changed[at] = byte;
            let _ = Asked::read(&changed);
            prop_assert!(Asked::read(&changed[..at]).is_err());
        }
    }
}
