//! Why a lane could not be read.

use std::path::PathBuf;
use std::time::Duration;

use shm_abi::segment::SegmentError;

/// Why a lane could not be attached or followed. Every variant says what was seen and what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The segment could not be opened: missing, of another version, or not a segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The engine was replaced by one whose segment this program cannot read. The old mapping has been read to its end.
    #[error("the engine began anew and its new segment cannot be read: {0}")]
    Successor(#[source] SegmentError),
    /// No segment appeared in time.
    #[error(
        "{path}: no segment within {waited:?}: start the engine, or check that it has this runtime directory and lane \
         (the last look said: {last})"
    )]
    NotInTime {
        /// The place that was watched.
        path: PathBuf,
        /// How long.
        waited: Duration,
        /// What the last look said.
        last: SegmentError,
    },
    /// The cursor is of another lane.
    #[error("the cursor is of lane `{cursor}`, this is lane `{lane}`: resume it on its own lane")]
    OtherLane {
        /// Lane of the cursor.
        cursor: String,
        /// Lane of the reader.
        lane: String,
    },
    /// The cursor stands at a number that this ring has not reached: it is of the lane's other ring, or made up.
    #[error("the cursor stands at {seq}, the {ring} ring has reached {head}: is it a cursor of the other ring?")]
    CursorAhead {
        /// Number in the cursor.
        seq: u64,
        /// Name of the ring.
        ring: &'static str,
        /// Next number of the ring, as of its last burst.
        head: u64,
    },
    /// A stamp went backwards, which no Ticklane writer does.
    #[error("slot {n} was whole and then was not: something else than an engine writes this segment")]
    Broken {
        /// Number of the slot.
        n: u64,
    },
}
