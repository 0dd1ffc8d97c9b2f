use crate::route::path::canonical_segment;

/// A key of `[routes]`, read: a host or none, and a pattern of segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) host: Host,
    pub(super) segments: Vec<Segment>,
    /// Ends in `**`: everything below, and the place itself.
    pub(super) below: bool,
}

/// Which hosts a key is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Host {
    Any,
    Exact(String),
    /// `*.example.com`: one label or more before it.
    Below(String),
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Literal(String),
    Any,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither `/path` nor `host/path`.
    #[error("a route is a path such as \"/posts/**\", or a host and a path such as \"admin.example.com/**\"")]
    Form,
    /// Percent signs.
    #[error("a route is written in plain characters, without % escapes")]
    Percent,
    /// `**` before the end.
    #[error("\"**\" stands only at the end of a route")]
    DoubleStar,
    /// `*` with other characters beside it.
    #[error("\"*\" stands for a whole segment, never for a part of one")]
    Star,
    /// Dot segments, empty segments, or characters no plain path has.
    #[error("a request path never has this form: dot or empty segments, \\ # ? ; or control characters")]
    Unreachable,
    /// A host that is none.
    #[error("not a host name; a route's host has no port, and \"*\" only as its whole first label")]
    Host,
}

impl Key {
    pub(super) fn parse(text: &str) -> Result<Self, KeyError> {
        let slash = text.find('/').ok_or(KeyError::Form)?;
        let host = parse_host(&text[..slash])?;
        let path = &text[slash + 1..];
        if path.contains('%') {
            return Err(KeyError::Percent);
        }
        // A slash at the end makes no other route: most upstreams read both alike.
        let mut parts: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        let below = parts.last() == Some(&"**");
        if below || parts == [""] {
            parts.pop();
        }
        let segments = parts.into_iter().map(parse_segment).collect::<Result<_, _>>()?;
        Ok(Self { host, segments, below })
    }

    /// The same key in lower case, for the case guard.
    pub(super) fn folded(&self) -> Self {
        let fold = |segment: &Segment| match segment {
            Segment::Literal(text) => Segment::Literal(text.to_ascii_lowercase()),
            Segment::Any => Segment::Any,
        };
        Self { host: self.host.clone(), segments: self.segments.iter().map(fold).collect(), below: self.below }
    }
}

fn parse_host(text: &str) -> Result<Host, KeyError> {
    if text.is_empty() {
        return Ok(Host::Any);
    }
    let (name, below) = match text.strip_prefix("*.") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let name = canonical_host(name).ok_or(KeyError::Host)?;
    Ok(if below { Host::Below(name) } else { Host::Exact(name) })
}

fn parse_segment(text: &str) -> Result<Segment, KeyError> {
    match text {
        "*" => Ok(Segment::Any),
        "**" => Err(KeyError::DoubleStar),
        "" | "." | ".." => Err(KeyError::Unreachable),
        _ if text.contains('*') => Err(KeyError::Star),
        _ if text.contains(['\\', '#', '?', ';']) || text.chars().any(char::is_control) => Err(KeyError::Unreachable),
        _ => Ok(Segment::Literal(canonical_segment(text))),
    }
}

/// A host in its one form: lower case, without a dot at the end, letters, digits, dots and hyphens, or an
/// address in brackets. `None`: it is no host.
pub fn canonical_host(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !is_false_punycode(label)
    };
    (text.len() <= 253 && text.split('.').all(label)).then(|| text.to_ascii_lowercase())
}

/// `xn--` labels that stand for pure ASCII, or for nothing: a second spelling of another name (RFC 5891 §5.4).
fn is_false_punycode(label: &str) -> bool {
    let Some(encoded) = label.get(..4).filter(|p| p.eq_ignore_ascii_case("xn--")).map(|_| &label[4..]) else {
        return false;
    };
    match encoded.rsplit_once('-') {
        Some((_, "")) => true,
        _ => encoded.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        let key = Key::parse("Admin.Example.com./posts/*/x/**").unwrap();
        assert_eq!(key.host, Host::Exact("admin.example.com".into()));
        assert_eq!(key.segments.len(), 3);
        assert!(key.below);
        assert_eq!(Key::parse("/").unwrap().segments, []);
        assert_eq!(Key::parse("/a/").unwrap(), Key::parse("/a").unwrap());
        assert_eq!(Key::parse("*.example.com/**").unwrap().host, Host::Below("example.com".into()));
    }

    #[test]
    fn keys_that_no_path_can_match_are_refused() {
        for (text, error) in [
            ("posts", KeyError::Form),
            ("", KeyError::Form),
            ("/a%20b", KeyError::Percent),
            ("/a/**/b", KeyError::DoubleStar),
            ("/a*", KeyError::Star),
            ("/*.css", KeyError::Star),
            ("/a//b", KeyError::Unreachable),
            ("//a", KeyError::Unreachable),
            ("/a/../b", KeyError::Unreachable),
            ("/a;b", KeyError::Unreachable),
            ("exa mple.com/", KeyError::Host),
            ("example.com:80/", KeyError::Host),
            ("a.*.com/", KeyError::Host),
        ] {
            assert_eq!(Key::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn sec_path_09_and_12_hosts_have_one_form() {
        for text in ["ADMIN.test", "admin.test.", "Admin.Test"] {
            assert_eq!(canonical_host(text).as_deref(), Some("admin.test"));
        }
        for text in ["", ".", "a..b", "xn--admin-.test", "admin.test.xn--", "a b", "-a.test", "\u{430}pp.test"] {
            assert_eq!(canonical_host(text), None, "{text}");
        }
        assert_eq!(canonical_host("xn--bcher-kva.example").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(canonical_host("[::1]").as_deref(), Some("[::1]"));
    }
}
