//! Stable identifiers: 24 lower-case hexadecimal digits, as App Services had them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::secret;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 12]);

        impl $name {
            /// Makes a new one: four bytes of time, eight of randomness.
            pub fn generate(now: Timestamp) -> Self {
                let mut bytes = [0; 12];
                bytes[..4].copy_from_slice(&(now.seconds() as u32).to_be_bytes());
                bytes[4..].copy_from_slice(&secret::random::<8>());
                Self(bytes)
            }

            /// The twelve bytes, as stores keep them.
            pub fn as_bytes(&self) -> &[u8; 12] {
                &self.0
            }

            /// From the twelve bytes of a store.
            pub fn from_bytes(bytes: [u8; 12]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// Names a user for ever.
    UserId
}
id! {
    /// Names a session in lists and logs; it is not the cookie and admits nobody.
    SessionId
}
id! {
    /// Names an API key in lists and logs; it is the public part of the key.
    KeyId
}

id! {
    /// Names a device that an app runs on, for its owner to recognise; it admits nobody.
    DeviceId
}

/// Text that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 24 lower-case hexadecimal digits")]
pub struct Error;

fn parse(text: &str) -> Result<[u8; 12], Error> {
    let digits = text.as_bytes();
    if digits.len() != 24 {
        return Err(Error);
    }
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

fn digit(byte: u8) -> Result<u8, Error> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(Error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = UserId::generate(Timestamp::from_seconds(1_700_000_000));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().starts_with("6553f100"));
    }

    #[test]
    fn upper_case_and_other_lengths_are_refused() {
        assert_eq!("6553F1000000000000000000".parse::<UserId>(), Err(Error));
        assert_eq!("6553f100000000000000000".parse::<UserId>(), Err(Error));
        assert!("6553f1000000000000000000".parse::<UserId>().is_ok());
    }
}
