//! Password hashes that other programs made: checked as they are, and replaced at the first good sign-in.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::alphabet::Alphabet;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq as _;

use super::{bcrypt, sha_crypt};

/// A hash of another program, taken apart, its parameters within bounds.
pub(super) enum Foreign {
    Bcrypt(bcrypt::Hash),
    ShaCrypt(sha_crypt::Hash),
    Pbkdf2 { digest: pbkdf2::Algorithm, rounds: NonZeroU32, salt: Vec<u8>, output: Vec<u8> },
    Scrypt { params: scrypt::Params, salt: Vec<u8>, output: Vec<u8> },
    Firebase { params: scrypt::Params, salt: Vec<u8>, signer: Vec<u8>, output: Vec<u8> },
    Argon2i { params: Params, salt: Vec<u8>, output: Vec<u8> },
}

impl Foreign {
    /// Takes a hash apart. `None`: it has none of the forms known here.
    pub(super) fn parse(text: &str) -> Option<Result<Self, &'static str>> {
        let (scheme, rest) = match text.strip_prefix('$') {
            Some(rest) => rest.split_once('$')?,
            None => text.split_once('$')?,
        };
        Some(match (text.starts_with('$'), scheme) {
            (true, "2a" | "2b" | "2y") => bcrypt::Hash::parse(rest).map(Self::Bcrypt),
            (true, "5" | "6") => sha_crypt::Hash::parse(text).map(Self::ShaCrypt),
            (true, "pbkdf2") => Self::pbkdf2(pbkdf2::PBKDF2_HMAC_SHA1, rest, &PASSLIB),
            (true, "pbkdf2-sha256") => Self::pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, rest, &PASSLIB),
            (true, "pbkdf2-sha512") => Self::pbkdf2(pbkdf2::PBKDF2_HMAC_SHA512, rest, &PASSLIB),
            (false, "pbkdf2_sha256") => Self::django(pbkdf2::PBKDF2_HMAC_SHA256, rest),
            (false, "pbkdf2_sha1") => Self::django(pbkdf2::PBKDF2_HMAC_SHA1, rest),
            (true, "scrypt") => Self::scrypt(rest),
            (true, "fbscrypt") => Self::firebase(rest),
            (true, "argon2i") => Self::argon2i(text),
            _ => return None,
        })
    }

    fn pbkdf2(digest: pbkdf2::Algorithm, rest: &str, letters: &GeneralPurpose) -> Result<Self, &'static str> {
        let [rounds, salt, output] = parts(rest)?;
        let decode = |text: &str| letters.decode(text).map_err(|_| "salt or output is not base64");
        Self::of_pbkdf2(digest, rounds, decode(salt)?, decode(output)?)
    }

    fn django(digest: pbkdf2::Algorithm, rest: &str) -> Result<Self, &'static str> {
        let [rounds, salt, output] = parts(rest)?;
        let output = STANDARD.decode(output).map_err(|_| "output is not base64")?;
        Self::of_pbkdf2(digest, rounds, salt.as_bytes().to_vec(), output)
    }

    fn of_pbkdf2(
        digest: pbkdf2::Algorithm,
        rounds: &str,
        salt: Vec<u8>,
        output: Vec<u8>,
    ) -> Result<Self, &'static str> {
        let rounds: u32 = rounds.parse().map_err(|_| "rounds are no number")?;
        if rounds > PBKDF2_CEILING {
            return Err(ABOVE);
        }
        let rounds = NonZeroU32::new(rounds).ok_or("no rounds")?;
        long_enough(&output)?;
        Ok(Self::Pbkdf2 { digest, rounds, salt, output })
    }

    fn scrypt(rest: &str) -> Result<Self, &'static str> {
        let [settings, salt, output] = parts(rest)?;
        let params = scrypt_params(number(settings, "ln")?, number(settings, "r")?, number(settings, "p")?)?;
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| "salt or output is not base64");
        let (salt, output) = (decode(salt)?, decode(output)?);
        long_enough(&output)?;
        Ok(Self::Scrypt { params, salt, output })
    }

    /// As GoTrue writes it down: the parameters of the Firebase project stand in each hash.
    fn firebase(rest: &str) -> Result<Self, &'static str> {
        let [settings, salt, output] = parts(rest)?;
        let params = scrypt_params(number(settings, "n")?, number(settings, "r")?, number(settings, "p")?)?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| "not base64");
        let (mut salt, output) = (decode(salt)?, decode(output)?);
        salt.extend(decode(setting(settings, "ss")?)?);
        let signer = decode(setting(settings, "sk")?)?;
        if output.len() != signer.len() || output.len() < 32 {
            return Err("output and signer key differ in length");
        }
        Ok(Self::Firebase { params, salt, signer, output })
    }

    fn argon2i(text: &str) -> Result<Self, &'static str> {
        let hash = PasswordHash::new(text).map_err(|_| "not in PHC form")?;
        let params = Params::try_from(&hash).map_err(|_| "parameters that argon2i does not have")?;
        if params.m_cost() > super::password::MEMORY_CEILING || params.t_cost() > 16 || params.p_cost() > 4 {
            return Err(ABOVE);
        }
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err("salt or output is missing") };
        if hash.version != Some(Version::V0x13.into()) || output.len() < 16 {
            return Err("another version, or output is cut off");
        }
        Ok(Self::Argon2i { params, salt: salt.as_ref().to_vec(), output: output.as_bytes().to_vec() })
    }

    /// Whether this is the password; `None` when that cannot be computed.
    pub(super) fn matches(&self, password: &str) -> Option<bool> {
        let bytes = password.as_bytes();
        let same = |one: &[u8], other: &[u8]| Some(bool::from(one.ct_eq(other)));
        match self {
            Self::Bcrypt(hash) => Some(hash.matches(bytes)),
            Self::ShaCrypt(hash) => Some(hash.matches(bytes)),
            Self::Pbkdf2 { digest, rounds, salt, output } => {
                Some(pbkdf2::verify(*digest, *rounds, salt, bytes, output).is_ok())
            }
            Self::Scrypt { params, salt, output } => {
                let mut found = vec![0; output.len()];
                scrypt::scrypt(bytes, salt, params, &mut found).ok()?;
                same(&found, output)
            }
            Self::Firebase { params, salt, signer, output } => {
                let mut key = [0; 32];
                scrypt::scrypt(bytes, salt, params, &mut key).ok()?;
                let mut found = signer.clone();
                // The initial block is zero: each key enciphers this one text alone.
                let start = EncryptionContext::Iv128(FixedLength::from([0; 16]));
                let cipher = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, &key).ok()?).ok()?;
                cipher.less_safe_encrypt(&mut found, start).ok()?;
                same(&found, output)
            }
            Self::Argon2i { params, salt, output } => {
                let mut found = vec![0; output.len()];
                let argon2 = Argon2::new(Algorithm::Argon2i, Version::V0x13, params.clone());
                argon2.hash_password_into(bytes, salt, &mut found).ok()?;
                same(&found, output)
            }
        }
    }
}

