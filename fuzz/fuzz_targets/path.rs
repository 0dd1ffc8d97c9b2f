//! A path has one canonical form: read again it is the same, and nothing in it can be read in another way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::route::Path;

fuzz_target!(|raw: &str| {
    let Ok(path) = Path::parse(raw) else { return };
    let text = path.as_str();
    let again = Path::parse(text).unwrap_or_else(|error| panic!("{raw:?} became {text:?}: {error}"));
    assert_eq!(again.as_str(), text, "{raw:?}");
    assert!(text.starts_with('/') && text.is_ascii());
    assert!(!text.split('/').any(|segment| matches!(segment, "." | "..")), "{raw:?} became {text:?}");
    assert!(!text.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b'\\' | b'?' | b'#' | b' ')));
});
