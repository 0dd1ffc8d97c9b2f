//! The header fields of App Services' Data API on the way to an app.

use http::StatusCode;

use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Site, Vestibule};

const ON: &str = "[app_services]\napp_id = \"blog-abcde\"\n[providers.local-userpass]\n[providers.api-key]\n\
    [routes]\n\"/**\" = { all = [\"signed_in\", \"service\"] }\n";
const OFF: &str = "[providers.local-userpass]\n[providers.api-key]\n";

async fn server(upstream: &RecordingUpstream, toml: &str) -> Vestibule {
    Site::new(upstream, toml).user("ann@example.com", &[]).start().await
}

async fn status(server: &Vestibule, headers: &[(&str, &str)]) -> StatusCode {
    let mut request = server.client().get("/");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_its_password_speak_for_their_user_and_go_no_further() {
    let upstream = RecordingUpstream::start();
    let server = server(&upstream, ON).await;
    let pair = [("email", "ann@example.com"), ("password", PASSWORD)];
    assert_eq!(status(&server, &pair).await, StatusCode::OK);
    let seen = upstream.last();
    assert_eq!(seen.header("x-auth-user"), server.user_id("ann@example.com"));
    assert_eq!(seen.header("email") + &seen.header("password"), "");
    assert_eq!(status(&server, &[pair[0], ("password", "wrong")]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&server, &pair[..1]).await, StatusCode::UNAUTHORIZED);
    server.cli(&["users", "disable", "ann@example.com"]).success();
    // At once: what is known of a pair is held against the store every time.
    assert_eq!(status(&server, &pair).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_is_known_is_no_try_and_costs_no_hash() {
    let upstream = RecordingUpstream::start();
    let server = server(&upstream, &format!("[limits]\nsign_in.per_account = \"2/1h\"\n{ON}")).await;
    let pair = [("email", "ann@example.com"), ("password", PASSWORD)];
    for _ in 0..20 {
        assert_eq!(status(&server, &pair).await, StatusCode::OK);
    }
    assert_eq!(status(&server, &[pair[0], ("password", "wrong")]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&server, &[pair[0], ("password", "other")]).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status(&server, &pair).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_tokens_count_in_their_own_fields() {
    let upstream = RecordingUpstream::start();
    let server = server(&upstream, ON).await;
    let key = server.key(&["batch"]);
    assert_eq!(status(&server, &[("apiKey", &key)]).await, StatusCode::OK);
    assert_eq!(upstream.last().header("apikey"), "");
    assert_eq!(status(&server, &[("apiKey", "nonsense")]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&server, &[("jwtTokenString", "a.b.c")]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_app_services_they_are_fields_like_any_other() {
    let upstream = RecordingUpstream::start();
    let server = server(&upstream, &format!("{OFF}[routes]\n\"/**\" = {{ all = \"anyone\" }}\n")).await;
    let key = server.key(&["batch"]);
    let sent = [("email", "ann@example.com"), ("password", PASSWORD), ("apiKey", &key)];
    assert_eq!(status(&server, &sent).await, StatusCode::OK);
    let seen = upstream.last();
    assert_eq!((seen.header("email").as_str(), seen.header("x-auth-user").as_str()), ("ann@example.com", ""));
}
