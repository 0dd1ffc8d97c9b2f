//! Adding an account of a provider that people are sent to, and what an attacker could make of it.

use serde_json::{Value, json};

use crate::support::idp::json_answer;
use crate::support::site::PASSWORD;
use crate::support::trip::{back, callback, consent, oidc, sign_in, site};
use crate::support::{Client, FakeIdp, RecordingUpstream, Reply, Vestibule};

const RULES: &str =
    "[limits]\nsign_in = { per_account = \"off\", per_address = \"off\" }\n[providers.local-userpass]\n";

struct House {
    idp: FakeIdp,
    server: Vestibule,
}

impl House {
    async fn open() -> Self {
        let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
        let site = site(&app, &format!("{RULES}{}", oidc("corp", &idp, "")));
        let server = site.user("ann@work.test", &[]).user("bob@work.test", &[]).start().await;
        Self { idp, server }
    }

    async fn signed_in(&self, email: &str) -> Client {
        let client = self.server.client();
        client.sign_in(email).await;
        client
    }

    /// Presses the button of the account page: where it leads.
    async fn go(&self, client: &Client) -> String {
        let page = client.post("/.auth/account/link/corp").submit(&[]).await.is(200).text();
        let location = page.split("content=\"0;url=").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        location.replace("&amp;", "&").replace("&#x2f;", "/").replace("&#x3d;", "=")
    }

    async fn link(&self, client: &Client) -> Reply {
        let location = self.go(client).await;
        back(client, &callback(consent(&location).await.location())).await
    }
}

