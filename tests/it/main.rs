//! The binary, driven over its sockets by clients that know nothing of its insides.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod admin;
mod admin_api;
mod asking;
mod assertion;
mod browser;
mod cli;
mod config;
mod cookies;
mod csrf;
mod durability;
mod explain;
mod floods;
mod forward_auth;
mod framing;
mod guests;
mod harness;
mod headers;
mod house;
mod identity;
mod import;
mod keys;
mod languages;
mod logs;
mod methods;
mod outage;
mod paths;
mod rates;
mod redirects;
mod reload;
mod rules;
mod sessions;
mod shutdown;
mod sizes;
mod start;
mod steps;
mod tls;
mod upstreams;
mod websocket;
mod wire;
