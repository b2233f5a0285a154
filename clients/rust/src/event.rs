//! What a reader can report: records, and everything that stands between them.

use shm_abi::record::{Body, Record, restart_reason};
use shm_abi::ring::Lost;

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
    /// The ring is empty and its writer has shown no life for 250 ms. Said once; what comes next is
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

/// Why an epoch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartReason {
    /// The new writer found no usable predecessor, or does not say.
    Unknown,
    /// The engine was started anew and went on where its predecessor had ended.
    Engine,
    /// The venue changed its session.
    Session,
    /// Of a newer writer.
    Other(u64),
}

impl RestartReason {
    /// The reason whose code this is: see [`restart_reason`].
    pub const fn from_code(code: u64) -> RestartReason {
        match code {
            restart_reason::UNKNOWN => RestartReason::Unknown,
            restart_reason::ENGINE => RestartReason::Engine,
            restart_reason::SESSION => RestartReason::Session,
            other => RestartReason::Other(other),
        }
    }
    /// Lower-case name, as tools and JSON show it.
    pub const fn name(self) -> &'static str {
        match self {
            RestartReason::Unknown => "unknown",
            RestartReason::Engine => "engine",
            RestartReason::Session => "session",
            RestartReason::Other(_) => "other",
        }
    }
}

/// The step from one epoch to the next. What the new writer says about it is a record of the new ring and follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarted {
    /// Epoch that this reader was in.
    pub old_epoch: u64,
    /// Epoch that it is in now, at number 0.
    pub new_epoch: u64,
    /// Next number that the reader would have read in the old epoch.
    pub drained_to: u64,
    /// Where the old epoch ended, by the new writer's word: the number after its last whole event. `None` when the new
    /// writer does not know or goes on from another epoch than the reader's.
    pub old_end: Option<u64>,
    /// Why.
    pub reason: RestartReason,
}

impl Restarted {
    /// Numbers of the old epoch that this reader will never see, first and last, when that can be told and there are
    /// any.
    pub fn lost(&self) -> Option<(u64, u64)> {
        let end = self.old_end.filter(|end| *end > self.drained_to)?;
        Some((self.drained_to, end - 1))
    }

    /// Numbers that this reader was given although their event was never finished, first and last: the new writer
    /// publishes that event anew, so what they did must be undone.
    pub fn void(&self) -> Option<(u64, u64)> {
        let end = self.old_end.filter(|end| *end < self.drained_to)?;
        Some((end, self.drained_to - 1))
    }

    /// Whether the new epoch goes on exactly where this reader stood: nothing lost, nothing twice.
    pub fn is_seamless(&self) -> bool {
        self.old_end == Some(self.drained_to)
    }
}

/// What a reader reports besides records; unlike [`Event`] it borrows nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Notice {
    Restarted(Restarted),
    Silent,
    Back,
    Closed,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restart_means() {
        let at = |drained_to, old_end| Restarted {
            old_epoch: 1,
            new_epoch: 2,
            drained_to,
            old_end,
            reason: RestartReason::Engine,
        };
        let table = [
            ("seamless", at(10, Some(10)), None, None, true),
            ("some lost", at(10, Some(13)), Some((10, 12)), None, false),
            ("a tail that is void", at(10, Some(7)), None, Some((7, 9)), false),
            ("nobody knows", at(10, None), None, None, false),
        ];
        for (name, restarted, lost, void, seamless) in table {
            assert_eq!((restarted.lost(), restarted.void(), restarted.is_seamless()), (lost, void, seamless), "{name}");
        }
    }
}
