//! Passwords: argon2id on a bounded pool of threads.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization as _;

use super::foreign_hash::Foreign;
use super::hash_pool::{Memory, Pool};
use crate::secret::{self, Secret};

/// Computes and checks password hashes: argon2id with 19 MiB, two passes, one lane (the second of the
/// minimum settings of OWASP's password storage recommendations).
///
/// Clones share the threads; they end with the last clone.
#[derive(Clone, Debug)]
pub struct Hasher {
    pool: Arc<Pool>,
    dummy: Arc<Secret>,
    cost: Cost,
}

/// What a new hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cost {
    /// What keeps whoever steals the hashes busy.
    #[default]
    Live,
    /// Next to nothing, for passwords that tests make up: in an app's debug build the other takes seconds.
    Trifling,
}

/// How a check ended. Only [`Match`](Self::Match) and [`MatchWeaker`](Self::MatchWeaker) are a yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is the password.
    Match,
    /// It is the password, but its hash has weaker parameters than new ones: hash it again.
    MatchWeaker,
    /// It is not, or there is no password to compare with.
    Mismatch,
    /// What is stored cannot be a hash of ours; the word says why. Log it as `credential.corrupt`, refuse as ever.
    Corrupt(&'static str),
}

/// More passwords wait to be hashed than are worth waiting for: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be checked")]
pub struct Busy;

impl Hasher {
    /// Starts so many threads (`hash_threads`); 0 means one per core but one, at least one.
    pub fn new(threads: usize) -> Self {
        Self::at_cost(threads, Cost::Live)
    }

    /// The same with hashes at this cost.
    pub(crate) fn at_cost(threads: usize, cost: Cost) -> Self {
        // Nothing hashes to this: its output is random, its parameters are those of new hashes.
        let dummy = phc(cost, &secret::random::<SALT>(), &secret::random::<OUTPUT>());
        Self { pool: Arc::new(Pool::new(threads)), dummy: Arc::new(dummy), cost }
    }

    /// The hash of a password in PHC form, with a fresh salt. The password counts in Unicode normal form C, whole,
    /// NUL included.
    ///
    /// # Errors
    /// [`Busy`] at once when too many wait already.
    pub async fn hash(&self, password: &Secret) -> Result<Secret, Busy> {
        let (password, cost) = (normal_form(password), self.cost);
        self.pool.run(move |memory| fresh(&password, cost, memory)).await?.ok_or(Busy)
    }

    /// Whether this is the password that was stored. With `None` (nobody there, no password) it takes the same time
    /// and the answer is [`Verified::Mismatch`].
    ///
    /// # Errors
    /// [`Busy`] at once when too many wait already.
    pub async fn verify(&self, password: &Secret, stored: Option<&Secret>) -> Result<Verified, Busy> {
        let password = normal_form(password);
        let stored = stored.cloned();
        let (dummy, cost) = (Arc::clone(&self.dummy), self.cost);
        self.pool.run(move |memory| check(&password, stored.as_ref(), (&dummy, cost), memory)).await
    }

    /// How many hashes were computed since the start.
    pub fn computed(&self) -> u64 {
        self.pool.computed()
    }
}

/// What stands in place of a hash where there is no password yet: no password matches, a reset sets one.
pub fn unset() -> Secret {
    Secret::new(UNSET)
}

/// Whether a hash of another program can be kept and checked.
///
/// # Errors
/// Why it cannot, for the one who has the file.
pub fn check_foreign(text: &str) -> Result<(), &'static str> {
    match Foreign::parse(text) {
        Some(parsed) => parsed.map(drop),
        None if text.starts_with("$apr1$") => Err("apr1-MD5 falls to guessing in hours"),
        None if text.starts_with("{SHA}") => Err("SHA-1 without salt falls to guessing in minutes"),
        None if text.starts_with("$argon2id$") => Stored::parse(text).map(drop),
        None if text.starts_with("$y$") => Err("yescrypt is not known here"),
        None if text.starts_with("$1$") => Err("MD5 falls to guessing in hours"),
        None if text.is_empty() => Err("there is none"),
        None => Err("its form is not known here"),
    }
}

impl Cost {
    /// KiB, and passes over them.
    fn parameters(self) -> (u32, u32) {
        match self {
            Self::Live => (MEMORY, PASSES),
            Self::Trifling => (64, 1),
        }
    }
}

/// A stored hash taken apart, its parameters within bounds.
struct Stored {
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Stored {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let hash = PasswordHash::new(text).map_err(|_| "not in PHC form")?;
        if hash.algorithm.as_str() != Algorithm::Argon2id.as_str() || hash.version != Some(Version::V0x13.into()) {
            return Err("not argon2id of version 19");
        }
        let params = Params::try_from(&hash).map_err(|_| "parameters that argon2id does not have")?;
        // Whoever can write a row could else make one sign-in cost gigabytes or minutes.
        if params.m_cost() > MEMORY_CEILING || params.t_cost() > PASSES_CEILING || params.p_cost() > LANES_CEILING {
            return Err("parameters above the ceiling");
        }
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else { return Err("salt or output is missing") };
        if output.len() < 16 {
            return Err("output is cut off");
        }
        Ok(Self { params, salt: salt.as_ref().to_vec(), output: output.as_bytes().to_vec() })
    }

