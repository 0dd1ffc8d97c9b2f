//! What only a program can bring along: routes, listeners, people and machines of its tests.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use vestibule::custom::{Account, Credentials, Verdict};
use vestibule::gate::{Builder, Route, anyone, nobody, policy, provider, role, service, signed_in};
use vestibule::test::{Person, TestVestibule, Unreal};
use vestibule::{Identity, Vestibule};

use crate::gate::{RULES, app, client, kit, protected, signed_in as as_somebody};

fn builder() -> Builder {
    Vestibule::builder()
        .toml("public_url = \"http://app.localhost\"\n[providers.api-key]\n[providers.local-userpass]\n")
        .roles(["editor"])
}

#[tokio::test]
async fn a_route_of_the_program_lets_in_whom_it_names() {
    let routes = builder()
        .route(Route::new("/**").all(nobody()).read(anyone()).method(Method::POST, signed_in()))
        .route(Route::new("/editors/x").read(role("editor")).read(service()));
    let kit = TestVestibule::build(routes).await.unwrap();
    let client = client(protected(kit.gate(), app()).await);
    let ann = as_somebody(&client, &kit.sign_in(Person::new("ann@example.com").role("editor")).await.unwrap());
    let max = as_somebody(&client, &kit.sign_in("max@example.com").await.unwrap());
    client.get("/").script().await.is(200);
    client.post("/post").script().await.is(401);
    max.post("/post").script().body("hello").await.is(200);
    max.method("DELETE", "/post").script().await.is(403);
    max.get("/editors/x").script().await.is(403);
    ann.get("/editors/x").script().await.is(200);
}

#[tokio::test]
async fn a_route_of_the_program_is_held_to_what_a_line_of_the_file_is() {
    for (route, fault) in [
        (Route::new("/x").all(role("editr")), Some("did you mean \"role:editor\"?")),
        (Route::new("/x").all(provider("club")), Some("provider `club` is not switched on")),
        (Route::new("/x").all(policy("staff")), Some("no policy `staff`")),
        (Route::new("/x"), Some("nobody could use the route \"/x\"")),
        (Route::new("x").all(signed_in()), Some("\"x\" is no route")),
        (Route::new("/.auth/x").all(signed_in()), Some("is answered by Vestibule itself")),
        (Route::new("/y").all(signed_in()), Some("/y")),
        (Route::new("/x").all(role("editor")), None),
    ] {
        let text = "roles = [\"editor\"]\n[routes]\n\"/y\" = { all = \"signed_in\" }";
        let built = TestVestibule::build(Vestibule::builder().toml(text).route(route.clone())).await;
        match (built, fault) {
            (Err(error), Some(fault)) => assert!(error.to_string().contains(fault), "{route:?}: {error}"),
            (built, fault) => assert_eq!(built.is_ok(), fault.is_none(), "{route:?}"),
        }
    }
}

#[tokio::test]
async fn a_builder_names_what_it_cannot_take() {
    for (builder, fault) in [
        (builder().roles(["a,b"]), Some("\"a,b\" cannot be the name of a role")),
        (builder().public_url("example.com"), Some("Builder::public_url: \"example.com\"")),
        (builder().roles(["a.b"]).public_url("https://example.com"), None),
    ] {
        match (TestVestibule::build(builder).await, fault) {
            (Err(error), Some(fault)) => assert!(error.to_string().contains(fault), "{error}"),
            (built, fault) => assert_eq!(built.is_ok(), fault.is_none(), "{fault:?}"),
        }
    }
}

/// In `X-Auth-Roles` a comma would make two roles of one.
#[tokio::test]
async fn a_provider_of_the_program_gives_declared_roles_alone() {
    let rules = "roles = [\"editor\"]\n[providers]\n[routes]\n\"/**\" = { all = \"signed_in\" }\n";
    let club = async |_, _| Verdict::Yes(Account::new("17").role("editor").role("editor,admin").role("admin"));
    let kit = TestVestibule::build(Vestibule::builder().toml(rules).provider_fn("club", club)).await.unwrap();
    let roles = async |who: Identity, headers: HeaderMap| {
        format!("{:?} {:?}", who.roles().collect::<Vec<_>>(), headers.get("x-auth-roles"))
    };
    let client = client(protected(kit.gate(), Router::new().route("/", get(roles))).await).calling("http://localhost");
    let reply = client.post("/.auth/login/club").script().json(&serde_json::json!({})).await;
    let token = reply.is(200).json()["access_token"].as_str().unwrap().to_owned();
    let told = client.get("/").script().bearer(&token).await;
    assert_eq!(told.is(200).text(), "[\"editor\"] Some(\"editor\")");
}

