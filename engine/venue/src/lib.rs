//! The other end: an exchange that plays ITCH files or a seeded synthetic market over SoupBinTCP, with scripted faults.
//!
//! * [`market`] and [`dse`]: the synthetic markets, pure functions of their configs.
//! * [`source`]: where a feed's messages come from: a file, or one of the markets.
//! * [`log`]: the numbered messages behind a session, for resuming at any of them.
//! * [`pace`]: time stamps to moments.
//! * [`fault`]: what goes wrong on purpose.
//! * [`control`]: several feeds at once, and commands while they run.
//! * [`server`]: a SoupBinTCP exchange, sockets and threads; [`mold`]: the same over MoldUDP64.
#![forbid(unsafe_code)]

pub mod control;
pub mod dse;
pub mod fault;
mod feed;
pub mod log;
pub mod market;
pub mod mold;
pub mod pace;
mod producer;
pub mod server;
pub mod source;
