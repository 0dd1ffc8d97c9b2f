use super::*;

fn allowed(entries: &[&str]) -> Allowed {
    let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
    Allowed::new(&"https://auth.test".parse().unwrap(), &entries).unwrap()
}

fn taken(rd: &str, entries: &[&str]) -> String {
    ReturnTo::parse(rd, &allowed(entries)).location().to_owned()
}

/// Once as it is, and as it looks after having been percent-encoded once and twice more.
fn spellings(value: &str) -> [String; 3] {
    let once = utf8_percent_encode(value, QUERY_VALUE).to_string();
    let twice = utf8_percent_encode(&once, QUERY_VALUE).to_string();
    [value.to_owned(), once, twice]
}

#[track_caller]
fn home_in_every_spelling(value: &str, entries: &[&str]) {
    for spelling in spellings(value) {
        assert_eq!(taken(&spelling, entries), "/", "{spelling:?}");
    }
}

#[test]
fn a_path_of_our_own_is_kept_with_query_and_fragment() {
    for rd in ["/", "/drafts/7", "/search?q=a%2Fb&x=//y", "/a%20b/", "/page#part", "/.auth/account", "/caf%C3%A9"] {
        assert_eq!(taken(rd, &[]), rd);
    }
    assert_eq!(taken("/café", &[]), "/caf%C3%A9");
    assert_eq!(taken("https://auth.test/drafts/7?x=1", &[]), "/drafts/7?x=1");
    assert_eq!(taken("HTTPS://AUTH.test:443/drafts", &[]), "/drafts");
}

#[test]
fn sec_redir_01_slashes_backslashes_and_blanks_stay_local() {
    for value in [
        "//evil.test",
        "/\\evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "/\u{b}\\evil.test",
        "/%09/evil.test",
        "/%0a/evil.test",
        "/%0b\\evil.test",
        "/%2f%2fevil.test",
        "/%5cevil.test",
        "/./\\evil.test",
        "/ /evil.test",
        "////evil.test",
        "///evil.test",
        "/.//evil.test",
        "/..//evil.test",
        "/%2e%2e//evil.test",
        "/\u{a0}/evil.test",
        "/\u{2028}/evil.test",
        "/\u{85}/evil.test",
        "\\\\evil.test",
        "\\/evil.test",
        " //evil.test",
        "/x\u{0}",
        "evil.test",
        "//evil%E3%80%82test",
        "/%00/evil.test",
        "?//evil.test",
        "@evil.test",
        ".evil.test",
    ] {
        home_in_every_spelling(value, &[]);
    }
}

#[test]
fn sec_redir_01_the_products_of_the_class_stay_local() {
    let pieces =
        ["/", "\\", "%2f", "%5c", "%252f", "%09", "\t", " ", "%20", ".", "..", "%2e", "@", ":", "http:", "https://"];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                let rd = format!("{first}{second}{third}evil.test");
                let location = taken(&rd, &["https://app.test"]);
                assert!(location.starts_with('/') && !location.starts_with("//"), "{rd:?} → {location:?}");
                assert!(!location.contains('\\') && !location[1..].starts_with('/'), "{rd:?} → {location:?}");
            }
        }
    }
}

#[test]
fn sec_redir_02_a_listed_host_is_not_a_suffix() {
    let entries = ["https://*.example.test", "https://app.test"];
    for value in [
        "https://evilexample.test/",
        "https://app.test.evil.test/",
        "https://app.test@evil.test/",
        "https://evil.test#app.test",
        "https://evil.test\\@app.test/",
        "https://evil.test/?x=https://app.test",
        "https://example.test/",
        "https://.example.test/",
        "https://a.b.example.test/",
        "https://app.test./",
        "https://xapp.test/",
        "http://app.test/",
    ] {
        home_in_every_spelling(value, &entries);
    }
    assert_eq!(taken("https://a.example.test/", &entries), "https://a.example.test/");
    assert_eq!(taken("https://app.test/x?y=1", &entries), "https://app.test/x?y=1");
    assert_eq!(taken("https://app.test", &entries), "https://app.test/");
}

