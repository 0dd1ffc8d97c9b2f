//! The demo's mails, on a page: nothing leaves the machine.

use std::pin::Pin;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::{Request, Response};

use crate::body::Body;
use crate::cli::demo_http::escape;
use crate::listen::{Connection, Handler};
use crate::mail::Mailer;

/// Answers `/.auth/outbox`, and hands everything else on.
#[derive(Clone)]
pub(super) struct Outbox<H> {
    inner: H,
    mailer: Mailer,
}

impl<H> Outbox<H> {
    pub(super) fn before(inner: H, mailer: Mailer) -> Self {
        Self { inner, mailer }
    }

    fn page(&self) -> Response<Body> {
        let mails: String = self
            .mailer
            .sent()
            .iter()
            .rev()
            .map(|mail| {
                let (to, subject, text) = (escape(&mail.to), escape(&mail.subject), linked(&mail.text));
                format!("<article><h2>{subject}</h2><p>to {to}</p><pre>{text}</pre></article>")
            })
            .collect();
        let mails = if mails.is_empty() { "<p>No mail yet. Sign up, or forget a password.".to_owned() } else { mails };
        let page =
            format!("<!doctype html><html lang=en><meta charset=utf-8><title>Outbox</title><h1>Outbox</h1>{mails}");
        let mut response = Response::new(Body::from(page));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
        response
    }
}

impl<H: Handler> Handler for Outbox<H> {
    type Future = Pin<Box<dyn Future<Output = Response<Body>>>>;

    fn call(&self, request: Request<Body>, connection: Connection) -> Self::Future {
        if request.uri().path() == "/.auth/outbox" {
            let page = self.page();
            return Box::pin(async move { page });
        }
        Box::pin(self.inner.call(request, connection))
    }
}

/// The text with its addresses as links.
fn linked(text: &str) -> String {
    let word = |word: &str| {
        let word = escape(word);
        if word.starts_with("http://") || word.starts_with("https://") {
            format!("<a href=\"{word}\">{word}</a>")
        } else {
            word
        }
    };
    text.split_inclusive([' ', '\n'])
        .map(|part| {
            let bare = part.trim_end_matches([' ', '\n']);
            format!("{}{}", word(bare), &part[bare.len()..])
        })
        .collect()
}
