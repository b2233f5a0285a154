//! What a reader can report: records, and everything that stands between them.

use shm_abi::follow::Notice;
use shm_abi::record::{Body, Record};
use shm_abi::ring::Lost;

pub use shm_abi::follow::{RestartReason, Restarted};

/// One thing that happened on a ring, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'r> {
    /// A record. Gaps of the venue are records too: see [`Event::venue_gap`].
    Record(Record<'r>),
    /// The reader will never see these numbers: it was lapped, or the writer says that they do not exist. Declared
    /// before anything that follows them.
    Lost(Lost),
    /// The engine began anew. The old sequence has been read to its end, and number 0 of the new one follows. Also ends a
    /// silence.
    Restarted(Restarted),
    /// The ring is empty and its writer has shown no life for 240 ms. Said once; what comes next is
    /// [`Event::WriterBack`], [`Event::Restarted`], or records that were already in the ring.
    WriterSilent,
    /// The writer shows life again.
    WriterBack,
    /// The writer has ended in order, and the ring has been read to its end. Said once. A reader that is asked for more
    /// goes on looking for a successor.
    Closed,
}

/// Venue messages that nobody will ever deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueGap {
    /// First venue sequence that is missing.
    pub first: u64,
    /// Last venue sequence that is missing.
    pub last: u64,
    /// See [`shm_abi::record::gap_reason`].
    pub reason: u64,
}

impl<'r> Event<'r> {
    /// The record, if it is one.
    pub fn record(&self) -> Option<&Record<'r>> {
        match self {
            Event::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The gap that the writer declares with this record, if it is a gap record: messages are missing from the venue's
    /// sequence, not from the ring's.
    pub fn venue_gap(&self) -> Option<VenueGap> {
        match self.record()?.body() {
            Body::Gap { first, last, reason } => Some(VenueGap { first, last, reason }),
            _ => None,
        }
    }
}

impl From<Notice> for Event<'_> {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Restarted(restarted) => Event::Restarted(restarted),
            Notice::Silent => Event::WriterSilent,
            Notice::Back => Event::WriterBack,
            Notice::Closed => Event::Closed,
        }
    }
}
