//! The gateway as its clients meet it: the real program, over real sockets and real shared memory.
//!
//! Each test is named after a misfortune or after what must be shown. The programs are those that `make test` has built;
//! `TICKLANE_BIN_DIR` names another folder of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(unreachable_pub, reason = "a test binary has no users: pub marks what its modules share")]

#[path = "../system/harness.rs"]
#[allow(dead_code, reason = "shared with the whole-system tests, which use the rest")]
mod harness;

mod agreement;
mod client;
mod crowd;
mod expect;
mod hand;
mod misfortunes;
mod rest;
mod scenarios;