    fn is_weaker(&self, cost: Cost) -> bool {
        let (memory, passes) = cost.parameters();
        self.params.m_cost() < memory || self.params.t_cost() < passes || self.output.len() < OUTPUT
    }

    fn matches(&self, password: &Secret, memory: &mut Memory) -> Option<bool> {
        let mut output = vec![0; self.output.len()];
        compute(&self.params, password, &self.salt, &mut output, memory)?;
        Some(output.ct_eq(&self.output).into())
    }
}

fn check(password: &Secret, stored: Option<&Secret>, (dummy, cost): (&Secret, Cost), memory: &mut Memory) -> Verified {
    // The hash is compared here and nowhere shown.
    let stored = stored.map(Secret::expose).filter(|text| *text != UNSET);
    if let Some(Ok(foreign)) = stored.and_then(Foreign::parse) {
        return match foreign.matches(password.expose()) {
            Some(true) => Verified::MatchWeaker,
            Some(false) => Verified::Mismatch,
            None => Verified::Corrupt("it cannot be computed"),
        };
    }
    let parsed = stored.map(Stored::parse);
    let Some(Ok(stored)) = &parsed else {
        if let Ok(dummy) = Stored::parse(dummy.expose()) {
            dummy.matches(password, memory);
        }
        return match parsed {
            Some(Err(why)) => Verified::Corrupt(why),
            _ => Verified::Mismatch,
        };
    };
    match stored.matches(password, memory) {
        Some(true) if stored.is_weaker(cost) => Verified::MatchWeaker,
        Some(true) => Verified::Match,
        Some(false) => Verified::Mismatch,
        None => Verified::Corrupt("argon2id does not take it"),
    }
}

fn fresh(password: &Secret, cost: Cost, memory: &mut Memory) -> Option<Secret> {
    let salt = secret::random::<SALT>();
    let mut output = [0; OUTPUT];
    let (kibibytes, passes) = cost.parameters();
    let params = Params::new(kibibytes, passes, LANES, Some(OUTPUT)).ok()?;
    compute(&params, password, &salt, &mut output, memory)?;
    Some(phc(cost, &salt, &output))
}

fn compute(params: &Params, password: &Secret, salt: &[u8], output: &mut [u8], memory: &mut Memory) -> Option<()> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    memory.with(params.block_count(), |blocks: &mut [Block]| {
        // All bytes count: a NUL ends nothing, and nothing is cut off.
        argon2.hash_password_into_with_memory(password.expose().as_bytes(), salt, output, blocks).ok()
    })
}

fn phc(cost: Cost, salt: &[u8], output: &[u8]) -> Secret {
    let (memory, passes) = cost.parameters();
    let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
    Secret::new(format!("$argon2id$v=19$m={memory},t={passes},p={LANES}${salt}${output}"))
}

/// One spelling for what keyboards compose in different ways (NIST SP 800-63B, "password verifiers").
fn normal_form(password: &Secret) -> Secret {
    Secret::new(password.expose().nfc().collect::<String>())
}

