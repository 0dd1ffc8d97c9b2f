//! For whom a task works: what is known of the request that began it, for what happens far below it. Functions are told
//! of it, and mails are written in its language.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, HeaderName, USER_AGENT};

use crate::language::Language;

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The request's name in the log.
    pub request_id: String,
    /// The client's address.
    pub address: IpAddr,
    /// The `User-Agent`, at most 256 characters.
    pub user_agent: String,
    /// The `Accept-Language`, at most 256 characters.
    pub languages: String,
}

impl Visitor {
    /// Who sent these headers from there.
    pub fn of(headers: &HeaderMap, request_id: &str, address: IpAddr) -> Self {
        let text = |name: HeaderName| {
            let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
            value.unwrap_or_default().chars().take(LONGEST).collect()
        };
        let (user_agent, languages) = (text(USER_AGENT), text(ACCEPT_LANGUAGE));
        Self { request_id: request_id.to_owned(), address, user_agent, languages }
    }

    /// The same with this language before all others.
    #[must_use]
    pub fn speaking(self, language: Option<Language>) -> Self {
        match language {
            Some(language) => Self { languages: format!("{},{}", language.code(), self.languages), ..self },
            None => self,
        }
    }

    /// For whom this task works; nobody on the command line, and in what is spawned without [`carried`].
    pub fn current() -> Option<Self> {
        VISITOR.try_with(Clone::clone).ok()
    }

    /// Works for them until it is done.
    pub async fn serve<F: Future>(self, deed: F) -> F::Output {
        VISITOR.scope(self, deed).await
    }
}

/// Takes along for whom this task works to another that goes on with it.
pub fn carried<F: Future>(deed: F) -> impl Future<Output = F::Output> {
    let visitor = Visitor::current();
    async move {
        match visitor {
            Some(visitor) => visitor.serve(deed).await,
            None => deed.await,
        }
    }
}

tokio::task_local! {
    static VISITOR: Visitor;
}

const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn what_is_far_below_knows_for_whom_it_works() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("Test/1"));
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::try_from("de,".repeat(200)).unwrap());
        let visitor = Visitor::of(&headers, "r1", Ipv4Addr::LOCALHOST.into());
        assert_eq!((visitor.user_agent.as_str(), visitor.languages.len()), ("Test/1", LONGEST));
        let found = visitor.clone().serve(async {
            let (kept, lost) = (carried(async { Visitor::current() }), async { Visitor::current() });
            (tokio::spawn(kept).await.unwrap(), tokio::spawn(lost).await.unwrap())
        });
        assert_eq!(found.await, (Some(visitor), None));
        assert_eq!(Visitor::current(), None);
    }
}
