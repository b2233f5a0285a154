//! Whole-system tests: the real programs, over real sockets and real shared memory, checked at what a strategy sees.
//!
//! Each test is named after a misfortune or after what must be shown. The programs are those that `make test` has built;
//! `TICKLANE_BIN_DIR` names another folder of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(unreachable_pub, reason = "a test binary has no users: pub marks what its modules share")]

mod bus;
mod captures;
mod control;
mod cursors;
mod cutter;
mod engine_faults;
mod engine_limits;
mod faults;
mod feed_faults;
mod feeds;
mod figures;
mod harness;
mod hostile;
mod hot_path;
mod journal;
mod kills;
mod lanes;
mod misfortunes;
mod multicast;
mod quotes;
mod real_input;
mod replay;
mod start_up;
