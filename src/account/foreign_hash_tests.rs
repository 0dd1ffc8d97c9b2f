//! Hashes that the tools themselves made: `tests/golden/hashes` says how.

use super::firebase_text;
use super::password::{Hasher, Verified, check_foreign};
use crate::secret::Secret;

const PASSLIB: &str = include_str!("../../tests/golden/hashes/passlib.txt");
const FIREBASE: &str = include_str!("../../tests/golden/hashes/firebase.txt");
const HTPASSWD: &str = include_str!("../../tests/golden/hashes/htpasswd.txt");

async fn verify(hasher: &Hasher, password: &str, stored: &str) -> Verified {
    hasher.verify(&Secret::new(password), Some(&Secret::new(stored))).await.unwrap()
}

/// It is taken for its password and no other, and asks for a better one.
async fn holds(hasher: &Hasher, password: &str, stored: &str) {
    assert_eq!(check_foreign(stored), Ok(()), "{stored}");
    assert_eq!(verify(hasher, password, stored).await, Verified::MatchWeaker, "{password}: {stored}");
    let other = format!("X{password}");
    assert_eq!(verify(hasher, &other, stored).await, Verified::Mismatch, "{other}: {stored}");
}

#[tokio::test]
async fn hashes_made_by_passlib_hold() {
    let hasher = Hasher::new(2);
    for line in PASSLIB.lines() {
        let (password, stored) = line.split_once('\t').unwrap();
        holds(&hasher, password, stored).await;
    }
    assert_eq!(PASSLIB.lines().count(), 56);
}

#[tokio::test]
async fn hashes_of_firebase_hold() {
    let hasher = Hasher::new(2);
    for line in FIREBASE.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [password, cost, rounds, separator, signer, salt, hash] = parts[..] else { panic!("{line}") };
        let (cost, rounds) = (cost.parse().unwrap(), rounds.parse().unwrap());
        holds(&hasher, password, &firebase_text(cost, rounds, separator, signer, salt, hash)).await;
    }
    assert_eq!(FIREBASE.lines().count(), 3);
}

#[tokio::test]
async fn hashes_of_htpasswd_hold_and_weak_ones_are_named() {
    let hasher = Hasher::new(1);
    for line in HTPASSWD.lines() {
        let (name, stored) = line.split_once(':').unwrap();
        match name {
            "apr1@example.com" => assert!(check_foreign(stored).unwrap_err().starts_with("apr1-MD5")),
            "sha1@example.com" => assert!(check_foreign(stored).unwrap_err().starts_with("SHA-1")),
            _ => holds(&hasher, "correct horse battery", stored).await,
        }
    }
}

/// SEC-PWD-05
#[tokio::test]
async fn sec_pwd_05_foreign_hashes_that_are_damaged_or_too_dear_are_an_ordinary_no() {
    let hasher = Hasher::new(1);
    let find = |start: &str| PASSLIB.lines().find_map(|line| line.split_once('\t')?.1.strip_prefix(start)).unwrap();
    let (bcrypt, sha, pbkdf2) = (find("$2b$06"), find("$6$rounds=2345"), find("$pbkdf2-sha256$2000"));
    let scrypt = find("$scrypt$ln=10");
    let firebase = firebase_text(14, 8, "Bw==", "c2lnbmVy", "c2FsdA==", "aGFzaA==");
    for stored in [
        format!("$2b$31{bcrypt}"),
        format!("$2b$03{bcrypt}"),
        format!("$2b$xx{bcrypt}"),
        format!("$2b$06{}", &bcrypt[..bcrypt.len() - 1]),
        format!("$2b$06$\u{e9}{}", &bcrypt[1..]),
        "$2b$".to_owned(),
        "$2b$06$".to_owned(),
        format!("$6$rounds=999999999{sha}"),
        format!("$6$rounds=2345{}", &sha[..sha.len() - 2]),
        "$6$rounds=5000".to_owned(),
        "$6$".to_owned(),
        "$5$\u{e9}$x".to_owned(),
        format!("$pbkdf2-sha256$4000000000{pbkdf2}"),
        format!("$pbkdf2-sha256$0{pbkdf2}"),
        "$pbkdf2-sha256$2000$c2FsdA$".to_owned(),
        "pbkdf2_sha256$1$salt".to_owned(),
        format!("$scrypt$ln=40{scrypt}"),
        format!("$scrypt$ln=20{scrypt}"),
        format!("$scrypt$ln=0{scrypt}"),
        "$scrypt$r=8$c2FsdA$c2FsdA".to_owned(),
        firebase,
        "$fbscrypt$v=1$x$y".to_owned(),
        "$argon2i$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA".to_owned(),
        "$y$j9T$salt$hash".to_owned(),
        "$$".to_owned(),
    ] {
        let verified = verify(&hasher, "x", &stored).await;
        assert!(matches!(verified, Verified::Corrupt(_)), "{stored}: {verified:?}");
        assert!(check_foreign(&stored).is_err(), "{stored}");
    }
}

/// SEC-PWD-05
#[tokio::test]
async fn sec_pwd_05_a_nul_ends_no_password() {
    let hasher = Hasher::new(1);
    for line in PASSLIB.lines().filter(|line| line.starts_with("x\t")) {
        let (_, stored) = line.split_once('\t').unwrap();
        assert_eq!(verify(&hasher, "x\0word", stored).await, Verified::Mismatch, "{stored}");
        assert_eq!(verify(&hasher, "x", stored).await, Verified::MatchWeaker, "{stored}");
    }
}

#[tokio::test]
async fn without_a_password_none_matches() {
    let hasher = Hasher::new(1);
    assert_eq!(verify(&hasher, "!", super::password::unset().expose()).await, Verified::Mismatch);
    assert_eq!(hasher.computed(), 1);
}
