//! `demo --check`: the three requests of the banner and a whole sign-in, made for real.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body::Error;
use crate::cli::demo::Cast;
use crate::cli::{Exit, print};

/// Makes them, says how each went, and ends with 0 or 1.
pub(super) async fn check(address: SocketAddr, cast: &Cast) -> Exit {
    let mut all_well = true;
    let mut say = |what: &str, wanted: u16, got: &Result<Answer, Error>| {
        let found = match got {
            Ok(answer) => answer.status.as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        let well = found == wanted.to_string();
        all_well &= well;
        print(&format!("{}  {what}: {found}", if well { "ok  " } else { "FAIL" }));
    };
    let form = (CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned());
    let post = |headers: &[(HeaderName, String)], path: &'static str, body: String| {
        let headers = [&[form.clone()], headers].concat();
        async move { ask(address, Method::POST, path, &headers, body).await }
    };

    say("anyone reads", 200, &ask(address, Method::GET, "/posts", &[], String::new()).await);
    say("nobody writes", 401, &post(&[], "/posts", "title=Hi".to_owned()).await);
    let key = [(AUTHORIZATION, format!("Bearer {}", cast.key.expose()))];
    say("Ann's key writes", 201, &post(&key, "/posts", "title=Hi".to_owned()).await);

    say("sign-in page", 200, &ask(address, Method::GET, "/.auth/login?rd=/posts", &[], String::new()).await);
    let same_site = [(HeaderName::from_static("sec-fetch-site"), "same-origin".to_owned())];
    let sign_in = |who: &str, password: &str| format!("email={who}%40example.com&password={password}&rd=%2Fposts");
    let wrong = post(&same_site, "/.auth/login/local-userpass", sign_in("ann", "not-her-password")).await;
    say("wrong password", 401, &wrong);
    for (who, password, writes) in [("ann", &cast.ann, 201), ("max", &cast.max, 403)] {
        let signed_in = post(&same_site, "/.auth/login/local-userpass", sign_in(who, password.expose())).await;
        say(&format!("{who} signs in"), 303, &signed_in);
        let Ok(Answer { cookie: Some(cookie), location, .. }) = signed_in else { continue };
        if location.as_deref() != Some("/posts") {
            print(&format!("FAIL  {who} returns to {location:?}"));
            return Exit::Refused;
        }
        let mut with_cookie = same_site.to_vec();
        with_cookie.push((COOKIE, cookie));
        say(&format!("{who} writes"), writes, &post(&with_cookie, "/posts", "title=Hello".to_owned()).await);
        say(&format!("{who} signs out"), 303, &post(&with_cookie, "/.auth/logout", String::new()).await);
        say("the cookie is over", 401, &ask(address, Method::GET, "/.auth/me", &with_cookie, String::new()).await);
    }
    if all_well { Exit::Fine } else { Exit::Refused }
}

struct Answer {
    status: StatusCode,
    cookie: Option<String>,
    location: Option<String>,
}

async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(HeaderName, String)],
    body: String,
) -> Result<Answer, Error> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response: Response<_> = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let (head, body) = response.into_parts();
    body.collect().await?;
    let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let cookie = text(SET_COOKIE).and_then(|line| line.split(';').next().map(str::to_owned));
    Ok(Answer { status: head.status, cookie, location: text(LOCATION) })
}
