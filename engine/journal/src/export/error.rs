//! Why an export could not go on.

use std::io;
use std::path::PathBuf;

/// Why an export could not go on. What was written stays under the temporary name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The system said no.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// More than DBN's 32 bits hold.
    #[error(
        "record {n} ({kind} of instrument {instrument_id}): {field} is {value}, and DBN holds at most {limit}: \
         export it to Parquet"
    )]
    Size {
        /// Number of the record.
        n: u64,
        /// Its kind, a letter.
        kind: char,
        /// Its instrument.
        instrument_id: u32,
        /// Which of its fields.
        field: &'static str,
        /// What stands there.
        value: u64,
        /// What would fit.
        limit: u64,
    },
    /// A record speaks of one instrument more than are kept track of.
    #[error("record {n}: instrument {instrument_id} is one more than the {limit} that an export keeps track of")]
    Instruments {
        /// Number of the record.
        n: u64,
        /// Its instrument.
        instrument_id: u32,
        /// The limit.
        limit: usize,
    },
    /// An option that cannot be.
    #[error("{option} is {seen:?}, expected {expected}")]
    Option {
        /// Which.
        option: &'static str,
        /// What was given.
        seen: String,
        /// What would do.
        expected: &'static str,
    },
    /// What a cut export left is not what is exported now.
    #[error(
        "{}: cannot go on with it: {field} is {seen}, expected {expected}; remove it, or export without resuming",
        path.display()
    )]
    Resume {
        /// The partial file.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// What the file has.
        seen: String,
        /// What this export has.
        expected: String,
    },
    /// A library refused what it was given.
    #[error("{}: {message}", path.display())]
    Encode {
        /// File.
        path: PathBuf,
        /// What it said.
        message: String,
    },
}

impl ExportError {
    pub(super) fn encode(path: &std::path::Path, message: impl ToString) -> ExportError {
        ExportError::Encode { path: path.into(), message: message.to_string() }
    }
}
