//! From venue messages to records: books, windows, trades, statuses. Pure: bytes and stamps go in, records come out.
//!
//! * [`book`]: the true price-time book of every instrument, written once for all dialects.
//! * [`nasdaq`]: Nasdaq TotalView-ITCH 5.0 onto the bus; the one place where both vocabularies meet.
//!
//! Nothing here owns a socket, a clock, a thread or a lock. After warm-up nothing here allocates, logs or makes a system
//! call per event.
//!
//! Source: design.md 4; decisions.md 1, 5 to 9; performance.md 9.
#![forbid(unsafe_code)]

pub mod book;
pub mod nasdaq;
