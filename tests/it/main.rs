//! The binary, driven over its sockets by clients that know nothing of its insides.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod aliases;
mod asking;
mod assertion;
mod browser;
mod cli;
mod config;
mod cookies;
mod csrf;
mod custom_function;
mod deciding;
mod decisions;
mod durability;
mod explain;
mod floods;
mod forward_auth;
mod framing;
mod function;
mod grpc;
mod guests;
mod harness;
mod headers;
mod house;
mod identity;
mod idp;
mod keys;
mod languages;
mod linking;
mod linking_oauth;
mod logs;
mod methods;
mod oauth;
mod oauth_brands;
mod oauth_tokens;
mod oidc_provider;
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
mod upstream_tls;
mod upstreams;
mod webhook;
mod websocket;
mod wire;
