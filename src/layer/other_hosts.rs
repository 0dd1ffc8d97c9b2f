//! Notices people who come by a name of the site that is not `public_url`: they sign in under one name, and links,
//! mails and providers bring them back under the other, where no cookie of the first one counts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::Request;

use crate::public_url::PublicUrl;
use crate::visit::Asker;

/// The names a site is meant to have, and those it was called by otherwise.
#[derive(Debug)]
pub struct OtherHosts {
    public_url: String,
    known: BTreeSet<String>,
    told: Mutex<BTreeSet<String>>,
    has_wondered: AtomicBool,
}

impl OtherHosts {
    /// Beside the host of `public_url` these are meant to be.
    pub fn new(public_url: &PublicUrl, known: impl IntoIterator<Item = String>) -> Self {
        let known = known.into_iter().chain([public_url.host().to_owned()]).collect();
        Self { public_url: public_url.to_string(), known, told: Mutex::default(), has_wondered: AtomicBool::new(false) }
    }

    /// Where a page of the site is over TLS, if the site is served so and has this name.
    pub fn over_tls(&self, host: &str, target: &str) -> Option<String> {
        let is_secure = self.public_url.starts_with("https://");
        (is_secure && self.known.contains(host)).then(|| match self.public_url.split_once("://") {
            Some((_, public)) if public.split(':').next() == Some(host) => format!("{}{target}", self.public_url),
            _ => format!("https://{host}{target}"),
        })
    }

    /// Says once that a proxy calls plain what came over TLS.
    pub fn wonder(&self, proxy: IpAddr) {
        if !self.has_wondered.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %proxy,
                "a trusted proxy says X-Forwarded-Proto: http of a browser that came over https; it has to say how the \
                 visitor came"
            );
        }
    }

    /// Looks at a request that came by this host, and says so the first time somebody opens a page by a name that is
    /// not meant to be. Whether nothing remains to be said of it.
    pub fn look<B>(&self, host: &str, request: &Request<B>) -> bool {
        if self.known.contains(host) {
            return true;
        }
        // Probes and programs come by any address they like.
        if Asker::of(request.method(), request.headers()) != Asker::Navigation {
            return false;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever makes up names must not fill the log.
        if told.len() >= MOST || told.contains(host) {
            return true;
        }
        tracing::warn!(
            host,
            public_url = %self.public_url,
            "somebody visits by a host that is not in `public_url`: links and sign-ins lead there, where what was done \
             here does not count"
        );
        told.insert(host.to_owned());
        true
    }
}

/// So many hosts are told.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Request<()> {
        Request::get("/").header("sec-fetch-mode", "navigate").header("accept", "text/html").body(()).unwrap()
    }

    #[test]
    fn a_page_is_over_tls_at_the_same_name() {
        let hosts = |public: &str| OtherHosts::new(&public.parse().unwrap(), ["shop.test".to_owned()]);
        let secure = hosts("https://blog.test:8443");
        assert_eq!(secure.over_tls("blog.test", "/a?b").as_deref(), Some("https://blog.test:8443/a?b"));
        assert_eq!(secure.over_tls("shop.test", "/a").as_deref(), Some("https://shop.test/a"));
        assert_eq!(secure.over_tls("evil.test", "/a"), None);
        assert_eq!(hosts("http://blog.localhost").over_tls("blog.localhost", "/"), None);
    }

    #[test]
    fn a_host_is_looked_at_until_it_is_told_and_only_some_are() {
        let hosts = OtherHosts::new(&"https://blog.example.com".parse().unwrap(), ["shop.example.com".to_owned()]);
        let told = || hosts.told.lock().unwrap().len();
        let program = Request::get("/").body(()).unwrap();
        for known in ["blog.example.com", "shop.example.com"] {
            assert!(hosts.look(known, &page()) && told() == 0);
        }
        assert!(!hosts.look("10.0.0.1", &program) && told() == 0);
        assert!(hosts.look("10.0.0.1", &page()) && told() == 1);
        assert!(!hosts.look("10.0.0.1", &program) && hosts.look("10.0.0.1", &page()) && told() == 1);
        for number in 0..100 {
            hosts.look(&format!("10.0.1.{number}"), &page());
        }
        assert_eq!(told(), MOST);
    }
}
