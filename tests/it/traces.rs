//! Traces, as a collector receives them (OTLP over HTTP, protobuf).

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use rustix::process::Signal;

use crate::support::{Answer, RecordingUpstream, Site, Vestibule};

const RULES: &str = "roles = [\"editor\"]\n[providers.local-userpass]\n[providers.anon-user]\n[routes]\n\
                     \"/**\" = { read = \"anyone\", write = \"role:editor\" }\n\"/own/**\" = { all = \"signed_in\" }\n\
                     [shutdown]\ndrain = \"0s\"\n";

/// A collector, and what it was sent.
struct Collector(RecordingUpstream);

impl Collector {
    fn start() -> Self {
        Self(RecordingUpstream::scripted(|_| Answer::text("")))
    }

    /// A site that sends its traces here.
    fn site(&self, app: &RecordingUpstream, otlp: &str) -> Site {
        Site::new(app, &format!("{RULES}[observe.otlp]\nendpoint = \"{}\"\n{otlp}\n", self.0.url()))
    }

    fn batches(&self) -> Vec<ExportTraceServiceRequest> {
        let sent = self.0.requests();
        sent.iter().map(|request| ExportTraceServiceRequest::decode(request.body.clone()).unwrap()).collect()
    }

    /// Every span, once the server has ended and so has sent them all.
    async fn spans(&self, mut server: Vestibule) -> Vec<Span> {
        server.signal(Signal::TERM);
        assert!(server.exit().await.success());
        let of_resource = self.batches().into_iter().flat_map(|batch| batch.resource_spans);
        of_resource.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn value<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a any_value::Value> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    found.value.as_ref().and_then(|AnyValue { value }| value.as_ref())
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    match value(attributes, name) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{name}: {other:?} of {attributes:?}"),
    }
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} among {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
    found[0]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_request_is_a_span_and_so_is_the_answer_of_the_app() {
    let (app, collector) = (RecordingUpstream::start(), Collector::start());
    let server = collector.site(&app, "service_name = \"front door\"").start().await;
    server.client().get("/posts?secret=1").header("traceparent", trace("01")).script().await.is(200);
    let told = app.last().headers["traceparent"].to_str().unwrap().to_owned();
    let log = server.log().line("/posts").await;
    let spans = collector.spans(server).await;

    let request = named(&spans, "GET /**");
    assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(request.kind(), SpanKind::Server);
    let said = |name| text(&request.attributes, name);
    assert_eq!(
        (said("http.route"), said("url.path"), said("url.scheme")),
        ("/**".into(), "/posts".into(), "http".into())
    );
    assert_eq!((said("http.response.status_code"), said("vestibule.rule")), ("200".into(), "anyone".into()));
    assert_eq!(said("client.address"), "127.0.0.1");
    assert_eq!(request.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["allowed"]);
    assert!(log.contains(TRACE), "{log}");

    let upstream = named(&spans, "GET");
    assert_eq!((&upstream.trace_id, &upstream.parent_span_id), (&request.trace_id, &request.span_id));
    assert_eq!(upstream.kind(), SpanKind::Client);
    assert_eq!(text(&upstream.attributes, "server.address"), app.url());
    assert_eq!(told, format!("00-{TRACE}-{}-01", hex(&upstream.span_id)));
    assert!(!format!("{spans:?}").contains("secret"), "a query is in a trace");

    let batches = collector.batches();
    let resource = batches[0].resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(text(&resource.attributes, "service.name"), "front door");
}

#[tokio::test]
async fn what_it_does_for_a_sign_in_is_part_of_the_trace() {
    let (app, collector) = (RecordingUpstream::start(), Collector::start());
    let server = collector.site(&app, "").user("ann@example.com", &["editor"]).start().await;
    let ann = server.client();
    ann.sign_in("ann@example.com").await;
    let user = ann.get("/.auth/me").script().await.json()["user_id"].as_str().unwrap().to_owned();
    ann.post("/posts").script().await.is(200);
    let spans = collector.spans(server).await;

    let write = named(&spans, "POST /**");
    assert_eq!(text(&write.attributes, "user.id"), user);
    assert_eq!(text(&write.attributes, "vestibule.rule"), "role:editor");
    let sign_in = spans.iter().find(|span| {
        span.kind() == SpanKind::Server && text(&span.attributes, "url.path") == "/.auth/login/local-userpass"
    });
    let sign_in = sign_in.unwrap();
    let of_store = spans.iter().filter(|span| value(&span.attributes, "db.system.name").is_some());
    let mut done: Vec<_> =
        of_store.filter(|span| span.trace_id == sign_in.trace_id).map(|span| span.name.as_str()).collect();
    done.sort_unstable();
    done.dedup();
    assert_eq!(done, ["read", "write"]);
    // What nobody asked for, such as house-keeping, is in no trace of its own.
    assert!(spans.iter().all(|span| span.kind() == SpanKind::Server || !span.parent_span_id.is_empty()));
}

#[tokio::test]
async fn a_refusal_says_why_and_only_our_own_failures_are_errors() {
    let (app, collector) = (RecordingUpstream::start(), Collector::start());
    let server = collector.site(&app, "").start().await;
    server.client().get("/own/").script().await.is(401);
    app.stop().await;
    server.client().get("/gone").script().await.is(502);
    let spans = collector.spans(server).await;

    let refused = named(&spans, "GET /own/**");
    assert_eq!(text(&refused.attributes, "vestibule.reason"), "authn.needed");
    assert_eq!(refused.status.clone().unwrap_or_default().code, 0);
    let failed = named(&spans, "GET /**");
    assert_eq!(text(&failed.attributes, "error.type"), "upstream.down");
    assert_eq!(failed.status.clone().unwrap().code, 2);
    assert_eq!(text(&named(&spans, "GET").attributes, "error.type"), "upstream.down");
}

#[tokio::test]
async fn as_many_are_traced_as_it_says_and_trusted_proxies_decide_themselves() {
    let (app, collector) = (RecordingUpstream::start(), Collector::start());
    let server = collector.site(&app, "sample = \"25%\"").start().await;
    for _ in 0..40 {
        // A stranger could have everything recorded.
        server.client().get("/").header("traceparent", trace("01")).script().await.is(200);
    }
    let traced = collector.spans(server).await.iter().filter(|span| span.kind() == SpanKind::Server).count();
    assert!((8..=12).contains(&traced), "{traced} of 40");

    for (flags, recorded) in [("01", 4), ("00", 0)] {
        let collector = Collector::start();
        let site = collector.site(&app, "sample = \"25%\"\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]");
        let server = site.start().await;
        for _ in 0..4 {
            server.client().get("/").header("traceparent", trace(flags)).script().await.is(200);
        }
        let told = app.last().headers["traceparent"].to_str().unwrap().to_owned();
        assert_eq!(told.starts_with(&format!("00-{TRACE}-{PARENT}-")), recorded == 0, "{told}");
        let spans = collector.spans(server).await;
        assert_eq!(spans.iter().filter(|span| span.kind() == SpanKind::Server).count(), recorded, "{flags}");
    }
}

#[tokio::test]
async fn without_a_collector_nothing_is_traced_and_what_clients_say_goes_on() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).start().await;
    server.client().get("/").header("traceparent", trace("01")).script().await.is(200);
    assert_eq!(app.last().headers["traceparent"], trace("01").as_str());
    assert!(!server.log().line("path=/").await.contains("trace="));
}

#[tokio::test]
async fn a_collector_that_does_not_take_them_is_told_of_once_and_stops_nothing() {
    let (app, collector) = (RecordingUpstream::start(), Collector::start());
    collector.0.script(|request| match request.headers.get("authorization") {
        Some(value) if value == "Bearer s3cret-collector" => Answer::text(""),
        _ => Answer::status(401, ""),
    });
    let headers = "headers = { authorization = { env = \"OTLP\" } }";
    let server = collector.site(&app, headers).env("OTLP", "Bearer wrong-collector").start().await;
    server.client().get("/").script().await.is(200);
    let told = server.log().line("the collector does not take traces").await;
    assert!(told.contains("401") && !told.contains("wrong-collector"), "{told}");
    server.client().get("/").script().await.is(200);

    let server = collector.site(&app, headers).env("OTLP", "Bearer s3cret-collector").start().await;
    server.client().get("/").script().await.is(200);
    assert!(!collector.spans(server).await.is_empty());
}

/// What a client says of its trace.
fn trace(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
