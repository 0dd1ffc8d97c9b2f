//! The endpoints of oauth2-proxy and Authelia by their own names, and whether Envoy's is on, so that the configuration of a gateway that asks
//! one of them works with another address. Only names: what answers is what answers under our prefix.

use std::borrow::Cow;

use http::HeaderMap;
use http::uri::{PathAndQuery, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::layer::{Alias, IdentityHeaders, Preset};
use crate::visit::Names;

/// Paths at which decisions are asked for: ours, and those of the aliases.
#[derive(Clone, Debug)]
pub(super) struct Aliases {
    prefix: String,
    checks: Vec<Question>,
    pages: bool,
    grpc: bool,
}

#[derive(Clone, Debug)]
struct Question {
    path: String,
    names: Names,
    follows: Follows,
}

/// What may stand behind the path of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    Nothing,
    /// The path of the original request.
    Path,
    /// A slash, and that path with its own: Envoy puts it behind what is published as `path_prefix`, which ends in one.
    /// One slash alone would be ambiguous: `/x` and `//x` are two requests.
    SlashAndPath,
}

impl Aliases {
    pub(super) fn new(prefix: &str, aliases: &[Alias]) -> Self {
        let question = |path: &str, names, follows| Question { path: path.to_owned(), names, follows };
        let mut checks = vec![question(&format!("{prefix}/check"), Names::Own, Follows::Path)];
        if aliases.contains(&Alias::Oauth2Proxy) {
            checks.push(question("/oauth2/auth", Names::XAuthRequest, Follows::Nothing));
        }
        if aliases.contains(&Alias::Authelia) {
            for path in ["/api/verify", "/api/authz/forward-auth", "/api/authz/auth-request"] {
                checks.push(question(path, Names::Remote, Follows::Nothing));
            }
            checks.push(question("/api/authz/ext-authz", Names::Remote, Follows::SlashAndPath));
        }
        Self {
            prefix: prefix.to_owned(),
            checks,
            pages: aliases.contains(&Alias::Oauth2Proxy),
            grpc: aliases.contains(&Alias::Envoy),
        }
    }

    /// Whether a decision is asked for at this path: the rest of it, and under which names the answer is wanted.
    pub(super) fn check<'p>(&self, path: &'p str) -> Option<(&'p str, Names)> {
        self.checks.iter().find_map(|question| {
            let rest = path.strip_prefix(&*question.path)?;
            let fits = rest.is_empty() || question.follows != Follows::Nothing && rest.starts_with('/');
            let rest = if question.follows == Follows::SlashAndPath { rest.get(1..).unwrap_or_default() } else { rest };
            fits.then_some((rest, question.names))
        })
    }

    /// Whether Envoy may ask under the name of its own service.
    pub(super) fn grpc(&self) -> bool {
        self.grpc
    }

    /// The address of the page of ours that this one of oauth2-proxy stands for.
    pub(super) fn page(&self, uri: &Uri, headers: &HeaderMap) -> Option<Uri> {
        if !self.pages {
            return None;
        }
        let (page, returns) = match uri.path().strip_prefix("/oauth2/")? {
            "start" | "sign_in" => ("login", true),
            "sign_out" => ("logout", true),
            "userinfo" => ("userinfo", false),
            _ => return None,
        };
        let mut text = format!("{}/{page}", self.prefix);
        let query = uri.query().unwrap_or_default();
        // A gateway that cannot write a query says in a header where to return; of our own pages it says that, too.
        let asked = headers.get("x-auth-request-redirect").and_then(|to| to.to_str().ok()).filter(|to| {
            let path = to.split_once("://").map_or(*to, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
            !path.starts_with("/oauth2/")
        });
        match asked.filter(|_| returns && !query.split('&').any(|pair| pair.starts_with("rd="))) {
            Some(to) => text.push_str(&format!("?rd={}", utf8_percent_encode(to, NON_ALPHANUMERIC))),
            None if query.is_empty() => {}
            None => text.push_str(&format!("?{query}")),
        }
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(text.parse::<PathAndQuery>().ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// The identity headers under the names that a question wants.
pub(super) fn under(settings: &IdentityHeaders, names: Names) -> Cow<'_, IdentityHeaders> {
    let preset = match names {
        Names::Own => return Cow::Borrowed(settings),
        Names::XAuthRequest => Preset::XAuthRequest,
        Names::Remote => Preset::Remote,
    };
    Cow::Owned(IdentityHeaders { preset, set: settings.set.clone() })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn questions_are_found_under_every_name_that_is_on_and_no_other() {
        let off = Aliases::new("/.auth", &[]);
        assert_eq!(off.check("/.auth/check/a"), Some(("/a", Names::Own)));
        for path in ["/oauth2/auth", "/api/verify", "/.auth/checks"] {
            assert_eq!(off.check(path), None, "{path}");
        }
        let on = Aliases::new("/.auth", &[Alias::Oauth2Proxy, Alias::Authelia]);
        assert_eq!(on.check("/oauth2/auth"), Some(("", Names::XAuthRequest)));
        assert_eq!(on.check("/oauth2/auth/a"), None);
        for path in ["/api/verify", "/api/authz/forward-auth", "/api/authz/auth-request"] {
            assert_eq!(on.check(path), Some(("", Names::Remote)), "{path}");
        }
        assert_eq!(on.check("/api/authz/ext-authz//a/b"), Some(("/a/b", Names::Remote)));
        assert_eq!(
            on.check("/api/authz/ext-authz/a/b"),
            Some(("a/b", Names::Remote)),
            "a question, and not a good one"
        );
        assert_eq!(on.check("/api/authz/ext-authz///a"), Some(("//a", Names::Remote)));
        assert_eq!(on.check("/oauth2/%61uth"), None);
    }

    #[test]
    fn pages_are_ours_and_remember_where_to_return() {
        let on = Aliases::new("/.auth", &[Alias::Oauth2Proxy]);
        let mut headers = HeaderMap::new();
        let page = |uri: &str, headers: &HeaderMap| on.page(&uri.parse().unwrap(), headers).map(|uri| uri.to_string());
        assert_eq!(page("/oauth2/sign_in?rd=%2Fa", &headers).as_deref(), Some("/.auth/login?rd=%2Fa"));
        assert_eq!(page("/oauth2/userinfo", &headers).as_deref(), Some("/.auth/userinfo"));
        assert_eq!(page("/oauth2/other", &headers), None);
        headers.insert("x-auth-request-redirect", HeaderValue::from_static("/a?b=c&d"));
        assert_eq!(page("/oauth2/start", &headers).as_deref(), Some("/.auth/login?rd=%2Fa%3Fb%3Dc%26d"));
        assert_eq!(page("/oauth2/start?rd=/x", &headers).as_deref(), Some("/.auth/login?rd=/x"));
        for own in ["/oauth2/start", "https://app.test/oauth2/sign_in?a"] {
            headers.insert("x-auth-request-redirect", HeaderValue::from_str(own).unwrap());
            assert_eq!(page("/oauth2/start", &headers).as_deref(), Some("/.auth/login"), "{own}");
        }
        assert_eq!(Aliases::new("/.auth", &[]).page(&"/oauth2/start".parse().unwrap(), &headers), None);
    }
}
