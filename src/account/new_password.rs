//! What a new password must be: long enough, and not what everybody tries first.

use std::collections::HashSet;
use std::sync::OnceLock;

use unicode_normalization::UnicodeNormalization as _;

use crate::account::email::Email;
use crate::secret::Secret;

/// The rules for new passwords. There are none about kinds of characters (NIST SP 800-63B): they make passwords
/// that are hard to remember and easy to guess.
#[derive(Clone, Debug)]
pub struct Rules {
    min_length: usize,
    site: String,
}

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Fewer characters than asked for.
    #[error("use at least {min} characters")]
    Short {
        /// How many there must be.
        min: usize,
    },
    /// More characters than are taken; cutting them off would let the rest be guessed.
    #[error("use at most {} characters", MAX_LENGTH)]
    Long,
    /// Among the first that are tried.
    #[error("this password is among the most common ones; choose another")]
    Common,
    /// The address or the site's name.
    #[error("this password is too close to your address or to the name of this site; choose another")]
    Context,
}

impl Rules {
    /// At least `min_length` characters; `site` is the name that is too easy to guess here.
    pub fn new(min_length: usize, site: &str) -> Self {
        Self { min_length, site: plain(site) }
    }

    /// Whether this password may be set for the account with this address.
    ///
    /// # Errors
    /// [`Weak`] says what is wrong with it.
    pub fn check(&self, password: &Secret, email: &Email) -> Result<(), Weak> {
        // Looked at, and neither kept nor shown.
        let text: String = password.expose().nfc().collect();
        let length = text.chars().count();
        if length < self.min_length {
            return Err(Weak::Short { min: self.min_length });
        }
        if length > MAX_LENGTH {
            return Err(Weak::Long);
        }
        let text = text.to_lowercase();
        if self.is_context(&text, email) {
            return Err(Weak::Context);
        }
        if is_common(&text) { Err(Weak::Common) } else { Ok(()) }
    }

    fn is_context(&self, text: &str, email: &Email) -> bool {
        let (local, domain) = email.key().split_once('@').unwrap_or((email.key(), ""));
        let host = domain.split('.').next().unwrap_or_default();
        let (word, text) = (plain(stem(text)), plain(text));
        [plain(email.key()), plain(local), plain(domain), plain(host), self.site.clone()]
            .iter()
            .any(|context| context.chars().count() >= 3 && (*context == word || *context == text))
    }
}

/// The most characters of a password.
pub const MAX_LENGTH: usize = 128;

fn is_common(text: &str) -> bool {
    is_repeated(text) || is_a_run(text) || {
        let word = stem(text);
        let listed = |word: &str| common().contains(word) || common().contains(read_digits(word).as_str());
        // `password2026!`: the tail is tried right after the word itself.
        listed(text) || (text.len() - word.len() <= TAIL && listed(word))
    }
}

/// The word before digits and signs at the end.
fn stem(text: &str) -> &str {
    text.trim_end_matches(|c: char| !c.is_alphabetic())
}

/// Letters and digits alone: `My Blog` and `my-blog` are one word.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// `p4$$w0rd` as it is meant.
fn read_digits(text: &str) -> String {
    let letter = |c| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    text.chars().map(letter).collect()
}

/// One to four characters over and over.
fn is_repeated(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (1..=4).any(|unit| letters.len() > unit && letters.iter().skip(unit).eq(letters.iter().take(letters.len() - unit)))
}

/// `abcdefgh`, `98765432`.
fn is_a_run(text: &str) -> bool {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let steps = |step: i64| codes.windows(2).all(|pair| pair[1] - pair[0] == step);
    steps(1) || steps(-1)
}

/// Most of the words are the more frequent ones of at least 8 characters in the password list of zxcvbn 4.4.2
/// (MIT licence, Dan Wheeler and Dropbox), which counts Mark Burnett's ten million leaked passwords (public domain).
/// Shorter ones are there for what is put behind them.
fn common() -> &'static HashSet<&'static str> {
    static WORDS: OnceLock<HashSet<&str>> = OnceLock::new();
    WORDS.get_or_init(|| include_str!("common_passwords.txt").split_whitespace().collect())
}

/// Characters after a common word that do not make it a good password.
const TAIL: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), Weak> {
        let email = Email::parse("ann.lee@example.com").unwrap();
        Rules::new(8, "The Daily Blog").check(&Secret::new(password), &email)
    }

    #[test]
    fn length_counts_characters_and_cuts_nothing_off() {
        assert_eq!(check("kq7vmzt"), Err(Weak::Short { min: 8 }));
        assert_eq!(check("kq7vmztp"), Ok(()));
        // Seven characters, nine code points before they are composed.
        assert_eq!(check("e\u{301}o\u{308}kzqvw"), Err(Weak::Short { min: 8 }));
        assert_eq!(check("żółwiątk"), Ok(()));
        let long: String = (0..128).map(|n| char::from(b'a' + (n * 7 % 26) as u8)).collect();
        assert_eq!(check(&long), Ok(()));
        assert_eq!(check(&format!("{long}x")), Err(Weak::Long));
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for password in [
            "password",
            "Password1",
            "P@ssw0rd2026!",
            "qwerty123",
            "iloveyou",
            "12345678",
            "87654321",
            "abcdefgh",
            "aaaaaaaa",
            "abcabcabc",
            "sunshine99",
            "1q2w3e4r5t",
            "Welcome2024",
            "manchester",
        ] {
            assert_eq!(check(password), Err(Weak::Common), "{password}");
        }
        for password in ["a horse in the hall", "sunshine over the bay", "kq7vmztp", "passwordless entry hall"] {
            assert_eq!(check(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn neither_the_address_nor_the_site_is_a_password() {
        for password in
            ["ann.lee@example.com", "Annlee2026", "ann-lee!!", "thedailyblog", "The Daily Blog 1", "example.com"]
        {
            assert_eq!(check(password), Err(Weak::Context), "{password}");
        }
        assert_eq!(check("ann lee likes the blog"), Ok(()));
    }

    #[test]
    fn the_list_is_in_the_form_it_is_compared_in() {
        assert!(common().iter().filter(|word| word.chars().count() >= 8).count() >= 3000, "ASVS 6.2.4");
        assert!(common().iter().all(|word| word.nfc().collect::<String>().to_lowercase() == **word));
    }
}
