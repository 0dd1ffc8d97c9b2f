use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::connect::Connector;
use super::reach::{Reach, Target};
use super::{Answer, Error, Settings, Setup};
use crate::span;

/// Sends requests to others. Clones share connections.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # use vestibule::fetch::{Fetch, Settings};
/// let fetch = Fetch::new(&Settings::default())?;
/// let request = http::Request::get("https://id.example.com/keys").body(Default::default())?;
/// let keys = fetch.at_most(512 << 10).send(request).await?.json()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Fetch {
    ways: Arc<Ways>,
    limit: Duration,
    most: usize,
    /// Whose document named the addresses; none if the operator did.
    named_by: Option<Target>,
}

#[derive(Debug)]
struct Ways {
    settings: Settings,
    /// Apart from the other, so that no connection to a private address is at hand for a document's address.
    public: Client<Connector, Full<Bytes>>,
    anywhere: Client<Connector, Full<Bytes>>,
}

impl Fetch {
    /// Whether requests can be sent at all.
    pub const IS_THERE: bool = true;

    /// With these settings.
    ///
    /// # Errors
    /// When the file of certificate authorities cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Setup> {
        let connector = Connector::new(settings)?;
        let client = |reach| {
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(KEPT)
                .pool_timer(TokioTimer::new())
                .build(connector.reaching(reach))
        };
        let ways =
            Ways { settings: settings.clone(), public: client(Reach::Public), anywhere: client(Reach::Anywhere) };
        Ok(Self { ways: Arc::new(ways), limit: LIMIT, most: MOST, named_by: None })
    }

    /// The same, reading at most so many bytes of a body. Default 1 MiB.
    #[must_use]
    pub fn at_most(&self, bytes: usize) -> Self {
        Self { most: bytes, ..self.clone() }
    }

    /// The same, waiting at most so long in all, from the name to the last byte. Default 5 s.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self { limit, ..self.clone() }
    }

    /// The same for addresses that a document from this address named: they reach its own origin and public
    /// addresses, else nothing that `outgoing.allow_private` does not list (SEC-SSRF-01).
    ///
    /// # Errors
    /// [`Error::Address`] when `document` is no address that is asked.
    pub fn named_by(&self, document: &Uri) -> Result<Self, Error> {
        Ok(Self { named_by: Some(Target::of(document)?), ..self.clone() })
    }

    /// Whether this address may be asked at all; at the start, so that nobody waits to find out.
    ///
    /// # Errors
    /// [`Error::Address`] and [`Error::Insecure`].
    pub fn check(&self, uri: &Uri) -> Result<(), Error> {
        self.ways.settings.check(uri)
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// See [`Error`]; every status but 3xx is an answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, Error> {
        let target = Target::of(request.uri())?;
        target.check(&self.ways.settings)?;
        let span = span::call(request.method(), &target.name);
        let asked = self.ask(&target, request);
        let outcome = timeout(self.limit, asked).await.unwrap_or_else(|_| Err(Error::Timeout(target.name.clone())));
        match &outcome {
            Ok(answer) => _ = span.record("http.response.status_code", answer.status.as_u16()),
            Err(error) => span::fail(&span, error.kind()),
        }
        outcome
    }

    async fn ask(&self, target: &Target, request: Request<Bytes>) -> Result<Answer, Error> {
        let mut request = request.map(Full::new);
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        let client = if self.may_be_private(target) { &self.ways.anywhere } else { &self.ways.public };
        let response = client.request(request).await.map_err(|error| refused(target, &error))?;
        self.read(target, response).await
    }

    fn may_be_private(&self, target: &Target) -> bool {
        let Some(document) = &self.named_by else { return true };
        document.is_at(target) || self.ways.settings.allow_private.contains(&target.host)
    }

    async fn read(&self, target: &Target, response: Response<Incoming>) -> Result<Answer, Error> {
        let (parts, mut body) = response.into_parts();
        let host = || target.name.clone();
        if parts.status.is_redirection() {
            return Err(Error::Redirect(host()));
        }
        if parts.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Error::Encoded(host()));
        }
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > self.most) {
            return Err(Error::TooLarge(host()));
        }
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Error::Broken(host()))?.into_data() else { continue };
            if whole.len() + data.len() > self.most {
                return Err(Error::TooLarge(host()));
            }
            whole.extend_from_slice(&data);
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body: whole.freeze(), host: host() })
    }
}

/// Our own reasons travel inside the client's error.
fn refused(target: &Target, error: &(dyn std::error::Error + 'static)) -> Error {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.clone();
        }
        cause = error.source();
    }
    Error::Broken(target.name.clone())
}

const LIMIT: Duration = Duration::from_secs(5);
const MOST: usize = 1 << 20;
/// Below what servers commonly keep an idle connection for (Node.js: 5 s), so that none is used as it closes.
const IDLE: Duration = Duration::from_secs(4);
const KEPT: usize = 8;
const AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));
