use std::cell::Cell;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRAILER, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use http_body::Body as HttpBody;
use hyper::ext::ReasonPhrase;

use crate::clock::{Clock, Timestamp};
use crate::head;

/// What the head of an answer has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// So many bytes of a body follow.
    pub(super) length: u64,
    /// The connection goes on after them.
    pub(super) lasts: bool,
}

/// Writes the head of an answer whose body has a known length (RFC 9112 §6.3). `None`, with nothing written, for one
/// that is sent otherwise: in chunks, with trailers, as an interim one.
///
/// `to_head` tells that it answers `HEAD`, `lasts` that the connection may go on.
pub(super) fn write<B: HttpBody>(
    text: &mut Vec<u8>,
    response: &Response<B>,
    to_head: bool,
    lasts: bool,
) -> Option<Said> {
    let status = response.status();
    let length = response.body().size_hint().exact()?;
    if status.is_informational() {
        return None;
    }
    let begin = text.len();
    start(text, status, response.extensions().get::<ReasonPhrase>());
    let Some(told) = fields(text, response.headers(), to_head) else {
        text.truncate(begin);
        return None;
    };
    let may_have_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if may_have_body && !(to_head && (told.length || length == 0)) {
        text.extend_from_slice(b"content-length: ");
        head::number(text, length);
        text.extend_from_slice(b"\r\n");
    }
    if !told.date {
        text.extend_from_slice(b"date: ");
        text.extend_from_slice(&date(Clock::system().lately()));
        text.extend_from_slice(b"\r\n");
    }
    if !lasts && !told.close {
        text.extend_from_slice(b"connection: close\r\n");
    }
    text.extend_from_slice(b"\r\n");
    Some(Said { length: if to_head || !may_have_body { 0 } else { length }, lasts: lasts && !told.close })
}

/// What the fields of an answer have said already.
#[derive(Default)]
struct Told {
    length: bool,
    date: bool,
    close: bool,
}

/// Names are told by their length first: few others have these.
fn fields(text: &mut Vec<u8>, headers: &HeaderMap, to_head: bool) -> Option<Told> {
    let mut told = Told::default();
    for (name, value) in headers {
        match name.as_str().len() {
            4 => told.date |= *name == DATE,
            7 if *name == TRAILER => return None,
            10 if *name == CONNECTION => {
                if told.close || !value.as_bytes().eq_ignore_ascii_case(b"close") {
                    return None;
                }
                told.close = true;
            }
            14 if *name == CONTENT_LENGTH => {
                // The length is that of the body; only an answer to HEAD speaks of one that is not there.
                if !to_head {
                    continue;
                }
                told.length = true;
            }
            17 if *name == TRANSFER_ENCODING => return None,
            _ => {}
        }
        head::write(text, name, value.as_bytes());
    }
    Some(told)
}

fn start(text: &mut Vec<u8>, status: StatusCode, reason: Option<&ReasonPhrase>) {
    let Some(reason) = reason.map(ReasonPhrase::as_bytes).or_else(|| status.canonical_reason().map(str::as_bytes))
    else {
        // RFC 9112 §4: the blank stays when there are no words.
        return text.extend_from_slice(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" \r\n"].concat());
    };
    if status == StatusCode::OK && reason == b"OK" {
        return text.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    for part in [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason, b"\r\n"] {
        text.extend_from_slice(part);
    }
}

/// The value of `Date` at this time, made once a second by each thread.
fn date(now: Timestamp) -> [u8; DATE_LETTERS] {
    let (second, text) = LAST_DATE.get();
    if second == now.seconds() {
        return text;
    }
    let made = now.http_date();
    let text = made.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT");
    LAST_DATE.set((now.seconds(), text));
    text
}

thread_local! {
    static LAST_DATE: Cell<(i64, [u8; DATE_LETTERS])> = const { Cell::new((i64::MIN, [0; DATE_LETTERS])) };
}

