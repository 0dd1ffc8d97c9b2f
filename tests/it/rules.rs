//! Who may do what: the tables of the documentation, over the wire.

use serde_json::json;

use crate::support::{Client, RecordingUpstream, Reply, Site, Vestibule};

const BLOG: &str = r#"
roles = ["journalist", "editor"]
[providers.anon-user]
[providers.local-userpass]
[routes]
"/**" = { read = "anyone", write = "role:journalist" }
"#;

const BIG: &str = r#"
roles = ["journalist", "editor"]
[providers.anon-user]
[providers.local-userpass]
[routes]
"/**" = { read = "anyone", write = "role:journalist" }
"/assets/**" = { read = "anyone" }
"/drafts/**" = { read = "role:journalist", write = "role:journalist", DELETE = "role:editor" }
"/admin/**" = { all = "role:editor" }
"#;

/// Ann is a journalist, Ed an editor and journalist, Max has an account and no role.
struct People {
    nobody: Client,
    max: Client,
    ann: Client,
    ed: Client,
}

async fn people(rules: &str, app: &RecordingUpstream) -> (Vestibule, People) {
    let site = Site::new(app, rules).user("ann@example.com", &["journalist"]);
    let site = site.user("ed@example.com", &["editor", "journalist"]).user("max@example.com", &[]);
    let server = site.start().await;
    let people = People { nobody: server.client(), max: server.client(), ann: server.client(), ed: server.client() };
    for (client, email) in [(&people.max, "max"), (&people.ann, "ann"), (&people.ed, "ed")] {
        client.sign_in(&format!("{email}@example.com")).await;
    }
    (server, people)
}

async fn ask(client: &Client, method: &str, target: &str) -> u16 {
    client.method(method, target).script().await.status.as_u16()
}

async fn upgrade(client: &Client, target: &str) -> u16 {
    let call = client.get(target).header("origin", client.origin()).header("connection", "Upgrade");
    let call = call.header("upgrade", "websocket").header("sec-websocket-version", "13");
    call.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").open().await.status().as_u16()
}

#[tokio::test]
async fn the_blog_answers_as_its_table_says() {
    let app = RecordingUpstream::start();
    let (_server, who) = people(BLOG, &app).await;
    assert_eq!(ask(&who.nobody, "GET", "/posts/1").await, 200);
    assert_eq!(ask(&who.nobody, "HEAD", "/posts/1").await, 200);
    assert_eq!(app.last().method, "HEAD");
    assert_eq!(ask(&who.nobody, "POST", "/posts").await, 401);
    assert_eq!(ask(&who.max, "POST", "/posts").await, 403);
    assert_eq!(ask(&who.ann, "POST", "/posts").await, 200);
    for method in ["PUT", "PATCH", "DELETE"] {
        assert_eq!(ask(&who.ann, method, "/posts/1").await, 200, "{method}");
        assert_eq!(ask(&who.max, method, "/posts/1").await, 403, "{method}");
    }
    assert_eq!(ask(&who.ann, "PROPFIND", "/").await, 405, "neither read nor write");
    assert_eq!(ask(&who.ann, "OPTIONS", "/").await, 405, "neither read nor write");
    let before = app.count();
    assert_eq!(upgrade(&who.nobody, "/live").await, 401);
    assert_eq!(upgrade(&who.max, "/live").await, 403);
    assert_eq!(app.count(), before, "an upgrade needs read and write");
    assert_eq!(upgrade(&who.ann, "/live").await, 101);
}

#[tokio::test]
async fn the_big_site_answers_as_its_table_says() {
    let app = RecordingUpstream::start();
    let (_server, who) = people(BIG, &app).await;
    for target in ["/admin", "/admin/", "/%61dmin", "/admin/keys"] {
        assert_eq!(ask(&who.nobody, "GET", target).await, 401, "{target}");
        assert_eq!(ask(&who.ann, "GET", target).await, 403, "{target}");
        assert_eq!(ask(&who.ed, "GET", target).await, 200, "{target}");
    }
    for target in ["//admin", "/a/../admin", "/admin%2Fx", "/admin;x=1", "/foo%23/admin"] {
        assert_eq!(ask(&who.nobody, "GET", target).await, 400, "{target}");
        assert_eq!(ask(&who.ed, "GET", target).await, 400, "{target}");
    }
    assert_eq!(ask(&who.nobody, "GET", "/assets/a.css").await, 200);
    assert_eq!(ask(&who.ann, "POST", "/assets/a.css").await, 405, "inherits nothing");
    assert_eq!(ask(&who.ann, "PUT", "/drafts/1").await, 200);
    assert_eq!(ask(&who.ann, "DELETE", "/drafts/1").await, 403);
    assert_eq!(ask(&who.ed, "DELETE", "/drafts/1").await, 200);
    assert_eq!(ask(&who.nobody, "GET", "/Admin").await, 400, "the case guard");
    assert_eq!(ask(&who.ed, "PROPFIND", "/admin/x").await, 200, "all is every method");
}

