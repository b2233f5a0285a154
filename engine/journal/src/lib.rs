//! The recorded bus: every slot of a lane's rings, on disk, so that it can be read again under the same numbers.
//!
//! * [`format`]: what stands in a file, byte by byte (`FORMAT.md` is its text).
//! * [`writer`]: takes records as a ring reader gives them and says what to write where. Sans-I/O: who drives it owns the
//!   files, the clock and the waiting; disk full, slow and failing are states of it, and what does not fit its buffer is
//!   declared as a hole.
//! * [`index`], [`recover`]: which blocks a file has, and where a crash has cut it.
//! * [`reader`], [`merged`]: from a cursor, a number or a time on, across files and epochs, to the growing end.
//! * [`book`], [`image`]: resting orders that follow the orders ring, and their images in the journal, from which a late
//!   reader starts.
//! * [`book_records`], [`late`]: books as records again, for whoever joins late.
//! * [`replay`]: recorded records through a lane again.
//! * [`digest`]: one number for a sequence of records.
//! * `export`, `import` (features of these names): tick files, out as DBN and Parquet, in as DBN.
//! * [`disk`]: files of `std::fs` for tools, tests and replay.
//!
//! All bytes of a file are hostile: what is read is a value or a [`damage::Damage`] that says where, what, and what was
//! expected.
//!
//! Source: design.md 2 and 4; decisions.md 5, 9 to 11, 22; reliability.md rows 47 to 49.
#![forbid(unsafe_code)]

pub mod book;
pub mod book_records;
pub mod config;
pub mod damage;
pub mod digest;
pub mod disk;
#[cfg(feature = "export")]
pub mod export;
pub mod format;
#[doc(hidden)]
pub mod fuzz_entry;
mod ids;
pub mod image;
#[cfg(feature = "import")]
pub mod import;
pub mod index;
mod journal;
pub mod late;
pub mod merged;
mod pages;
pub mod reader;
pub mod recover;
pub mod replay;
pub mod writer;

pub use config::JournalConfig;
pub use damage::Damage;
pub use digest::Digest;
pub use journal::{Journal, ReadError};
pub use merged::Merged;
pub use reader::{Entry, Reader};
pub use recover::{Recovered, recover};
pub use writer::Writer;

use shm_abi::segment::RingName;

/// Both rings, in the order in which tables by ring have them.
pub const RINGS: [RingName; 2] = [RingName::Orders, RingName::Market];

/// Index of tables by ring: 0 for orders, 1 for market.
#[inline(always)]
pub const fn ring_index(ring: RingName) -> usize {
    match ring {
        RingName::Orders => 0,
        RingName::Market => 1,
    }
}
