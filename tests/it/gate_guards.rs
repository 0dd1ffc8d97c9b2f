//! What a layer covers and what it does not; guards that only narrow.

use axum::Router;
use axum::routing::get;
use vestibule::custom::{Account, Verdict};
use vestibule::test::Person;
use vestibule::{Vestibule, role};

use crate::gate::{RULES, app, client, kit, protected, served, signed_in};

async fn open() -> &'static str {
    "open"
}

#[tokio::test]
async fn a_route_outside_the_layer_is_open_and_inside_protect_none_can_be() {
    let kit = kit(RULES).await;
    let part = Router::new().route("/closed", get(open)).layer(kit.gate().layer()).route("/after", get(open));
    let layered = client(served(part.clone()).await);
    layered.get("/closed").script().await.is(401);
    layered.get("/after").script().await.is(200);
    layered.get("/no-such-page").script().await.is(401);
    let whole = client(protected(kit.gate(), part).await);
    whole.get("/after").script().await.is(401);
}

#[tokio::test]
async fn what_is_merged_after_the_layer_is_open_and_what_is_merged_before_is_not() {
    let kit = kit(RULES).await;
    let late = Router::new().route("/late", get(open));
    let early = Router::new().route("/early", get(open));
    let router = Router::new().route("/", get(open)).merge(early).layer(kit.gate().layer()).merge(late);
    let client = client(served(router).await);
    client.get("/early").script().await.is(401);
    client.get("/late").script().await.is(200);
}

#[tokio::test]
async fn a_fallback_is_decided_by_the_rules_too() {
    let kit = kit(RULES).await;
    let router = Router::new().fallback(open).layer(kit.gate().layer());
    let client = client(served(router).await);
    client.get("/anything").script().await.is(401);
    client.get("/public/anything").script().await.is(200);
    client.get("/.auth/login").navigate().await.is(200);
}

#[tokio::test]
async fn the_rules_see_the_whole_path_of_a_nested_router() {
    let kit = kit(RULES).await;
    // Inside, each of them sees only `/x`.
    let inner = || Router::new().route("/x", get(open)).layer(kit.gate().layer());
    let router = Router::new().nest("/public", inner()).nest("/editors", inner());
    let client = client(served(router).await);
    client.get("/public/x").script().await.is(200);
    client.get("/editors/x").script().await.is(401);
    let max = signed_in(&client, &kit.sign_in("max@example.com").await.unwrap());
    max.get("/editors/x").script().await.is(403);
    let ann = kit.sign_in(Person::new("ann@example.com").role("editor")).await.unwrap();
    signed_in(&client, &ann).get("/editors/x").script().await.is(200);
}

#[tokio::test]
async fn sec_path_03_a_router_outside_cannot_choose_by_another_spelling_than_the_rules() {
    let kit = kit(RULES).await;
    let router = Router::new().route("/public/x", get(open)).route("/{part}/x", get(open));
    let layered = client(served(router.clone().layer(kit.gate().layer())).await);
    layered.get("/public/x").script().await.is(200);
    // To the router this is `/{part}/x`; to the rules it is `/public/x`.
    layered.get("/%70ublic/x").script().await.is(400);
    // Where the gate is outside, the router sees what the rules saw.
    client(protected(kit.gate(), router).await).get("/%70ublic/x").script().await.is(200);
}

#[tokio::test]
async fn a_guard_narrows_and_never_opens() {
    let kit = kit(RULES).await;
    let gate = kit.gate();
    let router = Router::new()
        .route("/public/guarded", get(open))
        .route("/editors/guarded", get(open))
        .layer(gate.require(role("editor")))
        .merge(Router::new().route("/editors/anyone", get(open)).layer(gate.require(vestibule::anyone())));
    let client = client(protected(gate, router).await);
    let max = signed_in(&client, &kit.sign_in("max@example.com").await.unwrap());
    let ann = kit.sign_in(Person::new("ann@example.com").role("editor")).await.unwrap();
    let ann = signed_in(&client, &ann);
    client.get("/public/guarded").script().await.is(401);
    assert!(client.get("/public/guarded").navigate().await.leads_to_login());
    assert_eq!(max.get("/public/guarded").script().await.is(403).code(), "authz.denied");
    ann.get("/public/guarded").script().await.is(200);
    client.get("/editors/anyone").script().await.is(401);
    max.get("/editors/anyone").script().await.is(403);
    ann.get("/editors/anyone").script().await.is(200);
}