#[tokio::test]
async fn a_page_of_the_app_signs_people_in_by_a_provider_of_its_own() {
    let club = async |credentials: Credentials, _| match credentials.text("card") {
        Some("4711") => Verdict::Yes(Account::new("17").name("Ann")),
        _ => Verdict::No("no such card".to_owned()),
    };
    let builder = builder().toml("public_url = \"http://app.localhost\"\n[providers]").provider_fn("club", club);
    let kit = TestVestibule::build(builder).await.unwrap();
    let name = async |who: Identity| who.name().unwrap_or("-").to_owned();
    let client = client(protected(kit.gate(), Router::new().route("/members", get(name))).await);
    for (card, status) in [("4712", 401), ("4711", 303)] {
        let form = client.post("/.auth/login/club").submit(&[("card", card), ("rd", "/members")]);
        let reply = form.await;
        assert_eq!(reply.status, status, "{}", reply.describe());
        if status == 303 {
            assert_eq!(reply.location(), "/members");
        }
    }
    assert_eq!(client.get("/members").navigate().await.is(200).text(), "Ann");
}

/// Its page cannot know what such a provider asks for; it must not say that there is none.
#[tokio::test]
async fn the_page_of_an_app_with_a_provider_of_its_own_says_where_to_sign_in() {
    let club = async |_, _| Verdict::No("no such card".to_owned());
    let own = Vestibule::builder().toml("[providers]").provider_fn("club", club);
    for (builder, words) in [(own, true), (Vestibule::builder().toml("[providers.local-userpass]"), false)] {
        let kit = TestVestibule::build(builder).await.unwrap();
        let client = client(protected(kit.gate(), Router::new()).await).calling("http://localhost");
        let page = client.get("/.auth/login").navigate().await.is(200).text();
        assert_eq!(page.contains("one signs in where the app asks for it"), words, "{page}");
        assert!(!page.contains("Nobody can sign in here"), "{page}");
    }
}

#[tokio::test]
async fn a_test_signs_nobody_in_who_could_not_be_there() {
    let kit = kit(RULES).await;
    let person = || Person::new("ann@example.com");
    assert!(matches!(kit.sign_in(person().role("editr")).await, Err(Unreal::Role(role)) if role == "editr"));
    assert!(matches!(kit.sign_in(person().by("club")).await, Err(Unreal::Provider(name)) if name == "club"));
    assert!(matches!(kit.service("backup", ["editr"]).await, Err(Unreal::Role(_))));
    assert!(matches!(kit.service("", ["editor"]).await, Err(Unreal::Name(_))));
    kit.sign_in(person().role("editor").by("anon-user")).await.unwrap();
    kit.service("backup", ["editor"]).await.unwrap();
}

#[tokio::test]
async fn an_app_is_served_on_a_unix_socket_and_told_where_from() {
    let rules = "[routes]\n\"/here\" = { all = \"anyone\", from = [\"127.0.0.0/8\"] }\n";
    for (peer, status) in [(Some(SocketAddr::from(([127, 0, 0, 1], 0))), 200), (None, 403)] {
        let (kit, folder) = (kit(rules).await, tempfile::tempdir().unwrap());
        let listener = UnixListener::bind(folder.path().join("app.sock")).unwrap();
        let app = kit.gate().protect(Router::new().route("/here", get(async || "here")));
        tokio::spawn(async move { axum::serve(listener, app.into_make_service_from(move |_| peer)).await });
        let stream = UnixStream::connect(folder.path().join("app.sock")).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/here").header("host", "localhost").body(Empty::<&[u8]>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{:?}", answer.into_body().collect().await.unwrap().to_bytes());
    }
}

#[tokio::test]
async fn a_test_signs_in_with_custom_data_and_calls_as_a_machine() {
    let text = format!("{RULES}\"/machines\" = {{ all = \"service\" }}\n[providers.api-key]\n");
    let kit = kit(&text).await;
    let plan = async |who: Identity| who.custom_data::<Plan>().map(|data| data.plan).unwrap_or_default();
    let roles = async |who: Identity| format!("{} {:?}", who.name().unwrap_or("-"), who.roles().collect::<Vec<_>>());
    let router = Router::new().route("/", get(plan)).route("/machines", get(roles));
    let client = client(protected(kit.gate(), router).await);
    let ann = kit.sign_in(Person::new("ann@example.com").custom_data("plan", "pro")).await.unwrap();
    let ann = as_somebody(&client, &ann);
    assert_eq!(ann.get("/").script().await.is(200).text(), "pro");
    ann.get("/machines").script().await.is(403);
    let key = kit.service("backup", ["editor"]).await.unwrap();
    let called = client.get("/machines").script().header("x-api-key", key.to_str().unwrap()).await;
    assert_eq!(called.is(200).text(), "backup [\"editor\"]");
}

#[derive(serde::Deserialize)]
struct Plan {
    plan: String,
}
