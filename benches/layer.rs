//! What `layer()` costs a request beside the bare handler, and beside a layer that does nothing but change the type of the
//! body, which axum boxes service, future and body for: an axum app, 1,000 sessions.
//!
//! `VESTIBULE_BENCH_REQUESTS=bare:1000` (or `idle:1000`, `layer:1000`) makes so many requests and ends, for tools that
//! count allocations: the difference of two runs is what the requests cost.

use std::hint::black_box;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{ACCEPT, COOKIE, HOST, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::Either;
use tokio::runtime::{Builder, Runtime};
use tower::util::MapResponseLayer;
use tower_service::Service as _;
use vestibule::Peer;
use vestibule::test::{Person, TestVestibule};

const RULES: &str = "roles = [\"journalist\"]\n[routes]\n\"/**\" = { all = \"signed_in\" }\n";
const SESSIONS: usize = 1000;

type Error = Box<dyn std::error::Error>;

struct Apps {
    bare: Router,
    idle: Router,
    layered: Router,
    cookies: Vec<HeaderValue>,
}

async fn apps() -> Result<Apps, Error> {
    let kit = TestVestibule::new(RULES).await?;
    let mut cookies = Vec::new();
    for number in 0..SESSIONS {
        let person = Person::new(&format!("user-{number}@example.com")).named("Ann").role("journalist");
        cookies.push(kit.sign_in(person).await?.cookie());
    }
    let bare = Router::new().route("/posts/{id}", get(async || "a post"));
    let layered = bare.clone().layer(kit.gate().layer());
    let idle =
        bare.clone().layer(MapResponseLayer::new(|response: Response<Body>| response.map(Either::<_, Body>::Left)));
    // As axum::serve does: what is in the way of each request is put together once.
    Ok(Apps { bare: bare.with_state(()), idle: idle.with_state(()), layered: layered.with_state(()), cookies })
}

fn request(cookie: &HeaderValue) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static("/posts/1");
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64)"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(COOKIE, cookie.clone());
    // As every server that knows its connections does.
    request.extensions_mut().insert(Peer(([127, 0, 0, 1], 4711).into()));
    request
}

fn make(runtime: &Runtime, app: &mut Router, cookies: &[HeaderValue], turn: &mut usize) {
    *turn = (*turn + 1) % cookies.len();
    let answer = runtime.block_on(app.call(request(&cookies[*turn])));
    assert!(black_box(answer).is_ok_and(|answer| answer.status() == 200));
}

fn layer(c: &mut Criterion) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    let (mut apps, mut turn) = match runtime.block_on(apps()) {
        Ok(apps) => (apps, 0),
        Err(error) => unreachable!("{error}"),
    };
    if let Ok(asked) = std::env::var("VESTIBULE_BENCH_REQUESTS") {
        let (which, count) = asked.split_once(':').unwrap_or(("", &asked));
        let app = match which {
            "bare" => &mut apps.bare,
            "idle" => &mut apps.idle,
            _ => &mut apps.layered,
        };
        (0..count.parse().unwrap_or(0)).for_each(|_| make(&runtime, app, &apps.cookies, &mut turn));
        std::process::exit(0);
    }
    let mut group = c.benchmark_group("layer");
    group.bench_function("bare handler", |b| b.iter(|| make(&runtime, &mut apps.bare, &apps.cookies, &mut turn)));
    group.bench_function("idle layer", |b| b.iter(|| make(&runtime, &mut apps.idle, &apps.cookies, &mut turn)));
    group.bench_function("1,000 sessions", |b| b.iter(|| make(&runtime, &mut apps.layered, &apps.cookies, &mut turn)));
    group.finish();
}

criterion_group!(benches, layer);
criterion_main!(benches);
