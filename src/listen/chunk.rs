use super::framing::Violation;

/// Follows a body in chunks (RFC 9112 §7.1), stricter than parsers are wont to be: what two of them could read in two
/// ways is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    extensions: u32,
    trailers: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size { digits: u8, size: u64 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: SIZE, extensions: 0, trailers: 0 }
    }

    /// Takes bytes up to the end of the body: how many, and whether it has ended.
    ///
    /// # Errors
    /// The violation, and how many bytes before it were in order.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), (usize, Violation)> {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            if let At::Data { left } = self.at {
                let step = left.min((bytes.len() - used) as u64);
                used += step as usize;
                self.at = if step == left { At::DataCr } else { At::Data { left: left - step } };
                continue;
            }
            let ends = self.at == At::EndLf;
            self.at = self.step(byte).map_err(|violation| (used, violation))?;
            used += 1;
            if ends {
                return Ok((used, true));
            }
        }
        Ok((used, false))
    }

    fn step(&mut self, byte: u8) -> Result<At, Violation> {
        let next = match (self.at, byte) {
            (At::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 16 => {
                At::Size { digits: digits + 1, size: size << 4 | u64::from(hex(byte)) }
            }
            (At::Size { digits: 1.., size }, b';') => At::Extension { size },
            (At::Size { digits: 1.., size }, b'\r') => At::SizeLf { size },
            (At::Extension { size }, b'\r') => At::SizeLf { size },
            (At::Extension { size }, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extensions += 1;
                if self.extensions > MOST_EXTENSIONS {
                    return Err(Violation::ChunkExtensions);
                }
                At::Extension { size }
            }
            (At::SizeLf { size: 0 }, b'\n') => At::TrailerStart,
            (At::SizeLf { size }, b'\n') => At::Data { left: size },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => SIZE,
            (At::TrailerStart, b'\r') => At::EndLf,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::TrailerStart,
            (At::EndLf, b'\n') => SIZE,
            // A name begins a trailer line: neither a colon nor the blank of a folded line.
            (At::TrailerStart, b'!'..=b'9' | b';'..=b'~') => self.trailer()?,
            (At::Trailer, b'\t' | b' '..=b'~' | 0x80..) => self.trailer()?,
            _ => return Err(Violation::Chunk),
        };
        Ok(next)
    }

    fn trailer(&mut self) -> Result<At, Violation> {
        self.trailers += 1;
        if self.trailers > MOST_TRAILERS { Err(Violation::Chunk) } else { Ok(At::Trailer) }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

const SIZE: At = At::Size { digits: 0, size: 0 };
/// Bytes of extensions in one message: nobody uses them but to make a parser work.
const MOST_EXTENSIONS: u32 = 4 << 10;
/// Bytes of the trailer section.
const MOST_TRAILERS: u32 = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_where_its_last_chunk_does_however_it_is_cut() {
        let body = b"5\r\nhello\r\nA;name=\"v\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET";
        let end = body.len() - 3;
        assert_eq!(Chunks::new().feed(body), Ok((end, true)));
        let mut chunks = Chunks::new();
        for byte in &body[..end - 1] {
            assert_eq!(chunks.feed(&[*byte]), Ok((1, false)));
        }
        assert_eq!(chunks.feed(&body[end - 1..]), Ok((1, true)));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for body in [
            "FFFFFFFFFFFFFFFFF\r\n",
            "0x5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-5\r\nhello\r\n",
            "5 ;a\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5;a\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello!!",
            "5\r\nhello\n",
            "5\r\r\nhello\r\n",
            "\r\n",
            ";a\r\n",
            "00000000000000000000\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\nX: a\rb\r\n\r\n",
            "0\r\nX: a\n\r\n",
        ] {
            assert!(Chunks::new().feed(body.as_bytes()).is_err(), "{body:?}");
        }
        assert_eq!(Chunks::new().feed(b"5\r\nhello\r\n0\r\n\r\n"), Ok((15, true)));
    }

    #[test]
    fn extensions_are_limited_over_the_whole_message() {
        let with = |length: usize| format!("1;{}\r\nx\r\n1;{0}\r\nx\r\n0\r\n\r\n", "a".repeat(length));
        assert!(Chunks::new().feed(with(2048).as_bytes()).is_ok());
        let refused = Chunks::new().feed(with(2049).as_bytes());
        assert!(matches!(refused, Err((_, Violation::ChunkExtensions))));
    }
}
