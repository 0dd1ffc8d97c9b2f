//! Who people are to us: users, their identities from providers, their credentials.

pub mod api_key;
pub mod audit;
mod bcrypt;
pub mod email;
mod fields;
mod foreign_hash;
mod hash_pool;
#[doc(hidden)]
pub mod linking;
#[doc(hidden)]
pub mod metadata;
#[doc(hidden)]
pub mod new_password;
pub mod one_time;
#[doc(hidden)]
pub mod password;
mod sha_crypt;
mod user;

#[cfg(test)]
mod foreign_hash_tests;
#[cfg(test)]
mod linking_tests;

pub use fields::Fields;
#[doc(hidden)]
pub use foreign_hash::firebase_text;
pub use user::{Identity, Kind, OPERATOR, PasswordCredential, User};