/// KiB.
pub(super) const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const UNSET: &str = "!";
const LANES: u32 = 1;
const SALT: usize = 16;
const OUTPUT: usize = 32;
/// KiB.
pub(super) const MEMORY_CEILING: u32 = 256 * 1024;
const PASSES_CEILING: u32 = 16;
const LANES_CEILING: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[tokio::test]
    async fn a_hash_for_tests_is_good_there_and_weak_elsewhere() {
        let (kit, live) = (Hasher::at_cost(1, Cost::Trifling), Hasher::new(1));
        let hash = kit.hash(&secret("copper-lantern-47")).await.unwrap();
        assert_eq!(kit.verify(&secret("copper-lantern-47"), Some(&hash)).await, Ok(Verified::Match));
        assert_eq!(kit.verify(&secret("copper-lantern-48"), Some(&hash)).await, Ok(Verified::Mismatch));
        assert_eq!(live.verify(&secret("copper-lantern-47"), Some(&hash)).await, Ok(Verified::MatchWeaker));
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_alone() {
        let hasher = Hasher::new(1);
        let hash = hasher.hash(&secret("a horse in the hall")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(hasher.verify(&secret("a horse in the hall"), Some(&hash)).await, Ok(Verified::Match));
        assert_eq!(hasher.verify(&secret("a horse in the hal"), Some(&hash)).await, Ok(Verified::Mismatch));
        assert_ne!(hasher.hash(&secret("a horse in the hall")).await.unwrap(), hash);
    }

    #[tokio::test]
    async fn composed_and_decomposed_spellings_are_one_password() {
        let hasher = Hasher::new(1);
        let hash = hasher.hash(&secret("caf\u{e9} am Eck")).await.unwrap();
        assert_eq!(hasher.verify(&secret("cafe\u{301} am Eck"), Some(&hash)).await, Ok(Verified::Match));
        assert_eq!(hasher.verify(&secret("cafe am Eck"), Some(&hash)).await, Ok(Verified::Mismatch));
    }

    /// SEC-PWD-02
    #[tokio::test]
    async fn sec_pwd_02_a_hash_is_computed_when_there_is_none_to_compare_with() {
        let hasher = Hasher::new(1);
        assert!(!hasher.dummy.expose().is_empty());
        assert!(Stored::parse(hasher.dummy.expose()).is_ok_and(|dummy| !dummy.is_weaker(Cost::Live)));
        assert_eq!(hasher.verify(&secret("x"), None).await, Ok(Verified::Mismatch));
        assert_eq!(hasher.verify(&secret("x"), Some(&secret("damaged"))).await.map(corrupt), Ok(true));
        assert_eq!(hasher.computed(), 2);
    }

    /// SEC-PWD-05
    #[tokio::test]
    async fn sec_pwd_05_nul_is_a_part_of_the_password() {
        let hasher = Hasher::new(1);
        let (short, long) =
            (hasher.hash(&secret("pass")).await.unwrap(), hasher.hash(&secret("pass\0word")).await.unwrap());
        assert_eq!(hasher.verify(&secret("pass\0word"), Some(&short)).await, Ok(Verified::Mismatch));
        assert_eq!(hasher.verify(&secret("pass"), Some(&long)).await, Ok(Verified::Mismatch));
        assert_eq!(hasher.verify(&secret("pass\0word"), Some(&long)).await, Ok(Verified::Match));
    }

    /// SEC-PWD-05
    #[tokio::test]
    async fn sec_pwd_05_a_damaged_hash_is_an_ordinary_no() {
        let hasher = Hasher::new(1);
        let good = hasher.hash(&secret("pass")).await.unwrap().expose().to_owned();
        let (front, _) = good.rsplit_once('$').unwrap();
        let damaged = [
            String::new(),
            "$".to_owned(),
            "pass".to_owned(),
            good[..good.len() - 3].replace("argon2id", "argon2x"),
            front.to_owned(),
            format!("{front}$"),
            format!("{front}$c2hvcnRzaG9ydHM"),
            format!("{front}${}", "\u{e9}".repeat(22)),
            format!("\u{e9}{good}"),
            format!("$argon2id\u{e9}{}", &good[9..]),
            good.replace("v=19", "v=16"),
            good.replace("v=19", "v=\u{e9}"),
            good.replace("m=19456", "m=4194304"),
            good.replace("m=19456", "m=4294967295"),
            good.replace("m=19456", "m=0"),
            good.replace("t=2", "t=17"),
            good.replace("t=2", "t=0"),
            good.replace("p=1", "p=5"),
            good.replace("p=1", "p=16777215"),
            good.replace("p=1", "p=1,x=2"),
            "$2x$12$abcdefghijklmnopqrstuuu0x1Yd6mN4lGJb9cm7cVnb1v0c5wVgO".to_owned(),
        ];
        for stored in damaged {
            let verified = hasher.verify(&secret("pass"), Some(&secret(&stored))).await.unwrap();
            assert!(corrupt(verified), "{stored}: {verified:?}");
        }
        // Cut off by four characters it may be well formed, but then it is the hash of something else.
        let cut = secret(&good[..good.len() - 4]);
        let verified = hasher.verify(&secret("pass"), Some(&cut)).await.unwrap();
        assert!(verified == Verified::Mismatch || corrupt(verified));
        assert_eq!(hasher.verify(&secret("pass"), Some(&secret(&good))).await, Ok(Verified::Match));
    }

    #[tokio::test]
    async fn a_hash_of_weaker_parameters_asks_for_a_new_one() {
        let hasher = Hasher::new(1);
        let mut output = [0; 32];
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8192, 1, 1, Some(32)).unwrap());
        weak.hash_password_into(b"pass", b"salt salt salt s", &mut output).unwrap();
        let (salt, output) = (STANDARD_NO_PAD.encode("salt salt salt s"), STANDARD_NO_PAD.encode(output));
        let stored = secret(&format!("$argon2id$v=19$m=8192,t=1,p=1${salt}${output}"));
        assert_eq!(hasher.verify(&secret("pass"), Some(&stored)).await, Ok(Verified::MatchWeaker));
        assert_eq!(hasher.verify(&secret("word"), Some(&stored)).await, Ok(Verified::Mismatch));
    }

    fn corrupt(verified: Verified) -> bool {
        matches!(verified, Verified::Corrupt(_))
    }
}
