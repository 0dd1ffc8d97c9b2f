//! The binary, driven over its sockets by clients that know nothing of its insides.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod config;
mod durability;
mod harness;
mod house;
