//! `$5$` and `$6$` of crypt libraries (Drepper, "Unix crypt using SHA-256 and SHA-512").

use aws_lc_rs::digest::{Algorithm, Context, SHA256, SHA512};
use subtle::ConstantTimeEq as _;

use super::foreign_hash::ABOVE;

/// A hash of it.
#[derive(Debug)]
pub(super) struct Hash {
    digest: &'static Algorithm,
    rounds: u32,
    salt: Vec<u8>,
    output: String,
}

impl Hash {
    /// Reads `$6$rounds=5000$salt$output`; without rounds there are 5,000.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (digest, length) = if text.starts_with("$5$") { (&SHA256, 43) } else { (&SHA512, 86) };
        let rest = text.get(3..).ok_or("cut off")?;
        let (rounds, rest) = match rest.strip_prefix("rounds=").map(|rest| rest.split_once('$')) {
            Some(Some((rounds, rest))) => (rounds.parse().map_err(|_| "rounds are no number")?, rest),
            Some(None) => return Err("cut off"),
            None => (5000, rest),
        };
        if rounds > CEILING {
            return Err(ABOVE);
        }
        let (salt, output) = rest.split_once('$').ok_or("parts are missing")?;
        if output.len() != length || !output.bytes().all(|byte| LETTERS.contains(&byte)) {
            return Err("output is cut off or not of its letters");
        }
        // What is longer never counted, nor does a lower number of rounds.
        let salt = salt.bytes().take(16).collect();
        Ok(Self { digest, rounds: rounds.max(1000), salt, output: output.to_owned() })
    }

    /// Whether this is the password. A NUL ended it for those who made the hash: see `bcrypt`.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        if password.contains(&0) {
            return false;
        }
        self.compute(password).as_bytes().ct_eq(self.output.as_bytes()).into()
    }

    /// The steps have the numbers of the specification.
    fn compute(&self, password: &[u8]) -> String {
        let hash = |parts: &[&[u8]]| {
            let mut context = Context::new(self.digest);
            parts.iter().for_each(|part| context.update(part));
            context.finish().as_ref().to_vec()
        };
        // 4 to 8
        let other = hash(&[password, &self.salt, password]);
        // 1 to 3, 9 to 12
        let mut parts: Vec<&[u8]> = vec![password, &self.salt];
        let long = repeated(&other, password.len());
        parts.push(&long);
        let mut left = password.len();
        while left > 0 {
            parts.push(if left & 1 == 1 { &other } else { password });
            left >>= 1;
        }
        let mut sum = hash(&parts);
        // 13 to 16
        let all: Vec<&[u8]> = std::iter::repeat_n(password, password.len()).collect();
        let by_password = repeated(&hash(&all), password.len());
        // 17 to 20
        let times = 16 + usize::from(sum[0]);
        let all: Vec<&[u8]> = std::iter::repeat_n(self.salt.as_slice(), times).collect();
        let by_salt = repeated(&hash(&all), self.salt.len());
        // 21
        for round in 0..self.rounds {
            let mut parts: Vec<&[u8]> = Vec::with_capacity(4);
            parts.push(if round % 2 == 1 { &by_password } else { &sum });
            if round % 3 != 0 {
                parts.push(&by_salt);
            }
            if round % 7 != 0 {
                parts.push(&by_password);
            }
            parts.push(if round % 2 == 1 { &sum } else { &by_password });
            sum = hash(&parts);
        }
        written(&sum)
    }
}

/// As many bytes of it, from the beginning again and again.
fn repeated(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(length).collect()
}

/// Step 22: three bytes at a time, in an order of their own.
fn written(sum: &[u8]) -> String {
    let mut text = String::new();
    let mut put = |bytes: [u8; 3], letters: usize| {
        let mut word = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for _ in 0..letters {
            text.push(char::from(LETTERS[(word & 63) as usize]));
            word >>= 6;
        }
    };
    if sum.len() == 32 {
        let mut at = [0, 10, 20];
        for _ in 0..10 {
            put(at.map(|at| sum[at]), 4);
            at = [at[2] + 1, at[0] + 1, at[1] + 1];
        }
        put([0, sum[31], sum[30]], 3);
    } else {
        let mut at = [0, 21, 42];
        for _ in 0..21 {
            put(at.map(|at| sum[at]), 4);
            at = [at[1] + 1, at[2] + 1, at[0] + 1];
        }
        put([0, 0, sum[63]], 2);
    }
    text
}

const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// About a second.
const CEILING: u32 = 1_000_000;
