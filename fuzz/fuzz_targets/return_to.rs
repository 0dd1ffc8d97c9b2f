//! Whatever is asked for, nobody is led anywhere but to the site itself and the listed origins (SEC-REDIR).

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use url::Url;
use vestibule::portal::return_to::{Allowed, ReturnTo};

static ALLOWED: LazyLock<Allowed> = LazyLock::new(|| {
    let entries = ["https://app.example.com".to_owned(), "https://*.example.org".to_owned()];
    Allowed::new(&"https://blog.example.com".parse().unwrap(), &entries).unwrap()
});

fuzz_target!(|rd: &str| {
    let place = ReturnTo::parse(rd, &ALLOWED);
    let location = place.location();
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{rd:?}: {location:?}");
    // As a browser does it.
    let url = Url::parse("https://blog.example.com/.auth/login").unwrap().join(location).unwrap();
    let host = url.host_str().unwrap_or_default();
    let listed = match host.strip_suffix(".example.org") {
        Some(label) => !label.is_empty() && !label.contains('.'),
        None => matches!(host, "blog.example.com" | "app.example.com"),
    };
    assert!(listed && url.scheme() == "https" && url.port().is_none(), "{rd:?} leads to {url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{rd:?} leads to {url}");
});