const DATE_LETTERS: usize = "Sun, 22 Nov 2026 16:00:00 GMT".len();

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::body::Body;

    fn respond(status: u16, fields: &[(&'static str, &'static str)], body: &'static str) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            response.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        response
    }

    /// The head without its `Date`.
    fn text(response: &Response<Body>, to_head: bool, lasts: bool) -> Option<(String, Said)> {
        let mut text = Vec::new();
        let said = write(&mut text, response, to_head, lasts)?;
        let text = String::from_utf8(text).unwrap();
        let lines = text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: "));
        Some((lines.collect(), said))
    }

    #[test]
    fn a_short_answer_has_its_length() {
        let (head, said) =
            text(&respond(200, &[("x-a", "1"), ("content-length", "77")], "hello"), false, true).unwrap();
        assert_eq!(head, "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(said, Said { length: 5, lasts: true });
        let (head, _) = text(&respond(404, &[], ""), false, true).unwrap();
        assert_eq!(head, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn an_answer_without_a_body_says_none_but_to_head_what_there_would_be() {
        for status in [204, 304] {
            let (head, said) = text(&respond(status, &[("content-length", "5")], ""), false, true).unwrap();
            assert!(!head.contains("content-length"), "{head}");
            assert_eq!(said.length, 0);
        }
        for (fields, body) in [(&[("content-length", "5")][..], ""), (&[], "hello")] {
            let (head, said) = text(&respond(200, fields, body), true, true).unwrap();
            assert_eq!(head, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
            assert_eq!(said.length, 0);
        }
        assert_eq!(text(&respond(200, &[], ""), true, true).unwrap().0, "HTTP/1.1 200 OK\r\n\r\n");
    }

    #[test]
    fn the_last_answer_of_a_connection_says_so_once() {
        for (fields, lasts) in
            [(&[("connection", "close")][..], true), (&[("connection", "close")], false), (&[], false)]
        {
            let (head, said) = text(&respond(200, fields, ""), false, lasts).unwrap();
            assert_eq!(head.matches("connection: close\r\n").count(), 1, "{head}");
            assert!(!said.lasts);
        }
    }

    #[test]
    fn what_is_sent_otherwise_is_not_written() {
        for fields in [("transfer-encoding", "chunked"), ("trailer", "x-sum"), ("connection", "upgrade")] {
            assert_eq!(text(&respond(200, &[fields], ""), false, true), None, "{fields:?}");
        }
        assert_eq!(text(&respond(103, &[], ""), false, true), None);
        let endless = Body::new(http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<http_body::Frame<bytes::Bytes>, crate::body::Error>,
        >()));
        assert_eq!(text(&Response::new(endless), false, true), None);
    }

    #[test]
    fn words_of_its_own_stay_and_an_unknown_status_has_none() {
        let mut response = respond(200, &[], "");
        response.extensions_mut().insert(ReasonPhrase::from_static(b"Fine"));
        assert!(text(&response, false, true).unwrap().0.starts_with("HTTP/1.1 200 Fine\r\n"));
        assert!(text(&respond(599, &[], ""), false, true).unwrap().0.starts_with("HTTP/1.1 599 \r\n"));
    }

    #[test]
    fn an_answer_is_dated_unless_it_is_already() {
        let dated = |fields: &[(&'static str, &'static str)]| {
            let mut text = Vec::new();
            write(&mut text, &respond(200, fields, ""), false, true).unwrap();
            let text = String::from_utf8(text).unwrap();
            let dates: Vec<_> =
                text.lines().filter_map(|line| line.strip_prefix("date: ")).map(str::to_owned).collect();
            dates
        };
        assert_eq!(dated(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
        let made = dated(&[]);
        assert!(made.len() == 1 && made[0].ends_with(" GMT") && made[0].len() == DATE_LETTERS, "{made:?}");
        assert_eq!(&date(Timestamp::from_seconds(784_111_777)), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
