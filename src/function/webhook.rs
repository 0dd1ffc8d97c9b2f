//! Custom logic of a server of one's own, asked by a signed POST.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::breaker::Breaker;
use super::signature::{HEADER, Stamp};
use super::{Call, Failure};
use crate::clock::Clock;
use crate::fetch::{self, Answer, Fetch};
use crate::secret::Secret;

/// Where a webhook is, and by what it knows us.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// Its address.
    pub url: Uri,
    /// What requests are signed with, and answers.
    pub secret: Secret,
    /// What answers may be signed with, too, while secrets are changed.
    pub retired: Vec<Secret>,
    /// How long it may take. Default 5 s.
    pub timeout: Duration,
    /// Whether its answers are signed, too; then one that is not counts for nothing.
    pub verify_answer: bool,
}

/// Asks a server.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    hook: Hook,
    fetch: Fetch,
    clock: Clock,
    breaker: Arc<Breaker>,
}

impl Webhook {
    pub(super) fn new(hook: Hook, fetch: &Fetch, clock: &Clock) -> Result<Self, fetch::Error> {
        fetch.check(&hook.url)?;
        let fetch = fetch.within(hook.timeout).at_most(MOST);
        Ok(Self { hook, fetch, clock: clock.clone(), breaker: Arc::new(Breaker::new(clock.clone())) })
    }

    pub(super) async fn run(&self, name: &str, call: Call) -> Result<Option<Value>, Failure> {
        let Some(pass) = self.breaker.pass() else {
            return Err(Failure::CannotTell("the webhook has failed too often and is left alone for a while".into()));
        };
        let stamp = Stamp::new(self.clock.now());
        match self.ask(&stamp, &body(call)).await {
            Ok(answer) => {
                pass.well();
                answer.map(Some)
            }
            Err(nothing) => {
                tracing::debug!(function = name, why = %nothing, "a webhook failed");
                match nothing {
                    Nothing::Down(_) => pass.ill(),
                    // Whoever knows what makes it answer so could shut everybody out otherwise.
                    Nothing::Odd(_) => pass.well(),
                }
                Err(Failure::CannotTell(nothing.to_string()))
            }
        }
    }

    /// Its answer, yes or no; else what keeps it from being one.
    async fn ask(&self, stamp: &Stamp, body: &Bytes) -> Result<Result<Value, Failure>, Nothing> {
        let request = self.request(stamp, body).map_err(|error| Nothing::Odd(error.to_string()))?;
        let answer = self.fetch.send(request).await?;
        if self.hook.verify_answer {
            self.verify(stamp, &answer).map_err(|why| Nothing::Odd(format!("{}: {why}", answer.host())))?;
        }
        match answer.status {
            StatusCode::OK => match answer.json()? {
                answer @ Value::Object(_) => Ok(Ok(answer)),
                _ => Err(Nothing::Odd(format!("{}: no object", answer.host()))),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Ok(Err(Failure::Refused { message: message(&answer), place: String::new() }))
            }
            status => {
                let why = format!("{}: status {}", answer.host(), status.as_u16());
                let is_down = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                Err(if is_down { Nothing::Down(why) } else { Nothing::Odd(why) })
            }
        }
    }

    fn request(&self, stamp: &Stamp, body: &Bytes) -> http::Result<Request<Bytes>> {
        let json = HeaderValue::from_static("application/json");
        Request::post(&self.hook.url)
            .header(CONTENT_TYPE, json.clone())
            .header(ACCEPT, json)
            .header(HEADER, stamp.sign(&self.hook.secret, body))
            .body(body.clone())
    }

    fn verify(&self, stamp: &Stamp, answer: &Answer) -> Result<(), &'static str> {
        let mut headers = answer.headers.get_all(HEADER).iter();
        let (Some(header), None) = (headers.next(), headers.next()) else { return Err("its answer is not signed") };
        let header = header.to_str().map_err(|_| "its signature is no text")?;
        let secrets = std::iter::once(&self.hook.secret).chain(&self.hook.retired);
        stamp.verify(header, secrets, &answer.body, self.clock.now())
    }
}

/// Why there is neither a yes nor a no.
#[derive(Debug, thiserror::Error)]
enum Nothing {
    /// It does not answer, or says itself that it cannot.
    #[error("{0}")]
    Down(String),
    /// It answers, but nothing that was documented.
    #[error("{0}")]
    Odd(String),
}

impl From<fetch::Error> for Nothing {
    fn from(error: fetch::Error) -> Self {
        use fetch::Error::{Broken, Connect, Timeout};
        let why = error.to_string();
        if matches!(error, Broken(_) | Connect { .. } | Timeout(_)) { Self::Down(why) } else { Self::Odd(why) }
    }
}

/// `{provider, payload, request}`, and `arguments` where there are more than the payload.
fn body(call: Call) -> Bytes {
    let mut arguments = call.arguments.into_iter();
    let payload = arguments.next().unwrap_or_default();
    let mut body = Map::new();
    body.insert("provider".to_owned(), call.provider.into());
    body.insert("payload".to_owned(), payload);
    let rest: Vec<Value> = arguments.collect();
    if !rest.is_empty() {
        body.insert("arguments".to_owned(), rest.into());
    }
    let request = call.facts.map(
        |facts| json!({ "id": facts.request_id, "address": facts.address.to_string(), "user_agent": facts.user_agent }),
    );
    body.insert("request".to_owned(), request.into());
    Bytes::from(Value::Object(body).to_string())
}

/// `{message}` of a no, for the log.
fn message(answer: &Answer) -> String {
    let message = answer.json().ok().and_then(|answer| answer.get("message")?.as_str().map(str::to_owned));
    message.unwrap_or_default().chars().take(LONGEST_MESSAGE).collect()
}

/// Bytes of an answer that are read.
const MOST: usize = 256 << 10;
/// Characters of a message.
const LONGEST_MESSAGE: usize = 1024;
