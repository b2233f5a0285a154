//! The other end: an exchange that plays ITCH files or a seeded synthetic market over SoupBinTCP, with scripted faults.
//!
//! * [`market`]: the synthetic market, a pure function of its config.
//! * [`source`]: where a feed's messages come from: a file, or the market.
//! * [`log`]: the numbered messages behind a session, for resuming at any of them.
//! * [`pace`]: time stamps to moments.
//! * [`fault`]: what goes wrong on purpose.
//! * [`server`]: a SoupBinTCP exchange, sockets and threads; [`mold`]: the same over MoldUDP64.
#![forbid(unsafe_code)]

pub mod fault;
mod feed;
pub mod log;
pub mod market;
pub mod mold;
pub mod pace;
mod producer;
pub mod server;
pub mod source;
