//! A token that nobody has signed is never good, whatever it says of itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::token::Unverified;

fuzz_target!(|text: &str| {
    let Some(token) = Unverified::read(text) else { return };
    assert_eq!(text.matches('.').count(), 2, "{text:?}");
    assert!(!format!("{:?}", token.algorithm).eq_ignore_ascii_case("none"));
});