#[tokio::test]
async fn the_most_specific_route_wins_wherever_it_stands() {
    let lines = [
        "\"/**\" = { all = \"nobody\" }",
        "\"/a/*\" = { all = \"anyone\" }",
        "\"/a/b\" = { all = \"signed_in\" }",
        "\"/a/b/**\" = { all = \"nobody\" }",
        "\"app.localhost/c\" = { all = \"anyone\" }",
        "\"/c\" = { all = \"nobody\" }",
    ];
    for turn in 0..lines.len() {
        let app = RecordingUpstream::start();
        let mut turned = lines.to_vec();
        turned.rotate_left(turn);
        let rules = format!("[providers.local-userpass]\n[routes]\n{}\n", turned.join("\n"));
        let site = Site::new(&app, &rules).user("ann@example.com", &[]);
        let server = site.start().await;
        let ann = server.client();
        ann.sign_in("ann@example.com").await;
        assert_eq!(ask(&ann, "GET", "/a/x").await, 200);
        assert_eq!(ask(&ann, "GET", "/a/b").await, 200);
        assert_eq!(ask(&server.client(), "GET", "/a/b").await, 401, "literal before `*`");
        assert_eq!(ask(&ann, "GET", "/a/b/c").await, 403);
        assert_eq!(ask(&ann, "GET", "/a/x/y").await, 403, "`*` is one segment");
        assert_eq!(ask(&ann, "GET", "/c").await, 200, "host before no host");
        assert_eq!(ask(&ann.calling("http://other.localhost"), "GET", "/c").await, 403);
    }
}

#[tokio::test]
async fn every_who_lets_in_whom_it_names() {
    let rules = r#"
roles = ["editor"]
[providers.anon-user]
[providers.local-userpass]
[providers.api-key]
[policies]
both = { require = ["role:editor", "data:email=ed@example.com"] }
either = ["role:editor", "service"]
[routes]
"/anyone" = { all = "anyone" }
"/guest" = { all = "guest" }
"/signed_in" = { all = "signed_in" }
"/service" = { all = "service" }
"/role" = { all = "role:editor" }
"/provider" = { all = "provider:api-key" }
"/data" = { all = "data:email=max@example.com" }
"/list" = { all = ["service", "data:email=max@example.com"] }
"/both" = { all = "policy:both" }
"/either" = { all = "policy:either" }
"/nobody" = { all = "nobody" }
"#;
    let app = RecordingUpstream::start();
    let site = Site::new(&app, rules).user("ed@example.com", &["editor"]).user("max@example.com", &[]);
    let site = site.user("ann@example.com", &["editor"]);
    let key = site.key(&["machine"]);
    let server = site.start().await;
    let (guest, ed, max, ann) = (server.client(), server.client(), server.client(), server.client());
    guest.post("/.auth/login/anon-user").submit(&[]).await.is(303);
    ed.sign_in("ed@example.com").await;
    max.sign_in("max@example.com").await;
    ann.sign_in("ann@example.com").await;
    let expected = [
        ("/anyone", [200, 200, 200, 200, 200, 200]),
        ("/guest", [401, 200, 200, 200, 200, 200]),
        ("/signed_in", [401, 401, 200, 200, 200, 403]),
        ("/service", [401, 401, 403, 403, 403, 200]),
        ("/role", [401, 401, 200, 403, 200, 403]),
        ("/provider", [401, 401, 403, 403, 403, 200]),
        ("/data", [401, 401, 403, 200, 403, 403]),
        ("/list", [401, 401, 403, 200, 403, 200]),
        ("/both", [401, 401, 200, 403, 403, 403]),
        ("/either", [401, 401, 200, 403, 200, 200]),
        ("/nobody", [401, 401, 403, 403, 403, 403]),
    ];
    for (target, verdicts) in expected {
        let stranger = server.client();
        let mut seen = Vec::new();
        for client in [&stranger, &guest, &ed, &max, &ann] {
            seen.push(ask(client, "GET", target).await);
        }
        seen.push(stranger.get(target).header("x-api-key", &key).await.status.as_u16());
        assert_eq!(seen, verdicts, "{target}: stranger, guest, ed, max, ann, key");
    }
}

