use std::borrow::Cow;

use crate::route::Relax;

/// A request path in its one canonical form, which the decision and the upstream both see.
///
/// Octets that may stand plainly in a segment (RFC 3986 §3.3, `pchar`) are decoded once, all others are
/// encoded with capital digits. What two readers could read differently is refused; what a route may allow
/// by name is noted in [`irregular`](Self::irregular).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    text: Cow<'a, str>,
    irregular: Irregular,
}

/// What in a path is not plain, and needs a route that allows it by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Irregular(u8);

/// Why a path has no canonical form. The text is the code of the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

impl<'a> Path<'a> {
    /// Reads a path as it stands in a request target.
    ///
    /// # Errors
    /// [`Malformed`] for dot segments, encoded or plain backslashes, encoded `#`, `?` and control bytes,
    /// broken escapes, bytes that are not UTF-8.
    pub fn parse(raw: &'a str) -> Result<Self, Malformed> {
        if !raw.starts_with('/') {
            return Err(Malformed("path.form"));
        }
        let plain = raw.bytes().all(|byte| CLASS[byte as usize] == PLAIN);
        let (text, mut irregular) = if plain {
            (Cow::Borrowed(raw), Irregular::default())
        } else {
            let (text, irregular) = canonical(raw)?;
            (Cow::Owned(text), irregular)
        };
        check_segments(&text, &mut irregular)?;
        Ok(Self { text, irregular })
    }

    /// A path that was parsed before, put together again without another look.
    pub(crate) fn known(text: &'a str, irregular: Irregular) -> Self {
        Self { text: Cow::Borrowed(text), irregular }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it differs from what was sent.
    pub fn is_rewritten(&self) -> bool {
        matches!(self.text, Cow::Owned(_))
    }

    /// What a route must allow by name.
    pub fn irregular(&self) -> Irregular {
        self.irregular
    }

    /// The same path without the parameters of its segments (`;…`), if it has any.
    pub fn without_parameters(&self) -> Option<String> {
        self.irregular.contains(Relax::Semicolon).then(|| {
            let bare: Vec<&str> =
                self.text.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
            bare.join("/")
        })
    }
}

impl Irregular {
    /// Nothing, or everything that is named.
    pub fn of(relaxed: &[Relax]) -> Self {
        let mut all = Self::default();
        relaxed.iter().for_each(|relax| all.add(*relax));
        all
    }

    /// Whether this is in it.
    pub fn contains(self, relax: Relax) -> bool {
        self.0 & bit(relax) != 0
    }

    /// Whether everything in it is in `allowed`.
    pub fn is_within(self, allowed: Self) -> bool {
        self.0 & !allowed.0 == 0
    }

    fn add(&mut self, relax: Relax) {
        self.0 |= bit(relax);
    }
}

/// The canonical form of one segment as the operator writes it in a key: never encoded by hand.
pub(super) fn canonical_segment(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    segment.bytes().for_each(|byte| push(&mut out, byte));
    out
}

fn canonical(raw: &str) -> Result<(String, Irregular), Malformed> {
    let mut out = String::with_capacity(raw.len() + 8);
    let mut irregular = Irregular::default();
    let mut high = Vec::new();
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let decoded = match (byte, CLASS[byte as usize]) {
            (b'%', _) => unescape(&mut bytes)?,
            (b';', _) => {
                irregular.add(Relax::Semicolon);
                byte
            }
            (_, REFUSED) => return Err(Malformed("path.character")),
            _ => {
                flush(&mut high, &mut out)?;
                push(&mut out, byte);
                continue;
            }
        };
        if decoded >= 0x80 {
            high.push(decoded);
            continue;
        }
        flush(&mut high, &mut out)?;
        match decoded {
            b'/' => {
                irregular.add(Relax::EncodedSlash);
                out.push_str("%2F");
            }
            b'%' => {
                irregular.add(Relax::EncodedPercent);
                out.push_str("%25");
            }
            b';' => {
                irregular.add(Relax::Semicolon);
                out.push(';');
            }
            b'\\' | b'#' | b'?' | 0..0x20 | 0x7f => return Err(Malformed("path.encoded")),
            _ => push(&mut out, decoded),
        }
    }
    flush(&mut high, &mut out)?;
    Ok((out, irregular))
}

fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, Malformed> {
    let mut digit = || {
        let byte = bytes.next()?;
        char::from(byte).to_digit(16)
    };
    match (digit(), digit()) {
        (Some(high), Some(low)) => Ok((high << 4 | low) as u8),
        _ => Err(Malformed("path.escape")),
    }
}

/// Writes a run of decoded bytes beyond ASCII, which must be whole UTF-8 characters: overlong forms of
/// dots and slashes end here.
fn flush(high: &mut Vec<u8>, out: &mut String) -> Result<(), Malformed> {
    if high.is_empty() {
        return Ok(());
    }
    if std::str::from_utf8(high).is_err() {
        return Err(Malformed("path.utf8"));
    }
    high.drain(..).for_each(|byte| escape(out, byte));
    Ok(())
}

fn push(out: &mut String, byte: u8) {
    if CLASS[byte as usize] == PLAIN { out.push(char::from(byte)) } else { escape(out, byte) }
}

fn escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn check_segments(path: &str, irregular: &mut Irregular) -> Result<(), Malformed> {
    let mut rest = &path.as_bytes()[1..];
    loop {
        let end = rest.iter().position(|byte| *byte == b'/');
        let segment = &rest[..end.unwrap_or(rest.len())];
        // The last one may be empty: that is a slash at the end.
        if segment.is_empty() && end.is_some() {
            irregular.add(Relax::EmptySegments);
        }
        if is_dots(segment) {
            return Err(Malformed("path.dots"));
        }
        match end {
            Some(end) => rest = &rest[end + 1..],
            None => return Ok(()),
        }
    }
}

