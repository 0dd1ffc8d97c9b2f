//! Everything that needs more than one module: one binary, a module for each topic.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod wire;