#[tokio::test]
async fn only_an_address_that_was_proved_counts_for_an_email_rule() {
    for (confirm, expected) in [("mail", 200), ("automatic", 403)] {
        let rules = format!(
            "[providers.local-userpass]\nsign_up = \"open\"\nconfirm = \"{confirm}\"\n[routes]\n\"/**\" = {{ all = \"email:*@example.com\" }}\n"
        );
        let app = RecordingUpstream::start();
        let server = Site::new(&app, &rules).start().await;
        let ann = server.client();
        let account = json!({ "email": "Ann@Example.com", "password": "copper-lantern-47" });
        ann.post("/.auth/register").json(&account).await.is(202);
        if confirm == "mail" {
            let token = server.mailbox().wait("ann@example.com", 1).await.token();
            let reply = ann.post("/.auth/confirm").json(&json!({ "token": token })).await;
            assert!(reply.status.is_success(), "{}", reply.describe());
        }
        ann.sign_in("ann@example.com").await;
        assert_eq!(ask(&ann, "GET", "/").await, expected, "{confirm}");
    }
}

#[tokio::test]
async fn a_route_may_have_an_upstream_of_its_own() {
    let (blog, shop) = (RecordingUpstream::start(), RecordingUpstream::start());
    let rules = format!(
        "[routes]\n\"/**\" = {{ all = \"anyone\" }}\n\"/shop/**\" = {{ all = \"anyone\", upstream = \"{}\" }}\n",
        shop.url()
    );
    let server = Site::new(&blog, &rules).start().await;
    server.client().get("/shop/cart").await.is(200);
    server.client().get("/posts").await.is(200);
    assert_eq!((shop.last().target.as_str(), blog.last().target.as_str()), ("/shop/cart", "/posts"));
    assert_eq!((shop.count(), blog.count()), (1, 1));
}

#[tokio::test]
async fn a_route_may_be_bound_to_networks() {
    let app = RecordingUpstream::start();
    let rules = "[providers.local-userpass]\n[routes]\n\"/**\" = { all = \"anyone\", from = [\"127.0.0.2/32\"] }\n";
    let server = Site::new(&app, rules).user("ann@example.com", &[]).start().await;
    server.client().from("127.0.0.2").get("/").await.is(200);
    server.client().get("/").await.is(403);
    let ann = server.client();
    ann.sign_in("ann@example.com").await;
    ann.get("/").await.is(403);
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn without_a_table_everything_needs_an_account() {
    let app = RecordingUpstream::start();
    let server = Site::new(&app, "[providers.anon-user]\n[providers.local-userpass]\n")
        .user("ann@example.com", &[])
        .start()
        .await;
    let (guest, ann) = (server.client(), server.client());
    guest.post("/.auth/login/anon-user").submit(&[]).await.is(303);
    ann.sign_in("ann@example.com").await;
    let verdicts =
        [ask(&server.client(), "GET", "/").await, ask(&guest, "GET", "/").await, ask(&ann, "POST", "/x").await];
    assert_eq!(verdicts, [401, 401, 200]);
}

#[tokio::test]
async fn a_path_no_route_names_is_refused() {
    let app = RecordingUpstream::start();
    let rules = "[providers.local-userpass]\n[routes]\n\"/only/**\" = { all = \"anyone\" }\n";
    let server = Site::new(&app, rules).user("ann@example.com", &[]).start().await;
    let ann = server.client();
    ann.sign_in("ann@example.com").await;
    let refused: Reply = ann.get("/other").await;
    assert_eq!(refused.is(403).code(), "authz.denied");
    server.client().get("/onlyx").await.is(401);
    server.client().get("/only").await.is(200);
    assert_eq!(app.count(), 1);
}