#[test]
fn sec_redir_03_users_and_ports_are_compared() {
    let entries = ["http://localhost", "http://127.0.0.1", "https://app.test", "http://localhost:3000"];
    for value in [
        "http://localhost:80@evil.test/",
        "http://127.0.0.1:80@evil.test/",
        "http://localhost:8080.evil.test/",
        "http://app.test:99999/",
        "http://localhost:8080/",
        "http://user@localhost/",
        "http://@localhost/",
        "http://:@localhost/",
        "http://localhost:/",
        "http://2130706433/",
        "http://0x7f.1/",
        "https://app.test:80/",
    ] {
        home_in_every_spelling(value, &entries);
    }
    assert_eq!(taken("http://localhost/x", &entries), "http://localhost/x");
    assert_eq!(taken("http://localhost:80/x", &entries), "http://localhost/x");
    assert_eq!(taken("http://localhost:3000/x", &entries), "http://localhost:3000/x");
    assert_eq!(taken("http://127.0.0.1/", &entries), "http://127.0.0.1/");
}

#[test]
fn sec_redir_04_only_the_host_decides() {
    for value in [
        "https://evil.test/?n=.app.test/x",
        "https://evil.test/#a.app.test/x",
        "https://\u{430}pp.test/",
        "https://xn--app-.test/",
        "https://app\u{3002}test/",
        "https://%61pp.test/",
        "https://app.test%00.evil.test/",
    ] {
        home_in_every_spelling(value, &["https://app.test", "https://*.app.test"]);
    }
    assert_eq!(taken("https://b.app.test/x", &["https://*.app.test"]), "https://b.app.test/x");
}

#[test]
fn sec_redir_05_paths_cannot_climb_and_entries_do_not_mix() {
    let entries = ["https://app.test", "http://other.test:8080"];
    for value in [
        "https://app.test/cb/../profile",
        "https://app.test/cb/%2e%2e/profile",
        "https://app.test/cb/%252e%252e/profile",
        "https://app.test/cb/.%2E/profile",
        "https://app.test/cb//profile",
        "http://app.test/",
        "https://other.test/",
        "https://app.test:8080/",
    ] {
        home_in_every_spelling(value, &entries);
    }
    assert_eq!(taken("https://app.test/cb/profile", &entries), "https://app.test/cb/profile");
    assert_eq!(taken("http://other.test:8080/x", &entries), "http://other.test:8080/x");
}

#[test]
fn sec_redir_06_only_http_with_an_authority_is_emitted() {
    for value in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascript://app.test/%0aalert(1)",
        "data:text/html,x",
        "vbscript:x",
        "\tjavascript:x",
        "https:evil.test",
        "https:app.test",
        "https:/app.test",
        "http:///evil.test",
        "https:///app.test",
        "ftp://app.test/",
        "blob:https://app.test/x",
        "//app.test/",
    ] {
        home_in_every_spelling(value, &["https://app.test"]);
    }
}

#[test]
fn a_rejected_place_is_logged_short_and_escaped() {
    let rd = format!("//evil.test/\r\n{}", "ü".repeat(300));
    let line = shortened(&rd);
    assert!(line.starts_with("//evil.test/\\r\\n\\u{fc}"), "{line}");
    assert!(line.is_ascii() && line.len() < 1000);
}

#[test]
fn entries_that_are_no_origins_are_start_errors() {
    let public_url = "https://auth.test".parse().unwrap();
    for entry in [
        "app.test",
        "https://",
        "https://app.test/cb",
        "https://app.test/?x",
        "https://*.test",
        "https://*.*.app.test",
        "https://a.*.app.test",
        "https://user@app.test",
        "javascript://app.test",
        "*",
        "https://*.127.0.0.1",
    ] {
        let error = Allowed::new(&public_url, &[entry.to_owned()]).unwrap_err();
        assert!(error.to_string().contains(entry), "{error}");
    }
    let good = ["https://app.test".to_owned(), "https://*.app.test:8443".into(), "http://[::1]:3000/".into()];
    let allowed = Allowed::new(&public_url, &good).unwrap();
    let sources: Vec<String> = allowed.sources().collect();
    assert_eq!(sources, ["https://app.test:443", "https://*.app.test:8443", "http://[::1]:3000"]);
}

#[test]
fn people_are_told_host_and_path() {
    let public_url: PublicUrl = "https://blog.example.com".parse().unwrap();
    let allowed = Allowed::new(&public_url, &["https://app.test".into()]).unwrap();
    assert_eq!(ReturnTo::parse("/drafts/7?secret=1", &allowed).shown(&public_url), "blog.example.com/drafts/7");
    assert_eq!(ReturnTo::parse("https://app.test/x#y", &allowed).shown(&public_url), "app.test/x");
    assert_eq!(ReturnTo::parse("/drafts/7?a=b", &allowed).query(), "rd=%2Fdrafts%2F7%3Fa%3Db");
    assert!(ReturnTo::parse("", &allowed).is_home());
}