#[tokio::test]
async fn a_guard_for_a_role_that_nobody_declared_lets_nobody_pass() {
    let kit = kit(RULES).await;
    let router = Router::new().route("/", get(open)).layer(kit.gate().require(role("editr")));
    let client = client(protected(kit.gate(), router).await);
    let ann = kit.sign_in(Person::new("ann@example.com").role("editor")).await.unwrap();
    signed_in(&client, &ann).get("/").script().await.is(403);
}

#[tokio::test]
async fn a_guard_or_handler_without_its_gate_fails_and_tells_nobody_apart() {
    let (one, two) = (kit(RULES).await, kit(RULES).await);
    let guarded = Router::new().route("/x", get(open)).layer(one.gate().require(role("editor")));
    client(served(guarded.clone()).await).get("/x").script().await.is(500);
    client(served(app()).await).get("/public/mine").script().await.is(500);
    client(served(app()).await).get("/public/x").script().await.is(500);
    let ann = two.sign_in(Person::new("ann@example.com").role("editor")).await.unwrap();
    let behind_another = client(protected(two.gate(), guarded).await);
    signed_in(&behind_another, &ann).get("/x").script().await.is(500);
}

#[tokio::test]
async fn a_gate_around_a_nested_part_has_its_pages_where_the_app_gives_them_a_place() {
    let kit = kit(RULES).await;
    let part = Router::new().nest("/editors", Router::new().route("/x", get(open)).layer(kit.gate().layer()));
    let placed = part.route_service("/.auth/{*page}", kit.gate().protect(Router::new())).route("/open", get(open));
    let client = client(served(placed).await);
    assert!(client.get("/editors/x").navigate().await.leads_to_login());
    client.get("/.auth/login").navigate().await.is(200);
    client.get("/.auth/me").script().await.is(401);
    client.get("/open").script().await.is(200);
}

/// The one outside takes cookie and token away, so that the one inside would know nobody.
#[tokio::test]
async fn a_gate_behind_itself_fails_and_takes_nobody_for_a_stranger() {
    let kit = kit(RULES).await;
    let once = app();
    let twice = app().layer(kit.gate().layer());
    for (router, statuses) in [(once, [200, 200]), (twice, [500, 500])] {
        let client = client(protected(kit.gate(), router).await);
        let ann = signed_in(&client, &kit.sign_in("ann@example.com").await.unwrap());
        for (path, status) in ["/mine", "/public/x"].into_iter().zip(statuses) {
            ann.get(path).script().await.is(status);
        }
    }
}

/// SEC-ERR-01
#[tokio::test]
async fn sec_err_01_a_panic_is_an_answer_that_tells_nothing_and_the_next_is_served() {
    let toml = "public_url = \"http://app.localhost\"\n[store]\nurl = \"memory:\"\n";
    let gate = Vestibule::builder().toml(toml).provider_fn("club", async |credentials, _facts| {
        assert_ne!(credentials.text("card"), Some("broken"), "canary-4711");
        Verdict::Yes(Account::new("member-17"))
    });
    let client = client(protected(&gate.build().await.unwrap(), app()).await);
    let sign_in = |card: &str| client.post("/.auth/login/club").json(&serde_json::json!({ "card": card }));
    for _ in 0..3 {
        let reply = sign_in("broken").await;
        assert_eq!(reply.is(500).code(), "internal");
        let text = reply.describe();
        assert!(!["canary", "panic", ".rs", "assert"].iter().any(|inside| text.contains(inside)), "{text}");
    }
    let token = sign_in("4711").await.is(200).json()["access_token"].as_str().unwrap().to_owned();
    client.get("/").bearer(&token).await.is(200);
}
