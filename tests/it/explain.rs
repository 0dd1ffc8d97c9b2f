//! `explain` and the server say the same, because they ask the same code.

use crate::support::{RecordingUpstream, Site};

const RULES: &str = r#"
roles = ["journalist", "editor"]
[providers.anon-user]
[providers.local-userpass]
[policies.staff]
require = ["role:editor", "data:email=ed@example.com"]
[routes]
"/**" = { read = "anyone", write = "role:journalist" }
"/assets/**" = { read = "anyone" }
"/drafts/**" = { read = "role:journalist", DELETE = "role:editor" }
"/admin/**" = { all = "policy:staff" }
"/members/*" = { all = "signed_in" }
"/closed" = { all = "nobody" }
"other.localhost/**" = { all = "role:editor" }
"#;

const REQUESTS: [(&str, &str); 20] = [
    ("GET", "/"),
    ("GET", "/posts/1?draft=1"),
    ("POST", "/posts"),
    ("HEAD", "/posts/1"),
    ("PROPFIND", "/"),
    ("GET", "/assets/a.css"),
    ("POST", "/assets/a.css"),
    ("GET", "/drafts/1"),
    ("PUT", "/drafts/1"),
    ("DELETE", "/drafts/1"),
    ("GET", "/admin"),
    ("GET", "/%61dmin/keys"),
    ("GET", "/Admin"),
    ("GET", "/members/ann"),
    ("GET", "/members/ann/more"),
    ("GET", "/closed"),
    ("GET", "/a/../admin"),
    ("GET", "/admin;x=1"),
    ("GET", "//admin"),
    ("GET", "http://other.localhost/x"),
];

#[tokio::test]
async fn explain_says_what_the_server_does() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES).user("ann@example.com", &["journalist"]);
    let server = site.user("ed@example.com", &["editor"]).user("max@example.com", &[]).start().await;
    for email in ["", "max@example.com", "ann@example.com", "ed@example.com"] {
        let client = server.client();
        if !email.is_empty() {
            client.sign_in(email).await;
        }
        for (method, target) in REQUESTS {
            let mut arguments = vec!["explain", method, target];
            if !email.is_empty() {
                arguments.extend(["--as", email]);
            }
            let said = server.cli(&arguments);
            let (client, path) = match target.strip_prefix("http://other.localhost") {
                Some(path) => (client.calling("http://other.localhost"), path),
                None => (client.clone(), target),
            };
            let served = client.method(method, path).header("origin", client.origin()).await;
            let words = if served.status == 200 { "allowed" } else { "refused" };
            let code = i32::from(served.status != 200);
            assert!(
                said.stdout.trim_start().starts_with(words),
                "{method} {target} as {email:?}: {} but\n{said:?}",
                served.status
            );
            assert_eq!(said.code, code, "{method} {target} as {email:?}: {said:?}");
        }
    }
}

#[tokio::test]
async fn explain_names_route_action_reason_and_headers() {
    let app = RecordingUpstream::start();
    let site = Site::new(&app, RULES).user("ann@example.com", &["journalist"]);
    let allowed = site.cli(&["explain", "POST", "/posts", "--as", "ann@example.com"]).success().stdout;
    for word in ["/**", "write", "role:journalist", "X-Auth-User", "X-Auth-Roles"] {
        assert!(allowed.to_lowercase().contains(&word.to_lowercase()), "{word} in {allowed}");
    }
    let assertion = allowed.lines().find(|line| line.contains("x-auth-assertion")).unwrap_or_default();
    assert!(
        assertion.contains("the server signs") && assertion.ends_with("audience http://app.localhost"),
        "{allowed}"
    );
    let own = Site::new(
        &app,
        &RULES.replace(
            r#""role:editor" }
"/admin"#,
            r#""role:editor", audience = "https://drafts.example.com" }
"/admin"#,
        ),
    );
    let own = own.user("ann@example.com", &["journalist"]);
    let said = own.cli(&["explain", "GET", "/drafts/1", "--as", "ann@example.com"]).success().stdout;
    assert!(said.contains("audience https://drafts.example.com"), "{said}");
    let nobody = site.cli(&["explain", "GET", "/"]).success().stdout;
    assert!(!nobody.contains("x-auth-assertion"), "{nobody}");
    let refused = site.cli(&["explain", "DELETE", "/drafts/1", "--as", "ann@example.com"]);
    assert_eq!(refused.code, 1);
    for word in ["/drafts/**", "DELETE", "role:editor"] {
        assert!(refused.stdout.contains(word), "{word} in {refused:?}");
    }
    assert_eq!(app.count(), 0, "nobody was asked");
    let unknown = site.cli(&["explain", "GET", "/", "--as", "nobody@example.com"]);
    assert_ne!(unknown.code, 0, "{unknown:?}");
}
