//! Tick files: what goes out as DBN and Parquet, what comes in as DBN.
#![cfg(feature = "export")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod actions;
mod common;
mod data;
mod files;
mod hostile;
mod journals;
mod parquet;
mod round_trip;
