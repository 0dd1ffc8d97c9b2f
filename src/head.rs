//! The head of an HTTP/1.1 message as text: where one ends, and how one is put together from parts made before.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::InvalidHeaderName;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::spare;

/// The end of the first empty line at or after `from`. One LF is enough for lenient readers, so it must be for this
/// search.
pub fn end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes.get(from..)?).find_map(|at| match bytes[from + at + 1..] {
        [b'\n', ..] => Some(from + at + 2),
        [b'\r', b'\n', ..] => Some(from + at + 3),
        _ => None,
    })
}

/// How the other end of a connection spelled the names in its last message: it does so again, and to read one costs more
/// than to compare.
#[derive(Debug, Default)]
pub struct Names(Vec<(Box<[u8]>, HeaderName)>);

impl Names {
    /// Reads the name of the field at this place of a message.
    ///
    /// # Errors
    /// It is none.
    pub fn read(&mut self, place: usize, spelled: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
        if let Some((before, name)) = self.0.get(place)
            && **before == *spelled
        {
            return Ok(name.clone());
        }
        let name = HeaderName::from_bytes(spelled)?;
        self.0.truncate(place);
        // Those after it follow, so that a place is never passed over.
        if self.0.len() == place && place < REMEMBERED {
            self.0.push((spelled.into(), name.clone()));
        }
        Ok(name)
    }
}

/// Header fields that are made once and go into many messages, as a list and as the text they are on HTTP/1.1.
#[derive(Debug, Default)]
pub struct Fields {
    list: Box<[(HeaderName, HeaderValue)]>,
    text: Box<[u8]>,
}

impl Fields {
    /// One by one.
    pub fn list(&self) -> &[(HeaderName, HeaderValue)] {
        &self.list
    }

    /// Puts them into a map, in place of what stands there under their names.
    pub fn insert_into(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.list {
            headers.insert(name.clone(), value.clone());
        }
    }
}

impl From<Vec<(HeaderName, HeaderValue)>> for Fields {
    fn from(list: Vec<(HeaderName, HeaderValue)>) -> Self {
        let mut text = Vec::new();
        let mut values = BytesMut::new();
        for (name, value) in &list {
            write(&mut text, name, value.as_bytes());
            values.extend_from_slice(value.as_bytes());
        }
        Self { list: side_by_side(list, values.freeze()), text: text.into() }
    }
}

/// The same fields with their values one after the other in this place of memory, and one count of whoever has one of them:
/// whoever copies all of them touches little of it.
fn side_by_side(mut list: Vec<(HeaderName, HeaderValue)>, mut values: Bytes) -> Box<[(HeaderName, HeaderValue)]> {
    for (_, value) in &mut list {
        let bytes = values.split_to(value.len());
        if let Ok(mut moved) = HeaderValue::from_maybe_shared(bytes) {
            moved.set_sensitive(value.is_sensitive());
            *value = moved;
        }
    }
    list.into()
}

/// The head of a request in the making. Whatever becomes part of it has been looked at before: names and values are of
/// types that hold no line end, and who puts prepared fields in has seen to it that nothing else bears their names.
#[derive(Debug)]
pub struct Head(Vec<u8>);

/// A whole message. Its place in memory serves the next one of this thread.
#[derive(Debug)]
pub struct Finished(Vec<u8>);

impl Head {
    /// The request line and the header fields of a client.
    pub fn new(method: &Method, target: &Uri, headers: &HeaderMap) -> Self {
        let mut text = spare::text();
        text.extend_from_slice(method.as_str().as_bytes());
        text.push(b' ');
        text.extend_from_slice(target.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
        text.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in headers {
            write(&mut text, name, value.as_bytes());
        }
        Self(text)
    }

    /// Adds a field.
    pub fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        write(&mut self.0, name, value.as_bytes());
    }

    /// Adds a field of plain text.
    pub fn text(&mut self, name: &str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// Adds prepared fields.
    pub fn fields(&mut self, fields: &Fields) {
        self.0.extend_from_slice(&fields.text);
    }

    /// Ends it; `body` follows.
    pub fn finish(mut self, body: &[u8]) -> Finished {
        self.0.extend_from_slice(b"\r\n");
        self.0.extend_from_slice(body);
        Finished(self.0)
    }
}

impl std::ops::Deref for Finished {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        spare::keep_text(std::mem::take(&mut self.0));
    }
}

/// Adds a number in digits, without the machinery of formatting.
pub fn number(text: &mut impl BufMut, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return text.put_slice(&digits[first..]);
        }
    }
}

/// Adds a field to the text of a head.
pub fn write(text: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    text.reserve(name.len() + value.len() + 4);
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// The most names that are remembered of one connection.
const REMEMBERED: usize = 32;

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, HOST};

    use super::*;

    #[test]
    fn a_head_ends_with_its_first_empty_line() {
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest\r\n\r\n", 0), Some(27));
        assert_eq!(end(b"GET / HTTP/1.1\nHost: a\n\nrest", 0), Some(24));
        assert_eq!(end(b"GET / HTTP/1.1\nHost: a\n\r\nrest", 0), Some(25));
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: a\r\n\r", 0), None);
        assert_eq!(end(b"\r\n\r\n", 9), None);
    }

    #[test]
    fn it_is_written_line_by_line() {
        let headers = HeaderMap::from_iter([
            (HOST, HeaderValue::from_static("a.test")),
            (ACCEPT, HeaderValue::from_static("text/html")),
        ]);
        let mut head = Head::new(&Method::GET, &Uri::from_static("http://a.test/x?y=1"), &headers);
        head.fields(&Fields::from(vec![(HeaderName::from_static("x-auth-user"), HeaderValue::from_static("7"))]));
        head.field(&HeaderName::from_static("x-request-id"), &HeaderValue::from_static("ab"));
        let text = String::from_utf8(head.finish(b"hi").to_vec()).unwrap();
        assert_eq!(
            text,
            "GET /x?y=1 HTTP/1.1\r\nhost: a.test\r\naccept: text/html\r\nx-auth-user: 7\r\nx-request-id: ab\r\n\r\nhi"
        );
    }

    #[test]
    fn prepared_fields_take_the_place_of_others_in_a_map() {
        let name = HeaderName::from_static("x-auth-user");
        let mut headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("forged"))]);
        Fields::from(vec![(name.clone(), HeaderValue::from_static("7"))]).insert_into(&mut headers);
        assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), ["7"]);
    }

    #[test]
    fn names_that_are_remembered_are_those_that_were_sent() {
        let mut names = Names::default();
        for message in [&["A", "B"][..], &["A", "b"], &["B", "A"], &["C"], &["A", "B", "C"]] {
            for (place, spelled) in message.iter().enumerate() {
                let name = names.read(place, spelled.as_bytes()).unwrap();
                assert_eq!(name.as_str(), spelled.to_ascii_lowercase(), "{message:?}");
            }
        }
        assert!(names.read(1, b"no name").is_err());
        assert_eq!(names.read(1, b"B").unwrap(), "b");
    }

    #[test]
    fn numbers_are_written_in_digits() {
        for amount in [0, 7, 10, 80, 255, 9999, 10_000, 65_535, u64::MAX] {
            let mut text = Vec::new();
            number(&mut text, amount);
            assert_eq!(String::from_utf8(text).unwrap(), amount.to_string());
        }
    }
}
