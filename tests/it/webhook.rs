//! Custom logic at a server: what it is told, how it knows us, and what of its answers counts.

use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use vestibule::clock::{Clock, Timestamp};
use vestibule::fetch::Fetch;
use vestibule::function::{Call, Failure, Function, Hook};
use vestibule::provider::Facts;
use vestibule::secret::Secret;

use crate::support::upstream::Recorded;
use crate::support::{Answer, Gate, RecordingUpstream};

const NOW: i64 = 1_795_363_200;

struct Asked {
    function: Function,
    clock: Clock,
}

impl Asked {
    fn by(hook: Hook) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(NOW));
        let fetch = Fetch::new(&Default::default()).unwrap();
        let function = Function::webhook("test", hook, &fetch, &clock).unwrap();
        Self { function, clock }
    }

    async fn ask(&self) -> Result<Option<Value>, Failure> {
        let address = "203.0.113.9".parse().unwrap();
        let facts = Facts { request_id: "0123".into(), address, user_agent: "Test/1 ☂".into() };
        self.function.run(Call::by_system("club", json!({ "card": 7 })).during(&facts)).await
    }

    async fn cannot_tell(&self) -> String {
        match self.ask().await {
            Err(Failure::CannotTell(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn hook(server: &RecordingUpstream) -> Hook {
    Hook {
        url: format!("{}/sign-in?v=1", server.url()).parse().unwrap(),
        secret: Secret::new("correct horse"),
        retired: vec![Secret::new("battery staple")],
        timeout: Duration::from_secs(5),
        verify_answer: false,
    }
}

fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Answer::Full(response.body(body.into()).unwrap())
}

/// As the documentation has it: `t=…,n=…,v1=…` of "t.n.body".
fn sign(secret: &str, time: &str, nonce: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[format!("{time}.{nonce}.").as_bytes(), body].concat());
    let mut value = format!("t={time},n={nonce},v1=");
    tag.as_ref().iter().for_each(|byte| write!(value, "{byte:02x}").unwrap());
    value
}

fn parts(request: &Recorded) -> (String, String) {
    let header = request.header("vestibule-signature");
    let mut parts = header.split(',').map(|part| part.split_once('=').unwrap().1.to_owned());
    (parts.next().unwrap(), parts.next().unwrap())
}

#[tokio::test]
async fn a_webhook_is_told_what_came_and_by_whom_under_a_signature() {
    let server = RecordingUpstream::scripted(|_| answer(200, r#"{"id":"ann-1","name":"Ann"}"#));
    let asked = Asked::by(hook(&server));
    assert_eq!(asked.ask().await, Ok(Some(json!({ "id": "ann-1", "name": "Ann" }))));
    let request = server.last();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/sign-in?v=1"));
    assert_eq!(request.header("content-type"), "application/json");
    let told: Value = serde_json::from_slice(&request.body).unwrap();
    let facts = json!({ "id": "0123", "address": "203.0.113.9", "user_agent": "Test/1 ☂" });
    assert_eq!(told, json!({ "provider": "club", "payload": { "card": 7 }, "request": facts }));
    let (time, nonce) = parts(&request);
    assert_eq!(time, NOW.to_string());
    assert_eq!(request.header("vestibule-signature"), sign("correct horse", &time, &nonce, &request.body));
    asked.ask().await.unwrap();
    assert_ne!(parts(&server.last()).1, nonce, "no two requests have the same nonce");
}

#[tokio::test]
async fn a_no_is_a_no_with_its_message_for_the_log() {
    for status in [401, 403] {
        let server = RecordingUpstream::scripted(move |_| answer(status, r#"{"message":"card expired"}"#));
        let Err(Failure::Refused { message, .. }) = Asked::by(hook(&server)).ask().await else { panic!("it answered") };
        assert_eq!(message, "card expired");
        server.script(move |_| answer(status, "<html>"));
        assert!(matches!(Asked::by(hook(&server)).ask().await, Err(Failure::Refused { .. })));
    }
}

/// SEC-SSRF-04
#[tokio::test]
async fn sec_ssrf_04_anything_else_cannot_tell() {
    let server = RecordingUpstream::start();
    let yes = r#"{"id":"ann-1"}"#;
    let script = |make: fn() -> Answer| move |_: &Recorded| make();
    for (what, script) in [
        ("204", script(|| answer(204, ""))),
        ("201", script(|| answer(201, r#"{"id":"ann-1"}"#))),
        ("empty", script(|| answer(200, ""))),
        ("no JSON", script(|| answer(200, r#"{"id":"ann-1""#))),
        ("a list", script(|| answer(200, r#"["ann-1"]"#))),
        ("text", script(|| answer(200, r#""ann-1""#))),
        ("true", script(|| answer(200, "true"))),
        ("a name twice", script(|| answer(200, r#"{"id":"ann-1","id":"bob-1"}"#))),
        ("HTML", script(|| Answer::text(r#"{"id":"ann-1"}"#))),
        ("500", script(|| answer(500, r#"{"id":"ann-1"}"#))),
        ("404", script(|| answer(404, "{}"))),
        ("elsewhere", script(|| answer(307, "").header("location", "/other"))),
        ("10 MiB", script(|| answer(200, format!(r#"{{"id":"ann-1","name":"{}"}}"#, "x".repeat(10 << 20))))),
    ] {
        server.script(script);
        let before = server.count();
        Asked::by(hook(&server)).cannot_tell().await;
        assert_eq!(server.count(), before + 1, "{what}: asked once");
    }
    server.script(move |_| answer(200, yes));
    assert!(Asked::by(hook(&server)).ask().await.is_ok());
}

#[tokio::test]
async fn one_that_takes_too_long_cannot_tell() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = RecordingUpstream::scripted(move |_| answer(200, r#"{"id":"ann-1"}"#).held(&held));
    let asked = Asked::by(Hook { timeout: Duration::from_millis(100), ..hook(&server) });
    assert!(asked.cannot_tell().await.contains("in time"));
    gate.open();
    assert!(Asked::by(hook(&server)).ask().await.is_ok());
}

#[tokio::test]
async fn one_that_fails_again_and_again_is_left_alone_and_then_tried() {
    let server = RecordingUpstream::scripted(|_| answer(500, "{}"));
    let asked = Asked::by(hook(&server));
    for _ in 0..5 {
        asked.cannot_tell().await;
    }
    assert!(asked.cannot_tell().await.contains("left alone"));
    assert_eq!(server.count(), 5);
    server.script(|_| answer(401, "{}"));
    assert!(asked.cannot_tell().await.contains("left alone"));
    asked.clock.advance(Duration::from_secs(10));
    assert!(matches!(asked.ask().await, Err(Failure::Refused { .. })), "a no shows that it works");
    assert!(matches!(asked.ask().await, Err(Failure::Refused { .. })));
    assert_eq!(server.count(), 7);
}

#[tokio::test]
async fn what_a_visitor_can_make_it_answer_shuts_nobody_out() {
    let server = RecordingUpstream::start();
    let script = |make: fn() -> Answer| move |_: &Recorded| make();
    for (what, script, is_left_alone) in [
        ("an error of its own", script(|| answer(500, "{}")), true),
        ("too much to do", script(|| answer(429, "{}")), true),
        ("a bad request", script(|| answer(400, "{}")), false),
        ("no such thing", script(|| answer(404, "{}")), false),
        ("no object", script(|| answer(200, "[]")), false),
        ("no JSON", script(|| answer(200, "{")), false),
        ("too much", script(|| answer(200, format!(r#"{{"id":"{}"}}"#, "x".repeat(1 << 20)))), false),
    ] {
        server.script(script);
        let asked = Asked::by(hook(&server));
        for _ in 0..6 {
            asked.cannot_tell().await;
        }
        assert_eq!(asked.cannot_tell().await.contains("left alone"), is_left_alone, "{what}");
    }
}

#[tokio::test]
async fn where_answers_are_signed_one_that_is_not_counts_for_nothing() {
    const YES: &str = r#"{"id":"ann-1"}"#;
    type Signer = fn(&str, &str) -> Option<String>;
    let cases: [(&str, Signer, bool); 8] = [
        ("signed", |t, n| Some(sign("correct horse", t, n, YES.as_bytes())), true),
        ("by the older secret", |t, n| Some(sign("battery staple", t, n, YES.as_bytes())), true),
        ("not signed", |_, _| None, false),
        ("by another secret", |t, n| Some(sign("other", t, n, YES.as_bytes())), false),
        ("for another request", |t, _| Some(sign("correct horse", t, "00", YES.as_bytes())), false),
        ("long ago", |_, n| Some(sign("correct horse", "1795362000", n, YES.as_bytes())), false),
        ("for another answer", |t, n| Some(sign("correct horse", t, n, b"{}")), false),
        ("of another form", |_, _| Some("v1=00".into()), false),
    ];
    for (what, signer, counts) in cases {
        let server = RecordingUpstream::scripted(move |request| {
            let (time, nonce) = parts(request);
            match signer(&time, &nonce) {
                Some(signature) => answer(200, YES).header("vestibule-signature", signature),
                None => answer(200, YES),
            }
        });
        let asked = Asked::by(Hook { verify_answer: true, ..hook(&server) });
        assert_eq!(asked.ask().await.is_ok(), counts, "{what}");
    }
}

#[tokio::test]
async fn a_no_that_is_not_signed_cannot_tell_either() {
    let server = RecordingUpstream::scripted(|_| answer(401, "{}"));
    Asked::by(Hook { verify_answer: true, ..hook(&server) }).cannot_tell().await;
    assert!(matches!(Asked::by(hook(&server)).ask().await, Err(Failure::Refused { .. })));
}

/// SEC-SSRF-01
#[test]
fn sec_ssrf_01_plain_http_to_another_machine_is_refused_at_the_start() {
    let server = RecordingUpstream::start();
    let fetch = Fetch::new(&Default::default()).unwrap();
    let clock = Clock::manual(Timestamp::from_seconds(NOW));
    for url in ["http://app.example.com/x", "http://10.0.0.1/x", "http://169.254.169.254/x"] {
        let hook = Hook { url: url.parse().unwrap(), ..hook(&server) };
        assert!(Function::webhook("test", hook, &fetch, &clock).is_err(), "{url}");
    }
    assert!(Function::webhook("test", hook(&server), &fetch, &clock).is_ok());
}
