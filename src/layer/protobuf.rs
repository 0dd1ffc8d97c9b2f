//! The wire format of Protocol Buffers (protobuf.dev, "Encoding"), as far as a question of another proxy needs it:
//! fields are read one after the other, and what nobody asks for is passed over.

use std::str;

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a protobuf message")]
pub(super) struct Broken;

/// The fields of a message, by number. Ends after the first that is broken.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number, a truth value or a word of an enumeration.
    Number(u64),
    /// A text, bytes, or a message.
    Bytes(&'a [u8]),
    /// Four or eight bytes, which nothing here needs.
    Fixed,
}

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl<'a> Fields<'a> {
    /// Of this message.
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Broken> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups are of an older language than any message here.
            _ => return Err(Broken),
        };
        // Numbers have 29 bits, and none is zero.
        if (1..1 << 29).contains(&(tag >> 3)) { Ok((tag >> 3, value)) } else { Err(Broken) }
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = u64::from(self.take(1)?[0]);
            let bits = byte & 0x7f;
            if bits << shift >> shift != bits {
                return Err(Broken);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    /// Bytes, or a message.
    pub(super) fn bytes(self) -> Result<&'a [u8], Broken> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Fixed => Err(Broken),
        }
    }

    /// A text.
    pub(super) fn text(self) -> Result<&'a str, Broken> {
        str::from_utf8(self.bytes()?).map_err(|_| Broken)
    }
}

impl Message {
    /// With this number.
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    /// With these bytes, which may be a text.
    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// With this message in it.
    pub(super) fn message(self, field: u32, inner: &Self) -> Self {
        self.bytes(field, &inner.0)
    }

    /// As it travels.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Broken> {
        Fields::of(message).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let inner = Message::default().number(1, u64::MAX).bytes(2, "\u{e4}".as_bytes());
        let message = Message::default().number(3, 0).message(16, &inner).into_bytes();
        // The example of the specification: field 1 is 150.
        assert_eq!(Message::default().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        let fields = all(&message).unwrap();
        assert_eq!((fields[0], fields[1].0), ((3, Value::Number(0)), 16));
        let inner = all(fields[1].1.bytes().unwrap()).unwrap();
        assert_eq!((inner[0].1, inner[1].1.text()), (Value::Number(u64::MAX), Ok("\u{e4}")));
        assert_eq!(all(&[0x0d, 1, 2, 3, 4, 0x09, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap().len(), 2, "passed over");
    }

    #[test]
    fn broken_messages_are_told() {
        for message in [
            &[0x08][..],
            &[0x08, 0x80],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
            &[0x12, 0x05, b'a'],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x0b, 0x0c],
            &[0x0f],
            &[0x00, 0x01],
            &[0x0d, 1, 2, 3],
        ] {
            assert_eq!(all(message), Err(Broken), "{message:x?}");
        }
        assert_eq!(Value::Bytes(b"\xff").text(), Err(Broken));
        assert_eq!(Value::Number(1).bytes(), Err(Broken));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end_or_broken(message: Vec<u8>) {
            let broken = Fields::of(&message).filter(Result::is_err).count();
            prop_assert!(broken <= 1);
        }
    }
}
