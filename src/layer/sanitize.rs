//! Removes what a client must not say: identity headers in every spelling, original-URL and
//! method-override headers, from untrusted peers forwarding headers, and what belongs to the client's
//! connection alone. Not configurable away. Refuses a `Connection` that names a header which is not the
//! connection's, and a question of another proxy about a request with a forged header that this proxy would
//! hand on. Sits above everything that reads those names, and far above the layer that writes them.

use std::sync::Arc;

use http::header::{self, HeaderName};

use crate::layer::{IdentityHeaders, Progress, Step, UnderscoreHeaders};
use crate::rejection::Reason;
use crate::upstream::Round;
use crate::upstream::forward::{is_of_connection, strip_request};
use crate::visit::{Dialect, Visit};

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Sanitize {
    own: Arc<[Box<str>]>,
    underscores: UnderscoreHeaders,
    site: Option<Round>,
}

impl Sanitize {
    /// Protects the built-in families, and the names of `identity_headers.set`.
    pub fn new(settings: &IdentityHeaders, underscores: UnderscoreHeaders) -> Self {
        let own = settings.set.iter().map(|(name, _)| fold(name.as_str()).into_boxed_str()).collect();
        Self { own, underscores, site: None }
    }

    /// The same, and these names besides.
    #[must_use]
    pub fn and<'a>(self, names: impl Iterator<Item = &'a HeaderName>) -> Self {
        let further = names.map(|name| fold(name.as_str()).into_boxed_str());
        Self { own: self.own.iter().cloned().chain(further).collect(), ..self }
    }

    /// At this site, whose requests are known when they come back.
    #[must_use]
    pub fn at(self, site: Round) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Whether a client may send a header of this name.
    fn may_pass(&self, name: &str, trusted: bool) -> bool {
        if is_plain(name) {
            return self.may_pass_folded(name, trusted);
        }
        if name.contains('_') && self.underscores == UnderscoreHeaders::Drop {
            return false;
        }
        self.may_pass_folded(&fold(name), trusted)
    }

    fn may_pass_folded(&self, name: &str, trusted: bool) -> bool {
        let family =
            |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        let refused = match name.as_bytes().first() {
            Some(b'x') => {
                family("x-auth")
                    || OVERRIDES.contains(&name)
                    || name.starts_with("x-original-")
                    || name.starts_with("x-rewrite-")
                    || name.starts_with("x-envoy-original-")
                    || name.starts_with("x-replaced-")
                    || name.starts_with("x-ssl-client")
                    || (name.starts_with("x-forwarded-") && !(trusted && FORWARDED.contains(&name)))
                    // We write the request's name, so that logs of both sides agree; a trusted proxy's was taken before.
                    || name == "x-request-id"
                    || (!trusted && CLIENTS.contains(&name))
            }
            Some(b'r') => REMOTE.contains(&name),
            Some(b'f') => !trusted && (name == "forwarded" || CLIENTS.contains(&name)),
            Some(b'c' | b't') => !trusted && CLIENTS.contains(&name),
            Some(b's') => name.starts_with("ssl-client"),
            _ => false,
        };
        !refused && !self.own.iter().any(|own| **own == *name)
    }

    /// Whether an app that believes this name may get it from the client, by a proxy that cannot be told what to take
    /// out and overwrites what it was set up for: the names of the preset, and where it knows patterns, all of theirs.
    fn is_forged(&self, name: &str, dialect: Dialect) -> bool {
        let folded = fold(name);
        let is_own = self.own.iter().any(|own| **own == *folded);
        match dialect {
            Dialect::Original => is_own || folded.starts_with("x-auth-meta-"),
            Dialect::Forwarded => is_own,
            Dialect::Path | Dialect::Grpc => false,
        }
    }
}

