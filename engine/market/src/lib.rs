//! From venue messages to records: books, windows, trades, statuses. Pure: bytes and stamps go in, records come out.
//!
//! * [`book`]: the true price-time book of every instrument, written once for all dialects.
//! * [`iex`]: IEX TOPS and DEEP onto the bus.
//! * [`ingest`]: from the bytes of a connection to the books, for the reactor and for simulations.
//! * [`itch`]: the ITCH dialects onto the bus; the one place where both vocabularies meet.
//! * [`Normaliser`]: whichever of them a feed speaks, behind one set of methods.
//!
//! Nothing here owns a socket, a clock, a thread or a lock. After warm-up nothing here allocates, logs or makes a system
//! call per event.
//!
//! Source: design.md 4; decisions.md 1, 5 to 9; performance.md 9.
#![forbid(unsafe_code)]

pub mod book;
mod day;
mod feed;
pub mod iex;
pub mod ingest;
pub mod itch;
mod normaliser;
mod publish;
mod trust;
mod window;

pub use feed::{BATCH, DenseIds, DepthPlan, IdError, InstrumentIds, MARK_INTERVAL, MessageAt, Resume, Stamps};
pub use normaliser::Normaliser;
