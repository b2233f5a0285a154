//! What a reader yields, and why it may not begin.

use shm_abi::record::Record;
use shm_abi::ring::LossReason;

use crate::damage::Damage;
use crate::format::HoleReason;
use crate::journal::ReadError;

/// Numbers that the journal does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// First number.
    pub first: u64,
    /// Last number, inclusive.
    pub last: u64,
    /// Why.
    pub reason: HoleReason,
    /// What is wrong with the file, when that is why.
    pub damage: Option<Damage>,
}

impl Hole {
    /// Slots that are missing.
    pub fn slots(&self) -> u64 {
        self.last - self.first + 1
    }

    /// What a reader of the ring would have called it, where it can be one of the ring's own reasons.
    pub fn loss_reason(&self) -> LossReason {
        match self.reason {
            HoleReason::Skipped => LossReason::Skipped,
            HoleReason::Malformed => LossReason::Malformed,
            _ => LossReason::Lapped,
        }
    }
}

/// The step from one epoch of the lane to the next that the journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStep {
    /// Epoch that was read to its end.
    pub old_epoch: u64,
    /// The next number that it would have had.
    pub old_end: u64,
    /// Whether its last file was closed in order, so that `old_end` is where the recording of it ended and not where a
    /// crash has cut it.
    pub ended: bool,
    /// Epoch that follows, from its number 0 on.
    pub new_epoch: u64,
}

/// One thing that a reader yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'r> {
    /// A whole record: the number of its first slot and its words, as a ring reader gives them.
    Record {
        /// Number of the first slot.
        n: u64,
        /// 7 words, or 7 + 6 per further slot.
        words: &'r [u64],
    },
    /// Numbers that are missing, before anything that follows them.
    Hole(Hole),
    /// What follows is of another epoch.
    Epoch(EpochStep),
}

impl<'r> Entry<'r> {
    /// The record, typed, if it is one.
    pub fn record(&self) -> Option<Record<'r>> {
        match self {
            Entry::Record { n, words } => Record::new(*n, words),
            _ => None,
        }
    }
}

/// Why a reader cannot begin where it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeekError {
    /// The journal has nothing of it.
    #[error("the journal has nothing of epoch {epoch:016x}")]
    UnknownEpoch {
        /// The epoch.
        epoch: u64,
    },
    /// Removed by retention, or from before the recording began.
    #[error("the journal has this epoch only from number {first} on")]
    TooOld {
        /// First number that it has.
        first: u64,
    },
    /// The journal has not come that far.
    #[error("the journal has come to number {next} of this epoch")]
    Beyond {
        /// The number behind the last that it has.
        next: u64,
    },
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
