//! What a decision costs, with 10 and with 10,000 routes.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use vestibule::route::{Path, Question, Router, Spec, Tables, Who};

fn router(routes: usize) -> Router {
    let spec = |key: String| Spec {
        key,
        actions: vec![(vestibule::route::Action::All, vec![Who::Anyone])],
        ..Spec::default()
    };
    let specs = (0..routes).map(|n| spec(format!("/team-{:02}/app-{n:04}/**", n % 100))).collect();
    let tables = Tables { specs, upstream: "http://127.0.0.1:1".parse().ok(), ..Tables::default() };
    match Router::new(&tables) {
        Ok(router) => router,
        Err(faults) => unreachable!("{faults:?}"),
    }
}

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    let method = Method::GET;
    for routes in [10, 10_000] {
        let router = router(routes);
        // All of one length, and in an order that has nothing to do with that of the routes in memory; the list itself is
        // read in its own order, so that neither adds to what is measured.
        let paths: Vec<String> = (0..routes)
            .map(|turn| turn * 7919 % routes)
            .map(|n| format!("/team-{:02}/app-{n:04}/posts/1", n % 100))
            .collect();
        let mut turn = 0;
        group.bench_function(BenchmarkId::from_parameter(routes), |b| {
            b.iter(|| {
                turn = (turn + 1) % paths.len();
                let path = Path::parse(&paths[turn]);
                let question =
                    Question { method: &method, upgrade: false, address: [127, 0, 0, 1].into(), subject: None };
                path.map(|path| black_box(router.decide("app.test", &path, &question).is_ok()))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
