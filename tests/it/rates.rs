//! Limits: counted by what cannot be chosen, before anything is checked.

use serde_json::json;

use crate::support::site::PASSWORD;
use crate::support::{RecordingUpstream, Reply, Site, Vestibule};

async fn site(app: &RecordingUpstream, limits: &str) -> Vestibule {
    let rules = format!(
        "[limits]\n{limits}\n[trusted_proxies]\naddresses = [\"127.0.0.2\"]\n[providers.local-userpass]\nsign_up = \"open\"\n[routes]\n\"/**\" = {{ all = \"signed_in\" }}\n\"/public/**\" = {{ all = \"anyone\" }}\n"
    );
    Site::new(app, &rules).user("ann@example.com", &[]).start().await
}

fn limited(reply: &Reply) {
    assert_eq!(reply.is(429).code(), "rate.limited");
    assert!(reply.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{}", reply.describe());
    assert!(reply.cookies().is_empty());
}

#[tokio::test]
async fn sec_rate_01_a_made_up_address_does_not_start_a_new_count() {
    let app = RecordingUpstream::start();
    let server = site(&app, "sign_in = { per_address = \"5/15m\", per_account = \"1000/15m\" }").await;
    let attempt = |number: usize| {
        let body = json!({ "email": format!("user{number}@example.com"), "password": "wrong-password" });
        let call = server.client().post("/.auth/login/local-userpass").json(&body);
        call.header("x-forwarded-for", format!("198.51.100.{number}"))
            .header("forwarded", format!("for=198.51.100.{number}"))
            .header("x-real-ip", format!("198.51.100.{number}"))
            .header("cf-connecting-ip", format!("198.51.100.{number}"))
            .header("true-client-ip", format!("198.51.100.{number}"))
    };
    for number in 0..5 {
        attempt(number).await.is(401);
    }
    for number in 5..10 {
        limited(&attempt(number).await);
    }
}

#[tokio::test]
async fn sec_rate_01_behind_a_trusted_proxy_the_last_untrusted_address_counts() {
    let app = RecordingUpstream::start();
    let server = site(&app, "sign_in = { per_address = \"3/15m\", per_account = \"1000/15m\" }").await;
    let attempt = |chain: String| {
        let body = json!({ "email": "ann@example.com", "password": "wrong-password" });
        let call = server.client().from("127.0.0.2").post("/.auth/login/local-userpass").json(&body);
        call.header("x-forwarded-for", chain)
    };
    for number in 0..3 {
        attempt(format!("10.0.0.{number}, 203.0.113.9")).await.is(401);
    }
    limited(&attempt("10.0.0.99, 203.0.113.9".into()).await);
    limited(&attempt("::ffff:203.0.113.9".into()).await);
    attempt("203.0.113.10".into()).await.is(401);
    for number in 0..3 {
        attempt(format!("2001:db8:1:2::{number}")).await.is(401);
    }
    limited(&attempt("2001:db8:1:2:ffff::1".into()).await);
    attempt("2001:db8:1:3::1".into()).await.is(401);
}

#[tokio::test]
async fn sec_rate_03_every_spelling_of_an_account_is_one_count() {
    let app = RecordingUpstream::start();
    let server = site(&app, "sign_in = { per_account = \"4/15m\", per_address = \"1000/15m\" }").await;
    let client = server.client();
    let json = |email: &str| {
        client.post("/.auth/login/local-userpass").json(&json!({ "email": email, "password": "wrong-password" }))
    };
    json("ann@example.com").await.is(401);
    json("ANN@Example.com").await.is(401);
    let form = client
        .post("/.auth/login/local-userpass")
        .submit(&[("email", " ann@example.com "), ("password", "wrong-password")])
        .await;
    assert!(matches!(form.status.as_u16(), 401 | 422), "{}", form.describe());
    json("Ann@EXAMPLE.com").await.is(401);
    let last = if form.status == 422 { json("ann@example.com").await.status } else { form.status };
    assert_eq!(last, 401);
    limited(&json("aNN@example.com").await);
    let good = client
        .post("/.auth/login/local-userpass")
        .json(&json!({ "email": "ann@example.com", "password": PASSWORD }))
        .await;
    limited(&good);
    let page = client
        .post("/.auth/login/local-userpass")
        .submit(&[("email", "ann@example.com"), ("password", PASSWORD)])
        .await;
    assert!(
        page.is(429).header("content-type").starts_with("text/html") && page.cookies().is_empty(),
        "{}",
        page.describe()
    );
    for number in 0..2 {
        json(&format!("unknown{number}@example.com")).await.is(401);
    }
}

/// SEC-RATE-03, SEC-PWD-01: letters that are composed otherwise are the same, and so is the answer for nobody.
#[tokio::test]
async fn sec_rate_03_and_pwd_01_a_locked_account_and_an_unknown_one_look_alike_in_every_form() {
    let app = RecordingUpstream::start();
    let server = site(&app, "sign_in = { per_account = \"3/15m\", per_address = \"1000/15m\" }").await;
    let attempt = |email: &str, http2: bool| {
        let client = if http2 { server.client().http2() } else { server.client() };
        client.post("/.auth/login/local-userpass").json(&json!({ "email": email, "password": "wrong-password" }))
    };
    let shape = |reply: &Reply| {
        let names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        (reply.status, reply.code(), names)
    };
    let mut shapes = Vec::new();
    for spellings in [
        ["ann@example.com", "ANN@example.com", "ann@EXAMPLE.com", "Ann@example.com"],
        ["nobody@example.com", "NOBODY@example.com", "nobody@EXAMPLE.com", "Nobody@example.com"],
        ["no\u{eb}l@example.com", "noe\u{308}l@example.com", "NO\u{cb}L@example.com", "NOE\u{308}L@example.com"],
    ] {
        for (number, email) in spellings[..3].iter().enumerate() {
            attempt(email, number % 2 == 1).await.is(401);
        }
        let last = attempt(spellings[3], false).await;
        limited(&last);
        shapes.push(shape(&last));
    }
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
}

#[tokio::test]
async fn sec_rate_04_two_hundred_at_a_time_get_the_budget_and_no_more() {
    let app = RecordingUpstream::start();
    let server = site(&app, "sign_in = { per_account = \"5/15m\", per_address = \"1000/15m\" }").await;
    let body = json!({ "email": "ann@example.com", "password": "wrong-password" });
    let tries: Vec<_> = (0..200)
        .map(|number| match number % 3 {
            0 => server.client().http2(),
            _ => server.client(),
        })
        .map(|client| tokio::spawn(client.post("/.auth/login/local-userpass").json(&body).into_future()))
        .collect();
    let mut evaluated = 0;
    for attempt in tries {
        let reply = attempt.await.unwrap();
        evaluated += usize::from(reply.status == 401);
        assert!(matches!(reply.status.as_u16(), 401 | 429), "{}", reply.describe());
    }
    assert_eq!(evaluated, 5);
}

#[tokio::test]
async fn sec_rate_04_there_is_no_side_door() {
    let app = RecordingUpstream::start();
    let server = site(&app, "sign_in = { per_account = \"2/15m\", per_address = \"1000/15m\" }").await;
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    let wrong = json!({ "email": "ann@example.com", "password": "wrong-password" });
    for _ in 0..2 {
        server.client().post("/.auth/login/local-userpass").json(&wrong).await.is(401);
    }
    for target in [
        "/.auth/login/local-userpass",
        "/.auth/login/local-userpass/",
        "/.auth/login/%6cocal-userpass",
        "/.auth/login/Local-userpass",
        "/.auth/login/local-userpass?link=true",
        "/.auth/login//local-userpass",
    ] {
        let reply = server.client().post(target).json(&body).await;
        assert!(matches!(reply.status.as_u16(), 400 | 401 | 404 | 405 | 429), "{target}: {}", reply.describe());
        assert!(reply.cookies().is_empty() && !reply.text().contains("access_token"), "{target}");
    }
    let head = server.client().method("HEAD", "/.auth/login/local-userpass").json(&body).await;
    assert!(head.status.is_client_error() && head.cookies().is_empty(), "{}", head.describe());
    let one = body.to_string();
    let request = format!(
        "POST /.auth/login/local-userpass HTTP/1.1\r\nHost: app.localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{one}",
        one.len()
    );
    let mut raw = server.raw().await;
    raw.send(request.repeat(3)).await;
    for _ in 0..3 {
        assert_eq!(raw.reply().await.status, 429, "pipelined");
    }
}

#[tokio::test]
async fn the_defaults_limit_sign_ups_and_reset_mails() {
    let app = RecordingUpstream::start();
    let server = site(&app, "").await;
    let send = |email: String| server.client().post("/.auth/reset/send").json(&json!({ "email": email }));
    for _ in 0..3 {
        send("ann@example.com".into()).await.is(202);
    }
    let fourth = send("ann@example.com".into()).await;
    let unknown = {
        for _ in 0..3 {
            send("nobody@example.com".into()).await.is(202);
        }
        send("nobody@example.com".into()).await
    };
    assert_eq!(fourth.status, unknown.status, "the limit tells nobody who has an account");
    server.mailbox().wait("ann@example.com", 3).await;
    let register = |number: usize| {
        let body = json!({ "email": format!("new{number}@example.com"), "password": PASSWORD });
        server.client().post("/.auth/register").json(&body)
    };
    for number in 0..5 {
        register(number).await.is(202);
    }
    limited(&register(5).await);
}

#[tokio::test]
async fn requests_are_limited_by_address_and_by_user() {
    let app = RecordingUpstream::start();
    let server = site(&app, "requests = { per_address = \"20/1h\", per_user = \"3/1h\" }").await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    for _ in 0..3 {
        client.get("/a").script().await.is(200);
    }
    limited(&client.get("/a").script().await);
    let mut passed = 0;
    let over = loop {
        let reply = server.client().get("/public/a").await;
        if reply.status != 200 {
            break reply;
        }
        passed += 1;
        assert!(passed < 30);
    };
    limited(&over);
    server.client().from("127.0.0.3").get("/public/a").await.is(200);
}

#[tokio::test]
async fn sec_rate_05_guessing_from_everywhere_stops_and_shuts_nobody_out_of_the_own_browser() {
    let app = RecordingUpstream::start();
    let limits = "failures = 100\nsign_in = { per_account = \"10000/1h\", per_address = \"3/1h\" }\nreset = { per_account = \"off\", per_address = \"off\" }";
    let server = site(&app, limits).await;
    let form = |password| [("email", "ann@example.com"), ("password", password)];
    let owner = server.client();
    owner.sign_in("ann@example.com").await;
    let guess = async |number: usize| {
        let address = format!("203.0.{}.{}", number / 250, number % 250);
        let call = server.client().from("127.0.0.2").post("/.auth/login/local-userpass");
        let body = json!({ "email": "ann@example.com", "password": format!("wrong-{number}") });
        call.header("x-forwarded-for", address).json(&body).await
    };
    for number in 0..100 {
        guess(number).await.is(401);
    }
    for number in 100..110 {
        limited(&guess(number).await);
    }
    let stranger = server.client().from("127.0.0.3");
    stranger.post("/.auth/login/local-userpass").submit(&form(PASSWORD)).await.is(429);
    owner.post("/.auth/login/local-userpass").submit(&form(PASSWORD)).await.is(303);
    let thief = server.client().from("127.0.0.4");
    thief.keep("vestibule-device", &"A".repeat(43));
    thief.post("/.auth/login/local-userpass").submit(&form(PASSWORD)).await.is(429);
    stranger.post("/.auth/reset/send").json(&json!({ "email": "ann@example.com" })).await.is(202);
    let mail = server.mailbox().wait("ann@example.com", 1).await;
    let reset = json!({ "token": mail.token(), "password": "velvet-harbour-12" });
    stranger.post("/.auth/reset").json(&reset).await.is(200);
    stranger.post("/.auth/login/local-userpass").submit(&form("velvet-harbour-12")).await.is(303);
}

#[tokio::test]
async fn sec_rate_05_a_known_browser_has_tries_of_its_own_and_no_more_than_others() {
    let app = RecordingUpstream::start();
    let server = site(&app, "sign_in = { per_account = \"3/1h\", per_address = \"1000/1h\" }").await;
    let form = |password| [("email", "ann@example.com"), ("password", password)];
    let (owner, thief) = (server.client(), server.client());
    owner.sign_in("ann@example.com").await;
    for _ in 0..2 {
        thief.post("/.auth/login/local-userpass").submit(&form("wrong-password")).await.is(401);
    }
    thief.post("/.auth/login/local-userpass").submit(&form(PASSWORD)).await.is(429);
    for _ in 0..3 {
        owner.post("/.auth/login/local-userpass").submit(&form("wrong-password")).await.is(401);
    }
    owner.post("/.auth/login/local-userpass").submit(&form(PASSWORD)).await.is(429);
    owner.get("/").script().await.is(200);
    assert_eq!(app.last().header("cookie"), "", "no cookie of ours reaches the app");
}
