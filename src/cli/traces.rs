//! Traces for a collector: spans in batches, sent by OTLP over HTTP with the client of all our own requests.
//!
//! A collector that is slow or away costs spans and nothing else: they wait in a queue of [`QUEUE`], and what does not
//! fit is dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Otlp;
use crate::fetch::{self, Fetch};
use crate::span;

/// What takes spans and sends them.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

/// Why there is nothing that sends traces.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Requests of our own.
    #[error(transparent)]
    Fetch(#[from] fetch::Setup),
    /// What the exporter does not take.
    #[error("`observe.otlp`: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

impl Traces {
    /// Sends from this runtime, which has to live for as long.
    pub(super) fn new(otlp: &Otlp, outgoing: &fetch::Settings, runtime: Handle) -> Result<Self, Error> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new(otlp, Fetch::new(outgoing)?, runtime))
            .with_endpoint(otlp.traces())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let resource = Resource::builder()
            .with_service_name(otlp.service_name.clone())
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            // Whether a request is traced is decided before there is a span.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// What hands spans over.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("vestibule"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_level(false)
            .with_context_activation(false)
            .with_filter(Targets::new().with_target(span::TARGET, Level::INFO))
    }

    /// Sends what waits, for as long as [`PATIENCE`].
    pub(super) async fn end(self) {
        // On another thread: this one has to send.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("some traces could not be sent any more");
        }
    }
}

/// Asks the collector whether it takes traces: an empty batch is one, too.
pub(super) async fn probe(otlp: &Otlp, outgoing: &fetch::Settings) -> Result<(), String> {
    let fetch = Fetch::new(outgoing).map_err(|error| error.to_string())?;
    let sender = Sender::new(otlp, fetch, Handle::current());
    let mut request = Request::post(otlp.traces()).body(Bytes::new()).map_err(|error| error.to_string())?;
    request.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    sender.send(request).await.map(drop)
}

/// Sends batches with our own client. The exporter's thread knows no runtime: so they are sent from ours.
#[derive(Debug)]
struct Sender {
    fetch: Fetch,
    headers: Vec<(HeaderName, HeaderValue)>,
    runtime: Handle,
    /// The last batch was not taken, and the log knows.
    in_trouble: AtomicBool,
}

impl Sender {
    fn new(otlp: &Otlp, fetch: Fetch, runtime: Handle) -> Self {
        let headers = otlp.headers.iter().filter_map(|(name, value)| {
            let mut value = HeaderValue::try_from(value.expose()).ok()?;
            value.set_sensitive(true);
            Some((name.clone(), value))
        });
        Self { fetch: fetch.within(PATIENCE), headers: headers.collect(), runtime, in_trouble: AtomicBool::new(false) }
    }

    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        request.headers_mut().extend(self.headers.iter().cloned());
        let fetch = self.fetch.clone();
        let asked = self.runtime.spawn(async move { fetch.send(request).await });
        let answer = asked.await.map_err(|_| "the service is ending".to_owned())?.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("{}: {}", answer.host(), answer.status));
        }
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match self.send(request).await {
            Ok(response) => {
                if self.in_trouble.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector takes traces again");
                }
                Ok(response)
            }
            Err(error) => {
                if !self.in_trouble.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "observe.otlp: the collector does not take traces; they are lost until it does");
                }
                Err(error.into())
            }
        }
    }
}

/// How many spans may wait.
const QUEUE: usize = 8192;
/// How many are sent at a time.
const BATCH: usize = 512;
/// How long the first of a batch waits.
const DELAY: Duration = Duration::from_secs(1);
/// How long a batch may take.
const PATIENCE: Duration = Duration::from_secs(5);
