//! Recorded lanes through a lane again: the same records, the same rows, and books for those who come late.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

// The random flows of the normalisers' own tests, with everything that no honest venue sends.
#[path = "../../../engine/market/tests/common/mod.rs"]
mod common;
#[path = "../../../engine/market/tests/iex_bus/mod.rs"]
mod iex_bus;

mod agreement;
mod bus;
mod holes;
mod late;
