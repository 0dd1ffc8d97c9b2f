//! What all layers together cost a request: open to anyone, and with a session; the app behind answers at once.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{COOKIE, HOST, HeaderValue};
use http::{Request, Response};
use tower_service::Service as _;
use vestibule::account::{Kind, User};
use vestibule::app::App;
use vestibule::body::Body;
use vestibule::client::{Client, Scheme};
use vestibule::clock::Clock;
use vestibule::config;
use vestibule::id::UserId;
use vestibule::layer::{Answer, Refusal};
use vestibule::session::Device;
use vestibule::stack::around;
use vestibule::visit::{RequestId, Visit};

const FILE: &str = r#"
upstream = "http://127.0.0.1:1"
roles = ["journalist"]
[store]
url = "memory:"
[providers.local-userpass]
[routes]
"/**" = { all = "signed_in" }
"/public/**" = { all = "anyone" }
"#;

type Error = Box<dyn std::error::Error>;

async fn house() -> Result<(App, Vec<HeaderValue>), Error> {
    let config = config::parse(FILE, "bench.toml", std::iter::empty()).map_err(|report| report.to_string())?;
    let app = App::open(config, Some(([127, 0, 0, 1], 8080).into())).await?;
    let mut cookies = Vec::new();
    for number in 0..1000 {
        let mut user = User::new(UserId::generate(Clock::system().now()), Kind::User, Clock::system().now());
        user.data.insert("email".to_owned(), format!("user-{number}@example.com").into());
        user.data.insert("name".to_owned(), format!("User {number}").into());
        user.roles.insert("journalist".to_owned());
        app.store().save_user(&user).await?;
        let token = app.house().sessions.start(&user, "local-userpass", Device::default()).await?;
        cookies.push(HeaderValue::try_from(format!("vestibule={}", token.expose()))?);
    }
    Ok((app, cookies))
}

fn visit(path: &'static str, cookie: Option<&HeaderValue>) -> Box<Visit> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static(path);
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost:8080"));
    if let Some(cookie) = cookie {
        request.headers_mut().insert(COOKIE, cookie.clone());
    }
    let address = [127, 0, 0, 1].into();
    let client = Client { peer: address, address, scheme: Scheme::Http, trusted: false };
    Visit::new(request, RequestId::from_number(1), client)
}

fn stack(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let (app, cookies) = match runtime.block_on(house()) {
        Ok(house) => house,
        Err(error) => unreachable!("{error}"),
    };
    let answer = tower::service_fn(|visit: Box<Visit>| {
        std::future::ready(Ok::<_, Refusal>(Answer::new(visit, Response::new(Body::empty()))))
    });
    let mut service = around(app.house(), answer);
    let mut turn = 0;
    let mut group = c.benchmark_group("stack");
    group.bench_function("anyone", |b| {
        b.iter(|| runtime.block_on(service.call(visit("/public/a", None))).map(black_box));
    });
    group.bench_function("1,000 sessions", |b| {
        b.iter(|| {
            turn = (turn + 1) % cookies.len();
            runtime.block_on(service.call(visit("/posts/1", Some(&cookies[turn])))).map(black_box)
        });
    });
    group.finish();
}

criterion_group!(benches, stack);
criterion_main!(benches);
