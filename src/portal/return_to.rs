//! Where somebody goes after signing in: our own site, or an origin the operator listed. Nothing else is ever emitted.
//!
//! What comes in is taken apart, compared part by part, and put together again from the parts that were
//! compared. Whatever is odd leads to `/`, with a line in the log.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Position, Url};

use crate::provider::going_on_to;
use crate::public_url::PublicUrl;

/// A place that may be redirected to: a path of our own site, or an address at a listed origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo {
    location: String,
}

/// The origins that may be returned to.
#[derive(Clone, Debug)]
pub struct Allowed {
    base: Url,
    entries: Vec<Entry>,
}

/// An entry of `return_to` that is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("return_to: {entry:?} is not an origin such as https://app.example.com or https://*.example.com")]
pub struct Error {
    /// The entry as it was written.
    pub entry: String,
}

impl ReturnTo {
    /// Reads a `rd` parameter, percent-decoded once.
    ///
    /// A path must begin with one slash; an address must be `http` or `https` with an authority that is listed
    /// in scheme, host and port. Control characters, blanks, backslashes, dot segments, empty segments (whether
    /// plain or percent-encoded, however often) and user names are never taken. What is not taken becomes `/`
    /// and is logged as `redirect.rejected`.
    pub fn parse(rd: &str, allowed: &Allowed) -> Self {
        if rd.is_empty() {
            return Self::home();
        }
        let Some(location) = read(rd, allowed) else {
            tracing::warn!(event = "redirect.rejected", value = %shortened(rd), "a place to return to was not taken");
            return Self::home();
        };
        Self { location }
    }

    /// The start page.
    pub fn home() -> Self {
        Self { location: "/".into() }
    }

    /// For `Location`, `href` and `rd`: plain ASCII, either `/…` or `http(s)://…`.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Whether it is the start page, where nobody needs to be told about.
    pub fn is_home(&self) -> bool {
        self.location == "/"
    }

    /// For people: host and path, without scheme and query.
    pub fn shown(&self, public_url: &PublicUrl) -> String {
        let place = self.location.split(['?', '#']).next().unwrap_or_default();
        match place.split_once("://") {
            Some((_, place)) => place.to_owned(),
            None => format!("{}{place}", public_url.host()),
        }
    }

    /// The same after another parameter; nothing for the start page.
    pub fn further(&self) -> String {
        if self.is_home() { String::new() } else { format!("&{}", self.query()) }
    }

    /// For the query of one of our own pages: `rd=%2Fdrafts%2F7`.
    pub fn query(&self) -> String {
        format!("rd={}", utf8_percent_encode(&self.location, QUERY_VALUE))
    }
}

/// Does this for somebody who is on the way there: mails that come of it lead on there.
pub(super) async fn on_the_way<F: Future>(rd: &ReturnTo, deed: F) -> F::Output {
    if rd.is_home() { deed.await } else { going_on_to(rd.query(), deed).await }
}

impl Allowed {
    /// Our own origin and those of `return_to`: exact in scheme, host and port, or with `*` for exactly one
    /// label in front (`https://*.example.com` is neither `https://example.com` nor `https://a.b.example.com`).
    ///
    /// # Errors
    /// [`Error`] for an entry that is no such origin, and for a `*` over a whole top-level domain.
    pub fn new(public_url: &PublicUrl, return_to: &[String]) -> Result<Self, Error> {
        let entries = return_to.iter().map(|entry| Entry::parse(entry)).collect::<Result<_, _>>()?;
        let base = Url::parse(public_url.origin()).map_err(|_| Error { entry: public_url.to_string() })?;
        Ok(Self { base, entries })
    }

    /// The listed origins as sources of a content security policy, in the order they were listed.
    pub fn sources(&self) -> impl Iterator<Item = String> + '_ {
        self.entries.iter().map(Entry::source)
    }

    fn admits(&self, url: &Url) -> bool {
        url.origin() == self.base.origin() || self.entries.iter().any(|entry| entry.matches(url))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    scheme: String,
    /// With a dot in front when one label is free.
    host: String,
    port: u16,
    any_label: bool,
}

