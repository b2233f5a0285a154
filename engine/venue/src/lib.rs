//! The other end: an exchange that plays ITCH files or a seeded synthetic market over SoupBinTCP, with scripted faults.
//!
//! * [`market`]: the synthetic market, a pure function of its config.
//! * [`log`]: the numbered messages behind a session, for resuming at any of them.
//! * [`pace`]: time stamps to moments.
//! * [`fault`]: what goes wrong on purpose.
//! * [`server`]: the exchange itself, sockets and threads.
#![forbid(unsafe_code)]

pub mod fault;
pub mod log;
pub mod market;
pub mod pace;
pub mod server;
