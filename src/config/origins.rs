//! Addresses and hosts visitors use: `public_url`, `return_to`, `hosts`, `prefix`.

use url::{Host, Url};

use super::code::Code;
use super::fault::Trouble;
use super::known::Kind;
use super::reader::Reader;
use super::value::quoted;
use crate::public_url::{self, PublicUrl};

pub(super) const PREFIX: &str = "/.auth";

/// Below these everybody can have a name, so a wildcard would let in strangers.
const SHARED: [&str; 24] = [
    "github.io",
    "gitlab.io",
    "herokuapp.com",
    "vercel.app",
    "netlify.app",
    "pages.dev",
    "workers.dev",
    "azurewebsites.net",
    "web.app",
    "firebaseapp.com",
    "cloudfront.net",
    "amazonaws.com",
    "blogspot.com",
    "fly.dev",
    "onrender.com",
    "appspot.com",
    "run.app",
    "a.run.app",
    "ngrok.io",
    "ngrok.app",
    "ngrok-free.app",
    "trycloudflare.com",
    "azurestaticapps.net",
    "deno.dev",
];
const SECOND_LEVELS: [&str; 12] = ["ac", "co", "com", "edu", "gob", "gov", "mil", "ne", "net", "or", "org", "sch"];

/// `public_url`.
pub(super) fn public_url(r: &mut Reader<'_>) -> Option<PublicUrl> {
    let kind = Kind::Text("https://blog.example.com");
    let doc = "What visitors type: redirects, cookie flags and mail links are built from it. Without it Vestibule is \
               for this machine alone, as http://localhost and the first port of `listen`.";
    r.parsed("public_url", (kind, None), doc, |text| {
        text.parse().map_err(|error| match error {
            public_url::Error::Insecure => {
                Trouble::new(Code::Insecure, format!("`public_url`: {error}")).help("use https")
            }
            _ => Trouble::new(Code::Form, format!("`public_url`: {error}")),
        })
    })
}

/// `prefix`.
pub(super) fn prefix(r: &mut Reader<'_>) -> String {
    let doc = "Below this path live our own pages; it is never forwarded to an app.";
    r.parsed("prefix", (Kind::Text("/.auth"), Some(quoted(PREFIX))), doc, |text| {
        let plain = |segment: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
            !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(letter)
        };
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(plain) => Ok(text.to_owned()),
            _ => Err(Trouble::new(Code::Form, "`prefix` is not a path such as \"/.auth\"")
                .help("it begins with a slash, ends without one, and holds letters, digits, -, _, . and ~")),
        }
    })
    .unwrap_or_else(|| PREFIX.to_owned())
}

/// `return_to`.
pub(super) fn return_to(r: &mut Reader<'_>) -> Vec<String> {
    let kind = Kind::List(Box::new(Kind::Text("https://app.example.com")));
    let doc = "Other origins a sign-in may return to; https://*.example.com means every name one label below.";
    let origins = r.list("return_to", (kind, Some("[]".to_owned())), doc, origin);
    origins.unwrap_or_default().into_iter().map(|(origin, _)| origin).collect()
}

/// `hosts`.
pub(super) fn hosts(r: &mut Reader<'_>) -> Vec<String> {
    let kind = Kind::List(Box::new(Kind::Text("blog.example.com")));
    let doc = "Names this site answers to; any other is 421. Empty: any name is routed by its path.";
    let hosts = r.list("hosts", (kind, Some("[]".to_owned())), doc, |text| {
        host(text).ok_or_else(|| {
            Trouble::new(Code::Form, format!("\"{text}\" is not a host name"))
                .help("a name such as \"blog.example.com\", without scheme, path and wildcard")
        })
    });
    hosts.unwrap_or_default().into_iter().map(|(host, _)| host).collect()
}

/// A host as it is compared: lower case, without a dot at the end and without a default port.
pub(super) fn host(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (name, port) = match lower.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port.parse::<u16>().ok()?)),
        _ => (lower.as_str(), None),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let good = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(label),
    };
    good.then(|| match port {
        None | Some(80 | 443) => name.to_owned(),
        Some(port) => format!("{name}:{port}"),
    })
}

/// Whether the address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// SEC-CONF-03: a wildcard is a whole label below a domain with one owner.
pub(super) fn origin(text: &str) -> Result<String, Trouble> {
    let form = || {
        Trouble::new(Code::Form, "`return_to` lists origins such as \"https://app.example.com\"")
            .help("scheme, host and port, without path, query and user")
    };
    let (wildcard, plain) = match text.split_once("://") {
        Some((scheme, rest)) if rest.starts_with("*.") => (true, format!("{scheme}://{}", &rest[2..])),
        _ => (false, text.to_owned()),
    };
    if plain.contains('*') {
        return Err(loose("a wildcard is the whole left-most label and nothing else"));
    }
    let url = Url::parse(&plain).map_err(|_| form())?;
    let extra = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || extra || !url.username().is_empty() {
        return Err(form());
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(Trouble::new(Code::Insecure, "plain http is only for localhost").help("write https://"));
    }
    let origin = url.origin().ascii_serialization();
    if !wildcard {
        return Ok(origin);
    }
    match url.host() {
        Some(Host::Domain(domain)) if is_owned(domain) => Ok(origin.replacen("://", "://*.", 1)),
        _ => Err(loose("below that domain everybody can have a name")),
    }
}

fn loose(why: &str) -> Trouble {
    Trouble::new(Code::Loose, format!("this pattern would let in strangers: {why}"))
        .help("name the origins, or write https://*.example.com below a domain of your own")
}

fn is_owned(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let labels: Vec<&str> = domain.split('.').collect();
    match labels[..] {
        [] | [_] => false,
        [second, top] => !(SHARED.contains(&domain) || top.len() == 2 && SECOND_LEVELS.contains(&second)),
        _ => !SHARED.contains(&domain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-CONF-03
    #[test]
    fn sec_conf_03_loose_patterns_are_refused() {
        for text in [
            "https://*",
            "https://*.test",
            "https://*.co.uk",
            "https://*.github.io",
            "https://a.*.example.com",
            "https://app*.example.com",
            "https://*.*.example.com",
            "*",
            "**",
            "https://*.",
            "https://*.[::1]",
            "https://*.10.0.0.1",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
        assert_eq!(origin("https://*.Example.com").unwrap(), "https://*.example.com");
        assert_eq!(origin("https://*.example.co.uk").unwrap(), "https://*.example.co.uk");
        assert_eq!(origin("https://app.test:443/").unwrap(), "https://app.test");
    }

    #[test]
    fn an_origin_is_nothing_more() {
        for text in [
            "https://a.example/x",
            "https://a.example?x",
            "https://me@a.example",
            "app.example.com",
            "http://a.example",
            "ftp://a.example",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
        assert!(origin("http://localhost:3000").is_ok());
    }

    #[test]
    fn hosts_have_one_form() {
        assert_eq!(host("Blog.Example.com.:443").as_deref(), Some("blog.example.com"));
        assert_eq!(host("[::1]:8080").as_deref(), Some("[::1]:8080"));
        for text in ["", "a..b", "*.example.com", "https://a", "a/b", "a:b", "a b"] {
            assert_eq!(host(text), None, "{text}");
        }
    }
}
