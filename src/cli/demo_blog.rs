//! The app behind the door in the demo: a small blog that knows nothing of sign-in and believes the headers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{HeaderValue, LOCATION};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::cli::demo_http::{self, Page, escape, html};

/// Serves the blog on a free loopback port for as long as the runtime lives.
///
/// # Errors
/// When no port can be had.
pub async fn serve() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let answer = |blog: Arc<Blog>, request| async move { blog.answer(request).await };
    demo_http::serve(listener, Arc::new(Blog::default()), answer);
    Ok(address)
}

struct Blog {
    posts: Mutex<Vec<Post>>,
}

#[derive(Clone)]
struct Post {
    title: String,
    author: String,
}

impl Default for Blog {
    fn default() -> Self {
        let post = |title: &str| Post { title: title.to_owned(), author: "Ann".to_owned() };
        Self { posts: Mutex::new(vec![post("Autumn at the harbour"), post("How copper lanterns are made")]) }
    }
}

impl Blog {
    async fn answer(&self, request: Request<Incoming>) -> Page {
        let (head, body) = request.into_parts();
        match (head.method.clone(), head.uri.path()) {
            (Method::GET | Method::HEAD, "/" | "/posts") => html(StatusCode::OK, self.page(&head.headers)),
            (Method::POST, "/posts") => {
                let form = match Limited::new(body, 16 << 10).collect().await {
                    Ok(form) => form.to_bytes(),
                    Err(_) => return html(StatusCode::PAYLOAD_TOO_LARGE, "too long".to_owned()),
                };
                self.publish(&head.headers, &form)
            }
            _ => html(StatusCode::NOT_FOUND, "<!doctype html><title>Not found</title><p>No such page.".to_owned()),
        }
    }

    fn publish(&self, headers: &HeaderMap, form: &[u8]) -> Page {
        let title = url::form_urlencoded::parse(form).find(|(name, _)| name == "title").map(|(_, value)| value);
        let Some(title) = title.filter(|title| !title.trim().is_empty()) else {
            return html(StatusCode::UNPROCESSABLE_ENTITY, "a post needs a title\n".to_owned());
        };
        let author = name(headers).unwrap_or_else(|| "nobody".to_owned());
        let post = Post { title: title.chars().take(200).collect(), author };
        let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        posts.truncate(99);
        posts.insert(0, post);
        drop(posts);
        // A browser goes back to the list; a program sees that something was made.
        let mut response = match headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate") {
            true => html(StatusCode::SEE_OTHER, String::new()),
            false => html(StatusCode::CREATED, "published\n".to_owned()),
        };
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/posts"));
        response
    }

    fn page(&self, headers: &HeaderMap) -> String {
        let who = match (name(headers), text(headers, "x-auth-kind")) {
            (Some(name), _) => format!("<p>Hello {}. <a href=\"/.auth/account\">Your account</a></p>", escape(&name)),
            (None, Some("guest")) => "<p>Hello guest. <a href=\"/.auth/login?rd=/\">Sign in</a></p>".to_owned(),
            (None, _) => "<p><a href=\"/.auth/login?rd=/\">Sign in</a></p>".to_owned(),
        };
        let form = match text(headers, "x-auth-roles").is_some_and(|roles| roles.split(',').any(|r| r == "journalist"))
        {
            true => {
                "<form method=post action=/posts><label>Title <input name=title required></label> <button>Publish</button></form>"
            }
            false => "",
        };
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let posts: String = posts
            .iter()
            .map(|post| format!("<li>{} <small>by {}</small></li>", escape(&post.title), escape(&post.author)))
            .collect();
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <title>Example Blog</title><style>body{{font:1.1rem/1.6 system-ui;max-width:40rem;margin:3rem auto;\
             padding:0 1rem}}</style><h1>Example Blog</h1>{who}{form}<ul>{posts}</ul>"
        )
    }
}

/// What to call the caller: the blog knows names and addresses, not passwords.
fn name(headers: &HeaderMap) -> Option<String> {
    let text = text(headers, "x-auth-name").or_else(|| text(headers, "x-auth-email"))?;
    Some(percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
