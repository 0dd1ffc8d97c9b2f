//! The entrance hall for web apps.

pub mod account;
pub mod admin;
pub mod app;
pub mod app_services;
pub mod body;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod fetch;
pub mod function;
pub mod gate;
pub mod gather;
mod ground;
pub mod id;
pub mod json;
pub mod language;
pub mod layer;
pub mod limit;
pub mod listen;
pub mod live;
pub mod mail;
pub mod own;
pub mod portal;
pub mod provider;
pub mod public_url;
pub mod rejection;
pub mod route;
pub mod secret;
pub mod session;
pub mod stack;
pub mod store;
pub mod tally;
pub mod test;
pub mod token;
pub mod upstream;
pub mod visit;

/// Ways to sign in of the program's own.
pub mod custom {
    pub use crate::gate::{Account, Credentials, Facts, Provider, Verdict};
}

pub use gate::{Builder, Error, Identity, Peer, Vestibule, anyone, identity, role};
