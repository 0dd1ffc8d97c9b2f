//! Signing in as a guest and refreshing, among a thousand users and a million, on SQLite.
//!
//! `cargo bench --bench app_services`. Judge the ratio: the million may take half as long again as the thousand.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderValue, Method, Request};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use vestibule::app::App;
use vestibule::body::Body;
use vestibule::client::{Client, Scheme};
use vestibule::config;
use vestibule::visit::{RequestId, Visit};

const ROOT: &str = "/api/client/v2.0";

fn calls(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    for count in [1_000_u32, 1_000_000] {
        let (_folder, app) = site(&runtime, count);
        let mut group = criterion.benchmark_group(format!("among {count} users"));
        group.sample_size(50);
        let login = format!("{ROOT}/app/blog-abcde/auth/providers/anon-user/login");
        group.bench_function("anon-user/login", |bencher| {
            bencher.iter(|| runtime.block_on(call(&app, &login, None)));
        });
        let tokens = runtime.block_on(call(&app, &login, None));
        let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
        let session = format!("{ROOT}/auth/session");
        group.bench_function("session refresh", |bencher| {
            bencher.iter(|| runtime.block_on(call(&app, &session, Some(&refresh))));
        });
        group.finish();
    }
}

async fn call(app: &App, path: &str, token: Option<&str>) -> Value {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().unwrap();
    if let Some(token) = token {
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        request.headers_mut().insert("authorization", bearer);
    }
    let address = [127, 0, 0, 1].into();
    let client = Client { peer: address, address, scheme: Scheme::Http, trusted: false };
    let visit = Visit::new(request, RequestId::from_number(1), client);
    let (response, _) = app.house().app_services.as_ref().unwrap().serve(*visit).await;
    assert!(response.status().is_success(), "{response:?}");
    serde_json::from_slice(&response.into_body().read(1 << 20).await.ok().unwrap()).unwrap()
}

/// A site with so many guests, written past the store for speed.
fn site(runtime: &Runtime, count: u32) -> (TempDir, App) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    let text = format!(
        "upstream = \"http://127.0.0.1:1\"\n[store]\nurl = \"sqlite:{}\"\n[limits]\nguest.per_address = \"off\"\n\
         [app_services]\napp_id = \"blog-abcde\"\n[providers.anon-user]\n",
        path.display()
    );
    let config = config::parse(&text, "bench.toml", []).unwrap();
    let app = runtime.block_on(App::open(config, ([127, 0, 0, 1], 8080).into())).unwrap();
    let mut connection = Connection::open(&path).unwrap();
    let transaction = connection.transaction().unwrap();
    let fill = format!(
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         INSERT INTO users (id, kind, data, custom_data, roles, disabled, created_at, version) \
         SELECT randomblob(12), 'guest', '{{}}', '{{}}', '[]', 0, 1800000000000, 1 FROM n; \
         INSERT INTO identities (user_id, position, provider, issuer, subject, created_at) \
         SELECT id, 0, 'anon-user', '', lower(hex(id)), 1800000000000 FROM users; \
         INSERT INTO sessions (id, user_id, provider, token, user_agent, created_at, last_seen_at, idle_expires_at, \
         expires_at) SELECT randomblob(12), id, 'anon-user', randomblob(32), 'node', 1800000000000, 1800000000000, \
         3600000000000, 3600000000000 FROM users"
    );
    transaction.execute_batch(&fill).unwrap();
    transaction.commit().unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    (folder, app)
}

criterion_group!(benches, calls);
criterion_main!(benches);
