//! What oauth2-proxy reads in the address of a question: whom it lets in of those whom the rules do.

use serde_json::json;

use crate::aliases::{TOLD, signed_in, site};
use crate::support::site::PASSWORD;
use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule};

const ON: &str = "aliases = [\"oauth2-proxy\"]";

async fn ask(client: &Client, query: &str, target: &str) -> Reply {
    client.get(&format!("/oauth2/auth?{query}")).script().header("x-forwarded-uri", target).await
}

#[tokio::test]
async fn groups_are_roles_and_one_of_them_is_enough() {
    let app = RecordingUpstream::start();
    let server = site(&app, ON).await;
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    let max = signed_in(&server, "/.auth", "max@example.com").await;
    for query in ["allowed_groups=admin", "allowed_groups=x,admin", "allowed_groups=x&allowed_groups=journalist,"] {
        ask(&ann, query, "/page").await.is(202);
        let reply = ask(&max, query, "/page").await;
        assert_eq!(reply.is(403).code(), "forward_auth.narrowed", "{query}");
        assert!(reply.text().contains("allowed_groups"), "{}", reply.text());
    }
    for query in ["allowed_groups=Admin", "allowed_groups=adm", "allowed%5Fgroups=x"] {
        ask(&ann, query, "/page").await.is(403);
    }
    ask(&max, "other=admin", "/page").await.is(202);
    assert_eq!(app.count(), 0);
}

/// Somebody of this site who has registered, with the role of an editor.
async fn registered(app: &RecordingUpstream, confirm: &str) -> (Vestibule, Client) {
    let rules = format!(
        "{ON}\nroles = [\"editor\"]\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n[providers.local-userpass]\n\
         sign_up = \"open\"\nconfirm = \"{confirm}\"\n"
    );
    let server = Site::new(app, &rules).start().await;
    let account = json!({ "email": "ann@example.com", "password": PASSWORD });
    server.client().post("/.auth/register").json(&account).await.is(202);
    if confirm == "mail" {
        let token = server.mailbox().wait("ann@example.com", 1).await.token();
        let reply = server.client().post("/.auth/confirm").json(&json!({ "token": token })).await;
        assert!(reply.status.is_success(), "{}", reply.describe());
    }
    server.cli(&["users", "role", "ann@example.com", "add", "editor"]).success();
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    (server, ann)
}

#[tokio::test]
async fn addresses_and_domains_are_those_of_the_account_and_every_parameter_must_hold() {
    let app = RecordingUpstream::start();
    let (_server, ann) = registered(&app, "mail").await;
    for (query, status) in [
        ("allowed_emails=ann@example.com", 202),
        ("allowed_emails=max@example.com,Ann@Example.com", 202),
        ("allowed_emails=max@example.com", 403),
        ("allowed_email_domains=example.com", 202),
        ("allowed_email_domains=example.org,*.example.com", 202),
        ("allowed_email_domains=.com", 202),
        ("allowed_email_domains=com", 403),
        ("allowed_email_domains=example.org", 403),
        ("allowed_groups=editor&allowed_emails=ann@example.com&allowed_email_domains=example.com", 202),
        ("allowed_groups=other&allowed_emails=ann@example.com&allowed_email_domains=example.com", 403),
        ("allowed_groups=editor&allowed_emails=max@example.com&allowed_email_domains=example.com", 403),
        ("allowed_groups=editor&allowed_emails=ann@example.com&allowed_email_domains=example.org", 403),
    ] {
        let reply = ask(&ann, query, "/page").await;
        assert_eq!(reply.status, status, "{query}: {}", reply.describe());
    }
}

#[tokio::test]
async fn only_an_address_that_was_proved_counts_for_a_question() {
    for (confirm, status) in [("mail", 202), ("automatic", 403)] {
        let app = RecordingUpstream::start();
        let (_server, ann) = registered(&app, confirm).await;
        for query in ["allowed_emails=ann@example.com", "allowed_email_domains=example.com"] {
            assert_eq!(ask(&ann, query, "/page").await.status, status, "{confirm}: {query}");
        }
        ask(&ann, "allowed_groups=editor", "/page").await.is(202);
    }
}

#[tokio::test]
async fn a_parameter_that_names_nobody_lets_nobody_in() {
    let app = RecordingUpstream::start();
    let server = site(&app, ON).await;
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    for query in ["allowed_groups=", "allowed_groups=admin&allowed_emails=ann", "allowed_email_domains=*"] {
        let reply = ask(&ann, query, "/page").await;
        assert_eq!(reply.is(403).code(), "forward_auth.allowed", "{query}");
    }
    ask(&ann, "allowed_groups=admin", "/page").await.is(202);
}

#[tokio::test]
async fn a_question_lets_in_nobody_whom_the_rules_refuse() {
    let app = RecordingUpstream::start();
    let server = site(&app, ON).await;
    let ann = signed_in(&server, "/.auth", "ann@example.com").await;
    let reply = ask(&ann, "allowed_groups=admin", "/machines/x").await;
    assert_eq!(reply.is(403).code(), "authz.denied");
    ask(&ann, "allowed_groups=admin", "/admin/x").await.is(202);
}

/// Somebody may be meant who has only to sign in: no 403, which would be the end, and no guest, who never is.
#[tokio::test]
async fn strangers_and_guests_are_asked_to_sign_in() {
    let app = RecordingUpstream::start();
    let server = site(&app, ON).await;
    let stranger = server.client().expecting(&TOLD);
    ask(&stranger, "allowed_groups=admin", "/public/x").await.is(401);
    ask(&stranger, "", "/public/x").await.is(202);
    let open = async |query: &str| {
        let call = stranger.stranger().get(&format!("/oauth2/auth?{query}")).navigate();
        call.header("x-forwarded-uri", "/guests/x").header("x-forwarded-method", "GET").await
    };
    let reply = open("allowed_groups=admin").await;
    assert!(reply.is(401).cookies().is_empty(), "{}", reply.describe());
    assert_eq!(open("").await.is(202).cookies().len(), 1);
    let guest = stranger.stranger();
    guest.post("/.auth/login/anon-user").submit(&[]).await.is(303);
    ask(&guest, "allowed_groups=admin", "/guests/x").await.is(401);
    ask(&guest, "", "/guests/x").await.is(202);
}
