//! What the app gets to see has no session cookie of ours left, and what is left is what there was.

#![no_main]

use http::header::{COOKIE, HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use vestibule::session::cookie::{Cookie, Name};

fuzz_target!(|fields: Vec<&[u8]>| {
    let mut headers = HeaderMap::new();
    for field in fields.iter().take(20) {
        if let Ok(value) = HeaderValue::from_bytes(field) {
            headers.append(COOKIE, value);
        }
    }
    let before = headers.clone();
    for name in [Name::new(true), Name::new(false)] {
        let mut left = headers.clone();
        name.strip(&mut left);
        assert_eq!(name.read(&left), Cookie::Absent, "{before:?}");
        let mut again = left.clone();
        name.strip(&mut again);
        assert_eq!(again, left, "{before:?}");
    }
});
