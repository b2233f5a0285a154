//! Recorded records go through a lane again: their words as they were, stamps and publish delays too, under new numbers.
//!
//! * [`Source`]: what a journal, or a tick file, says, step by step: the records of both rings in the order of their venue
//!   events, the instruments before the records that speak of them, and every hole.
//! * [`Republisher`]: writes the steps into a lane: rings, board, directory, counters.
//!
//! Who drives them owns the clock: it looks at [`Step::published_ns`], waits as long as the pace says, and then hands the
//! step to [`Republisher::take`].
//!
//! # What a replay's lane has
//! Records: the same words, so the digests of an unbroken recording are those of the live rings. Numbers inside records
//! (where an epoch before ended, for one) stay those of the recording.
//!
//! The board: what the engine would have written, word for word, as far as records tell. They do not tell
//! * the quantity of an execution of an order that is not in the book, which the engine adds to the volume;
//! * of one refused order whose quantity is over 32 bits, whether its book became suspect: it counts as suspect until the
//!   next record of the instrument says otherwise;
//! * that a writer has ended in order, after which its rows are closed;
//! * another board of an X-stream orderbook than the one under which the directory has it;
//! * what an engine that was started anew has seen of the venue and its predecessor had not published.
//!
//! A hole of the recording is declared in its ring as a gap record ([`gap_reason::RECORDING`]). One of the market ring
//! makes every row gapped until its book is cleared or an image of all books has come; one of the orders ring leaves the
//! rows alone, which records of the market ring make.
//!
//! Source: design.md 75; decisions.md 5, 6, 10, 11, 22.
//!
//! [`gap_reason::RECORDING`]: shm_abi::record::gap_reason::RECORDING

mod facts;
#[cfg(feature = "import")]
mod from_dbn;
mod from_journal;
mod lane;
mod prelude;
mod prints;
mod rows;
mod source;
mod statistics;
mod status;
mod step;
mod window;

pub use lane::{Counts, Republisher};
pub use source::{OpenError, Source, SourceError, SourceOptions, Start};
pub use step::{Missing, Step};
