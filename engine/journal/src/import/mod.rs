//! Tick files into the recorded bus: DBN, versions 1 to 3, compressed or not.
//!
//! A [`DbnImport`] gives, record by record, what a file says in the words of the bus. Who takes it gives it numbers.
//!
//! | DBN | ring | on the bus |
//! |---|---|---|
//! | mbo A, C, M, F | orders | the same action |
//! | mbo T | both | trade; its side is turned round, because the bus names the order that rested |
//! | mbo R | orders | clear |
//! | mbo N | none | counted; a LAST of it goes to the record before |
//! | trades | market | trade |
//! | mbp-1, tbbo | market | a quote for each side that changed; trade; clear |
//! | mbp-10 | market | the same, and the changes of a window of ten levels |
//! | definition | none | an instrument |
//! | status | market | status |
//!
//! Everything else (bars, statistics, imbalances, consolidated and sampled quotes, messages of the gateway) has no
//! meaning on the bus: its records are read, checked for their frame, and counted by type. [`DbnImport::meaning`] says so
//! of a whole file before it is read.
//!
//! Flags: LAST and SNAPSHOT as they are; MAYBE_BAD_BOOK is SUSPECT. The last record of an image has LAST even where the
//! file leaves it out, and behind it a status record says that the image is whole, as an engine would. An undefined time is 0. Not carried: `ts_in_delta`, `channel_id`, `publisher_id`, `ts_out`, and
//! the flags that say whence a record comes.
//!
//! Bytes of the file are hostile: what is read is a value or an [`ImportError`] that says where, what, and what was
//! expected. Memory grows with the instruments that the file names, up to a limit, and not with what it claims.
//!
//! Source: Databento Binary Encoding 1 to 3; decisions.md 8 and 9.

mod convert;
mod fields;
pub mod fuzz_entry;
mod metadata;
mod reader;
mod recorder;

pub use metadata::{Mapping, Metadata, Stype};
pub use reader::{DbnImport, ImportCounts, Imported, Meaning};
pub use recorder::{RecordError, Recorder};

use crate::damage::Damage;

/// Why a file could not be read, or a record of it not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The system, or the decompressor, said no.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// The metadata, or the frame of a record, is not right: nothing behind it can be read.
    #[error("DBN file, uncompressed, {0}")]
    File(Damage),
    /// A record has a field that cannot be; those behind it can be read.
    #[error("DBN file, uncompressed, record {record} {damage}")]
    Record {
        /// Number of the record in the file, from 0.
        record: u64,
        /// Where and what.
        damage: Damage,
    },
}