impl Step for Sanitize {
    fn take(&self, mut visit: Box<Visit>) -> Progress {
        let trusted = visit.client.trusted;
        // One look at each name is enough for most requests.
        let is_harmless = |name: &HeaderName| {
            !is_of_connection(name) && *name != header::FORWARDED && self.may_pass(name.as_str(), trusted)
        };
        if visit.request.headers().keys().all(is_harmless) {
            return Progress::Go(visit);
        }
        // What it wants its connection to become tells a program, and goes now.
        visit.asker = Some(visit.asker());
        // Where somebody has spoken of the way so far, it may be us.
        visit.rounds = self.site.map_or(0, |site| site.before(visit.request.headers()));
        let headers = visit.request.headers_mut();
        // Before our own headers are written: `Connection` must not take them away again (RFC 9110 §7.6.1).
        match strip_request(headers, |name| !self.may_pass(name.as_str(), false)) {
            Ok(upgrade) => visit.upgrade = upgrade,
            Err(_) => return Progress::refuse(visit, Reason::Malformed("connection.protected")),
        }
        let headers = visit.request.headers_mut();
        let refused: Vec<HeaderName> =
            headers.keys().filter(|name| !self.may_pass(name.as_str(), trusted)).cloned().collect();
        for name in &refused {
            headers.remove(name);
        }
        if !refused.is_empty() {
            tracing::debug!(request = %visit.id, count = refused.len(), "header_stripped");
        }
        if let Some(check) = &mut visit.check {
            if refused.iter().any(|name| self.is_forged(name.as_str(), check.dialect)) {
                return Progress::refuse(visit, Reason::Malformed("forward_auth.forged"));
            }
            check.removed = refused;
        }
        Progress::Go(visit)
    }
}

/// A name in the form in which spellings are compared: any run of other bytes is one hyphen,
/// and none at either end.
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => folded.push(char::from(byte)),
            b'A'..=b'Z' => folded.push(char::from(byte.to_ascii_lowercase())),
            _ if folded.is_empty() || folded.ends_with('-') => {}
            _ => folded.push('-'),
        }
    }
    folded.trim_end_matches('-').to_owned()
}

fn is_plain(name: &str) -> bool {
    let mut before = b'-';
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {}
            b'-' if before != b'-' => {}
            _ => return false,
        }
        before = byte;
    }
    before != b'-'
}

const OVERRIDES: [&str; 4] = ["x-http-method-override", "x-http-method", "x-method-override", "x-forwarded-method"];
const REMOTE: [&str; 5] = ["remote-user", "remote-email", "remote-name", "remote-groups", "remote-sub"];
/// What proxies say of the client under names of their own: many apps believe it from whomever it comes.
const CLIENTS: [&str; 9] = [
    "cf-connecting-ip",
    "client-ip",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
    "x-scheme",
    "x-url-scheme",
];
const FORWARDED: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"];

#[cfg(test)]
mod tests {
    use super::*;

    fn sanitize(underscores: UnderscoreHeaders) -> Sanitize {
        let set = vec![(HeaderName::from_static("x-tenant"), crate::layer::Source::Data("tenant".to_owned()))];
        Sanitize::new(&IdentityHeaders { set, ..IdentityHeaders::default() }, underscores)
    }

    fn passes(name: &str) -> bool {
        sanitize(UnderscoreHeaders::Keep).may_pass(name, false)
    }

    #[test]
    fn sec_hdr_01_02_identity_headers_are_removed_in_every_spelling() {
        for name in [
            "x-auth-user",
            "x-auth-meta-anything",
            "x_auth_user",
            "x-auth_user",
            "x.auth.user",
            "x--auth--user",
            "x-auth-user-",
            "_x-auth-user",
            "%~-X-Auth-User",
            "x~auth!user",
            "remote_user",
            "remote-user",
            "x-auth-request-email",
            "x-tenant",
            "x_tenant",
            "x-forwarded-user",
        ] {
            assert!(!passes(name), "{name}");
        }
    }

    #[test]
    fn other_headers_pass() {
        for name in
            ["accept", "x-author", "x-requested-with", "remote-control", "x-tenants", "sec-fetch-mode", "my_header"]
        {
            assert!(passes(name), "{name}");
        }
    }

    #[test]
    fn names_with_underscores_are_dropped_by_default() {
        assert!(!sanitize(UnderscoreHeaders::Drop).may_pass("my_header", false));
        assert!(sanitize(UnderscoreHeaders::Drop).may_pass("my-header", false));
    }

    #[test]
    fn sec_hdr_05_and_meth_01_original_url_and_override_headers_are_removed() {
        for name in [
            "x-original-url",
            "x-rewrite-url",
            "x-original-method",
            "x-forwarded-uri",
            "x-envoy-original-path",
            "x-replaced-path",
            "x-http-method-override",
            "x-method-override",
            "x-http-method",
        ] {
            assert!(!passes(name), "{name}");
            assert!(!sanitize(UnderscoreHeaders::Keep).may_pass(name, true), "{name} of a trusted peer");
        }
    }

    #[test]
    fn forwarding_headers_pass_from_trusted_peers_only() {
        for name in ["x-forwarded-for", "x-forwarded-proto", "forwarded"].iter().chain(&CLIENTS) {
            assert!(!passes(name), "{name}");
            assert!(sanitize(UnderscoreHeaders::Drop).may_pass(name, true), "{name}");
        }
    }
}
