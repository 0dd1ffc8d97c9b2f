//! Who people are to us: users, their identities from providers, their credentials.

pub mod api_key;
pub mod audit;
pub mod email;
mod hash_pool;
pub mod linking;
pub mod new_password;
pub mod one_time;
pub mod password;
mod user;

#[cfg(test)]
mod linking_tests;

pub use user::{Identity, Kind, OPERATOR, PasswordCredential, User};