/// `.` and `..`, also as `..;x` to servers that drop parameters first, and between encoded slashes to servers
/// that decode these.
fn is_dots(segment: &[u8]) -> bool {
    let dots = |part: &[u8]| matches!(part, [b'.'] | [b'.', b'.'] | [b'.', b';', ..] | [b'.', b'.', b';', ..]);
    if !segment.contains(&b'%') {
        return dots(segment);
    }
    let mut rest = segment;
    while let Some(slash) = rest.windows(3).position(|window| window == b"%2F") {
        if dots(&rest[..slash]) {
            return true;
        }
        rest = &rest[slash + 3..];
    }
    dots(rest)
}

fn bit(relax: Relax) -> u8 {
    match relax {
        Relax::Semicolon => 1,
        Relax::EmptySegments => 2,
        Relax::EncodedSlash => 4,
        Relax::EncodedPercent => 8,
    }
}

const REFUSED: u8 = 0;
const PLAIN: u8 = 1;
const ENCODED: u8 = 2;

/// What each byte of a raw path means: refused, plain (`pchar` and `/`, but for `;`), or to be looked at
/// (`%`, `;`) or encoded (printable ASCII that browsers send plainly although RFC 3986 does not allow it).
static CLASS: [u8; 256] = {
    let mut class = [REFUSED; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        class[byte] = match byte as u8 {
            b'\\' | b'#' | b'?' => REFUSED,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => PLAIN,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' => PLAIN,
            b'*' | b'+' | b',' | b'=' | b':' | b'@' | b'/' => PLAIN,
            _ => ENCODED,
        };
        byte += 1;
    }
    class
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical_of(raw: &str) -> Result<String, Malformed> {
        Path::parse(raw).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn a_plain_path_stays_as_it_is() {
        let path = Path::parse("/posts/2026-11/a.b~c@d:e").unwrap();
        assert!(!path.is_rewritten());
        assert_eq!(path.irregular(), Irregular::default());
    }

    #[test]
    fn a_letter_is_decoded_once_and_the_rest_is_spelled_one_way() {
        assert_eq!(canonical_of("/%61dmin").unwrap(), "/admin");
        assert_eq!(canonical_of("/%40me").unwrap(), canonical_of("/@me").unwrap());
        assert_eq!(canonical_of("/a%20b%c3%a9").unwrap(), "/a%20b%C3%A9");
        assert_eq!(canonical_of("/a|b").unwrap(), canonical_of("/a%7cb").unwrap());
    }

    #[test]
    fn sec_path_01_dot_segments_are_refused_in_every_spelling() {
        for raw in ["/a/../b", "/a/./b", "/a/%2e%2e/b", "/a/.%2E/b", "/a/..", "/.", "/..", "/a/%2e", "/..;/x", "/.;x/y"]
        {
            assert_eq!(canonical_of(raw), Err(Malformed("path.dots")), "{raw}");
        }
        for raw in ["/a/...", "/.well-known/x", "/a..b", "/..a"] {
            assert!(canonical_of(raw).is_ok(), "{raw}");
        }
    }

    #[test]
    fn sec_path_02_encoded_slashes_and_backslashes_are_not_plain() {
        for raw in ["/a%5cb", "/a\\b", "/a%5C..%5cb"] {
            assert!(canonical_of(raw).is_err(), "{raw}");
        }
        let slash = Path::parse("/admin%2fkeys").unwrap();
        assert_eq!(slash.as_str(), "/admin%2Fkeys");
        assert!(!slash.irregular().is_within(Irregular::default()));
        assert!(slash.irregular().is_within(Irregular::of(&[Relax::EncodedSlash])));
    }

    #[test]
    fn sec_path_05_and_07_delimiters_are_never_decoded() {
        assert!(canonical_of("/a%23b").is_err());
        assert!(canonical_of("/a%3Fb").is_err());
        let twice = Path::parse("/%2561dmin").unwrap();
        assert_eq!(twice.as_str(), "/%2561dmin");
        assert!(!twice.irregular().is_within(Irregular::default()));
    }

    #[test]
    fn sec_path_12_what_is_not_text_is_refused() {
        for raw in ["/%00", "/a%0ab", "/%zz", "/%1", "/%", "/%c0%ae%c0%ae/admin", "/%ff", "/\u{e9}", "x", "*", ""] {
            assert!(canonical_of(raw).is_err(), "{raw}");
        }
        assert!(canonical_of("/%e2%82%ac").is_ok());
    }

    #[test]
    fn sec_path_04_parameters_are_noted_and_can_be_taken_away() {
        let path = Path::parse("/admin;x=1/keys%3b").unwrap();
        assert!(path.irregular().contains(Relax::Semicolon));
        assert_eq!(path.without_parameters().unwrap(), "/admin/keys");
        assert_eq!(Path::parse("/admin").unwrap().without_parameters(), None);
    }

    #[test]
    fn an_empty_segment_is_noted_but_a_slash_at_the_end_is_plain() {
        assert!(Path::parse("//admin").unwrap().irregular().contains(Relax::EmptySegments));
        assert!(Path::parse("/a//b").unwrap().irregular().contains(Relax::EmptySegments));
        assert_eq!(Path::parse("/a/").unwrap().irregular(), Irregular::default());
        assert_eq!(Path::parse("/").unwrap().irregular(), Irregular::default());
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own_canonical_form(raw in "/[ -~]{0,40}") {
            if let Ok(path) = Path::parse(&raw) {
                let again = Path::parse(path.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), path.as_str());
                prop_assert_eq!(again.irregular(), path.irregular());
                prop_assert!(!path.as_str().split('/').any(|s| s == "." || s == ".."));
            }
        }
    }
}
