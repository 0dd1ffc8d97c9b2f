//! bcrypt (Provos and Mazières, "A Future-Adaptable Password Scheme", 1999), as crypt libraries write it down.

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use blowfish::Blowfish;
use subtle::ConstantTimeEq as _;

use super::foreign_hash::ABOVE;

/// A hash of it.
#[derive(Debug)]
pub(super) struct Hash {
    cost: u32,
    salt: [u8; 16],
    /// Of 24 bytes one is never written down.
    output: [u8; 23],
}

impl Hash {
    /// Reads what follows `$2b$`: `12$`, 22 letters of salt, 31 of output.
    pub(super) fn parse(rest: &str) -> Result<Self, &'static str> {
        let (cost, rest) = rest.split_once('$').ok_or("parts are missing")?;
        let cost: u32 = cost.parse().map_err(|_| "the cost is no number")?;
        if cost > CEILING {
            return Err(ABOVE);
        }
        let (salt, output) = rest.split_at_checked(22).ok_or("cut off")?;
        let decode = |text: &str| LETTERS.decode(text).map_err(|_| "salt or output is not base64");
        let salt = decode(salt)?.try_into().map_err(|_| "the salt has another length")?;
        let output = decode(output)?.try_into().map_err(|_| "cut off")?;
        if cost < 4 { Err("the cost is too low") } else { Ok(Self { cost, salt, output }) }
    }

    /// Whether this is the password. Only 72 bytes ever counted. A NUL ended it for those who made the hash, so whoever
    /// sends one does not know the password.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        if password.contains(&0) {
            return false;
        }
        let key: Vec<u8> = password.iter().take(71).copied().chain([0]).collect();
        let key = if password.len() >= 72 { password[..72].to_vec() } else { key };
        let mut state: Blowfish = Blowfish::bc_init_state();
        state.salted_expand_key(&self.salt, &key);
        for _ in 0..1_u32 << self.cost {
            state.bc_expand_key(&key);
            state.bc_expand_key(&self.salt);
        }
        let mut found = [0; 24];
        for (text, out) in TEXT.chunks_exact(8).zip(found.chunks_exact_mut(8)) {
            let word = |at: usize| u32::from_be_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]);
            let mut halves = [word(0), word(4)];
            for _ in 0..64 {
                halves = state.bc_encrypt(halves);
            }
            out[..4].copy_from_slice(&halves[0].to_be_bytes());
            out[4..].copy_from_slice(&halves[1].to_be_bytes());
        }
        found[..23].ct_eq(&self.output).into()
    }
}

const TEXT: &[u8; 24] = b"OrpheanBeholderScryDoubt";
/// About a second.
const CEILING: u32 = 14;
/// Trailing bits are whatever the library left there.
const LETTERS: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);
