//! What the head of an upstream's answer says. Pure: no connection is touched here.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Response, StatusCode, Version};
use httparse::Status;
use hyper::ext::ReasonPhrase;

use super::forward::tokens_of;
use crate::head::Names;
use crate::spare;

/// The head of an answer, and what comes after it.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status and fields; those that frame its body are read and taken out.
    pub(super) response: Response<()>,
    pub(super) length: Length,
    /// The connection may carry another request once the body has ended.
    pub(super) lasts: bool,
}

/// Where the body of an answer ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// After so many bytes.
    Sized(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It does not begin as HTTP/1 does.
    #[error("the answer is not HTTP: {0}")]
    Syntax(#[from] httparse::Error),
    /// Its head goes on and on.
    #[error("the head of the answer is longer than {LONGEST} bytes")]
    TooLong,
    /// A `Content-Length` that is none, or several that differ.
    #[error("the answer has a Content-Length that cannot be read")]
    ContentLength,
    /// A coding other than `chunked` at the end: nobody knows where the body ends.
    #[error("the answer has a Transfer-Encoding that cannot be read")]
    TransferEncoding,
    /// It switched to a protocol nobody asked for.
    #[error("the answer switches protocols without having been asked to")]
    Switch,
    /// A chunk that is none.
    #[error("the body of the answer has a chunk that cannot be read")]
    Chunk,
    /// The end came before the end of the body.
    #[error("the connection ended in the middle of the answer")]
    Broken,
}

impl Answer {
    /// Takes the head of the final answer out of what has arrived, and those of interim ones before it (RFC 9110 §15.2).
    /// `None` while it is not there as a whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn take(arrived: &mut Bytes, to_head: bool, names: &mut Names) -> Result<Option<Self>, Fault> {
        while let Some((answer, end)) = Self::read(arrived, to_head, names)? {
            arrived.advance(end);
            if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Fault::Switch);
            }
            if !answer.response.status().is_informational() {
                return Ok(Some(answer));
            }
        }
        if arrived.len() > LONGEST { Err(Fault::TooLong) } else { Ok(None) }
    }

    fn read(text: &Bytes, to_head: bool, names: &mut Names) -> Result<Option<(Self, usize)>, Fault> {
        let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut head = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let Status::Complete(end) = parser.parse_response_with_uninit_headers(&mut head, text, &mut lines)? else {
            return Ok(None);
        };
        let status = head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(httparse::Error::Status)?;
        let is_http_11 = head.version == Some(1);
        let mut framing = Framing::default();
        let mut headers = spare::map();
        headers.reserve(head.headers.len() + ROOM);
        for (place, line) in head.headers.iter().enumerate() {
            let name = names.read(place, line.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
            if framing.read(&name, line.value)? == Use::More {
                let value = HeaderValue::from_maybe_shared(text.slice_ref(line.value));
                headers.append(name, value.map_err(|_| httparse::Error::HeaderValue)?);
            }
        }
        let (length, lasts) = framing.decide(status, to_head, is_http_11)?;
        if framing.chunked.is_some() {
            headers.remove(CONTENT_LENGTH);
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.version_mut() = if is_http_11 { Version::HTTP_11 } else { Version::HTTP_10 };
        *response.headers_mut() = headers;
        if let Some(reason) = head.reason.filter(|reason| Some(*reason) != status.canonical_reason())
            && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
        {
            response.extensions_mut().insert(reason);
        }
        Ok(Some((Self { response, length, lasts }, end)))
    }
}

/// What a field is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It says where the body ends or whether the connection lasts, and is ours alone.
    Framing,
    /// The client may have it, or somebody else has to see it first.
    More,
}

/// What the fields say about the body and the connection.
#[derive(Default)]
struct Framing {
    has_length: bool,
    length: u64,
    /// Whether the last of its codings is `chunked`.
    chunked: Option<bool>,
    close: bool,
    keep: bool,
}

