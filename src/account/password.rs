//! Passwords: argon2id on a bounded pool of threads.
