//! What only a program can bring along: routes, listeners, people and machines of its tests.

use http::Method;
use vestibule::gate::{Builder, Route, anyone, nobody, policy, provider, role, service, signed_in};
use vestibule::test::{Person, TestVestibule};
use vestibule::Vestibule;

use crate::gate::{app, client, protected, signed_in as as_somebody};

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
