//! Ways of several steps: none is skipped, and half of one is nothing.

use serde_json::{Value, json};

use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Site, Vestibule};

const RULES: &str = r#"
[limits]
sign_in = { per_account = "1000/1h", per_address = "1000/1h" }
sign_up = { per_account = "1000/1h", per_address = "1000/1h" }
reset = { per_account = "1000/1h", per_address = "1000/1h" }
[providers.local-userpass]
sign_up = "open"
[routes]
"/**" = { all = "signed_in" }
"#;
const NEW: &str = "velvet-harbour-12";

/// What is sent although the step before it was never taken, or only half of it.
fn incomplete() -> Vec<(&'static str, Value)> {
    let ann = "ann@example.com";
    vec![
        ("login/local-userpass", json!({})),
        ("login/local-userpass", json!({ "email": ann })),
        ("login/local-userpass", json!({ "email": ann, "password": "" })),
        ("login/local-userpass", json!({ "email": ann, "password": null })),
        ("login/local-userpass", json!({ "email": ann, "password": true })),
        ("reset", json!({})),
        ("reset", json!({ "password": NEW })),
        ("reset", json!({ "email": ann, "password": NEW })),
        ("reset", json!({ "email": ann, "code": "", "password": NEW })),
        ("reset", json!({ "email": ann, "code": null, "password": NEW })),
        ("reset", json!({ "email": ann, "token": "", "password": NEW })),
        ("reset", json!({ "token": "", "password": NEW })),
        ("reset", json!({ "token": "A".repeat(43), "password": NEW })),
        ("reset", json!({ "email": ann, "current_password": PASSWORD, "password": NEW })),
        ("confirm", json!({})),
        ("confirm", json!({ "email": "new@example.com" })),
        ("confirm", json!({ "email": "new@example.com", "code": "" })),
        ("confirm", json!({ "token": "" })),
        ("confirm", json!({ "token": null, "code": null })),
        ("register", json!({})),
        ("register", json!({ "email": "other@example.com" })),
        ("token/refresh", json!({})),
        ("token/refresh", json!({ "refresh_token": "" })),
        ("account/password", json!({ "new_password": NEW })),
        ("account/delete", json!({})),
    ]
}

async fn sign_in(server: &Vestibule, email: &str, password: &str) -> u16 {
    let body = json!({ "email": email, "password": password });
    server.client().post("/.auth/login/local-userpass").json(&body).await.status.as_u16()
}

#[tokio::test]
async fn sec_pwd_07_no_step_is_skipped_and_half_a_step_is_none() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, RULES).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.post("/.auth/register").json(&json!({ "email": "new@example.com", "password": NEW })).await.is(202);
    client.post("/.auth/reset/send").json(&json!({ "email": "ann@example.com" })).await.is(202);
    server.mailbox().wait("ann@example.com", 1).await;
    for (step, body) in incomplete() {
        let reply = client.post(&format!("/.auth/{step}")).json(&body).await;
        assert!(reply.status.is_client_error(), "{step} {body}: {}", reply.describe());
        assert!(
            reply.cookies().is_empty() && !reply.text().contains("token\":"),
            "{step} {body}: {}",
            reply.describe()
        );
        client.get("/").script().await.is(401);
    }
    assert_eq!(sign_in(&server, "new@example.com", NEW).await, 401, "not confirmed");
    assert_eq!(sign_in(&server, "ann@example.com", NEW).await, 401, "not reset");
    assert_eq!(sign_in(&server, "ann@example.com", PASSWORD).await, 200);
    let mail = server.mailbox().wait("ann@example.com", 1).await;
    client.post("/.auth/reset").json(&json!({ "token": mail.token(), "password": NEW })).await;
    assert_eq!(sign_in(&server, "ann@example.com", NEW).await, 200);
}