async fn me(client: &Client) -> Value {
    client.get("/.auth/me").script().await.is(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_a_provider_is_added_by_a_button_and_signs_in_to_the_same_user() {
    let house = House::open().await;
    let client = house.signed_in("ann@work.test").await;
    let (before, session) = (me(&client).await, client.session());
    assert!(client.get("/.auth/account").navigate().await.text().contains("account/link/corp"));
    let reply = house.link(&client).await;
    assert_eq!(reply.is(303).location(), "/.auth/account?note=linked");
    assert_eq!(client.session(), session, "nobody was signed in by it");
    let other = house.server.client();
    sign_in(&other, "corp", "/").await.is(303);
    assert_eq!(me(&other).await["user_id"], before["user_id"]);
    let again = house.link(&client).await;
    assert_eq!(again.is(303).location(), "/.auth/account?note=linked");
    let providers: Vec<_> =
        me(&client).await["identities"].as_array().unwrap().iter().map(|one| one["provider"].clone()).collect();
    assert_eq!(providers, ["local-userpass", "corp"]);
}

/// SEC-LINK-09
#[tokio::test(flavor = "multi_thread")]
async fn sec_link_09_the_account_of_another_is_refused_in_words_that_name_nobody() {
    let house = House::open().await;
    house.link(&house.signed_in("ann@work.test").await).await.is(303);
    let bob = house.signed_in("bob@work.test").await;
    let reply = house.link(&bob).await;
    assert_eq!(reply.is(303).location(), "/.auth/account?problem=link.owned_by_another");
    let page = bob.get(reply.location()).navigate().await.is(200).text();
    assert!(page.contains("This belongs to another account here.") && !page.contains("ann@work.test"), "{page}");
    assert_eq!(me(&bob).await["identities"].as_array().unwrap().len(), 1);
}

/// SEC-LINK-09, SEC-OAUTH-01
#[tokio::test(flavor = "multi_thread")]
async fn sec_link_09_an_attempt_ends_in_the_browser_and_the_session_it_began_in() {
    let house = House::open().await;
    // Whoever is lured to the callback of somebody else's attempt links nothing.
    let (ann, bob) = (house.signed_in("ann@work.test").await, house.signed_in("bob@work.test").await);
    let target = callback(consent(&house.go(&bob).await).await.location());
    back(&ann, &target).await.is(400);
    assert_eq!(me(&ann).await["identities"].as_array().unwrap().len(), 1);
    // Signed out on the way.
    let target = callback(consent(&house.go(&bob).await).await.location());
    bob.post("/.auth/logout").submit(&[]).await.is(303);
    let reply = back(&bob, &target).await;
    assert_eq!(reply.status, 401, "{}", reply.describe());
    let free = house.server.client();
    sign_in(&free, "corp", "/").await.is(303);
    assert_eq!(me(&free).await["identities"].as_array().unwrap().len(), 1, "it was nobody's");
}

/// SEC-LINK-09
#[tokio::test(flavor = "multi_thread")]
async fn sec_link_09_another_site_cannot_begin_it() {
    let house = House::open().await;
    let client = house.signed_in("ann@work.test").await;
    let forged = client.post("/.auth/account/link/corp").fetch("navigate", "document", "cross-site").form(&[]).await;
    assert_eq!(forged.status, 403, "{}", forged.describe());
    // An address alone shows the page and begins nothing.
    let page = client.get("/.auth/account/link/corp").navigate().await;
    assert_eq!(page.is(303).location(), "/.auth/account");
    let stranger = house.server.client().post("/.auth/account/link/corp").script().json(&json!({})).await;
    stranger.is(401);
    let unknown = client.post("/.auth/account/link/nobody").script().json(&json!({})).await;
    unknown.is(404);
    assert_eq!(house.idp.count("/authorize"), 0);
}

/// SEC-LINK-02, SEC-LINK-06, SEC-LINK-07
#[tokio::test(flavor = "multi_thread")]
async fn sec_link_02_a_verified_address_of_a_provider_without_the_last_word_links_nothing() {
    let (app, idp) = (RecordingUpstream::start(), FakeIdp::start());
    let toml = format!("{RULES}sign_up = \"open\"\n[linking]\npolicy = \"verified_email\"\n{}", oidc("corp", &idp, ""));
    let server = site(&app, &toml).start().await;
    let account = json!({ "email": "ann@example.com", "password": PASSWORD });
    server.client().post("/.auth/register").json(&account).await.is(202);
    let token = server.mailbox().wait("ann@example.com", 1).await.token();
    server.client().post("/.auth/confirm").json(&json!({ "token": token })).await.is(200);
    let client = server.client();
    sign_in(&client, "corp", "/").await.is(303);
    let me = me(&client).await;
    assert_eq!(me["identities"].as_array().unwrap().len(), 1);
    assert_ne!(me["user_id"], server.cli(&["users", "show", "ann@example.com", "--json"]).success().json()["id"]);
}

/// SEC-LINK-09
#[tokio::test(flavor = "multi_thread")]
async fn sec_link_09_a_provider_that_fails_leaves_everything_as_it_was() {
    let house = House::open().await;
    let client = house.signed_in("ann@work.test").await;
    let location = house.go(&client).await;
    let target = callback(consent(&location).await.location());
    house.idp.replace("/token", |_| json_answer(500, &json!({})));
    let reply = back(&client, &target).await;
    assert!(reply.status.is_server_error(), "{}", reply.describe());
    assert_eq!(me(&client).await["identities"].as_array().unwrap().len(), 1);
    house.idp.restore("/token");
    house.link(&client).await.is(303);
    assert_eq!(me(&client).await["identities"].as_array().unwrap().len(), 2);
}

/// SEC-LINK-05, SEC-LINK-09
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_added_by_its_owners_answer_and_then_the_first_way_can_go() {
    let house = House::open().await;
    let client = house.server.client();
    sign_in(&client, "corp", "/").await.is(303);
    let before = me(&client).await;
    let page = client.get("/.auth/account").navigate().await.is(200).text();
    assert!(page.contains("account/add-password") && !page.contains("account/unlink"), "{page}");
    let form = [("new_email", "new@work.test"), ("new_password", PASSWORD)];
    let asked = client.post("/.auth/account/add-password").submit(&form).await;
    assert_eq!(asked.is(303).location(), "/.auth/account?note=email-sent");
    let token = house.server.mailbox().wait("new@work.test", 1).await.token();
    // Whoever reads the mail is not enough: the one who asked has to answer it.
    let bob = house.signed_in("bob@work.test").await;
    bob.post("/.auth/confirm").submit(&[("token", &token)]).await.is(410);
    client.post("/.auth/confirm").submit(&[("token", &token)]).await.is(303);
    let tokens = house.server.client().tokens("new@work.test").await;
    assert_eq!(tokens["user_id"], before["user_id"]);
    let again = client.post("/.auth/account/add-password").script();
    let again = again.json(&json!({ "new_email": "other@work.test", "new_password": PASSWORD })).await;
    assert_eq!(again.is(409).code(), "link.second_email_account");

    let own = &before["identities"][0];
    let body = json!({ "provider": "corp", "issuer": own["issuer"], "subject": own["subject"] });
    client.post("/.auth/account/unlink").script().json(&body).await.is(204);
    client.get("/.auth/me").script().await.is(401);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    house.server.client().post("/.auth/token/refresh").json(&refresh).await.is(200);
    let stranger = house.server.client();
    sign_in(&stranger, "corp", "/").await.is(303);
    assert_ne!(me(&stranger).await["user_id"], before["user_id"], "it is a user of its own again");
}
