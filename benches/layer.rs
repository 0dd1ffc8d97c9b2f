//! What `layer()` costs a request beside the bare handler: an axum app, 1,000 sessions. Around the app, as `protect` has
//! it, and within it, by `Router::layer`. There axum boxes service, future and body once more; so there is a layer
//! beside it that does nothing but change the type of the body.
//!
//! `VESTIBULE_BENCH_REQUESTS=bare:1000` (or `around:1000`, `idle:1000`, `within:1000`) makes so many requests and ends,
//! for tools that count allocations: the difference of two runs is what the requests cost.

use std::hint::black_box;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{ACCEPT, COOKIE, HOST, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::Either;
use tokio::runtime::{Builder, Runtime};
use tower::Layer as _;
use tower::util::MapResponseLayer;
use tower_service::Service;
use vestibule::Peer;
use vestibule::gate::Guarded;
use vestibule::test::{Person, TestVestibule};

const RULES: &str = "roles = [\"journalist\"]\n[routes]\n\"/**\" = { all = \"signed_in\" }\n";
const SESSIONS: usize = 1000;

type Error = Box<dyn std::error::Error>;

struct Apps {
    bare: Router,
    around: Guarded<Router>,
    idle: Router,
    within: Router,
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
    let around = kit.gate().layer().layer(bare.clone().with_state(()));
    let within = bare.clone().layer(kit.gate().layer());
    let idle =
        bare.clone().layer(MapResponseLayer::new(|response: Response<Body>| response.map(Either::<_, Body>::Left)));
    // As axum::serve does: what is in the way of each request is put together once.
    Ok(Apps { bare: bare.with_state(()), around, idle: idle.with_state(()), within: within.with_state(()), cookies })
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

fn make<A, B>(runtime: &Runtime, app: &mut A, cookies: &[HeaderValue], turn: &mut usize)
where
    A: Service<Request<Body>, Response = Response<B>>,
{
    *turn = (*turn + 1) % cookies.len();
    let answer = runtime.block_on(async { app.call(request(&cookies[*turn])).await });
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
        (0..count.parse().unwrap_or(0)).for_each(|_| match which {
            "bare" => make(&runtime, &mut apps.bare, &apps.cookies, &mut turn),
            "idle" => make(&runtime, &mut apps.idle, &apps.cookies, &mut turn),
            "around" => make(&runtime, &mut apps.around, &apps.cookies, &mut turn),
            _ => make(&runtime, &mut apps.within, &apps.cookies, &mut turn),
        });
        std::process::exit(0);
    }
    let mut group = c.benchmark_group("layer");
    group.bench_function("bare handler", |b| b.iter(|| make(&runtime, &mut apps.bare, &apps.cookies, &mut turn)));
    group.bench_function("idle layer", |b| b.iter(|| make(&runtime, &mut apps.idle, &apps.cookies, &mut turn)));
    group.bench_function("around", |b| b.iter(|| make(&runtime, &mut apps.around, &apps.cookies, &mut turn)));
    group.bench_function("within", |b| b.iter(|| make(&runtime, &mut apps.within, &apps.cookies, &mut turn)));
    group.finish();
}

criterion_group!(benches, layer);
criterion_main!(benches);
