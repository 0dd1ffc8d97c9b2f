//! The name of a request: in logs, in answers and towards the upstream.

use std::cell::RefCell;
use std::fmt;

use bytes::BytesMut;
use http::HeaderValue;

/// A request's name: 16 hexadecimal digits, or what a trusted proxy calls it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    letters: [u8; RequestId::LONGEST],
    length: u8,
}

impl RequestId {
    /// The most letters of a name that somebody else gave.
    pub const LONGEST: usize = 64;

    /// The name with this number.
    pub fn from_number(number: u64) -> Self {
        let mut letters = [0; Self::LONGEST];
        for (index, letter) in letters[..16].iter_mut().enumerate() {
            *letter = b"0123456789abcdef"[(number >> (60 - 4 * index) & 15) as usize];
        }
        Self { letters, length: 16 }
    }

    /// The name somebody else gave, if it is one: 1 to [`LONGEST`](Self::LONGEST) ASCII letters, digits and
    /// `- _ . : / + = @`, so that it stays one word in every log it gets into.
    pub fn given(name: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
        if name.is_empty() || !name.iter().all(plain) {
            return None;
        }
        let mut letters = [0; Self::LONGEST];
        letters.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { letters, length: u8::try_from(name.len()).ok()? })
    }

    /// The value of `X-Request-Id`. Many share one allocation, which goes with the last of them.
    pub fn as_header(&self) -> HeaderValue {
        NAMES.with_borrow_mut(|names| {
            let letters = self.as_str().as_bytes();
            if names.capacity() < letters.len() {
                *names = BytesMut::with_capacity(NAMES_LENGTH);
            }
            names.extend_from_slice(letters);
            HeaderValue::from_maybe_shared(names.split().freeze()).unwrap_or_else(|_| HeaderValue::from_static("-"))
        })
    }

    /// Its letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.letters[..usize::from(self.length)]).unwrap_or_default()
    }
}

thread_local! {
    static NAMES: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Room for some 250 names of ours.
const NAMES_LENGTH: usize = 4 << 10;

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_its_number_in_hexadecimal() {
        assert_eq!(RequestId::from_number(0x0123_4567_89ab_cdef).as_str(), "0123456789abcdef");
    }

    #[test]
    fn every_name_is_a_header_of_its_own() {
        let names: Vec<_> = (0..1000).map(RequestId::from_number).collect();
        let values: Vec<_> = names.iter().map(RequestId::as_header).collect();
        assert!(names.iter().zip(&values).all(|(name, value)| name.as_str() == value));
        let long = "x".repeat(64);
        assert_eq!(RequestId::given(long.as_bytes()).unwrap().as_header(), long.as_str());
    }

    #[test]
    fn a_name_that_was_given_is_short_and_plain_or_none() {
        for name in ["a", "4bf92f35-77b3-4da6", "Root=1-67891233-abcdef012345", &"x".repeat(64)] {
            assert_eq!(RequestId::given(name.as_bytes()).unwrap().as_str(), name);
        }
        let long = "x".repeat(65);
        for name in ["", " ", "a b", "a\"b", "a\\", "a\u{1b}[31m", "\u{e4}", "{x}", &long] {
            assert_eq!(RequestId::given(name.as_bytes()), None, "{name:?}");
        }
    }
}
