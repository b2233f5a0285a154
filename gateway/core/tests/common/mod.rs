//! What the tests of the shard share: a market, a dialect, clients, and a stage that puts them together.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, reason = "each test uses a part of it")]

pub mod client;
pub mod dialect;
pub mod market;
pub mod recorder;
pub mod rng;
pub mod stage;