/// The hash of a user of Firebase, in the form that is kept: `mem_cost` and `rounds`, separator and signer key are the
/// project's, the two last of the user; all base64 as the export has them.
pub fn firebase_text(mem_cost: u32, rounds: u32, separator: &str, signer: &str, salt: &str, hash: &str) -> String {
    // Exports use the alphabet of addresses, tools that of mails.
    let plain = |text: &str| text.replace('-', "+").replace('_', "/");
    let (separator, signer, salt, hash) = (plain(separator), plain(signer), plain(salt), plain(hash));
    format!("$fbscrypt$v=1,n={mem_cost},r={rounds},p=1,ss={separator},sk={signer}${salt}${hash}")
}

fn parts(rest: &str) -> Result<[&str; 3], &'static str> {
    let all: Vec<&str> = rest.split('$').collect();
    all.try_into().map_err(|_| "parts are missing")
}

fn setting<'t>(settings: &'t str, name: &str) -> Result<&'t str, &'static str> {
    let mut found = settings.split(',').filter_map(|setting| setting.split_once('='));
    found.find(|(key, _)| *key == name).map(|(_, value)| value).ok_or("a parameter is missing")
}

fn number(settings: &str, name: &str) -> Result<u32, &'static str> {
    setting(settings, name)?.parse().map_err(|_| "a parameter is no number")
}

/// Whoever can write a row could else make one sign-in cost gigabytes or minutes.
fn scrypt_params(log_n: u32, r: u32, p: u32) -> Result<scrypt::Params, &'static str> {
    let memory = 1_u64.checked_shl(log_n).and_then(|n| n.checked_mul(128)?.checked_mul(u64::from(r)));
    if log_n == 0 || log_n > 24 || p > 4 || memory.is_none_or(|memory| memory > SCRYPT_CEILING) {
        return Err(ABOVE);
    }
    let log_n = u8::try_from(log_n).map_err(|_| ABOVE)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| "parameters that scrypt does not have")
}

fn long_enough(output: &[u8]) -> Result<(), &'static str> {
    if (16..=128).contains(&output.len()) { Ok(()) } else { Err("output is cut off or far too long") }
}

/// What every hash above its ceiling is told.
pub(super) const ABOVE: &str = "parameters above the ceiling";
/// Two million take about a second.
const PBKDF2_CEILING: u32 = 2_000_000;
/// Bytes.
const SCRYPT_CEILING: u64 = 64 << 20;

/// Passlib writes a dot for the plus.
const PASSLIB: GeneralPurpose = {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./";
    let letters = match Alphabet::new(LETTERS) {
        Ok(letters) => letters,
        Err(_) => base64::alphabet::STANDARD,
    };
    GeneralPurpose::new(
        &letters,
        GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
    )
};