impl Entry {
    fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error { entry: text.to_owned() };
        let any_label = text.contains("://*.");
        let plain = text.replacen("://*.", "://", 1);
        let authority = authority(&plain).ok_or_else(wrong)?;
        let url = Url::parse(&plain).map_err(|_| wrong())?;
        let host = url.host_str().ok_or_else(wrong)?;
        let whole_domain = any_label && (!host.contains('.') || !matches!(url.host(), Some(Host::Domain(_))));
        if authority.contains('*') || !is_exact(authority, &url) || &url[Position::BeforePath..] != "/" || whole_domain
        {
            return Err(wrong());
        }
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        let host = if any_label { format!(".{host}") } else { host.to_owned() };
        Ok(Self { scheme: url.scheme().to_owned(), host, port, any_label })
    }

    fn matches(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let same_host = match host.strip_suffix(&self.host) {
            Some(label) if self.any_label => !label.is_empty() && !label.contains('.'),
            Some(rest) => rest.is_empty(),
            None => false,
        };
        same_host && url.scheme() == self.scheme && url.port_or_known_default() == Some(self.port)
    }

    fn source(&self) -> String {
        let star = if self.any_label { "*" } else { "" };
        format!("{}://{star}{}:{}", self.scheme, self.host, self.port)
    }
}

fn read(rd: &str, allowed: &Allowed) -> Option<String> {
    // Browsers drop tabs and line ends and read backslashes as slashes: nothing with them is what it seems.
    if rd.len() > MAX_LENGTH || rd.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return None;
    }
    let own = rd.starts_with('/');
    let url = if own { allowed.base.join(rd).ok()? } else { absolute(rd)? };
    let typed_path = path_of(rd, own);
    if !is_plain_path(typed_path) || !allowed.admits(&url) || url.cannot_be_a_base() {
        return None;
    }
    if url.origin() != allowed.base.origin() {
        return Some(url.into());
    }
    let place = &url[Position::BeforePath..];
    (place.starts_with('/') && !place.starts_with("//")).then(|| place.to_owned())
}

fn absolute(rd: &str) -> Option<Url> {
    let authority = authority(rd)?;
    let url = Url::parse(rd).ok()?;
    is_exact(authority, &url).then_some(url)
}

/// What stands between `http(s)://` and the path.
fn authority(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let authority = rest.split(['/', '?', '#']).next()?;
    (known && !authority.is_empty()).then_some(authority)
}

/// Whether the parser read the authority as it is written: no user, no other spelling of a number, no
/// look-alike letters, no trailing dot, no empty port.
fn is_exact(authority: &str, url: &Url) -> bool {
    let typed = authority.to_ascii_lowercase();
    let Some(host) = url.host_str() else { return false };
    let port = url.port_or_known_default().unwrap_or_default();
    let is_default = url.port().is_none();
    let known = matches!(url.scheme(), "http" | "https");
    known && ((is_default && typed == host) || typed == format!("{host}:{port}")) && !host.ends_with('.')
}

fn path_of(rd: &str, own: bool) -> &str {
    let place = rd.split(['?', '#']).next().unwrap_or_default();
    if own {
        return place;
    }
    let rest = place.split_once("://").map_or(place, |(_, rest)| rest);
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

/// One slash in front, and no segment that somebody behind us could read as another path.
fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let segments: Vec<&str> = rest.split('/').collect();
    let last = segments.len() - 1;
    segments.iter().enumerate().all(|(index, segment)| {
        let Some(decoded) = decoded(segment) else { return false };
        let empty = decoded.trim().is_empty() && !(index == last && segment.is_empty());
        let odd = |c: char| c.is_control() || (c.is_whitespace() && c != ' ') || matches!(c, '/' | '\\');
        !(empty || decoded == "." || decoded == ".." || decoded.chars().any(odd))
    })
}

/// The segment without any percent-encoding, however often it was encoded.
fn decoded(segment: &str) -> Option<String> {
    let mut text = segment.to_owned();
    for _ in 0..MAX_ENCODINGS {
        let next = match percent_decode_str(&text).decode_utf8().ok()? {
            Cow::Borrowed(_) => return Some(text),
            Cow::Owned(next) => next,
        };
        if next == text {
            return Some(text);
        }
        text = next;
    }
    None
}

fn shortened(rd: &str) -> String {
    let mut end = rd.len().min(200);
    while !rd.is_char_boundary(end) {
        end -= 1;
    }
    rd[..end].escape_default().to_string()
}

const MAX_LENGTH: usize = 4096;
const MAX_ENCODINGS: usize = 4;
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
#[path = "return_to_tests.rs"]
mod tests;