impl Framing {
    fn read(&mut self, name: &HeaderName, value: &[u8]) -> Result<Use, Fault> {
        if *name == CONTENT_LENGTH {
            let is_first = !self.has_length;
            // RFC 9110 §8.6: a list of the same number is that number.
            for token in value.split(|byte| *byte == b',') {
                let length = digits(token.trim_ascii()).ok_or(Fault::ContentLength)?;
                if self.has_length && length != self.length {
                    return Err(Fault::ContentLength);
                }
                (self.has_length, self.length) = (true, length);
            }
            // Passed on in one way only; any other stays here, also where it is all that is known, after HEAD.
            let is_plain = value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value[0] != b'0');
            return Ok(if is_first && is_plain { Use::More } else { Use::Framing });
        } else if *name == TRANSFER_ENCODING {
            // No other coding was asked for (RFC 9110 §10.1.4): to take it off is not ours, and passed on as it is nobody would
            // know of it.
            let mut codings = tokens_of(value);
            let is_first = self.chunked.is_none();
            let is_chunked = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
            self.chunked = Some(is_first && is_chunked && codings.next().is_none());
            return Ok(Use::Framing);
        } else if *name == CONNECTION {
            let mut lists = Use::Framing;
            for token in tokens_of(value) {
                match token {
                    token if token.eq_ignore_ascii_case(b"close") => self.close = true,
                    token if token.eq_ignore_ascii_case(b"keep-alive") => self.keep = true,
                    // The names of others that end here.
                    _ => lists = Use::More,
                }
            }
            return Ok(lists);
        }
        Ok(Use::More)
    }

    /// RFC 9112 §6.3 and §9.3.
    fn decide(&self, status: StatusCode, to_head: bool, is_http_11: bool) -> Result<(Length, bool), Fault> {
        let keeps = !self.close && (is_http_11 || self.keep);
        let has_none =
            to_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match (has_none, self.chunked) {
            (true, _) => Ok((Length::Sized(0), keeps)),
            (_, Some(false)) => Err(Fault::TransferEncoding),
            // Whoever sends both may be somebody between us and the app who reads it otherwise than we do.
            (_, Some(true)) => Ok((Length::Chunked, keeps && is_http_11 && !self.has_length)),
            (_, None) if self.has_length => Ok((Length::Sized(self.length), keeps)),
            (_, None) => Ok((Length::UntilClose, false)),
        }
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The longest head of an answer.
pub(super) const LONGEST: usize = 64 << 10;
/// The most fields in one.
const MOST_FIELDS: usize = 128;
/// Fields that are added to it on its way.
const ROOM: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str, to_head: bool) -> Result<Option<Answer>, Fault> {
        Answer::take(&mut Bytes::copy_from_slice(text.as_bytes()), to_head, &mut Names::default())
    }

    fn framing(fields: &str) -> Result<(Length, bool), Fault> {
        take(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), false).map(|answer| {
            let answer = answer.unwrap();
            (answer.length, answer.lasts)
        })
    }

    #[test]
    fn fields_say_where_a_body_ends() {
        assert_eq!(framing("Content-Length: 5\r\n"), Ok((Length::Sized(5), true)));
        assert_eq!(framing("Content-Length: 5, 5\r\ncontent-length: 5\r\n"), Ok((Length::Sized(5), true)));
        assert_eq!(framing("Transfer-Encoding: chunked\r\n"), Ok((Length::Chunked, true)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok((Length::Chunked, true)));
        assert_eq!(framing(""), Ok((Length::UntilClose, false)));
        assert_eq!(framing("Content-Length: 5\r\nConnection: close\r\n"), Ok((Length::Sized(5), false)));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_no_answer_or_the_last_of_its_connection() {
        for fields in ["Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: +5\r\n", "Content-Length: \r\n"] {
            assert_eq!(framing(fields), Err(Fault::ContentLength), "{fields}");
        }
        for fields in [
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
        ] {
            assert_eq!(framing(fields), Err(Fault::TransferEncoding), "{fields}");
        }
        let both = take("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false);
        let both = both.unwrap().unwrap();
        assert_eq!((both.length, both.lasts), (Length::Chunked, false));
        assert!(both.response.headers().is_empty());
    }

    #[test]
    fn a_length_is_passed_on_once_and_as_a_number() {
        let passed = |fields: &str| {
            let answer = take(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), true).unwrap().unwrap();
            answer.response.headers().get_all(CONTENT_LENGTH).iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(passed("Content-Length: 5\r\n"), ["5"]);
        assert_eq!(passed("Content-Length: 0\r\n"), ["0"]);
        assert_eq!(passed("Content-Length: 5\r\nContent-Length: 5\r\n"), ["5"]);
        for odd in ["Content-Length: 5, 5\r\n", "Content-Length: 05\r\n"] {
            assert!(passed(odd).is_empty(), "{odd}");
        }
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        let length = |text: &str, to_head| take(text, to_head).unwrap().unwrap().length;
        assert_eq!(length("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true), Length::Sized(0));
        assert_eq!(length("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false), Length::Sized(0));
        assert_eq!(length("HTTP/1.1 204 No Content\r\n\r\n", false), Length::Sized(0));
        assert_eq!(length("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false), Length::Sized(5));
    }

    #[test]
    fn interim_answers_are_passed_over_and_a_switch_is_none() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let last = take(&format!("{interim}HTTP/1.1 404 Gone Fishing\r\nContent-Length: 0\r\n\r\n"), false);
        let last = last.unwrap().unwrap();
        assert_eq!(last.response.status(), 404);
        assert_eq!(last.response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Gone Fishing");
        assert!(take(interim, false).unwrap().is_none());
        assert_eq!(take("HTTP/1.1 101 Switching Protocols\r\n\r\n", false).unwrap_err(), Fault::Switch);
    }

    #[test]
    fn an_answer_of_http_1_0_keeps_its_connection_only_if_it_says_so() {
        let lasts = |fields: &str| {
            let text = format!("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n{fields}\r\n");
            take(&text, false).unwrap().unwrap().lasts
        };
        assert!(!lasts(""));
        assert!(lasts("Connection: keep-alive\r\n"));
    }

    #[test]
    fn an_answer_is_read_however_it_is_cut() {
        let text = Bytes::from_static(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi");
        let mut names = Names::default();
        for end in 0..text.len() - 2 {
            assert!(Answer::take(&mut text.slice(..end), false, &mut names).unwrap().is_none());
        }
        let mut arrived = text;
        assert_eq!(Answer::take(&mut arrived, false, &mut names).unwrap().unwrap().response.headers()["x-a"], "1");
        assert_eq!(arrived, "hi");
    }

    #[test]
    fn a_connection_field_that_names_others_is_left_to_be_obeyed() {
        let headers = |text: &str| take(text, false).unwrap().unwrap().response.headers().clone();
        assert!(headers("HTTP/1.1 204 No\r\nConnection: Keep-Alive, close\r\n\r\n").is_empty());
        assert_eq!(headers("HTTP/1.1 204 No\r\nConnection: close, x-hop\r\n\r\n").len(), 1);
    }

    #[test]
    fn what_is_not_http_or_has_no_end_is_no_answer() {
        assert!(matches!(take("SSH-2.0-OpenSSH\r\n\r\n", false), Err(Fault::Syntax(_))));
        assert!(matches!(take("HTTP/1.1 200 OK\r\nbad field\r\n\r\n", false), Err(Fault::Syntax(_))));
        assert!(matches!(take("HTTP/1.1 099 Odd\r\n\r\n", false), Err(Fault::Syntax(_))));
        let endless = |length: usize| format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(length - 20));
        assert_eq!(take(&endless(LONGEST + 1), false).unwrap_err(), Fault::TooLong);
        assert!(take(&endless(LONGEST), false).unwrap().is_none());
    }
}
