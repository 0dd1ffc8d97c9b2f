//! No field of a client reaches the app under a name of ours, however it is spelt (SEC-HDR).

#![no_main]

use std::sync::LazyLock;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use tower::{ServiceExt as _, service_fn};
use vestibule::test::TestVestibule;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
static GATE: LazyLock<TestVestibule> = LazyLock::new(|| {
    RUNTIME.block_on(TestVestibule::new("[routes]\n\"/**\" = { all = \"anyone\" }")).unwrap()
});

fuzz_target!(|fields: Vec<(&[u8], &[u8])>| {
    let mut request = Request::get("/").header("host", "localhost");
    for (name, value) in fields.iter().take(50) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Body::empty()).unwrap();
    let app = service_fn(async |request: Request<_>| {
        for name in request.headers().keys() {
            // As servers fold them that make variables of names (RFC 3875 §4.1.18), and more lenient ones.
            let words = name.as_str().split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            let words: Vec<_> = words.collect();
            assert!(!words.starts_with(&["x", "auth"]) || words.len() < 3, "{name}");
        }
        Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
    });
    let answer = RUNTIME.block_on(GATE.gate().protect(app).oneshot(request));
    assert!(answer.is_ok());
});
